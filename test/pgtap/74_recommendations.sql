-- Random registries: what is recommended, and in which order, against the formulas in plain SQL.
\ir oracle.psql

SELECT plan(222);

-- Assets of a few names in several versions, templates, scene types, workflows and scenes, anything needing anything.
CREATE PROCEDURE make_registry(seed int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(1.0 / (1 + seed));
	SET LOCAL assetreg.confirm_delete = on;
	DELETE FROM assetreg.asset_dependencies;
	DELETE FROM assetreg.assets;
	DELETE FROM assetreg.entities;
	INSERT INTO assetreg.assets (id, type, name, version, status)
		SELECT i, CASE WHEN i % 7 = 0 THEN 'custom_node' ELSE 'lora' END, 'n' || (random() * 12)::int, i::text, CASE WHEN random() < 0.85 THEN 'active' ELSE 'deprecated' END
		FROM generate_series(1, 20) i;
	INSERT INTO assetreg.entities (id, kind, key, active)
		SELECT 100 + i, ('{template,template,scene_type,workflow,scene}'::text[])[1 + i % 5], i::text, random() < 0.8 FROM generate_series(1, 25 + seed % 10) i;
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id)
		SELECT DISTINCT a.id, b.id
		FROM assetreg.entities a, assetreg.entities b
		WHERE a.id <> b.id AND random() < CASE WHEN a.id > 100 AND b.id <= 20 THEN 0.15 WHEN a.id > 100 THEN 0.02 WHEN b.id <= 20 THEN 0.02 ELSE 0 END;
	INSERT INTO assetreg.asset_notes (asset_id, other_asset_id, body, severity, all_versions)
		SELECT a, nullif(b, 0), 'x', CASE WHEN random() < 0.5 THEN 'blocker' ELSE 'warning' END, random() < 0.5
		FROM (SELECT 1 + (random() * 19)::int AS a, CASE WHEN random() < 0.8 THEN 1 + (random() * 19)::int ELSE 0 END AS b FROM generate_series(1, 8)) n WHERE a <> b;
END
$$;
-- Edges and entities come and go, above and below the ids that there were.
CREATE PROCEDURE change_registry(seed int) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE assetreg.entities SET active = NOT active WHERE id > 100 AND random() < 0.2;
	INSERT INTO assetreg.entities (id, kind, key, active) VALUES (-7, 'template', 'below', true), (300 + seed, 'scene_type', 'above', true), (70000 + seed * 100, 'template', 'far', true);
	DELETE FROM assetreg.asset_dependencies WHERE random() < 0.2;
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source)
		SELECT DISTINCT a.id, b.id, 'later'
		FROM assetreg.entities a, assetreg.entities b
		WHERE a.id NOT BETWEEN 0 AND 100 AND b.id <= 20 AND a.id <> b.id AND random() < 0.1;
END
$$;
-- Each in a transaction of its own, or several together.
CREATE PROCEDURE record(n int) LANGUAGE plpgsql AS $$
DECLARE
	used bigint[];
BEGIN
	FOR i IN 1 .. n LOOP
		used := ARRAY(SELECT 1 + (random() * 14)::int FROM generate_series(1, (random() * 4)::int));
		INSERT INTO recorded SELECT i, u, random() < 0.7 FROM (SELECT used AS u) x;
		PERFORM assetreg.record_generation(r.used, r.succeeded) FROM recorded r WHERE r.n = i;
		IF i % 3 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END
$$;
CREATE TABLE recorded (n int, used bigint[], succeeded boolean);
CREATE TABLE asked (given bigint[], type text, max_results int);

CREATE FUNCTION sql_bound(successes bigint, tries bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
	SELECT (p + z * z / (2 * n) - z * sqrt((p * (1 - p) + z * z / (4 * n)) / n)) / (1 + z * z / n)
	FROM (SELECT successes::float8 / tries, tries::float8, 1.959963984540054::float8) v (p, n, z)
$$;
CREATE FUNCTION sql_outcome(a bigint, b bigint, OUT successes bigint, OUT tries bigint) LANGUAGE sql STABLE AS $$
	SELECT count(*) FILTER (WHERE r.succeeded), count(*) FROM recorded r WHERE a = ANY (r.used) AND b = ANY (r.used)
$$;
-- A blocker between two assets, or on one: on these very versions, or on any of these names.
CREATE FUNCTION sql_blocked(candidate bigint, given bigint[]) RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT EXISTS (
		SELECT FROM assetreg.asset_notes n JOIN assetreg.assets x ON x.id = n.asset_id LEFT JOIN assetreg.assets y ON y.id = n.other_asset_id,
			assetreg.assets c, LATERAL (SELECT g.id, g.type, g.name FROM assetreg.assets g WHERE g.id = ANY ($2) UNION ALL SELECT NULL, NULL, NULL) g
		WHERE n.severity = 'blocker' AND c.id = $1
		  AND (n.other_asset_id IS NULL AND (x.id = c.id OR n.all_versions AND (x.type, x.name) = (c.type, c.name))
			   OR (x.id = c.id OR n.all_versions AND (x.type, x.name) = (c.type, c.name)) AND (y.id = g.id OR n.all_versions AND (y.type, y.name) = (g.type, g.name))
			   OR (y.id = c.id OR n.all_versions AND (y.type, y.name) = (c.type, c.name)) AND (x.id = g.id OR n.all_versions AND (x.type, x.name) = (g.type, g.name))))
$$;
CREATE FUNCTION sql_recommended(given bigint[], type text, max_results int)
	RETURNS TABLE (asset_id bigint, together bigint, lift numeric, success_rate numeric, score numeric) LANGUAGE sql STABLE AS $$
	WITH RECURSIVE users AS MATERIALIZED (
		SELECT e.id FROM assetreg.entities e WHERE e.kind IN ('template', 'scene_type') AND e.active
	), needs (user_id, id) AS (
		SELECT d.dependent_id, d.dependency_id FROM assetreg.asset_dependencies d JOIN users u ON u.id = d.dependent_id
		UNION
		SELECT n.user_id, d.dependency_id FROM needs n JOIN assetreg.asset_dependencies d ON d.dependent_id = n.id
	), matching AS (
		SELECT m.id FROM (SELECT u.id, x.n, max(x.n) OVER () AS most
						  FROM users u, LATERAL (SELECT count(*) AS n FROM needs n WHERE n.user_id = u.id AND n.id = ANY ($1)) x) m
		WHERE m.n = m.most AND (m.most > 0 OR $1 = '{}')
	), candidate AS (
		SELECT a.id, a.type, a.name, count(*) AS users, count(*) FILTER (WHERE n.user_id IN (SELECT m.id FROM matching m)) AS together
		FROM needs n JOIN assetreg.assets a ON a.id = n.id
		WHERE a.status = 'active' AND NOT EXISTS (SELECT FROM assetreg.assets g WHERE g.id = ANY ($1) AND (g.type, g.name) = (a.type, a.name))
		GROUP BY a.id
	), newest AS (
		SELECT DISTINCT ON (c.type, c.name) c.* FROM candidate c WHERE c.together > 0 ORDER BY c.type, c.name, c.id DESC
	), scored AS (
		SELECT c.id, c.together, total.users::float8 * c.together / (total.matching * c.users) AS lift, o.successes::float8 / nullif(o.tries, 0) AS rate,
			   total.users * sql_bound(c.together, total.matching) / c.users * sql_bound(coalesce(o.successes, 0) + 1, coalesce(o.tries, 0) + 2) AS score
		FROM newest c, (SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM matching) AS matching) total,
			 LATERAL (SELECT p.successes, p.tries
					  FROM (SELECT 1 AS place, o.* FROM unnest($1) g, LATERAL sql_outcome(c.id, g) o WHERE o.tries > 0
							UNION ALL SELECT 2, o.* FROM sql_outcome(c.id, c.id) o) p
					  ORDER BY p.place, sql_bound(p.successes + 1, p.tries + 2), p.tries DESC LIMIT 1) o
		WHERE c.type = coalesce($2, c.type) AND NOT sql_blocked(c.id, $1)
	)
	SELECT s.id, s.together, round(s.lift::numeric, 9), round(s.rate::numeric, 9), round(s.score::numeric, 9)
	FROM scored s ORDER BY round(s.score::numeric, 9) DESC, s.id LIMIT $3
$$;
CREATE FUNCTION recommended(given bigint[], type text, max_results int)
	RETURNS TABLE (asset_id bigint, together bigint, lift numeric, success_rate numeric, score numeric) LANGUAGE sql STABLE AS $$
	SELECT r.asset_id, r.together, round(r.lift::numeric, 9), round(r.success_rate::numeric, 9), round(r.score::numeric, 9)
	FROM assetreg.recommend_assets($1, $2, $3) r
$$;

-- What is referred to by entities that are no assets, and what of it is missing, as lists; counted beside the registry.
CREATE FUNCTION sql_coverage() RETURNS SETOF text LANGUAGE sql STABLE AS $$
	WITH thing (type, what, is_there) AS (
		SELECT a.type, a.id::text, true
		FROM assetreg.assets a, assetreg.asset_dependencies d, assetreg.entities e
		WHERE d.dependency_id = a.id AND e.id = d.dependent_id AND NOT EXISTS (SELECT FROM assetreg.assets x WHERE x.id = e.id)
		UNION
		SELECT u.type, 'waits: ' || u.reference, false
		FROM assetreg.unresolved_references u
		WHERE NOT EXISTS (SELECT FROM assetreg.assets x WHERE x.id = u.dependent_id) AND (u.type IN ('model', 'lora', 'custom_node') OR u.type IS NULL)
		UNION SELECT t.name, NULL, NULL FROM assetreg.asset_types t
	)
	SELECT concat_ws(' ', coalesce(t.type, 'unknown'), count(t.what), count(*) FILTER (WHERE t.is_there),
					 round(CASE count(t.what) WHEN 0 THEN 100 ELSE 100.0 * count(*) FILTER (WHERE t.is_there) / count(t.what) END, 6)) FROM thing t GROUP BY t.type
	UNION ALL
	SELECT concat_ws(' ', 'wanted', coalesce(w.type, 'unknown'), w.reference, w.n, rank() OVER (ORDER BY w.n DESC, w.reference))
	FROM (SELECT u.type, u.reference, count(*) AS n
		  FROM (SELECT DISTINCT x.type, x.reference, x.dependent_id FROM assetreg.unresolved_references x
				WHERE cardinality(x.candidates) = 0 AND (x.type IN ('model', 'lora', 'custom_node') OR x.type IS NULL)) u
		  GROUP BY 1, 2) w
$$;
CREATE FUNCTION covered() RETURNS SETOF text LANGUAGE sql STABLE AS $$
	SELECT concat_ws(' ', coalesce(c.type, 'unknown'), c.referenced, c.registered, round(c.percent::numeric, 6)) FROM assetreg.coverage() c
	UNION ALL SELECT concat_ws(' ', 'wanted', coalesce(w.type, 'unknown'), w.reference, w.dependents, rank() OVER (ORDER BY w.dependents DESC, w.reference)) FROM assetreg.wanted_assets w
$$;
CREATE PROCEDURE lose(seed int) LANGUAGE sql AS $$
	INSERT INTO assetreg.unresolved_references (dependent_id, reference, type, source, candidates)
		SELECT e.id, 'file' || (random() * 8)::int, (ARRAY['lora', 'model', 'custom_node', 'scene', NULL])[1 + (random() * 4)::int], 's' || i % 2,
			   CASE WHEN random() < 0.2 THEN '{1,2}' ELSE '{}' END::bigint[]
		FROM assetreg.entities e, generate_series(1, 1 + seed % 3) i WHERE random() < 0.6
		ON CONFLICT DO NOTHING
$$;

SELECT s.statement
FROM generate_series(1, 100) seed,
	 LATERAL (VALUES
		(1, format('CALL make_registry(%s)', seed)),
		(2, 'TRUNCATE recorded, asked'),
		(3, format('CALL record(%s)', CASE seed % 4 WHEN 0 THEN 0 ELSE seed END)),
		-- each source of the graph; memory with pages that were changed since, and without
		(4, CASE WHEN seed % 2 = 0 THEN 'VACUUM assetreg.asset_dependencies, assetreg.entities, assetreg.asset_outcomes' ELSE 'SELECT' END),
		(5, format('SET assetreg.graph_source = %s', CASE seed % 8 WHEN 1 THEN 'sql' WHEN 3 THEN 'auto' WHEN 5 THEN 'index' WHEN 7 THEN 'index' ELSE 'memory' END)),
		(5, CASE WHEN seed % 4 = 0 THEN 'DO $d$ BEGIN PERFORM FROM assetreg.recommend_assets(''{}''); END $d$' ELSE 'SELECT' END),
		(5, CASE WHEN seed % 4 = 0 THEN format('CALL change_registry(%s)', seed) ELSE 'SELECT' END),
		(6, 'INSERT INTO asked SELECT ARRAY(SELECT DISTINCT (1 + (random() * 19)::int)::bigint FROM generate_series(1, n % 4)), CASE n % 6 WHEN 5 THEN ''lora'' END, CASE WHEN n % 3 = 0 THEN 1 + n ELSE 20 END FROM generate_series(0, 11) n'),
		(7, format('SELECT is((SELECT string_agg(concat_ws('' '', a::text, r::text), chr(10) ORDER BY a::text, r.ordinality) FROM asked a, LATERAL recommended(a.given, a.type, a.max_results) WITH ORDINALITY r),
			(SELECT string_agg(concat_ws('' '', a::text, r::text), chr(10) ORDER BY a::text, r.ordinality) FROM asked a, LATERAL sql_recommended(a.given, a.type, a.max_results) WITH ORDINALITY r), ''seed %s: recommended'')', seed)),
		(8, format('SELECT is((SELECT string_agg(concat_ws('' '', o.asset_id, o.other_asset_id, o.successes, o.tries), '','' ORDER BY o.asset_id, o.other_asset_id) FROM assetreg.asset_outcomes o),
			(SELECT string_agg(concat_ws('' '', a.id, b.id, o.successes, o.tries), '','' ORDER BY a.id, b.id) FROM assetreg.assets a JOIN assetreg.assets b ON a.id <= b.id, LATERAL sql_outcome(a.id, b.id) o WHERE o.tries > 0), ''seed %s: recorded'')', seed)),
		(9, CASE WHEN seed % 5 = 0 THEN format('CALL lose(%s)', seed) ELSE 'SELECT' END),
		(10, CASE WHEN seed % 5 = 0 THEN format('SELECT is((SELECT string_agg(c, chr(10) ORDER BY c) FROM covered() c), (SELECT string_agg(c, chr(10) ORDER BY c) FROM sql_coverage() c), ''seed %s: coverage'')', seed)
			 ELSE 'SELECT' END)) s (n, statement)
ORDER BY seed, s.n
\gexec
SELECT diag(format('%s rows for %s questions of the last registry', count(r), count(DISTINCT a))) FROM asked a LEFT JOIN LATERAL recommended(a.given, a.type, a.max_results) r ON true;
SELECT cmp_ok(s.walks, '>', 500::bigint, 'memory answered') FROM assetreg.graph_cache_status s;
SELECT is(s.refused, NULL, 'and was not refused in the end') FROM assetreg.graph_cache_status s;
SELECT * FROM finish();
