-- Assets: the rules behind the table, and the convenient ways in.

CREATE FUNCTION assetreg._attribution_trigger() RETURNS trigger
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'assetreg_attribution_trigger';
COMMENT ON FUNCTION assetreg._attribution_trigger() IS
	'fills who, when and (third argument) last changed; only the table''s owner may state them';

CREATE FUNCTION assetreg._actor() RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'assetreg_actor_name';
COMMENT ON FUNCTION assetreg._actor() IS 'the person on whose behalf the statement runs';

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
	SET jit = off
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
	SET jit = off SET enable_material = off  -- cached plans must not pair all rows with all, however few there were
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
		DELETE FROM assetreg.entities e WHERE e.id = ANY (ARRAY(SELECT o.id FROM old_rows o));
	WHEN 'TRUNCATE' THEN
		DELETE FROM assetreg.entities e WHERE e.kind IN (SELECT t.name FROM assetreg.asset_types t);
	WHEN 'UPDATE' THEN
		IF EXISTS (SELECT FROM new_rows n LEFT JOIN LATERAL (SELECT e.kind FROM assetreg.entities e WHERE e.id = n.id OFFSET 0) e ON true
				   WHERE e.kind IS NULL OR NOT EXISTS (SELECT FROM assetreg.asset_types t WHERE t.name = e.kind)) THEN
			RAISE EXCEPTION 'the id of an asset cannot be changed' USING ERRCODE = 'invalid_parameter_value';
		END IF;
		-- who is about to depend on it holds a share of this lock
		PERFORM FROM new_rows n CROSS JOIN LATERAL (
			SELECT FROM assetreg.entities e
			WHERE e.id = n.id AND (n.type, n.name || '@' || n.version) IS DISTINCT FROM (e.kind, e.key) FOR UPDATE) e;
		SELECT min(n.id) INTO wrong
		FROM new_rows n CROSS JOIN LATERAL (SELECT e.kind, e.key FROM assetreg.entities e WHERE e.id = n.id OFFSET 0) e
		WHERE (n.type, n.name || '@' || n.version) IS DISTINCT FROM (e.kind, e.key) AND assetreg._has_dependents_now(n.id);
		IF wrong IS NOT NULL THEN
			RAISE EXCEPTION 'asset "%" cannot be renamed because other entities depend on it',
					(SELECT e.kind || '/' || e.key FROM assetreg.entities e WHERE e.id = wrong)
				USING ERRCODE = 'dependent_objects_still_exist',
					  HINT = 'Register the new type, name or version as an asset of its own and move the dependents there.';
		END IF;
		-- once they are locked, the place of a row does not change until it is updated
		PERFORM FROM new_rows n CROSS JOIN LATERAL (
			SELECT FROM assetreg.entities e WHERE e.id = n.id AND e.active <> (n.status = 'active') FOR NO KEY UPDATE) e;
		UPDATE assetreg.entities e
		SET kind = n.type, key = n.key, active = n.active,
			label = CASE WHEN e.label = regexp_replace(e.key, '@([^@]*)$', E' \\1') THEN n.label ELSE e.label END
		FROM (SELECT e.ctid AS row, n.type, n.name || '@' || n.version AS key, n.name || ' ' || n.version AS label, n.status = 'active' AS active
			  FROM new_rows n CROSS JOIN LATERAL (SELECT e.ctid, e.kind, e.key, e.active FROM assetreg.entities e WHERE e.id = n.id OFFSET 0) e
			  WHERE (n.type, n.name || '@' || n.version, n.status = 'active') IS DISTINCT FROM (e.kind, e.key, e.active) OFFSET 0) n
		WHERE e.ctid = n.row;
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

-- What a reference may mean: several assets may share a hash, and what was measured goes before what is claimed.
CREATE FUNCTION assetreg._candidates(reference text) RETURNS bigint[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	parts text[] := regexp_match($1, '^([^/@]+)/(.+)@([^/@]+)$');  -- the type ends at the first slash, the version starts at the last at sign
	hash_kind text;
	hash text;
	found_ids bigint[];
BEGIN
	IF parts IS NOT NULL THEN
		SELECT array_agg(a.id) INTO found_ids
		FROM assetreg.assets a WHERE a.type = parts[1] AND a.name = parts[2] AND a.version = parts[3];
		RETURN found_ids;
	ELSIF $1 ~ '^[^/@]+/[^@]+$' THEN
		SELECT ARRAY[v.id] INTO found_ids
		FROM (SELECT min(a.id) AS id FROM assetreg.assets a
			  WHERE a.type = split_part($1, '/', 1) AND a.name = substr($1, strpos($1, '/') + 1)) one,
			 LATERAL (SELECT assetreg.versions(one.id) AS id LIMIT 1) v
		WHERE one.id IS NOT NULL;
		RETURN found_ids;
	END IF;

	parts := regexp_match(lower($1), '^(?:([a-z][a-z0-9]*):)?([0-9a-f]{8,128})$');
	hash := parts[2];
	hash_kind := coalesce(parts[1], CASE length(hash) WHEN 64 THEN 'sha256' WHEN 8 THEN 'autov1' WHEN 10 THEN 'autov2' WHEN 12 THEN 'autov3' END);
	IF hash_kind = 'sha256' OR hash_kind = 'autov2' AND length(hash) = 10 THEN
		SELECT array_agg(a.id ORDER BY a.id) INTO found_ids  -- AutoV2 is the beginning of the SHA-256
		FROM assetreg.assets a WHERE a.sha256 >= hash AND a.sha256 <= hash || repeat('f', 64);
		RETURN found_ids;
	END IF;
	IF hash_kind = 'autov3' THEN
		hash := left(hash, 12);  -- of the tensors' whole SHA-256
	END IF;
	SELECT coalesce(array_agg(DISTINCT h.asset_id) FILTER (WHERE h.source = 'measured'), array_agg(DISTINCT h.asset_id)) INTO found_ids
	FROM assetreg.asset_hashes h WHERE h.value = hash AND h.algorithm = hash_kind;
	RETURN found_ids;
END
$$;
COMMENT ON FUNCTION assetreg._candidates(text) IS 'the assets that a reference may mean, NULL for none and for what is no reference';

CREATE FUNCTION assetreg.asset_id(reference text) RETURNS bigint
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	found_ids bigint[];
BEGIN
	PERFORM assetreg._require_tables();
	IF $1 IS NULL THEN
		RAISE EXCEPTION 'asset reference must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF $1 !~ '^[^/@]+/(.+@[^/@]+|[^@]+)$' AND $1 !~* '^([a-z][a-z0-9]*:[0-9a-f]{8,128}|[0-9a-f]{64}|[0-9a-f]{8}|[0-9a-f]{10}|[0-9a-f]{12})$' THEN
		RAISE EXCEPTION 'invalid asset reference: "%"', left($1, 200)
			USING ERRCODE = 'invalid_parameter_value',
				  HINT = 'A reference is type/name@version, type/name for the latest version, a hash such as sha256:<hex> or blake3:<hex>, '
						 'or just the digits of an AutoV1, AutoV2, AutoV3 or SHA-256 hash.';
	END IF;
	found_ids := assetreg._candidates($1);
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
	'the id of type/name@version, type/name (latest version), or a hash: sha256:<hex>, blake3:<hex>, or just the digits of AutoV1, AutoV2, AutoV3, SHA-256';

-- What a file's own metadata, else its name, states: film-grain-v1.2.safetensors.
CREATE FUNCTION assetreg._stated_version(file_path text, metadata jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT coalesce(CASE WHEN $2 <> '{}' THEN (assetreg._metadata_facts($2)).version END,
					substring(regexp_replace(regexp_replace($1, E'^.*[/\\\\]', ''), E'\\.[A-Za-z][A-Za-z0-9_]*$', '')
							  FROM E'(?:^|[-_. ])[vV]([0-9]+(?:\\.[0-9]+){0,2})(?!\\.?[0-9A-Za-z])'))
	$$;
COMMENT ON FUNCTION assetreg._stated_version(text, jsonb) IS 'the version that a file''s metadata or its name states';

-- An ordinal is never given twice.
CREATE FUNCTION assetreg._next_ordinal(type text, name text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	ordinal bigint;
BEGIN
	LOOP
		INSERT INTO assetreg.version_ordinals AS o (type, name, last) VALUES ($1, $2, 1)
			ON CONFLICT ON CONSTRAINT version_ordinals_pkey DO UPDATE SET last = o.last + 1
			RETURNING o.last INTO ordinal;
		-- somebody may have stated an r<N> of his own
		EXIT WHEN NOT EXISTS (SELECT FROM assetreg.assets a
							  WHERE a.type = $1 AND a.name = $2 COLLATE "default" AND a.version = ('r' || ordinal) COLLATE "default");
	END LOOP;
	RETURN 'r' || ordinal;
END
$$;
COMMENT ON FUNCTION assetreg._next_ordinal(text, text) IS 'the version of an asset for which nothing states one';

CREATE FUNCTION assetreg._version_of_content(type text, name text, sha256 text) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	-- a parameter's collation is that of what the function is called with, and an index has one of its own
	RETURN (SELECT (array_agg(a.version ORDER BY a.id DESC))[1] FROM assetreg.assets a
			WHERE a.type = $1 AND a.name = $2 COLLATE "default" AND a.sha256 = $3);
END
$$;
COMMENT ON FUNCTION assetreg._version_of_content(text, text, text) IS 'the version under which an asset''s content is registered already';

CREATE FUNCTION assetreg._version_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off  -- the plan made for an empty table serves the next 100,000 rows
	SET jit = off
	AS $$
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'assets');
	-- a name that the table refuses gets no ordinal
	IF NEW.type IS NULL OR NEW.name IS NULL OR octet_length(NEW.name) > 1000
		OR NOT EXISTS (SELECT FROM assetreg.asset_types t WHERE t.name = NEW.type) THEN
		NEW.version := '?';
		RETURN NEW;
	END IF;
	IF NEW.sha256 IS NOT NULL THEN
		NEW.version := assetreg._version_of_content(NEW.type, NEW.name, NEW.sha256);
	END IF;
	IF NEW.version IS NULL AND (NEW.file_path IS NOT NULL OR NEW.metadata <> '{}') THEN
		NEW.version := assetreg._stated_version(NEW.file_path, NEW.metadata);
	END IF;
	IF NEW.version IS NULL THEN
		NEW.version := assetreg._next_ordinal(NEW.type, NEW.name);
		-- who held the ordinals meanwhile may have registered the same content
		IF NEW.sha256 IS NOT NULL THEN
			NEW.version := coalesce(assetreg._version_of_content(NEW.type, NEW.name, NEW.sha256), NEW.version);
		END IF;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION assetreg._version_trigger() IS 'derives the version of an asset that is registered without one';

CREATE FUNCTION assetreg._status_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
	AS $$
BEGIN
	RAISE EXCEPTION 'asset "%/%@%" is removed and cannot become %', OLD.type, OLD.name, OLD.version, NEW.status
		USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Register it as a new version.';
END
$$;
COMMENT ON FUNCTION assetreg._status_trigger() IS 'refuses a change of status that there is no way back from';

-- Each asset of the chain is locked: of two sessions that each make one half of a cycle, one waits for the other or fails.
CREATE FUNCTION assetreg._check_chain(id bigint, relation text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	next_id bigint := $1;
	mark bigint := $1;  -- moves on ever more rarely: a cycle that the chain leads into comes back to it
	steps bigint := 0;
BEGIN
	LOOP
		SELECT CASE relation WHEN 'supersedes' THEN a.supersedes ELSE a.replaced_by END INTO next_id
		FROM assetreg.assets a WHERE a.id = next_id FOR SHARE;
		EXIT WHEN next_id IS NULL;
		IF next_id IN ($1, mark) THEN
			RAISE EXCEPTION 'asset "%" would %', assetreg.asset_ref(next_id),
					CASE relation WHEN 'supersedes' THEN 'supersede itself' ELSE 'be replaced by itself' END
				USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Other assets lead back to it.';
		END IF;
		steps := steps + 1;
		IF steps & (steps - 1) = 0 THEN
			mark := next_id;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._check_chain(bigint, text) IS 'raises an error for a chain of assets that ends where it began';

CREATE FUNCTION assetreg._chain_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off
	AS $$
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'assets');
	IF NEW.supersedes IS NOT NULL THEN
		PERFORM assetreg._check_chain(NEW.id, 'supersedes');
	END IF;
	IF NEW.replaced_by IS NOT NULL THEN
		PERFORM assetreg._check_chain(NEW.id, 'replaced_by');
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._chain_trigger() IS 'keeps supersedes and replaced_by free of cycles';

CREATE FUNCTION assetreg._check_type(type text) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF $1 IS NULL THEN
		RAISE EXCEPTION 'asset type must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF NOT EXISTS (SELECT FROM assetreg.asset_types t WHERE t.name = $1) THEN
		RAISE EXCEPTION 'asset type "%" does not exist', left($1, 200)
			USING ERRCODE = 'undefined_object', HINT = 'Add it to assetreg.asset_types, or use one that is there.';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._check_type(text) IS 'raises the error for what is no asset type';

-- The constraints of assets refuse the same from whoever writes the table.
CREATE FUNCTION assetreg._check_stated(name text, version text, file_size bigint, sha256 text, metadata jsonb, provides text[]) RETURNS void
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	unprintable constant text := E'[\\u0001-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]';
	bad record;
BEGIN
	SELECT r.message, r.detail INTO bad
	FROM (VALUES
		(octet_length($1) NOT BETWEEN 1 AND 1000, 'name of an asset must have 1 to 1000 bytes', format('It has %s.', octet_length($1))),
		($1 ~ unprintable, 'name of an asset contains a control character', 'Marks that turn the direction of text count as such.'),
		(octet_length($2) NOT BETWEEN 1 AND 200, 'version of an asset must have 1 to 200 bytes', format('It has %s.', octet_length($2))),
		($2 ~ '[/@]', format('invalid version: "%s"', $2), 'A version contains neither "/" nor "@".'),
		($2 ~ unprintable, 'version of an asset contains a control character', 'Marks that turn the direction of text count as such.'),
		($3 <= 0, format('invalid file_size: %s', $3), 'The file of an asset has at least one byte.'),
		($4 !~* '^[0-9a-f]{64}$', format('invalid sha256: "%s"', left($4, 100)), 'A SHA-256 has 64 hex digits.'),
		($4 ~* '^e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855$', 'invalid sha256: the hash of nothing',
		 'It is that of every empty file, and identifies none.'),
		(jsonb_typeof($5) <> 'object', 'metadata must be a JSON object', format('It is of type %s.', jsonb_typeof($5))),
		(array_position($6, NULL) IS NOT NULL, 'provides must not contain nulls', 'Each element names something that the asset provides.')
		) r (violated, message, detail)
	WHERE r.violated LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION '%', bad.message USING ERRCODE = 'invalid_parameter_value', DETAIL = bad.detail;
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._check_stated(text, text, bigint, text, jsonb, text[]) IS
	'raises the error for what cannot be said of an asset; NULL is nothing said';

CREATE FUNCTION assetreg.register_asset(type text, name text, version text = NULL, file_path text = NULL, file_size bigint = NULL,
		sha256 text = NULL, metadata jsonb = '{}', provides text[] = '{}', supersedes bigint = NULL, preview_url text = NULL)
	RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	new_id bigint;
	new_version text := $3;
	old record;
	given record;
BEGIN
	PERFORM assetreg._require_tables(), assetreg._check_type($1);
	IF $2 IS NULL THEN
		RAISE EXCEPTION 'asset name must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM assetreg._check_stated($2, $3, $5, $6, $7, $8);
	IF $9 IS NOT NULL AND NOT EXISTS (SELECT FROM assetreg.assets a WHERE a.id = $9) THEN
		PERFORM assetreg._no_such('asset', $9);
	END IF;
	new_id := nextval('assetreg.entities_id_seq');
	SELECT coalesce(m.file_size, $5) AS file_size, coalesce(m.sha256, lower($6)) AS sha256, coalesce(m.metadata || $7, m.metadata, $7, '{}') AS metadata
	INTO given
	FROM (SELECT) one LEFT JOIN assetreg._measure_ahead(new_id, $4) m ON true;
	IF new_version IS NULL THEN
		-- NULL: an ordinal, which a trigger gives
		new_version := coalesce(assetreg._version_of_content($1, $2, given.sha256), assetreg._stated_version($4, given.metadata));
	END IF;
	INSERT INTO assetreg.assets (id, type, name, version, file_path, file_size, sha256, metadata, provides, supersedes, preview_url)
		VALUES (new_id, $1, $2, new_version, $4, $5, $6, coalesce($7, '{}'), coalesce($8, '{}'), $9, $10)
		ON CONFLICT ON CONSTRAINT assets_type_name_version_key DO NOTHING;
	IF FOUND THEN
		PERFORM assetreg._propose(new_id);
		RETURN new_id;
	END IF;

	-- what is not given is not claimed to differ; an ordinal's row is there already if another session was faster with the same
	SELECT a.* INTO STRICT old FROM assetreg.assets a
	WHERE a.type = $1 AND a.name = $2 AND a.version = coalesce(new_version, assetreg._version_of_content($1, $2, given.sha256));
	IF coalesce(given.file_size, old.file_size) IS DISTINCT FROM old.file_size
		OR coalesce(given.sha256, old.sha256) IS DISTINCT FROM old.sha256 THEN
		RAISE EXCEPTION 'asset "%/%@%" already exists with other content', $1, $2, old.version
			USING ERRCODE = 'duplicate_object',
				  DETAIL = format('Registered: size %s, SHA-256 %s. Given: size %s, SHA-256 %s.',
								  coalesce(old.file_size::text, 'unknown'), coalesce(old.sha256, 'unknown'),
								  coalesce(given.file_size::text, 'unknown'), coalesce(given.sha256, 'unknown')),
				  HINT = 'Register it as a new version, or replace the file by assetreg.replace_file().';
	END IF;
	IF old.status = 'removed' THEN
		RAISE NOTICE 'asset "%/%@%" is registered already, and removed', $1, $2, old.version
			USING HINT = 'To use it again, register it as a new version.';
	END IF;
	RETURN old.id;
END
$$;
COMMENT ON FUNCTION assetreg.register_asset(text, text, text, text, bigint, text, jsonb, text[], bigint, text) IS
	'registers a version of an asset; the same content under the same name and version again is the same asset';

CREATE FUNCTION assetreg._propose(asset_id bigint) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	r record;
BEGIN
	FOR r IN
		SELECT assetreg.asset_ref(min(b.id)) AS reference, count(*) AS assets
		FROM assetreg.assets a JOIN assetreg.assets b ON b.sha256 = a.sha256 AND b.id <> a.id WHERE a.id = $1 HAVING count(*) > 0
	LOOP
		RAISE NOTICE 'the same content is registered as "%"%', r.reference,
			CASE WHEN r.assets > 1 THEN format(' and %s more', r.assets - 1) ELSE '' END;
	END LOOP;
	FOR r IN
		SELECT f.asset_type, a.type FROM assetreg.assets a, assetreg._metadata_facts(a.metadata) f
		WHERE a.id = $1 AND a.metadata <> '{}' AND a.type IN ('model', 'lora') AND f.asset_type <> a.type
	LOOP
		RAISE NOTICE 'the metadata says that this is a %, not a %', r.asset_type, r.type;
	END LOOP;
	FOR r IN
		SELECT u.reference, u.candidates, CASE u.relation WHEN 'vae' THEN f.vae_name ELSE f.base_name END AS name, u.relation
		FROM assetreg.unresolved_references u JOIN assetreg.assets a ON a.id = u.dependent_id, assetreg._metadata_facts(a.metadata) f
		WHERE u.dependent_id = $1 AND u.source = 'metadata' ORDER BY u.reference
	LOOP
		RAISE NOTICE 'the metadata names "%" as %, which %', coalesce(r.name || ' ', '') || r.reference,
				CASE r.relation WHEN 'vae' THEN 'VAE' ELSE 'base model' END,
				CASE WHEN r.candidates = '{}' THEN 'is not registered' ELSE format('may be one of %s assets', cardinality(r.candidates)) END
			USING HINT = CASE WHEN r.candidates = '{}' THEN 'The dependency is added when it is.' ELSE 'Add the dependency that is meant by assetreg.add_dependency().' END;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._propose(bigint) IS 'tells what the metadata of an asset says and the registry does not';

CREATE FUNCTION assetreg.replace_file(asset_id bigint, file_path text = NULL, file_size bigint = NULL, sha256 text = NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	before bigint;
BEGIN
	PERFORM assetreg._require_tables(), assetreg._check_stated(NULL, NULL, $3, $4, NULL, NULL);
	-- before the row is locked
	PERFORM assetreg._measure_ahead($1, coalesce($2, a.file_path)) FROM assetreg.assets a
		WHERE a.id = $1 AND coalesce($2, a.file_path) IS NOT NULL;
	-- whoever else changes the file has opened his update then
	PERFORM FROM assetreg.assets a WHERE a.id = $1 FOR NO KEY UPDATE;
	before := (SELECT max(u.id) FROM assetreg.asset_updates u WHERE u.asset_id = $1);
	UPDATE assetreg.assets a SET file_path = coalesce($2, a.file_path), file_size = $3, sha256 = $4
	WHERE a.id = $1 AND coalesce($2, a.file_path, $4) IS NOT NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'asset "%" has no file', assetreg.asset_ref($1)
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Give its file_path, or the sha256 of its new content.';
	END IF;
	RETURN (SELECT max(u.id) FROM assetreg.asset_updates u
			WHERE u.asset_id = $1 AND u.change = 'file_changed' AND (before IS NULL OR u.id > before));
END
$$;
COMMENT ON FUNCTION assetreg.replace_file(bigint, text, bigint, text) IS
	'states that an asset''s file has changed or moved: what the server can read is measured anew, else size and hash must be given; the update that this opened';
