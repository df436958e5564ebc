-- Random registries with notes: check_configuration and check_entity against what plain SQL says, slowly; search_notes
-- against a scan; the numbers kept per asset against a count, through random changes. A seed makes the same again:
--   CALL make_registry(seed); SELECT differences(seed);
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET jit = off;

SELECT plan(600);

CREATE FUNCTION pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT choices[1 + floor(random() * cardinality(choices))::int]';
CREATE FUNCTION some_asset() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT id FROM assetreg.assets ORDER BY random() LIMIT 1';

CREATE PROCEDURE make_registry(seed int) LANGUAGE plpgsql AS $$
DECLARE
	hashes text[] := ARRAY(SELECT encode(sha256(i::text::bytea), 'hex') FROM generate_series(1, 4) i);
BEGIN
	PERFORM setseed(seed / 10000.0);
	SET LOCAL assetreg.confirm_delete = on;
	DELETE FROM assetreg.assets;
	DELETE FROM assetreg.entities;
	DELETE FROM assetreg.unresolved_references;

	-- models have one of four files or none that is known; a file may be registered twice
	INSERT INTO assetreg.assets (id, type, name, version, sha256, metadata)
		SELECT 100 * k + 10 * v, 'model', pick('wan', 'sdxl', 'some vae', 'flux') || k, v::text, CASE WHEN random() < 0.7 THEN hashes[1 + floor(random() * 4)::int] END,
			   CASE floor(random() * 5) WHEN 0 THEN '{"modelspec.architecture": "flux-1-dev"}' WHEN 1 THEN '{"general.architecture": "SDXL"}'
										WHEN 2 THEN '{"modelspec.architecture": "flux-1-dev/vae"}' ELSE '{}' END::jsonb
		FROM generate_series(1, 4) k, generate_series(1, 2) v WHERE random() < 0.8;
	INSERT INTO assetreg.asset_hashes SELECT id, 'autov1', left(md5(sha256), 8), 'measured' FROM assetreg.assets WHERE sha256 IS NOT NULL;
	INSERT INTO assetreg.assets (id, type, name, version, metadata)
		SELECT 1000 + 100 * k + 10 * v, pick('lora', 'lora', 'lora', 'custom_node'), 'name ' || k % 6, k || '.' || v,
			   jsonb_strip_nulls(jsonb_build_object(
					'ss_new_sd_model_hash', CASE WHEN random() < 0.3 THEN encode(sha256(floor(random() * 5)::text::bytea), 'hex') END,
					'ss_sd_model_hash', CASE WHEN random() < 0.2 THEN left(md5(encode(sha256(floor(random() * 5)::text::bytea), 'hex')), 8) END,
					'ss_base_model_version', CASE WHEN random() < 0.3 THEN pick('sdxl_base_v1-0', 'flux1', 'wan') END))
		FROM generate_series(1, 9) k, generate_series(1, 3) v WHERE random() < 0.7;
	INSERT INTO assetreg.entities (id, kind, key) SELECT 5000 + i, pick('template', 'scene_type', 'scene'), i::text FROM generate_series(1, 12) i;
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, relation)
		SELECT DISTINCT ON (1, 2) e.id, d.id, pick('declared', 'scan'), pick('uses', 'needs')
		FROM assetreg.entities e, assetreg.entities d WHERE e.id <> d.id AND random() < CASE WHEN e.id > d.id THEN 0.05 ELSE 0.01 END
		ON CONFLICT DO NOTHING;
	INSERT INTO assetreg.asset_notes (asset_id, other_asset_id, body, severity, all_versions, author)
		SELECT a, CASE WHEN i % 2 = 0 THEN nullif(b, a) END, pick('rainy', 'Rain', 'streets', 'it''s dark', 'bright-lights') || ' ' || pick('flickers', 'flicker', 'hands', 'x') || ' ' || i,
			   pick('info', 'warning', 'blocker'), random() < 0.6, pick('ana', 'ben')
		FROM generate_series(1, 40) i, LATERAL (SELECT some_asset() + 0 * i, some_asset() + 0 * i) r (a, b);
END
$$;

CREATE FUNCTION sql_needed(ids bigint[]) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
	WITH RECURSIVE n (id) AS (
		SELECT unnest(ids)
		UNION
		SELECT d.dependency_id FROM n JOIN assetreg.asset_dependencies d ON d.dependent_id = n.id
	)
	SELECT id FROM n
$$;

-- A side of a note matches an asset: itself, or for all versions by name.
CREATE FUNCTION sql_matches(noted bigint, here bigint, all_versions boolean) RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT noted = here OR all_versions AND EXISTS (SELECT FROM assetreg.assets n, assetreg.assets h WHERE n.id = noted AND h.id = here AND (n.type, n.name) = (h.type, h.name))
$$;

CREATE FUNCTION sql_notes(ids bigint[]) RETURNS TABLE (severity text, asset_id bigint, other_asset_id bigint, body text, author text, created_at timestamptz, note_id bigint)
	LANGUAGE sql STABLE AS $$
	WITH here AS MATERIALIZED (
		SELECT a.id FROM sql_needed(ids) n JOIN assetreg.assets a ON a.id = n
	)
	SELECT n.severity, s.id, s.other, n.body, n.author, n.created_at, n.id
	FROM assetreg.asset_notes n CROSS JOIN LATERAL (
		SELECT a.id, b.id AS other, (a.id = n.asset_id)::int + (b.id IS NOT DISTINCT FROM n.other_asset_id)::int AS fits
		FROM here a LEFT JOIN here b ON n.other_asset_id IS NOT NULL AND b.id <> a.id AND sql_matches(n.other_asset_id, b.id, n.all_versions)
		WHERE sql_matches(n.asset_id, a.id, n.all_versions) AND (n.other_asset_id IS NULL OR b.id IS NOT NULL)
		ORDER BY fits DESC, a.id DESC, b.id DESC LIMIT 1) s
$$;

-- From metadata itself, where the registry looks at what it has linked.
CREATE FUNCTION sql_mismatches(ids bigint[]) RETURNS TABLE (asset_id bigint, base_id bigint) LANGUAGE sql STABLE AS $$
	WITH needed AS MATERIALIZED (
		SELECT n AS id FROM sql_needed(ids) n
	), fact AS MATERIALIZED (
		SELECT a.id, a.type, a.name, a.sha256, (SELECT value FROM assetreg.asset_hashes h WHERE h.asset_id = a.id) AS autov1,
			   a.metadata ->> 'ss_new_sd_model_hash' AS stated_sha256, CASE WHEN a.metadata ->> 'ss_new_sd_model_hash' IS NULL THEN a.metadata ->> 'ss_sd_model_hash' END AS stated_autov1,
			   a.metadata ->> 'modelspec.architecture' LIKE '%/vae' OR a.name LIKE '%vae%' AS part,
			   CASE WHEN a.metadata::text ~* 'flux' THEN 'flux' WHEN a.metadata::text ~* 'sdxl' THEN 'sdxl' WHEN a.metadata::text ~ 'wan' THEN 'wan' END AS architecture
		FROM needed n JOIN assetreg.assets a USING (id)
	), met AS MATERIALIZED (
		SELECT l.id, b.id AS base_id, coalesce(
				   CASE WHEN l.stated_sha256 IS NOT NULL THEN l.stated_sha256 = b.sha256 WHEN l.stated_autov1 IS NOT NULL THEN l.stated_autov1 = b.autov1 END,
				   CASE WHEN l.type = 'lora' OR l.stated_sha256 IS NOT NULL OR l.stated_autov1 IS NOT NULL THEN l.architecture = b.architecture END) AS fits
		FROM fact l, fact b
		WHERE l.type <> 'model' AND b.type = 'model' AND b.part IS NOT TRUE
		  AND (b.id = ANY (ids) OR EXISTS (SELECT FROM assetreg.asset_dependencies d JOIN needed n ON n.id = d.dependent_id
										   WHERE d.dependency_id = b.id AND (d.source, d.relation) <> ('metadata', 'base_model')))
	)
	SELECT id, base_id FROM met m WHERE fits IS FALSE AND NOT EXISTS (SELECT FROM met o WHERE o.id = m.id AND o.fits)
$$;

CREATE FUNCTION differences(seed int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	found text := '';
	ids bigint[];
	entity bigint;
	n int;
	words text;
BEGIN
	PERFORM setseed(seed / 10000.0);
	FOR i IN 1 .. 8 LOOP
		ids := ARRAY(SELECT id FROM assetreg.assets ORDER BY random() LIMIT 1 + floor(random() * 8)::int);
		SELECT id INTO entity FROM assetreg.entities ORDER BY random() LIMIT 1;
		IF i > 5 THEN
			ids := ARRAY[entity];
		END IF;
		CREATE TEMP TABLE got ON COMMIT DROP AS SELECT * FROM assetreg.check_configuration(ids) WITH ORDINALITY WHERE i <= 5
			UNION ALL SELECT * FROM assetreg.check_entity(entity) WITH ORDINALITY WHERE i > 5;

		SELECT count(*) INTO n FROM (
			(SELECT severity, asset_id, other_asset_id, body, author, created_at, note_id FROM got WHERE note_id IS NOT NULL EXCEPT ALL SELECT * FROM sql_notes(ids))
			UNION ALL
			(SELECT * FROM sql_notes(ids) EXCEPT ALL SELECT severity, asset_id, other_asset_id, body, author, created_at, note_id FROM got WHERE note_id IS NOT NULL)) d;
		IF n > 0 THEN found := found || format(' notes of %s', ids); END IF;

		SELECT count(*) INTO n FROM (
			(SELECT asset_id, other_asset_id FROM got WHERE note_id IS NULL EXCEPT ALL SELECT * FROM sql_mismatches(ids))
			UNION ALL
			(SELECT * FROM sql_mismatches(ids) EXCEPT ALL SELECT asset_id, other_asset_id FROM got WHERE note_id IS NULL)) d;
		IF n > 0 THEN found := found || format(' mismatches of %s', ids); END IF;

		IF EXISTS (SELECT FROM got a, got b WHERE a.ordinality < b.ordinality AND array_position('{blocker,warning,info}', a.severity) > array_position('{blocker,warning,info}', b.severity))
		   OR EXISTS (SELECT FROM got WHERE note_id IS NULL AND (severity, author, created_at) IS DISTINCT FROM ('warning', NULL, NULL))
		THEN
			found := found || format(' order of %s', ids);
		END IF;
		DROP TABLE got;
	END LOOP;

	words := pick('rain', 'flick', 'rainy flick', 'rain or streets', 'x -rain', 'str hands', '"it''s dark"', 'lights', 'dark -"it''s dark flicker"');
	SELECT count(*) INTO n FROM (
		(SELECT note_id FROM assetreg.search_notes(words) EXCEPT ALL SELECT id FROM assetreg.asset_notes WHERE sql_found(body, words))
		UNION ALL (SELECT id FROM assetreg.asset_notes WHERE sql_found(body, words) EXCEPT ALL SELECT note_id FROM assetreg.search_notes(words))) d;
	IF n > 0 THEN found := found || format(' search_notes(%L)', words); END IF;
	entity := some_asset();
	SELECT count(*) INTO n FROM (
		(SELECT note_id FROM assetreg.search_notes(only_asset => entity)
		 EXCEPT ALL SELECT id FROM assetreg.asset_notes WHERE sql_matches(asset_id, entity, all_versions) OR sql_matches(other_asset_id, entity, all_versions))
		UNION ALL
		(SELECT id FROM assetreg.asset_notes WHERE sql_matches(asset_id, entity, all_versions) OR sql_matches(other_asset_id, entity, all_versions)
		 EXCEPT ALL SELECT note_id FROM assetreg.search_notes(only_asset => entity))) d;
	IF n > 0 THEN found := found || format(' notes that apply to %s', entity); END IF;
	RETURN found;
END
$$;

-- What a query means, said with regular expressions.
CREATE FUNCTION sql_found(body text, words text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE words
		WHEN 'rain' THEN body ~* '\mrain' WHEN 'flick' THEN body ~* '\mflick' WHEN 'rainy flick' THEN body ~* '\mrainy' AND body ~* '\mflick'
		WHEN 'rain or streets' THEN body ~* '\mrain' OR body ~* '\mstreets' WHEN 'x -rain' THEN body ~* '\mx' AND body !~* '\mrain\M'
		WHEN 'str hands' THEN body ~* '\mstr' AND body ~* '\mhands' WHEN '"it''s dark"' THEN body ~* 'it''s dark' WHEN 'lights' THEN body ~* '\mlights'
		WHEN 'dark -"it''s dark flicker"' THEN body ~* '\mdark' AND body !~* 'it''s dark flicker\M' END
$$;

-- Changes everything that is counted, in pieces of which some are rolled back.
CREATE PROCEDURE change_registry(seed int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed / 10000.0);
	SET LOCAL assetreg.confirm_delete = on;
	FOR i IN 1 .. 12 LOOP
		BEGIN
			CASE floor(random() * 11)
			WHEN 0 THEN DELETE FROM assetreg.asset_dependencies WHERE random() < 0.1;
			WHEN 1 THEN UPDATE assetreg.asset_dependencies SET source = source || i WHERE random() < 0.2;
			WHEN 2 THEN UPDATE assetreg.asset_dependencies SET dependency_id = some_asset() WHERE random() < 0.1 AND source = 'declared';
			WHEN 3 THEN INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) SELECT e.id, a.id, pick('declared', 'scan', 'more')
							FROM assetreg.entities e, assetreg.assets a WHERE e.id <> a.id AND random() < 0.03 ON CONFLICT DO NOTHING;
			WHEN 4 THEN INSERT INTO assetreg.asset_ratings (asset_id, rater, stars) SELECT a.id, pick('ana', 'ben', 'cal'), 1 + floor(random() * 5) FROM assetreg.assets a WHERE random() < 0.4
							ON CONFLICT ON CONSTRAINT asset_ratings_pkey DO UPDATE SET stars = excluded.stars;
			WHEN 5 THEN DELETE FROM assetreg.asset_ratings WHERE random() < 0.3;
			WHEN 6 THEN UPDATE assetreg.asset_ratings SET stars = 1 + floor(random() * 5) WHERE random() < 0.5;
			WHEN 7 THEN DELETE FROM assetreg.assets WHERE random() < 0.1;
			WHEN 8 THEN INSERT INTO assetreg.assets (id, type, name, version) SELECT floor(random() * 3000), 'lora', 'name ' || floor(random() * 6), 'n' || seed || i
							FROM generate_series(1, 3) ON CONFLICT DO NOTHING;
			WHEN 9 THEN UPDATE assetreg.assets a SET supersedes = CASE WHEN random() < 0.7 THEN (SELECT id FROM assetreg.assets b WHERE b.id < a.id ORDER BY random() LIMIT 1) END WHERE random() < 0.1;
			WHEN 10 THEN IF random() < 0.2 THEN TRUNCATE assetreg.asset_ratings; END IF;
						 -- the one that folds is near
						 PERFORM setval('assetreg.asset_dependent_changes_id_seq', (last_value / 256 + 1) * 256 - 2) FROM assetreg.asset_dependent_changes_id_seq;
						 IF random() < 0.3 THEN SET CONSTRAINTS assetreg.asset_stat_changes_fold IMMEDIATE; SET CONSTRAINTS assetreg.asset_stat_changes_fold DEFERRED; END IF;
			END CASE;
			IF random() < 0.2 THEN
				RAISE EXCEPTION 'undone';
			END IF;
		EXCEPTION
			WHEN raise_exception THEN NULL;
			WHEN unique_violation OR check_violation OR dependent_objects_still_exist OR invalid_parameter_value THEN NULL;
		END;
	END LOOP;
END
$$;

SELECT s.statement
FROM generate_series(1, 150) seed,
	 LATERAL (VALUES
		(1, format('CALL make_registry(%s)', seed)),
		(2, format('SELECT is(differences(%s), '''', ''seed %s: notes'')', seed, seed)),
		(3, CASE seed % 2 WHEN 0 THEN 'BEGIN' ELSE 'BEGIN ISOLATION LEVEL REPEATABLE READ' END),
		(4, format('CALL change_registry(%s)', seed)),
		(5, format('SELECT is((SELECT string_agg(asset_id || problem, '', '') FROM assetreg._stats_problems()), NULL, ''seed %s: numbers amid changes'')', seed)),
		(5, 'SELECT is((SELECT count(*) FROM assetreg.asset_stats s WHERE assetreg._pending_dependents(s.asset_id) IS DISTINCT FROM assetreg._count_pending(s.asset_id)), '
			'0::bigint, ''what is written down, by SQL'')'),
		(6, format('CALL change_registry(%s)', seed + 1000)),
		(7, CASE seed % 5 WHEN 0 THEN 'ROLLBACK' ELSE 'COMMIT' END),
		(8, format('SELECT is((SELECT string_agg(asset_id || problem, '', '') FROM assetreg._stats_problems()), NULL, ''seed %s: numbers'')', seed))) s (n, statement)
ORDER BY seed, s.n
\gexec

SELECT * FROM finish();
