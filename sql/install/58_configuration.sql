-- What is known of assets that are used together, before somebody tries it again.

CREATE FUNCTION assetreg._needed(ids bigint[]) RETURNS SETOF bigint
	LANGUAGE c STABLE PARALLEL SAFE ROWS 100 COST 1000
	AS 'MODULE_PATHNAME', 'assetreg_needed';
COMMENT ON FUNCTION assetreg._needed(bigint[]) IS 'entities and everything that they need, directly or through others, each once';

-- A side of a note is an asset of the configuration itself or, where the note is for all versions, another version of one.
-- Of several the row names the one that the note names, else the newest; the two sides are two assets.
--
-- Large tables are looked up by index for each row of what is small (LATERAL ... OFFSET 0), whatever the planner knows of
-- them.  Of notes on pairs only the other side is looked at, in the index, and of a popular model's not even that for each:
-- the pairs that could be are looked for.
CREATE FUNCTION assetreg._configuration_notes(ids bigint[])
	RETURNS TABLE (severity text, asset_id bigint, other_asset_id bigint, body text, author text, created_at timestamptz, note_id bigint)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off SET enable_bitmapscan = off SET enable_mergejoin = off SET jit = off
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH here AS MATERIALIZED (
			SELECT a.id, a.type, a.name
			FROM unnest($1) u (id) CROSS JOIN LATERAL (SELECT a.id, a.type, a.name FROM assetreg.assets a WHERE a.id = u.id OFFSET 0) a
		), side AS MATERIALIZED (  -- what a note may name, and what of the configuration that is
			SELECT h.id AS noted_id, h.id AS here_id, true AS itself FROM here h
			UNION ALL
			SELECT v.id, h.id, false
			-- of many versions in one configuration three will do: one may be the noted one itself, one the other side
			FROM (SELECT h.type, h.name, (array_agg(h.id ORDER BY h.id DESC))[1:3] AS ids FROM here h GROUP BY h.type, h.name) g
				 CROSS JOIN LATERAL (SELECT v.id FROM assetreg.assets v WHERE v.type = g.type AND v.name = g.name OFFSET 0) v
				 CROSS JOIN unnest(g.ids) h (id)
			WHERE h.id <> v.id
		), noted AS MATERIALIZED (
			SELECT s.noted_id, s.here_id, s.itself, p.notes = 2000 AS popular
			FROM (SELECT s.noted_id, CASE WHEN bool_or(s.itself) THEN s.noted_id ELSE max(s.here_id) END AS here_id, bool_or(s.itself) AS itself
				  FROM side s GROUP BY s.noted_id) s
				 CROSS JOIN LATERAL (SELECT count(*) AS notes FROM (SELECT FROM assetreg.asset_notes n WHERE n.asset_id = s.noted_id AND n.other_asset_id IS NOT NULL
																	LIMIT 2000) n) p
		), pair AS MATERIALIZED (
			SELECT n.id, s.noted_id, n.other_asset_id, n.all_versions
			FROM noted s
				 CROSS JOIN LATERAL (SELECT n.id, n.other_asset_id, n.all_versions FROM assetreg.asset_notes n
									 WHERE n.asset_id = s.noted_id AND n.other_asset_id IN (SELECT o.noted_id FROM noted o) OFFSET 0) n
			WHERE NOT s.popular
			UNION ALL
			SELECT n.id, s.noted_id, o.noted_id, n.all_versions
			FROM noted s CROSS JOIN noted o
				 CROSS JOIN LATERAL (SELECT n.id, n.all_versions FROM assetreg.asset_notes n
									 WHERE n.asset_id = s.noted_id AND n.other_asset_id = o.noted_id OFFSET 0) n
			WHERE s.popular
		), fitting AS MATERIALIZED (
			SELECT DISTINCT ON (p.id) p.id, s.here_id, o.here_id AS other_here_id
			FROM pair p JOIN side s ON s.noted_id = p.noted_id JOIN side o ON o.noted_id = p.other_asset_id
			WHERE (p.all_versions OR s.itself AND o.itself) AND s.here_id <> o.here_id
			ORDER BY p.id, s.itself::int + o.itself::int DESC, s.here_id DESC, o.here_id DESC
		)
		SELECT n.severity, s.here_id, NULL::bigint, n.body, n.author, n.created_at, n.id
		FROM noted s
			 CROSS JOIN LATERAL (SELECT n.severity, n.body, n.author, n.created_at, n.id FROM assetreg.asset_notes n
								 WHERE n.asset_id = s.noted_id AND n.other_asset_id IS NULL AND (s.itself OR n.all_versions) OFFSET 0) n
		UNION ALL
		SELECT n.severity, f.here_id, f.other_here_id, n.body, n.author, n.created_at, n.id
		FROM fitting f
			 CROSS JOIN LATERAL (SELECT n.severity, n.body, n.author, n.created_at, n.id FROM assetreg.asset_notes n WHERE n.id = f.id OFFSET 0) n;
END
$$;
COMMENT ON FUNCTION assetreg._configuration_notes(bigint[]) IS 'the notes that apply to some of these assets, or to some two of them together';

-- Publishers and trainers have names of their own for the same thing; what is not listed is compared as it is written.
CREATE FUNCTION assetreg._architecture_family(architecture text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT CASE WHEN a.name ~ '^(stablediffusionxl|sdxl)' THEN 'sdxl'
				WHEN a.name ~ '^(stablediffusion|sd)v?([0-9])' THEN 'sd' || substring(a.name FROM '^(?:stablediffusion|sd)v?([0-9])')
				WHEN a.name ~ '^flux2' THEN 'flux2'
				WHEN a.name ~ '^flux' THEN 'flux1'
				ELSE a.name END
	FROM (SELECT regexp_replace(lower(left($1, 200)), '[^a-z0-9]', '', 'g')) a (name)
	$$;
COMMENT ON FUNCTION assetreg._architecture_family(text) IS
	'one word for the architectures of one family, as modelspec.architecture, ss_base_model_version and general.architecture write them';

-- A model is a base unless something says that it is a part: its metadata, another's that names it as a VAE, its name, its folder.
CREATE FUNCTION assetreg._is_part(name text, file_path text, facts_part text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT $3 IS NOT NULL
		OR lower(concat_ws('/', regexp_replace($2, E'\\\\', '/', 'g'), $1))
		   ~ '(^|[^a-z0-9])(vae|taesd|clip|clip_vision|clip_[lgh]|t5|t5xxl|umt5|text_?encoders?|encoder|control_?net|upscale_models|upscaler|esrgan|motion|ip-?adapter)([^a-z]|$)'
	$$;
COMMENT ON FUNCTION assetreg._is_part(text, text, text) IS 'whether a model is a VAE, an encoder or another part, and no base model';

-- For all at once: a function in SQL is planned anew for each statement that calls it.
CREATE FUNCTION assetreg._stated_facts(ids bigint[]) RETURNS TABLE (asset_id bigint, asset_type text, part text, base_architecture text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off SET enable_mergejoin = off SET jit = off
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT a.id, f.asset_type, f.part, f.base_architecture
		FROM unnest($1) u (id)
			 CROSS JOIN LATERAL (SELECT a.id, a.metadata FROM assetreg.assets a
								 WHERE a.id = u.id AND a.metadata ?| '{modelspec.architecture,ss_base_model_version,general.architecture,ss_network_module}' OFFSET 0) a
			 CROSS JOIN LATERAL assetreg._metadata_facts(a.metadata) f;
END
$$;
COMMENT ON FUNCTION assetreg._stated_facts(bigint[]) IS 'what the metadata of assets says of their kind and their architecture';

CREATE FUNCTION assetreg._autov1(asset_id bigint) RETURNS text[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN ARRAY(SELECT h.value FROM assetreg.asset_hashes h WHERE h.asset_id = $1 AND h.algorithm = 'autov1');
END
$$;
COMMENT ON FUNCTION assetreg._autov1(bigint) IS 'the AutoV1 hashes of an asset''s file';

-- An edge that metadata states tells what an asset was made for, not what is in use: a base model that nothing else brings
-- in is not there.  Where the right one is there, others may be, too: a refiner, a second stage.
CREATE FUNCTION assetreg._base_mismatches(ids bigint[], starts bigint[])
	RETURNS TABLE (asset_id bigint, base_id bigint, body text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off SET enable_mergejoin = off SET jit = off
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH edge AS MATERIALIZED (
			SELECT u.id AS dependent_id, d.dependency_id, CASE d.source WHEN 'metadata' THEN d.relation END AS stated
			FROM unnest($1) u (id)
				 CROSS JOIN LATERAL (SELECT d.dependency_id, d.source, d.relation FROM assetreg.asset_dependencies d WHERE d.dependent_id = u.id OFFSET 0) d
		), asset AS MATERIALIZED (
			SELECT a.* FROM unnest($1) u (id)
				 CROSS JOIN LATERAL (SELECT a.id, a.type, a.name, a.version, a.sha256, a.file_path FROM assetreg.assets a WHERE a.id = u.id OFFSET 0) a
		), base AS MATERIALIZED (
			SELECT a.id, a.type || '/' || a.name || '@' || a.version AS reference, a.sha256, f.base_architecture AS architecture,
				   assetreg._architecture_family(f.base_architecture) AS family, assetreg._autov1(a.id) AS autov1
			FROM asset a LEFT JOIN assetreg._stated_facts(ARRAY(SELECT m.id FROM asset m WHERE m.type = 'model')) f ON f.asset_id = a.id
			WHERE a.type = 'model' AND NOT assetreg._is_part(a.name, a.file_path, f.part)
			  AND (a.id = ANY ($2) OR EXISTS (SELECT FROM edge e WHERE e.dependency_id = a.id AND e.stated IS DISTINCT FROM 'base_model'))
			  AND NOT EXISTS (SELECT FROM edge e WHERE e.dependency_id = a.id AND e.stated = 'vae')
		), stated AS MATERIALIZED (  -- the file that each asset names as its base model
			SELECT e.dependent_id AS id, b.type || '/' || b.name || '@' || b.version AS reference, b.id AS base_id, b.sha256, assetreg._autov1(b.id) AS autov1
			FROM edge e JOIN asset b ON b.id = e.dependency_id WHERE e.stated = 'base_model'
			UNION ALL
			SELECT a.id, u.reference, NULL, substring(u.reference FROM '^sha256:(.*)'), array_remove(ARRAY[substring(u.reference FROM '^autov1:(.*)')], NULL)
			FROM asset a
				 CROSS JOIN LATERAL (SELECT u.reference FROM assetreg.unresolved_references u
									 WHERE u.dependent_id = a.id AND u.source = 'metadata' AND u.relation = 'base_model' OFFSET 0) u
		), meeting AS MATERIALIZED (
			SELECT a.id, a.type, b.id AS base_id, b.reference AS base, b.architecture AS base_architecture, b.family AS base_family, s.reference AS stated,
				   CASE WHEN s.base_id = b.id OR s.sha256 = b.sha256 OR s.sha256 IS NULL AND s.autov1 && b.autov1 THEN true
						WHEN s.sha256 <> b.sha256 OR s.autov1 <> '{}' AND b.autov1 <> '{}' AND NOT s.autov1 && b.autov1 THEN false END AS same_file
			FROM base b CROSS JOIN asset a LEFT JOIN stated s ON s.id = a.id
			WHERE a.type <> 'model' AND (s.id IS NOT NULL OR b.family IS NOT NULL)
		), facts AS MATERIALIZED (  -- metadata may be large: it is read where files tell nothing
			SELECT f.asset_id AS id, f.asset_type, f.base_architecture AS architecture, assetreg._architecture_family(f.base_architecture) AS family
			FROM assetreg._stated_facts(ARRAY(SELECT m.id FROM meeting m GROUP BY m.id
											  HAVING bool_or(m.same_file) IS NOT TRUE AND bool_or(m.same_file IS NULL AND m.base_family IS NOT NULL))) f
			WHERE f.base_architecture IS NOT NULL
		), verdict AS MATERIALIZED (
			SELECT m.*, f.architecture,
				   coalesce(m.same_file, CASE WHEN m.type = 'lora' OR f.asset_type = 'lora' OR m.stated IS NOT NULL THEN f.family = m.base_family END) AS fits
			FROM meeting m LEFT JOIN facts f ON f.id = m.id
		)
		SELECT v.id, v.base_id,
			   CASE WHEN v.same_file IS NOT NULL THEN format('Its metadata says that it was made for the base model %s; here it meets %s.', v.stated, v.base)
					ELSE format('Its metadata says that it was made for the architecture %s; here it meets %s of the architecture %s.',
								v.architecture, v.base, v.base_architecture) END
		FROM verdict v
		WHERE v.fits IS FALSE AND NOT EXISTS (SELECT FROM verdict r WHERE r.id = v.id AND r.fits);
END
$$;
COMMENT ON FUNCTION assetreg._base_mismatches(bigint[], bigint[]) IS
	'assets whose metadata names another base model than those that are used with them';

CREATE FUNCTION assetreg._check_needed(ids bigint[])
	RETURNS TABLE (severity text, asset_id bigint, other_asset_id bigint, body text, author text, created_at timestamptz, note_id bigint)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	AS $$
#variable_conflict use_column
DECLARE
	needed bigint[] := ARRAY(SELECT n FROM assetreg._needed($1) n);
BEGIN
	RETURN QUERY
		SELECT w.*
		FROM (SELECT * FROM assetreg._configuration_notes(needed)
			  UNION ALL
			  SELECT 'warning', m.asset_id, m.base_id, m.body, NULL, NULL, NULL FROM assetreg._base_mismatches(needed, $1) m
			 ) w
		ORDER BY array_position('{blocker,warning,info}', w.severity), w.note_id DESC NULLS LAST, w.asset_id, w.other_asset_id;
END
$$;
COMMENT ON FUNCTION assetreg._check_needed(bigint[]) IS 'what is known of entities and of everything that they need';

CREATE FUNCTION assetreg.check_configuration(asset_ids bigint[])
	RETURNS TABLE (severity text, asset_id bigint, other_asset_id bigint, body text, author text, created_at timestamptz, note_id bigint)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	missing bigint;
BEGIN
	PERFORM assetreg._require_tables();
	IF $1 IS NULL THEN
		RAISE EXCEPTION 'asset_ids must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF array_position($1, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'asset_ids must not contain nulls' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT min(u.id) INTO missing FROM unnest($1) u (id) WHERE NOT EXISTS (SELECT FROM assetreg.assets a WHERE a.id = u.id);
	IF missing IS NOT NULL THEN
		PERFORM assetreg._no_such('asset', missing);
	END IF;
	RETURN QUERY SELECT * FROM assetreg._check_needed($1);
END
$$;
COMMENT ON FUNCTION assetreg.check_configuration(bigint[]) IS
	'the notes that apply to assets used together and to everything that they need, and base models that do not fit, worst first';

CREATE FUNCTION assetreg.check_entity(id bigint)
	RETURNS TABLE (severity text, asset_id bigint, other_asset_id bigint, body text, author text, created_at timestamptz, note_id bigint)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	PERFORM assetreg._require_tables();
	PERFORM assetreg._check_entity($1);
	RETURN QUERY SELECT * FROM assetreg._check_needed(ARRAY[$1]);
END
$$;
COMMENT ON FUNCTION assetreg.check_entity(bigint) IS
	'the same for everything that a scene type, a template or another entity needs';
