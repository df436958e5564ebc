-- Random assets with random claims of what they were trained on, registered, changed and deleted in random order: edges and
-- unresolved references are what a slow definition says, whatever the order was. A seed makes the same history again:
--   CALL start(); CALL step(seed, 1); CALL step(seed, 2); ... SELECT * FROM wrong();
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET jit = off;

-- What the assets' metadata claims, and what scenes were said to need, in the test's own words.
CREATE TABLE claim (asset text, relation text, reference text, PRIMARY KEY (asset, relation));
CREATE TABLE want (scene bigint, reference text, PRIMARY KEY (scene, reference));

CREATE FUNCTION pick(n int) RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT 1 + floor(random() * n)::int $$;

-- Few hashes, so that assets share them; those of VAEs are others than those of base models.
CREATE FUNCTION some_sha(vae boolean) RETURNS text LANGUAGE sql VOLATILE AS
	$$ SELECT repeat(CASE WHEN vae THEN 'c' ELSE 'b' END || pick(CASE WHEN vae THEN 2 ELSE 5 END), 32) $$;
CREATE FUNCTION some_autov1(vae boolean) RETURNS text LANGUAGE sql VOLATILE AS
	$$ SELECT repeat(CASE WHEN vae THEN 'd' ELSE 'a' END || pick(3), 4) $$;

-- As files write them: upper-case, with 0x, with spaces, or None.
CREATE FUNCTION written(hash text) RETURNS text LANGUAGE sql VOLATILE AS
	$$ SELECT (ARRAY[hash, upper(hash), '0x' || hash, ' ' || hash || ' '])[pick(4)] $$;

CREATE FUNCTION some_metadata(name text) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	metadata jsonb := '{}';
	vae boolean;
	sha text;
	autov1 text;
BEGIN
	DELETE FROM claim c WHERE c.asset = name;
	FOREACH vae IN ARRAY '{false,true}'::boolean[] LOOP
		sha := CASE WHEN random() < 0.6 THEN some_sha(vae) END;
		autov1 := CASE WHEN random() < 0.6 THEN some_autov1(vae) END;
		metadata := metadata || jsonb_strip_nulls(jsonb_build_object(
			CASE WHEN vae THEN 'ss_new_vae_hash' ELSE 'ss_new_sd_model_hash' END, CASE WHEN sha IS NOT NULL THEN written(sha) WHEN random() < 0.3 THEN 'None' END,
			CASE WHEN vae THEN 'ss_vae_hash' ELSE 'ss_sd_model_hash' END, CASE WHEN autov1 IS NOT NULL THEN written(autov1) WHEN random() < 0.3 THEN 'e3b0c442' END));
		INSERT INTO claim SELECT name, CASE WHEN vae THEN 'vae' ELSE 'base_model' END, r FROM coalesce('sha256:' || sha, 'autov1:' || autov1) r WHERE r IS NOT NULL;
	END LOOP;
	RETURN metadata;
END
$$;

-- Rows of assets that are not registered: models m1 to m14, of which the last four are VAEs, and LoRAs l1 to l16.
CREATE FUNCTION new_models(n int) RETURNS TABLE (type text, name text, version text, sha256 text, metadata jsonb) LANGUAGE sql VOLATILE AS $$
	SELECT 'model', 'm' || k, '1', CASE WHEN random() < 0.9 THEN some_sha(k > 10) END, '{}'::jsonb
	FROM (SELECT k FROM generate_series(1, 14) k WHERE NOT EXISTS (SELECT FROM assetreg.assets a WHERE a.name = 'm' || k) ORDER BY random() LIMIT n) k
	$$;
CREATE FUNCTION new_loras(n int) RETURNS TABLE (type text, name text, version text, sha256 text, metadata jsonb) LANGUAGE sql VOLATILE AS $$
	SELECT 'lora', 'l' || k, '1', md5('l' || k) || md5('l' || k), some_metadata('l' || k)
	FROM (SELECT k FROM generate_series(1, 16) k WHERE NOT EXISTS (SELECT FROM assetreg.assets a WHERE a.name = 'l' || k) ORDER BY random() LIMIT n) k
	$$;

CREATE PROCEDURE start() LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL assetreg.confirm_delete = on;
	DELETE FROM assetreg.assets;
	DELETE FROM assetreg.entities;
	TRUNCATE claim, want;
END
$$;

CREATE PROCEDURE change(what int) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL assetreg.confirm_delete = on;
	CASE what
	WHEN 1 THEN
		INSERT INTO assetreg.assets (type, name, version, sha256, metadata) SELECT * FROM new_models(pick(4));
	WHEN 2 THEN
		INSERT INTO assetreg.assets (type, name, version, sha256, metadata) SELECT * FROM new_loras(pick(4));
	WHEN 3 THEN
		INSERT INTO assetreg.assets (type, name, version, sha256, metadata)
			SELECT n.* FROM (SELECT * FROM new_models(pick(3)) UNION ALL SELECT * FROM new_loras(pick(3))) n ORDER BY random();
	WHEN 4 THEN
		INSERT INTO assetreg.asset_hashes (asset_id, algorithm, value, source)
			SELECT a.id, 'autov1', some_autov1(substr(a.name, 2)::int > 10), 'measured' FROM assetreg.assets a
			WHERE a.type = 'model' AND NOT EXISTS (SELECT FROM assetreg.asset_hashes h WHERE h.asset_id = a.id) AND random() < 0.5;
	WHEN 5 THEN
		UPDATE assetreg.assets a SET metadata = some_metadata(a.name) WHERE a.type = 'lora' AND random() < 0.3;
	WHEN 6 THEN
		UPDATE assetreg.assets a SET preview_url = 'x', metadata = a.metadata || jsonb_build_object('seen', random()) WHERE random() < 0.5;
	WHEN 7 THEN
		DELETE FROM assetreg.assets a WHERE random() < 0.15;
	WHEN 8 THEN
		DELETE FROM assetreg.assets a WHERE a.type = 'model' AND random() < 0.5;
	WHEN 9 THEN
		INSERT INTO want SELECT assetreg.put_entity('scene', pick(3)::text), a.type || '/' || a.name || '@1' FROM assetreg.assets a WHERE random() < 0.1 ON CONFLICT DO NOTHING;
		PERFORM assetreg.add_dependency(w.scene, assetreg.asset_id(w.reference)) FROM want w JOIN assetreg.assets a ON a.type || '/' || a.name || '@1' = w.reference;
	WHEN 11 THEN  -- other content; but who was trained on it stays linked to it, which a definition without history does not say
		UPDATE assetreg.assets a SET sha256 = some_sha(substr(a.name, 2)::int > 10)
		WHERE a.type = 'model' AND random() < 0.3 AND NOT EXISTS (SELECT FROM assetreg.asset_dependencies d WHERE d.dependency_id = a.id AND d.source = 'metadata');
	WHEN 10 THEN
		TRUNCATE assetreg.assets CASCADE;
	END CASE;
	DELETE FROM claim c WHERE NOT EXISTS (SELECT FROM assetreg.assets a WHERE a.name = c.asset);
END
$$;

-- One change, or several in a transaction; a part of which may be rolled back.
CREATE PROCEDURE step(seed int, n int) LANGUAGE plpgsql AS $$
DECLARE
	kinds int[] := '{1,1,1,2,2,2,3,4,4,5,5,6,7,8,9,9,11}';
BEGIN
	PERFORM setseed((seed * 100 + n) / 10000000.0);
	IF random() < 0.02 THEN
		CALL change(10);  -- which PostgreSQL allows only where no trigger is yet to fire
		RETURN;
	END IF;
	FOR i IN 1..pick(3) LOOP
		IF random() < 0.3 THEN
			BEGIN
				CALL change(kinds[pick(17)]);
				RAISE EXCEPTION USING ERRCODE = 'AA000';
			EXCEPTION WHEN SQLSTATE 'AA000' THEN
				NULL;
			END;
		ELSE
			CALL change(kinds[pick(17)]);
		END IF;
	END LOOP;
END
$$;

-- The definition. A claim is an edge to one of the assets that may be meant, and always if it is but one; where there is no
-- edge it is noted with all that may be meant. Which of several has the edge is a matter of history.
CREATE VIEW meant AS
	SELECT l.id AS dependent, c.relation, c.reference,
		   coalesce(array_agg(m.id ORDER BY m.id) FILTER (WHERE m.id IS NOT NULL), '{}') AS ids
	FROM claim c JOIN assetreg.assets l ON l.name = c.asset
		 LEFT JOIN assetreg.assets m
		 ON 'sha256:' || m.sha256 = c.reference
			OR EXISTS (SELECT FROM assetreg.asset_hashes h WHERE h.asset_id = m.id AND 'autov1:' || h.value = c.reference)
	GROUP BY l.id, c.relation, c.reference;

CREATE FUNCTION wrong() RETURNS TABLE (what text, dependent bigint, about text) LANGUAGE sql STABLE AS $$
	SELECT 'claim without its one edge', m.dependent, m.reference FROM meant m
	WHERE cardinality(m.ids) = 1 AND NOT EXISTS (SELECT FROM assetreg.asset_dependencies d WHERE (d.dependent_id, d.source, d.relation, d.dependency_id) = (m.dependent, 'metadata', m.relation, m.ids[1]))
	UNION ALL
	SELECT 'claim neither edge nor noted, or both', m.dependent, m.reference FROM meant m
	WHERE (SELECT count(*) FROM assetreg.asset_dependencies d WHERE (d.dependent_id, d.source, d.relation) = (m.dependent, 'metadata', m.relation))
		  + (SELECT count(*) FROM assetreg.unresolved_references u WHERE (u.dependent_id, u.source, u.relation) = (m.dependent, 'metadata', m.relation)) <> 1
	UNION ALL
	SELECT 'edge that nothing claims', d.dependent_id, d.relation || ' ' || d.dependency_id FROM assetreg.asset_dependencies d
	WHERE d.source = 'metadata' AND NOT EXISTS (SELECT FROM meant m WHERE m.dependent = d.dependent_id AND m.relation = d.relation AND d.dependency_id = ANY (m.ids))
	UNION ALL
	SELECT 'noted what nothing claims, or with others', u.dependent_id, u.relation || ' ' || u.reference || ' ' || u.candidates::text FROM assetreg.unresolved_references u
	WHERE u.source = 'metadata' AND NOT EXISTS (SELECT FROM meant m WHERE (m.dependent, m.relation, m.reference, m.ids) = (u.dependent_id, u.relation, u.reference, u.candidates))
	UNION ALL
	SELECT 'need that is not met', w.scene, w.reference FROM want w LEFT JOIN assetreg.assets a ON a.type || '/' || a.name || '@' || a.version = w.reference
	WHERE NOT EXISTS (SELECT FROM assetreg.asset_dependencies d WHERE (d.dependent_id, d.source, d.dependency_id) = (w.scene, 'declared', a.id))
		  AND (a.id IS NOT NULL OR NOT EXISTS (SELECT FROM assetreg.unresolved_references u WHERE (u.dependent_id, u.source, u.reference) = (w.scene, 'declared', w.reference)))
	UNION ALL
	SELECT 'needs more than it should', e.id, e.key FROM assetreg.entities e
	WHERE e.kind = 'scene' AND (SELECT count(*) FROM assetreg.asset_dependencies d WHERE d.dependent_id = e.id) + (SELECT count(*) FROM assetreg.unresolved_references u WHERE u.dependent_id = e.id)
							   <> (SELECT count(*) FROM want w WHERE w.scene = e.id)
	UNION ALL
	SELECT 'check_registry()', NULL, c.object || ': ' || c.problem FROM assetreg.check_registry() c
	$$;

CREATE TABLE seen (edges bigint, noted bigint, ambiguous bigint, shared bigint);
CREATE FUNCTION looked() RETURNS void LANGUAGE sql VOLATILE AS $$
	INSERT INTO seen SELECT (SELECT count(*) FROM assetreg.asset_dependencies d WHERE d.source = 'metadata'), count(*), count(*) FILTER (WHERE u.candidates <> '{}'),
							(SELECT count(*) FROM meant m JOIN assetreg.asset_dependencies d ON d.dependent_id = m.dependent AND d.relation = m.relation WHERE cardinality(m.ids) > 1)
	FROM assetreg.unresolved_references u
	$$;

SELECT plan(201);

-- Each statement is sent by itself: what is left to the end of a transaction is done by then.
SELECT s.statement
FROM generate_series(1, 50) seed, generate_series(0, 20) n,
	 LATERAL (VALUES (1, CASE n WHEN 0 THEN 'CALL start()' ELSE format('CALL step(%s, %s)', seed, n) END),
					 (2, CASE WHEN n % 5 = 0 AND n > 0 THEN format('SELECT is_empty(''SELECT * FROM wrong()'', ''seed %s after %s steps''), looked()', seed, n) END)) s (i, statement)
WHERE s.statement IS NOT NULL
ORDER BY seed, n, s.i
\gexec

-- The histories were such that it matters.
SELECT ok(sum(edges) > 300 AND sum(noted) > 300 AND sum(ambiguous) > 50 AND sum(shared) > 50, format('edges %s, noted %s, ambiguous %s, shared %s', sum(edges), sum(noted), sum(ambiguous), sum(shared))) FROM seen;

SELECT * FROM finish();
