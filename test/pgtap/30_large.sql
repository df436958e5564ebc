-- Graphs of a hundred thousand: chains, hubs, ladders, circles, islands, layers; fresh, vacuumed, half deleted.
\ir oracle.psql

SELECT plan(56);

CREATE PROCEDURE load_graph(query text) LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE assetreg.entities CASCADE;
	PERFORM setseed(0.5);
	SET LOCAL session_replication_role = replica;  -- foreign keys would take most of the time
	EXECUTE 'CREATE TEMP TABLE loading AS SELECT DISTINCT e.dependent::bigint, e.dependency::bigint FROM (' || query || ') e (dependent, dependency)';
	INSERT INTO assetreg.entities (id, kind, key, active)
		SELECT n, (ARRAY['scene', 'segment', 'job'])[1 + abs(n % 3)], n::text, n % 7 <> 0
		FROM (SELECT dependent FROM loading UNION SELECT dependency FROM loading) x (n) ORDER BY md5(n::text);
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by) SELECT dependent, dependency, 'test' FROM loading ORDER BY md5(dependent || '-' || dependency);
	DROP TABLE loading;
	SET LOCAL session_replication_role = origin;
	ANALYZE assetreg.entities, assetreg.asset_dependencies;
END
$$;

-- WITH RECURSIVE on ids and depths: for graphs in which the ways to an entity are of few lengths.
CREATE FUNCTION recursive_depths(start bigint, up boolean) RETURNS TABLE (entity_id bigint, depth int) LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF up THEN
		RETURN QUERY WITH RECURSIVE walk (id, depth) AS (
			SELECT start, 0 UNION SELECT d.dependent_id, w.depth + 1 FROM walk w JOIN assetreg.asset_dependencies d ON d.dependency_id = w.id)
			SELECT w.id, min(w.depth) FROM walk w WHERE w.id <> start GROUP BY w.id;
	ELSE
		RETURN QUERY WITH RECURSIVE walk (id, depth) AS (
			SELECT start, 0 UNION SELECT d.dependency_id, w.depth + 1 FROM walk w JOIN assetreg.asset_dependencies d ON d.dependent_id = w.id)
			SELECT w.id, min(w.depth) FROM walk w WHERE w.id <> start GROUP BY w.id;
	END IF;
END
$$;

-- The rows of a walk against SQL: ids and depths, columns of the entities, via_id an edge that leads one deeper.
CREATE FUNCTION large_differences(start bigint, up boolean) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	found text := '';
	n bigint;
	total bigint;
BEGIN
	CREATE TEMP TABLE expected AS SELECT * FROM recursive_depths(start, up);
	CREATE TEMP TABLE walked AS SELECT * FROM assetreg.where_used(start) WHERE up UNION ALL SELECT * FROM assetreg.dependencies_of(start) WHERE NOT up;
	ANALYZE expected, walked;
	SELECT count(*) INTO total FROM expected;
	SELECT count(*) INTO n FROM ((SELECT entity_id, depth FROM walked EXCEPT ALL TABLE expected) UNION ALL (TABLE expected EXCEPT ALL SELECT entity_id, depth FROM walked)) d;
	IF n > 0 THEN found := found || format(' %s rows of %s', n, total); END IF;
	SELECT count(*) INTO n FROM walked w
	WHERE NOT EXISTS (SELECT FROM assetreg.entities e
					  WHERE (e.id, e.kind, e.key, e.active) = (w.entity_id, w.kind, w.key, w.active) AND e.label IS NOT DISTINCT FROM w.label);
	IF n > 0 THEN found := found || format(' %s names', n); END IF;
	SELECT count(*) INTO n
	FROM (SELECT w.entity_id, w.via_id, min(p.entity_id) AS smallest
		  FROM walked w
			   JOIN assetreg.asset_dependencies d ON CASE WHEN up THEN d.dependent_id ELSE d.dependency_id END = w.entity_id
			   JOIN (SELECT entity_id, depth FROM walked UNION ALL SELECT start, 0) p ON p.entity_id = CASE WHEN up THEN d.dependency_id ELSE d.dependent_id END
		  WHERE p.depth = w.depth - 1 GROUP BY w.entity_id, w.via_id) v
	WHERE v.smallest = v.via_id;
	IF n <> total THEN found := found || format(' %s of %s via_id', total - n, total); END IF;
	IF EXISTS (SELECT FROM walked WHERE start_id <> start) THEN found := found || ' start_id'; END IF;
	IF up THEN
		IF assetreg.dependent_count(start, true) <> total THEN found := found || ' dependent_count'; END IF;
		IF EXISTS (SELECT entity_id, depth FROM assetreg.dependents(ARRAY[start]) EXCEPT ALL TABLE expected) THEN found := found || ' dependents'; END IF;
		IF EXISTS (SELECT * FROM assetreg.impact(start)
				   EXCEPT SELECT kind, count(*), count(*) FILTER (WHERE active), min(depth), max(depth) FROM walked GROUP BY kind)
			OR (SELECT sum(affected) FROM assetreg.impact(start)) IS DISTINCT FROM nullif(total, 0)
		THEN
			found := found || ' impact';
		END IF;
	END IF;
	DROP TABLE expected, walked;
	RETURN found;
END
$$;
CREATE FUNCTION large_agrees(start bigint, up boolean, state text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT is(large_differences(start, up), '', state || CASE WHEN up THEN ', upwards' ELSE ', downwards' END)
$$;

-- A chain: 100,000 needs 99,999 needs ... 1.
CALL load_graph('SELECT i, i - 1 FROM generate_series(2, 100000) i');
SELECT results_eq('SELECT entity_id, depth, via_id FROM assetreg.where_used(1)',
				  'SELECT entity_id, depth, entity_id - 1 FROM recursive_depths(1, true) ORDER BY depth', 'chain of 100,000: every row in order');
SELECT large_agrees(1, true, 'chain, loaded'), large_agrees(100000, false, 'chain, loaded');
VACUUM assetreg.entities, assetreg.asset_dependencies;
SELECT large_agrees(50000, true, 'chain, vacuumed'), large_agrees(50000, false, 'chain, vacuumed'), large_agrees(100000, true, 'chain, its end');
SET assetreg.graph_source = 'sql';
SELECT is(assetreg.dependent_count(90001, true), 9999::bigint, 'chain by SQL');
RESET assetreg.graph_source;
SELECT is((SELECT count(*) FROM assetreg.where_used(1, 500)), 500::bigint, 'chain, 500 deep');
SET work_mem = '64MB';  -- a path is kept in memory
SELECT is((SELECT array_agg(step || ':' || entity_id ORDER BY step) FROM assetreg.dependency_paths(1, 100000)),
		  (SELECT array_agg(i - 1 || ':' || i ORDER BY i) FROM generate_series(1, 100000) i), 'chain: the path of 100,000');
SELECT is_empty('SELECT * FROM assetreg.dependency_cycles()', 'chain: no circle');
SELECT is(jsonb_array_length(assetreg.dependency_graph(1, max_depth => NULL, max_nodes => 100000)::jsonb -> 'nodes'), 100000, 'chain: the picture of 100,000');
SELECT is((SELECT count(*) FROM assetreg.dependency_tree(1, max_depth => 2000)), 2001::bigint, 'chain: the tree');
BEGIN;
DELETE FROM assetreg.asset_dependencies WHERE dependent_id = 60000;
SELECT is(assetreg.dependent_count(1, true), 59998::bigint, 'chain, cut');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (60000, 10), (1, 100000);
SELECT is(assetreg.dependent_count(1, true), 99999::bigint, 'chain, bent into a circle');
SELECT is((SELECT array_agg(DISTINCT cycle) FROM assetreg.dependency_cycles()), '{1}', 'the circle is one');
SELECT is((SELECT count(*) FROM assetreg.dependency_cycles()), (10 + 100000 - 60000 + 1)::bigint, 'of so many members');
ROLLBACK;
SELECT is(assetreg.dependent_count(1, true), 99999::bigint, 'chain, whole again');

-- A hub: 100,000 need 1, which needs 2 and 3; 200,000 needs each tenth.
CALL load_graph('SELECT i, 1 FROM generate_series(11, 100010) i UNION ALL VALUES (1, 2), (1, 3) UNION ALL SELECT 200000, i FROM generate_series(20, 100000, 10) i');
SELECT results_eq('SELECT entity_id, depth, via_id FROM assetreg.where_used(1) WHERE depth = 1 ORDER BY entity_id',
				  'SELECT d.dependent_id, 1, d.dependency_id FROM assetreg.asset_dependencies d WHERE d.dependency_id = 1 ORDER BY d.dependent_id', 'hub of 100,000: every row');
SELECT large_agrees(2, true, 'hub, loaded'), large_agrees(200000, false, 'hub, loaded');
VACUUM assetreg.entities, assetreg.asset_dependencies;
SELECT large_agrees(1, true, 'hub, vacuumed'), large_agrees(77777, false, 'hub, vacuumed');
SELECT is(assetreg.dependent_count(1), 100000::bigint, 'hub, counted');
SELECT is(assetreg.dependent_count(2, true), 100002::bigint, 'hub, counted from below');
SELECT is((SELECT bool_or(complete) || ' ' || count(DISTINCT path) FROM assetreg.dependency_paths(2, 200000, 9000)), 'false 9000', 'hub: more paths than are shown');
SELECT is((SELECT bool_and(complete) || ' ' || count(DISTINCT path) FROM assetreg.dependency_paths(2, 200000, 9999)), 'true 9999', 'hub: all paths');
DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 1 AND dependent_id % 2 = 0;
SELECT large_agrees(2, true, 'hub, half of it deleted'), large_agrees(200000, false, 'hub, half of it deleted');
VACUUM assetreg.asset_dependencies;
SELECT large_agrees(2, true, 'hub, half of it vacuumed away');
SET assetreg.graph_source = 'sql';
SELECT large_agrees(2, true, 'hub by SQL');
RESET assetreg.graph_source;

-- A ladder of 20,000 diamonds: 2 ** 20000 paths, each of them shortest.
CALL load_graph('SELECT e.* FROM generate_series(0, 19999) i, LATERAL (VALUES (3 * i + 1, 3 * i), (3 * i + 2, 3 * i), (3 * i + 3, 3 * i + 1), (3 * i + 3, 3 * i + 2)) e');
SELECT large_agrees(0, true, 'ladder'), large_agrees(30001, false, 'ladder');
VACUUM assetreg.entities, assetreg.asset_dependencies;
SELECT large_agrees(30001, true, 'ladder, vacuumed'), large_agrees(60000, false, 'ladder, vacuumed');
CREATE TEMP TABLE path AS SELECT * FROM assetreg.dependency_paths(0, 60000, 3);
SELECT is((SELECT array_agg(n ORDER BY path) FROM (SELECT path, count(*) AS n FROM path GROUP BY path) x), '{40001,40001,40001}', 'ladder: paths as short as can be');
SELECT is((SELECT bool_or(complete) FROM path), false, 'ladder: and there are more');
SELECT is((SELECT count(*) FROM path a JOIN path b ON b.path = a.path AND b.step = a.step + 1
		   JOIN assetreg.asset_dependencies d ON (d.dependency_id, d.dependent_id) = (a.entity_id, b.entity_id)), 120000::bigint, 'ladder: every step is an edge');
SELECT is((SELECT array_agg(entity_id ORDER BY path, step) FROM path WHERE entity_id IN (59995, 59996, 59998, 59999)), '{59995,59998,59995,59999,59996,59998}', 'ladder: smallest ids first');
DROP TABLE path;

-- A circle of 100,000 and a smaller one that hangs on it.
CALL load_graph('SELECT i, (i + 1) % 100000 FROM generate_series(0, 99999) i UNION ALL SELECT 100000 + i, 100000 + (i + 1) % 1000 FROM generate_series(0, 999) i UNION ALL VALUES (100500, 500)');
SELECT is((SELECT string_agg(cycle || ' ' || n || ' ' || a || ' ' || z, ', ' ORDER BY cycle)
		   FROM (SELECT cycle, count(*) AS n, min(entity_id) AS a, max(entity_id) AS z FROM assetreg.dependency_cycles() GROUP BY cycle) x),
		  '1 100000 0 99999, 2 1000 100000 100999', 'two circles');
SELECT is((SELECT count(*) || ' ' || max(depth) || ' ' || sum(depth::bigint) FROM assetreg.where_used(7)),
		  (SELECT count(*) || ' ' || max(depth) || ' ' || sum(depth::bigint)
		   FROM (SELECT (7 - i + 100000) % 100000 AS depth FROM generate_series(0, 99999) i WHERE i <> 7
				 UNION ALL SELECT (7 - 500 + 100000) % 100000 + 1 + (500 - i + 1000) % 1000 FROM generate_series(0, 999) i) x), 'round the circle');
SELECT is((SELECT count(*) FROM assetreg.dependencies_of(100000)), 100999::bigint, 'out of one circle into the other');

-- Islands: 20,000 of 5, asked for all at once.
CALL load_graph('SELECT 10 * i + k, 10 * i + (k - 1) / 2 FROM generate_series(0, 19999) i, generate_series(1, 4) k');
SELECT is((SELECT count(*) || ' ' || sum(depth) FROM assetreg.dependents((SELECT array_agg(10 * i) FROM generate_series(0, 19999) i))),
		  (20000 * 4) || ' ' || (20000 * (1 + 1 + 2 + 2)), '20,000 starts');
SELECT is((SELECT array_agg(entity_id ORDER BY entity_id) FROM assetreg.where_used(123450)), '{123451,123452,123453,123454}', 'an island');
SELECT is((SELECT count(*) FROM assetreg.dependency_cycles()), 0::bigint, 'islands: no circle');

-- Layers, as a studio has them: 6 of 10,000, ids shuffled, a few favourites.
CALL load_graph($$SELECT (hashint8(n)::bigint + 2147483648) * 3, (hashint8((n / 10000 - 1) * 10000 + (random() ^ 4 * 9999)::int)::bigint + 2147483648) * 3
				  FROM generate_series(10000, 59999) n, generate_series(1, 4) k$$);
CREATE FUNCTION layer_id(layer int, n int) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT (hashint8(layer * 10000 + n)::bigint + 2147483648) * 3 $$;
SELECT large_agrees(layer_id(0, 0), true, 'layers: the favourite'), large_agrees(layer_id(5, 77), false, 'layers');
VACUUM assetreg.entities, assetreg.asset_dependencies;
SELECT large_agrees(layer_id(0, 0), true, 'layers, vacuumed'), large_agrees(layer_id(2, 500), true, 'layers, vacuumed'), large_agrees(layer_id(5, 78), false, 'layers, vacuumed');
UPDATE assetreg.asset_dependencies SET relation = 'loads' WHERE dependency_id % 5 = 0;
UPDATE assetreg.asset_dependencies SET source = 'scan' WHERE dependency_id % 7 = 0;
UPDATE assetreg.entities SET label = 'Label ' || id WHERE id % 2 = 0;
UPDATE assetreg.entities SET key = 'Key ' || id WHERE id % 4 = 0;
DELETE FROM assetreg.asset_dependencies WHERE dependent_id % 11 = 0;
SELECT large_agrees(layer_id(0, 0), true, 'layers, updated'), large_agrees(layer_id(5, 79), false, 'layers, updated');
VACUUM assetreg.entities;
SELECT large_agrees(layer_id(0, 0), true, 'layers, entities vacuumed');
SET assetreg.graph_source = 'sql';
SELECT large_agrees(layer_id(1, 1), true, 'layers by SQL'), large_agrees(layer_id(5, 80), false, 'layers by SQL');
RESET assetreg.graph_source;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT large_agrees(layer_id(1, 0), true, 'layers, serializable');
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT large_agrees(layer_id(1, 0), true, 'layers, repeatable read');
COMMIT;

SELECT * FROM finish();
