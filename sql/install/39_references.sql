-- References to assets that are not registered, or not by one name: they become edges when they can.
CREATE FUNCTION assetreg._setup_references() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.unresolved_references') IS NULL THEN
		CREATE TABLE assetreg.unresolved_references (
			dependent_id bigint CONSTRAINT unresolved_references_dependent_id_fkey REFERENCES assetreg.entities (id) ON DELETE CASCADE,
			reference text NOT NULL CONSTRAINT unresolved_references_reference_check CHECK (octet_length(reference) BETWEEN 1 AND 2000),
			type text COLLATE "C",
			candidates bigint[] NOT NULL DEFAULT '{}',
			seen_at timestamptz NOT NULL DEFAULT now(),
			source text COLLATE "C" NOT NULL DEFAULT 'declared'
				CONSTRAINT unresolved_references_source_check CHECK (octet_length(source) BETWEEN 1 AND 100),
			relation text NOT NULL DEFAULT 'uses' CONSTRAINT unresolved_references_relation_check CHECK (relation <> ''),
			requires text[] NOT NULL DEFAULT '{}' CONSTRAINT unresolved_references_requires_check CHECK (array_position(requires, NULL) IS NULL),
			names text[] NOT NULL DEFAULT '{}' CONSTRAINT unresolved_references_names_check CHECK (array_position(names, NULL) IS NULL),
			-- not generated: PostgreSQL 18 replicates no table whose key is
			type_key text COLLATE "C" NOT NULL DEFAULT '',
			CONSTRAINT unresolved_references_pkey PRIMARY KEY (dependent_id, reference, source, relation, type_key)
		);
		CREATE INDEX unresolved_references_reference_idx ON assetreg.unresolved_references (reference);
		CREATE INDEX unresolved_references_candidates_idx ON assetreg.unresolved_references USING gin (candidates) WITH (fastupdate = off)
			WHERE candidates <> '{}';
		CREATE INDEX unresolved_references_names_idx ON assetreg.unresolved_references USING gin (names) WITH (fastupdate = off)
			WHERE names <> '{}';
	ELSIF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = 'assetreg.unresolved_references'::regclass AND a.attname = 'type_key') THEN
		-- a table of before, when what was missing as two types was one row
		ALTER TABLE assetreg.unresolved_references
			ADD COLUMN type_key text COLLATE "C" NOT NULL DEFAULT '',
			DROP CONSTRAINT unresolved_references_pkey,
			ADD CONSTRAINT unresolved_references_pkey PRIMARY KEY (dependent_id, reference, source, relation, type_key);
		UPDATE assetreg.unresolved_references u SET type_key = u.type WHERE u.type <> '';
	END IF;
	IF to_regclass('assetreg.assets_file_stem_idx') IS NULL THEN
		CREATE INDEX assets_file_stem_idx ON assetreg.assets
			(regexp_replace(coalesce(file_path, name), E'^.*[/\\\\]|\\.(safetensors|ckpt|pt|pth|bin|gguf|onnx|sft)$', '', 'gi'));
	END IF;
	IF to_regclass('assetreg.assets_provides_idx') IS NULL THEN
		CREATE INDEX assets_provides_idx ON assetreg.assets USING gin (provides) WITH (fastupdate = off) WHERE provides <> '{}';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_references() IS 'makes the table of unresolved references where it is missing';

CREATE FUNCTION assetreg._type_key_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	NEW.type_key := coalesce(NEW.type, '');
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION assetreg._type_key_trigger() IS 'keeps the type in the key of an unresolved reference';

-- The hashes by which a file's metadata names what it was trained on; the whole SHA-256 goes before AutoV1, which many files share.
CREATE FUNCTION assetreg._stated_references(metadata jsonb, OUT reference text, OUT relation text) RETURNS SETOF record
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 2
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT h.reference, h.relation
	FROM (VALUES (1, 'sha256:' || substring(lower(btrim($1 ->> 'ss_new_sd_model_hash')) FROM '^(?:0x)?([0-9a-f]{64})$'), 'base_model'),
				 (2, 'autov1:' || substring(lower(btrim($1 ->> 'ss_sd_model_hash')) FROM '^(?:0x)?([0-9a-f]{8})$'), 'base_model'),
				 (3, 'sha256:' || substring(lower(btrim($1 ->> 'ss_new_vae_hash')) FROM '^(?:0x)?([0-9a-f]{64})$'), 'vae'),
				 (4, 'autov1:' || substring(lower(btrim($1 ->> 'ss_vae_hash')) FROM '^(?:0x)?([0-9a-f]{8})$'), 'vae')) h (n, reference, relation)
	WHERE h.reference !~ ':e3b0c442' AND h.reference IS NOT NULL
	  AND NOT (h.n IN (2, 4) AND coalesce($1 ->> CASE h.n WHEN 2 THEN 'ss_new_sd_model_hash' ELSE 'ss_new_vae_hash' END, '') ~* E'^\\s*(?:0x)?[0-9a-f]{64}\\s*$')
	$$;
COMMENT ON FUNCTION assetreg._stated_references(jsonb) IS 'the base model and the VAE that metadata names by hash';

-- The edges that assets' metadata states become exactly what it states now.  Where several assets could be meant, an edge
-- that was made when there was but one stays.
CREATE FUNCTION assetreg._link_metadata(asset_ids bigint[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = on
	AS $$
BEGIN
	DELETE FROM assetreg.unresolved_references u
		USING assetreg.assets a
		WHERE u.dependent_id = ANY ($1) AND u.source = 'metadata' AND a.id = u.dependent_id
		  AND (u.reference, u.relation) NOT IN (SELECT s.reference, s.relation FROM assetreg._stated_references(a.metadata) s);
	DELETE FROM assetreg.asset_dependencies d
		USING assetreg.assets a
		WHERE d.dependent_id = ANY ($1) AND d.source = 'metadata' AND a.id = d.dependent_id
		  AND NOT EXISTS (SELECT FROM assetreg._stated_references(a.metadata) s
						  WHERE s.relation = d.relation AND d.dependency_id = ANY (assetreg._candidates(s.reference)));
	WITH stated AS MATERIALIZED (
		SELECT a.id, s.reference, s.relation
		FROM assetreg.assets a CROSS JOIN LATERAL assetreg._stated_references(a.metadata) s WHERE a.id = ANY ($1)
	), meant AS MATERIALIZED (
		SELECT r.reference, coalesce(assetreg._candidates(r.reference), '{}') AS ids FROM (SELECT DISTINCT s.reference FROM stated s) r
	), found AS MATERIALIZED (
		SELECT s.id, s.reference, s.relation, array_remove(m.ids, s.id) AS ids FROM stated s JOIN meant m ON m.reference = s.reference
	), linked AS (
		INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, relation)
			SELECT f.id, f.ids[1], 'metadata', f.relation FROM found f WHERE cardinality(f.ids) = 1 ORDER BY 1, 2
			ON CONFLICT DO NOTHING
	)
	INSERT INTO assetreg.unresolved_references AS u (dependent_id, reference, type, candidates, source, relation)
		SELECT f.id, f.reference, 'model', f.ids, 'metadata', f.relation FROM found f
		WHERE cardinality(f.ids) <> 1
		  AND NOT EXISTS (SELECT FROM assetreg.asset_dependencies d
						  WHERE d.dependent_id = f.id AND d.dependency_id = ANY (f.ids) AND d.source = 'metadata')
		ORDER BY 1, 2
		ON CONFLICT ON CONSTRAINT unresolved_references_pkey DO UPDATE SET candidates = excluded.candidates
			WHERE u.candidates <> excluded.candidates;
END
$$;
COMMENT ON FUNCTION assetreg._link_metadata(bigint[]) IS 'makes the edges that the metadata of assets states, or notes what they wait for';

CREATE FUNCTION assetreg._resolve_references(refs text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	WITH waiting AS MATERIALIZED (
		SELECT DISTINCT u.reference, u.names, CASE WHEN u.names <> '{}' THEN u.type END AS type
		FROM (SELECT DISTINCT unnest($1)) r (reference) JOIN assetreg.unresolved_references u ON u.reference = r.reference
	), meant AS MATERIALIZED (
		SELECT w.*, coalesce(assetreg._meant_assets(w.reference, w.type, w.names), '{}') AS ids FROM waiting w
	), found AS MATERIALIZED (
		SELECT u.dependent_id, u.reference, u.source, u.relation, u.type_key, u.requires, array_remove(m.ids, u.dependent_id) AS ids
		FROM meant m
			 JOIN assetreg.unresolved_references u
				ON u.reference = m.reference AND u.names = m.names AND (m.names = '{}' OR u.type IS NOT DISTINCT FROM m.type)
		ORDER BY u.dependent_id, u.reference
		FOR UPDATE OF u
	), linked AS (
		INSERT INTO assetreg.asset_dependencies AS d (dependent_id, dependency_id, source, relation, requires)
			SELECT f.dependent_id, f.ids[1], f.source, assetreg._surest_relation(array_agg(f.relation)),
				   coalesce(array_agg(DISTINCT r ORDER BY r) FILTER (WHERE r IS NOT NULL), '{}')
			FROM found f LEFT JOIN LATERAL unnest(f.requires) r ON true
			WHERE cardinality(f.ids) = 1
			GROUP BY f.dependent_id, f.ids[1], f.source
			ORDER BY 1, 2
			ON CONFLICT ON CONSTRAINT asset_dependencies_pkey DO UPDATE  -- a workflow may need one asset by several names
			SET relation = assetreg._surest_relation(ARRAY[d.relation, excluded.relation]),
				requires = ARRAY(SELECT DISTINCT r FROM unnest(d.requires || excluded.requires) r ORDER BY r)
			WHERE d.source = 'workflow'
	), gone AS (
		DELETE FROM assetreg.unresolved_references u
			USING found f
			WHERE cardinality(f.ids) = 1
			  AND (u.dependent_id, u.reference, u.source, u.relation, u.type_key) = (f.dependent_id, f.reference, f.source, f.relation, f.type_key)
	)
	UPDATE assetreg.unresolved_references u SET candidates = f.ids
		FROM found f
		WHERE cardinality(f.ids) <> 1 AND u.candidates <> f.ids
		  AND (u.dependent_id, u.reference, u.source, u.relation, u.type_key) = (f.dependent_id, f.reference, f.source, f.relation, f.type_key);
END
$$;
COMMENT ON FUNCTION assetreg._resolve_references(text[]) IS 'turns references into edges where exactly one asset is meant by now';

-- For the plan see _assets_sync_trigger().
CREATE FUNCTION assetreg._reconsider_candidates(asset_ids bigint[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_nestloop = on
	AS $$
DECLARE
	ambiguous text[];
BEGIN
	SELECT array_agg(DISTINCT u.reference) INTO ambiguous
	FROM unnest($1) c (id) JOIN assetreg.unresolved_references u ON u.candidates @> ARRAY[c.id] AND u.candidates <> '{}';
	IF ambiguous IS NOT NULL THEN
		PERFORM assetreg._resolve_references(ambiguous);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._reconsider_candidates(bigint[]) IS 'resolves references that could mean one of these assets, which are gone or something else now';

-- What follows from the rows of assets once they are there: further hashes, stated edges, references that were waiting.
CREATE FUNCTION assetreg._take_facts(asset_ids bigint[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_nestloop = on
	AS $$
DECLARE
	linked bigint[];
	named text[];
	waiting text[];
BEGIN
	INSERT INTO assetreg.asset_hashes (asset_id, algorithm, value, source)
		SELECT a.id, v.algorithm, v.value, 'measured'
		FROM assetreg.assets a CROSS JOIN LATERAL assetreg._measurement_of(a.id) m
			 CROSS JOIN LATERAL (VALUES ('autov1', m.autov1), ('autov3', m.autov3)) v (algorithm, value)
		WHERE a.id = ANY ($1) AND a.integrity = 'verified' AND m.sha256 = a.sha256 AND v.value IS NOT NULL
		ON CONFLICT DO NOTHING;
	INSERT INTO assetreg.asset_hashes (asset_id, algorithm, value, source)
		SELECT a.id, 'autov3', v, 'claimed'
		FROM assetreg.assets a CROSS JOIN LATERAL assetreg._metadata_facts(a.metadata) f CROSS JOIN LATERAL unnest(f.claimed_autov3) v
		WHERE a.id = ANY ($1) AND a.metadata ?| '{sshs_model_hash,modelspec.hash_sha256}'
		ON CONFLICT DO NOTHING;

	SELECT array_agg(a.id) INTO linked
	FROM assetreg.assets a
	WHERE a.id = ANY ($1)
	  AND (a.metadata ?| '{ss_new_sd_model_hash,ss_sd_model_hash,ss_new_vae_hash,ss_vae_hash}'
		   OR EXISTS (SELECT FROM assetreg.asset_dependencies d WHERE d.dependent_id = a.id AND d.source = 'metadata')
		   OR EXISTS (SELECT FROM assetreg.unresolved_references u WHERE u.dependent_id = a.id AND u.source = 'metadata'));
	IF linked IS NOT NULL THEN
		PERFORM assetreg._link_metadata(linked);
	END IF;

	-- OFFSET 0: look-ups asset by asset, whatever the planner thinks of how much is waiting; types and hashes are of
	-- another collation than the index
	SELECT array_agg(DISTINCT u.reference) INTO waiting
	FROM assetreg.assets a
		 CROSS JOIN LATERAL (VALUES (a.type || '/' || a.name || '@' || a.version), (a.type || '/' || a.name),
									('sha256:' || a.sha256), ('autov2:' || left(a.sha256, 10))) r (reference)
		 CROSS JOIN LATERAL (SELECT u.reference FROM assetreg.unresolved_references u WHERE u.reference = r.reference COLLATE "default" OFFSET 0) u
	WHERE a.id = ANY ($1);
	IF EXISTS (SELECT FROM assetreg.unresolved_references u WHERE u.names <> '{}') THEN
		SELECT array_agg(DISTINCT u.reference) INTO named
		FROM assetreg.assets a
			 CROSS JOIN LATERAL (SELECT u.reference FROM assetreg.unresolved_references u
								 WHERE u.names && (ARRAY[a.type || '/' || a.name, 'file:' || assetreg._file_stem(coalesce(a.file_path, a.name)),
														 'sha256:' || a.sha256, 'autov2:' || left(a.sha256, 10)]
												   || ARRAY(SELECT 'class:' || p FROM unnest(a.provides) p)) COLLATE "default"
								   AND u.names <> '{}' OFFSET 0) u
		WHERE a.id = ANY ($1);
	END IF;
	waiting := waiting || named;
	IF waiting IS NOT NULL THEN
		PERFORM assetreg._resolve_references(waiting);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._take_facts(bigint[]) IS 'writes the hashes of assets and the edges that their metadata states or that waited for them';

-- Here two transition tables are joined, so the one plan for all is a hash join.
CREATE FUNCTION assetreg._assets_facts_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = on SET enable_mergejoin = off SET enable_nestloop = off
	SET jit = off
	AS $$
DECLARE
	changed bigint[];
	replaced bigint[];
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'assets');
	IF TG_OP = 'INSERT' THEN
		SELECT array_agg(n.id) INTO changed FROM new_rows n;
	ELSE
		SELECT array_agg(n.id), array_agg(n.id) FILTER (WHERE n.sha256 IS DISTINCT FROM o.sha256) INTO changed, replaced
		FROM new_rows n JOIN old_rows o ON o.id = n.id
		WHERE (n.type, n.name, n.version, n.file_path, n.sha256, n.metadata, n.provides)
			  IS DISTINCT FROM (o.type, o.name, o.version, o.file_path, o.sha256, o.metadata, o.provides);
		-- they are of other content
		DELETE FROM assetreg.asset_hashes h WHERE h.asset_id = ANY (replaced);
		DELETE FROM assetreg.asset_verifications v WHERE v.asset_id = ANY (replaced);
	END IF;
	IF changed IS NOT NULL THEN
		PERFORM assetreg._take_facts(changed);
	END IF;
	IF replaced IS NOT NULL THEN
		PERFORM assetreg._reconsider_candidates(replaced);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._assets_facts_trigger() IS 'takes what follows from the rows of assets that are new or say something else';

CREATE FUNCTION assetreg._hashes_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	SET jit = off
	AS $$
DECLARE
	waiting text[];
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'asset_hashes');
	SELECT array_agg(DISTINCT u.reference) INTO waiting
	FROM new_rows n
		 CROSS JOIN LATERAL (SELECT u.reference FROM assetreg.unresolved_references u WHERE u.reference = (n.algorithm || ':' || n.value) COLLATE "default"
							 UNION ALL
							 SELECT u.reference FROM assetreg.unresolved_references u
							 WHERE u.names @> ARRAY[(n.algorithm || ':' || n.value) COLLATE "default"] AND u.names <> '{}') u;
	IF waiting IS NOT NULL THEN
		PERFORM assetreg._resolve_references(waiting);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._hashes_trigger() IS 'makes the edges that waited for a hash';
