-- Assets: the rules behind the table, and the convenient ways in.

CREATE FUNCTION assetreg._attribution_trigger() RETURNS trigger
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'assetreg_attribution_trigger';
COMMENT ON FUNCTION assetreg._attribution_trigger() IS
	'fills who, when and (third argument) last changed; only the table''s owner may state them';

-- Trigger functions that run as their owner serve the table that they were written for and no other.
CREATE FUNCTION assetreg._check_trigger_table(relid oid, relation text) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF $1 IS DISTINCT FROM to_regclass('assetreg.' || $2) THEN
		RAISE EXCEPTION 'trigger function serves table "assetreg.%" only', $2
			USING ERRCODE = 'trigger_protocol_violated';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._check_trigger_table(oid, text) IS
	'raises the error for a trigger on a table that its function is not for';

CREATE FUNCTION assetreg._asset_types_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'asset_types');
	IF TG_OP = 'TRUNCATE' THEN
		RAISE EXCEPTION 'cannot truncate table "asset_types"'
			USING ERRCODE = 'feature_not_supported',
				  DETAIL = 'Without the types nobody could tell which entities are assets.', HINT = 'Use DELETE.';
	ELSIF TG_WHEN = 'AFTER' THEN
		DELETE FROM assetreg.entity_kinds k
			WHERE k.name = OLD.name AND NOT EXISTS (SELECT FROM assetreg.asset_types t WHERE t.name = OLD.name);
		RETURN NULL;
	END IF;
	IF EXISTS (SELECT FROM assetreg.asset_types t WHERE t.name = NEW.name) THEN
		RETURN NEW;  -- the primary key, or ON CONFLICT, deals with it
	END IF;
	-- who is about to make an entity of the kind holds a share of this lock
	PERFORM FROM assetreg.entity_kinds k WHERE k.name = NEW.name FOR UPDATE;
	IF EXISTS (SELECT FROM assetreg.entities e WHERE e.kind = NEW.name) THEN
		RAISE EXCEPTION 'entity kind "%" is in use and cannot become an asset type', NEW.name
			USING ERRCODE = 'object_in_use', HINT = 'Choose another name for the type.';
	END IF;
	INSERT INTO assetreg.entity_kinds (name, description) VALUES (NEW.name, NEW.description) ON CONFLICT DO NOTHING;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION assetreg._asset_types_trigger() IS 'an asset type is an entity kind as long as it exists';

-- Runs after the rows of a statement are in place; writes entities as their owner.
--
-- A session keeps the plans that it made for its first statement, be that of one row or of a million.  So there is one
-- plan for all: each row of a transition table looks its partner up in an index.  Two transition tables are not joined,
-- as they have no index, and what is wrong is found by min(): in hope of a first row for LIMIT 1 the planner would go
-- through a transition table once for each row of the other side.
CREATE FUNCTION assetreg._assets_sync_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	AS $$
DECLARE
	wrong bigint;
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'assets');
	CASE TG_OP
	WHEN 'INSERT' THEN
		INSERT INTO assetreg.entities (id, kind, key, label, active)
			SELECT n.id, n.type, n.name || '@' || n.version, n.name || ' ' || n.version, n.status = 'active' FROM new_rows n;
	WHEN 'DELETE' THEN
		DELETE FROM assetreg.entities e USING old_rows o WHERE e.id = o.id;
	WHEN 'TRUNCATE' THEN
		DELETE FROM assetreg.entities e WHERE e.kind IN (SELECT t.name FROM assetreg.asset_types t);
	WHEN 'UPDATE' THEN
		IF EXISTS (SELECT FROM new_rows n LEFT JOIN assetreg.entities e ON e.id = n.id
				   WHERE e.id IS NULL OR NOT EXISTS (SELECT FROM assetreg.asset_types t WHERE t.name = e.kind)) THEN
			RAISE EXCEPTION 'the id of an asset cannot be changed' USING ERRCODE = 'invalid_parameter_value';
		END IF;
		-- who is about to depend on it holds a share of this lock
		PERFORM FROM new_rows n JOIN assetreg.entities e ON e.id = n.id
			WHERE (n.type, n.name || '@' || n.version) IS DISTINCT FROM (e.kind, e.key)
			FOR UPDATE OF e;
		SELECT min(e.id) INTO wrong
		FROM new_rows n JOIN assetreg.entities e ON e.id = n.id
		WHERE (n.type, n.name || '@' || n.version) IS DISTINCT FROM (e.kind, e.key) AND assetreg._has_dependents_now(e.id);
		IF wrong IS NOT NULL THEN
			RAISE EXCEPTION 'asset "%" cannot be renamed because other entities depend on it',
					(SELECT e.kind || '/' || e.key FROM assetreg.entities e WHERE e.id = wrong)
				USING ERRCODE = 'dependent_objects_still_exist',
					  HINT = 'Register the new type, name or version as an asset of its own and move the dependents there.';
		END IF;
		UPDATE assetreg.entities e
		SET kind = n.type, key = n.name || '@' || n.version, active = n.status = 'active',
			label = CASE WHEN e.label = regexp_replace(e.key, '@([^@]*)$', E' \\1') THEN n.name || ' ' || n.version ELSE e.label END
		FROM new_rows n
		WHERE e.id = n.id
		  AND (n.type, n.name || '@' || n.version, n.status = 'active') IS DISTINCT FROM (e.kind, e.key, e.active);
	END CASE;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._assets_sync_trigger() IS 'makes, changes and removes the entities of assets, a statement at a time';

CREATE FUNCTION assetreg.asset_ref(asset_id bigint) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	reference text;
BEGIN
	PERFORM assetreg._require_tables();
	SELECT a.type || '/' || a.name || '@' || a.version INTO reference FROM assetreg.assets a WHERE a.id = $1;
	IF NOT FOUND THEN
		PERFORM assetreg._no_such('asset', $1);
	END IF;
	RETURN reference;
END
$$;
COMMENT ON FUNCTION assetreg.asset_ref(bigint) IS 'type/name@version of an asset';

CREATE FUNCTION assetreg._no_such(what text, id bigint) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF id IS NULL THEN
		RAISE EXCEPTION '% id must not be null', what USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF what = 'asset' AND EXISTS (SELECT FROM assetreg.entities e WHERE e.id = $2) THEN
		RAISE EXCEPTION 'entity % is not an asset', id USING ERRCODE = 'undefined_object';
	END IF;
	RAISE EXCEPTION '% % does not exist', what, id USING ERRCODE = 'undefined_object';
END
$$;
COMMENT ON FUNCTION assetreg._no_such(text, bigint) IS 'raises the error for an id that names nothing';

-- Two versions that parse compare by semantic version, any other two by registration.  That alone is no order where one
-- that does not parse stands between (1.10, then fp8, then 1.2), so such a version begins an era: eras follow each other
-- by registration, and within one the versions that parse follow it by precedence.
CREATE FUNCTION assetreg.versions(asset_id bigint) RETURNS SETOF bigint
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM assetreg._require_tables();
	RETURN QUERY
		SELECT v.id
		FROM (SELECT b.id, k.key, count(*) FILTER (WHERE k.key IS NULL) OVER (ORDER BY b.id) AS era
			  FROM assetreg.assets a
				   JOIN assetreg.assets b ON b.type = a.type AND b.name = a.name
				   CROSS JOIN LATERAL assetreg._version_key(b.version) k (key)
			  WHERE a.id = $1) v
		ORDER BY v.era DESC, v.key DESC NULLS LAST, v.id DESC;
	IF NOT FOUND THEN
		PERFORM assetreg._no_such('asset', $1);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg.versions(bigint) IS 'all versions of the same type and name, newest first';

CREATE FUNCTION assetreg._version_key(version text) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'assetreg_version_key';
COMMENT ON FUNCTION assetreg._version_key(text) IS
	'bytes that sort as semantic versions do; NULL for what is no semantic version';

CREATE FUNCTION assetreg.asset_id(reference text) RETURNS bigint
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	parts text[];
	found_ids bigint[];
BEGIN
	PERFORM assetreg._require_tables();
	IF $1 IS NULL THEN
		RAISE EXCEPTION 'asset reference must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;

	-- the type ends at the first slash, the version starts at the last at sign
	parts := regexp_match($1, '^([^/@]+)/(.+)@([^/@]+)$');
	IF parts IS NOT NULL THEN
		SELECT array_agg(a.id) INTO found_ids
		FROM assetreg.assets a WHERE a.type = parts[1] AND a.name = parts[2] AND a.version = parts[3];
	ELSIF $1 ~ '^[^/@]+/[^@]+$' THEN
		SELECT ARRAY[v.id] INTO found_ids
		FROM (SELECT min(a.id) AS id FROM assetreg.assets a
			  WHERE a.type = split_part($1, '/', 1) AND a.name = substr($1, strpos($1, '/') + 1)) one,
			 LATERAL (SELECT assetreg.versions(one.id) AS id LIMIT 1) v
		WHERE one.id IS NOT NULL;
	ELSIF $1 ~* '^(sha256:[0-9a-f]{64}|[0-9a-f]{64}|[0-9a-f]{10}|[0-9a-f]{12})$' THEN
		parts := ARRAY[lower(regexp_replace($1, '^sha256:', '', 'i'))];
		SELECT array_agg(DISTINCT h.id ORDER BY h.id) INTO found_ids
		FROM (SELECT a.id FROM assetreg.assets a  -- AutoV2 is the beginning of the SHA-256
			  WHERE length(parts[1]) IN (10, 64) AND a.sha256 >= parts[1] AND a.sha256 <= parts[1] || repeat('f', 64)
			  UNION ALL
			  SELECT h.asset_id FROM assetreg.asset_hashes h
			  WHERE length(parts[1]) = 12 AND h.value = parts[1] AND h.algorithm = 'autov3') h (id);
	ELSE
		RAISE EXCEPTION 'invalid asset reference: "%"', left($1, 200)
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'A reference is type/name@version, type/name for the latest version, sha256:<hex>, or an AutoV2 or AutoV3 hash.';
	END IF;

	IF cardinality(found_ids) > 1 THEN
		RAISE EXCEPTION 'asset reference "%" is ambiguous', $1
			USING ERRCODE = 'cardinality_violation',
				  DETAIL = 'It matches ' || (SELECT string_agg(assetreg.asset_ref(c.id), ', ' ORDER BY c.id)
											 FROM unnest(found_ids[:10]) c (id))
						   || CASE WHEN cardinality(found_ids) > 10 THEN format(' and %s more', cardinality(found_ids) - 10) ELSE '' END || '.',
				  HINT = 'Use type/name@version.';
	ELSIF found_ids IS NULL THEN
		RAISE EXCEPTION 'asset "%" does not exist', left($1, 200) USING ERRCODE = 'undefined_object';
	END IF;
	RETURN found_ids[1];
END
$$;
COMMENT ON FUNCTION assetreg.asset_id(text) IS
	'the id of type/name@version, type/name (latest version), sha256:<hex>, or an AutoV2 or AutoV3 hash';

-- The file's name states a version (film-grain-v1.2.safetensors), else the next ordinal is taken; an ordinal is never given twice.
CREATE FUNCTION assetreg._derive_version(type text, name text, file_path text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	base_name text := regexp_replace(regexp_replace($3, E'^.*[/\\\\]', ''), E'\\.[A-Za-z][A-Za-z0-9_]*$', '');
	found_version text := substring(base_name FROM E'(?:^|[-_. ])[vV]([0-9]+(?:\\.[0-9]+){0,2})(?!\\.?[0-9A-Za-z])');
	ordinal bigint;
BEGIN
	IF found_version IS NOT NULL THEN
		RETURN found_version;
	END IF;
	LOOP
		INSERT INTO assetreg.version_ordinals AS o (type, name, last) VALUES ($1, $2, 1)
			ON CONFLICT ON CONSTRAINT version_ordinals_pkey DO UPDATE SET last = o.last + 1
			RETURNING o.last INTO ordinal;
		-- somebody may have stated an r<N> of his own
		EXIT WHEN NOT EXISTS (SELECT FROM assetreg.assets a WHERE a.type = $1 AND a.name = $2 AND a.version = 'r' || ordinal);
	END LOOP;
	RETURN 'r' || ordinal;
END
$$;
COMMENT ON FUNCTION assetreg._derive_version(text, text, text) IS 'the version of an asset that was registered without one';

CREATE FUNCTION assetreg.register_asset(type text, name text, version text = NULL, file_path text = NULL, file_size bigint = NULL,
		sha256 text = NULL, metadata jsonb = '{}', provides text[] = '{}', supersedes bigint = NULL, preview_url text = NULL)
	RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	new_version text := $3;
	old record;
	new_id bigint;
BEGIN
	PERFORM assetreg._require_tables();
	IF $1 IS NULL OR $2 IS NULL THEN
		RAISE EXCEPTION 'type and name of an asset must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT EXISTS (SELECT FROM assetreg.asset_types t WHERE t.name = $1) THEN
		RAISE EXCEPTION 'asset type "%" does not exist', left($1, 200)
			USING ERRCODE = 'undefined_object', HINT = 'Add it to assetreg.asset_types, or use one that is there.';
	END IF;
	IF $9 IS NOT NULL AND NOT EXISTS (SELECT FROM assetreg.assets a WHERE a.id = $9) THEN
		PERFORM assetreg._no_such('asset', $9);
	END IF;
	IF new_version IS NULL AND $6 IS NOT NULL THEN
		-- the same content again is the same asset
		SELECT a.version INTO new_version FROM assetreg.assets a
		WHERE a.type = $1 AND a.name = $2 AND a.sha256 = lower($6) ORDER BY a.id DESC LIMIT 1;
	END IF;
	IF new_version IS NULL THEN
		new_version := assetreg._derive_version($1, $2, $4);
		-- whoever held the ordinals meanwhile may have registered the same content
		new_version := coalesce((SELECT max(a.version) FROM assetreg.assets a
								 WHERE a.type = $1 AND a.name = $2 AND a.sha256 = lower($6)), new_version);
	END IF;

	INSERT INTO assetreg.assets AS a (type, name, version, file_path, file_size, sha256, metadata, provides, supersedes, preview_url)
		VALUES ($1, $2, new_version, $4, $5, lower($6), coalesce($7, '{}'), coalesce($8, '{}'), $9, $10)
		ON CONFLICT ON CONSTRAINT assets_type_name_version_key DO NOTHING
		RETURNING a.id INTO new_id;
	IF new_id IS NULL THEN
		SELECT a.* INTO STRICT old FROM assetreg.assets a WHERE a.type = $1 AND a.name = $2 AND a.version = new_version;
		-- what is not given is not claimed to differ
		IF coalesce($5, old.file_size) IS DISTINCT FROM old.file_size OR coalesce(lower($6), old.sha256) IS DISTINCT FROM old.sha256 THEN
			RAISE EXCEPTION 'asset "%/%@%" already exists with other content', $1, $2, new_version
				USING ERRCODE = 'duplicate_object',
					  DETAIL = format('Registered: size %s, SHA-256 %s. Given: size %s, SHA-256 %s.',
									  coalesce(old.file_size::text, 'unknown'), coalesce(old.sha256, 'unknown'),
									  coalesce($5::text, 'unknown'), coalesce(lower($6), 'unknown')),
					  HINT = 'Register it as a new version.';
		END IF;
		new_id := old.id;
	END IF;
	RETURN new_id;
END
$$;
COMMENT ON FUNCTION assetreg.register_asset(text, text, text, text, bigint, text, jsonb, text[], bigint, text) IS
	'registers a version of an asset; the same content under the same name and version again is the same asset';
