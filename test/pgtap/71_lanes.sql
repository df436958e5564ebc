-- Many walks at once, as updates are counted, against SQL and against one walk after the other: more of them than one pass
-- holds, of one start or several, the same starts twice, circles, and memory for few at a time.
\ir oracle.psql

SELECT plan(40);

CREATE TABLE asked (number bigint, start bigint);
CREATE FUNCTION counted() RETURNS TABLE (number bigint, affected bigint, scene_types bigint, active_scenes bigint, segments bigint) LANGUAGE sql STABLE AS $$
	SELECT c.* FROM (SELECT array_agg(a.number ORDER BY md5(a.number::text)) AS numbers, array_agg(a.start ORDER BY md5(a.number::text)) AS starts FROM asked a) a,
		LATERAL assetreg._count_affected(a.numbers, a.starts) c
$$;
CREATE FUNCTION counted_alone() RETURNS TABLE (number bigint, affected bigint, scene_types bigint, active_scenes bigint, segments bigint) LANGUAGE sql STABLE AS $$
	SELECT c.* FROM (SELECT a.number, array_agg(a.start) AS starts FROM asked a GROUP BY a.number) a,
		LATERAL assetreg._count_affected(array_fill(a.number, ARRAY[cardinality(a.starts)]), a.starts) c
$$;
CREATE FUNCTION sql_counted() RETURNS TABLE (number bigint, affected bigint, scene_types bigint, active_scenes bigint, segments bigint) LANGUAGE sql STABLE AS $$
	WITH RECURSIVE walk (number, id) AS (
		SELECT a.number, a.start FROM asked a
		UNION
		SELECT w.number, d.dependent_id FROM walk w JOIN assetreg.asset_dependencies d ON d.dependency_id = w.id
	)
	SELECT w.number, count(*), count(*) FILTER (WHERE e.kind = 'scene_type'), count(*) FILTER (WHERE e.kind = 'scene' AND e.active), count(*) FILTER (WHERE e.kind = 'segment')
	FROM walk w JOIN assetreg.entities e ON e.id = w.id
	WHERE NOT EXISTS (SELECT FROM asked a WHERE (a.number, a.start) = (w.number, w.id))
	GROUP BY w.number
$$;

-- A layered graph with some edges back, and so many walks through it.
CREATE PROCEDURE make_walks(seed int, entities int, walks int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed / 10000.0);
	CALL empty_graph();
	INSERT INTO assetreg.entities (id, kind, key, active)
		SELECT node_id(seed, i), (ARRAY['template', 'scene_type', 'scene', 'segment'])[1 + (random() * 3)::int], 'node ' || i, random() < 0.6 FROM generate_series(1, entities) i;
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id)
		SELECT node_id(seed, i), node_id(seed, j)
		FROM generate_series(2, entities) i, generate_series(1, 2) k, LATERAL (SELECT CASE WHEN random() < 0.01 THEN 1 + (random() * (entities - 1))::int ELSE greatest(1, i - 1 - (random() * 60)::int) END WHERE i + k > 0) j (j)
		WHERE random() < 0.65 AND i <> j
		ON CONFLICT DO NOTHING;
	TRUNCATE asked;
	INSERT INTO asked SELECT -n * 3, node_id(seed, 1 + (random() ^ 2 * (entities - 1))::int) FROM generate_series(1, walks) n, generate_series(1, 1 + n % 3) k;
	INSERT INTO asked SELECT a.number * 3 - 1, a.start FROM asked a WHERE a.number % 7 = 0;  -- the same starts again
END
$$;

CREATE TABLE slow AS SELECT * FROM sql_counted() LIMIT 0;
CREATE TABLE fast (LIKE slow);
CREATE FUNCTION differences() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM ((TABLE fast EXCEPT ALL TABLE slow) UNION ALL (TABLE slow EXCEPT ALL TABLE fast)) d
$$;

-- committed and vacuumed or not, by the pages or by SQL, with memory for all lanes or for few
SELECT s.statement
FROM (VALUES (1, 400, 1), (2, 400, 63), (3, 600, 64), (14, 600, 65), (25, 900, 513), (36, 900, 700), (7, 900, 1100), (31, 1000, 1300)) w (seed, entities, walks),
	 LATERAL (VALUES
		(1, format('CALL make_walks(%s, %s, %s)', w.seed, w.entities, w.walks)),
		(2, CASE WHEN w.seed % 2 = 0 THEN 'VACUUM ANALYZE assetreg.asset_dependencies, assetreg.entities' ELSE 'ANALYZE assetreg.asset_dependencies, assetreg.entities' END),
		(3, 'TRUNCATE slow, fast; INSERT INTO slow SELECT * FROM sql_counted(); INSERT INTO fast SELECT * FROM counted()'),
		(4, format('SELECT is(differences(), 0::bigint, %L)', format('%s walks over %s entities', w.walks, w.entities))),
		(5, 'TRUNCATE fast; INSERT INTO fast SELECT * FROM counted_alone()'),
		(6, format('SELECT is(differences(), 0::bigint, %L)', format('%s walks: one after the other', w.walks))),
		(7, 'TRUNCATE fast; SET work_mem = ''64kB''; SET hash_mem_multiplier = 5; INSERT INTO fast SELECT * FROM counted(); RESET work_mem; RESET hash_mem_multiplier'),
		(8, format('SELECT is(differences(), 0::bigint, %L)', format('%s walks: little memory', w.walks))),
		(9, 'TRUNCATE fast; SET assetreg.graph_source = sql; INSERT INTO fast SELECT * FROM counted(); RESET assetreg.graph_source'),
		(10, format('SELECT is(differences(), 0::bigint, %L)', format('%s walks: by SQL', w.walks))),
		(11, 'BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM assetreg.asset_dependencies WHERE random() < 0.1;
			INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by) SELECT a.start, b.start, ''test'' FROM asked a, asked b WHERE a.start <> b.start AND random() < 0.0001 ON CONFLICT DO NOTHING;
			TRUNCATE slow, fast; INSERT INTO slow SELECT * FROM sql_counted(); INSERT INTO fast SELECT * FROM counted(); COMMIT'),
		(12, format('SELECT is(differences(), 0::bigint, %L)', format('%s walks: changes of one''s own', w.walks)))) s (n, statement)
ORDER BY w.walks, s.n
\gexec
SELECT diag(format('%s of %s walks affect something, %s on average, %s at most', count(*), (SELECT count(DISTINCT number) FROM asked), round(avg(affected)), max(affected))) FROM slow;
SELECT * FROM finish();
