-- The walks, on a studio small enough to be checked by eye.
\set SHOW_CONTEXT never
SELECT empty_registry();
INSERT INTO assetreg.entities (id, kind, key, label) VALUES
	(11, 'template', 'noir', 'Noir'), (12, 'template', 'dawn', 'Dawn'), (21, 'scene_type', 'alley', 'Alley'), (22, 'scene_type', 'dream', NULL),
	(31, 'scene', '1', 'Rain'), (32, 'scene', '2', 'Fog'), (33, 'scene', '3', 'Sun'), (41, 'segment', '1a', NULL), (99, 'project', 'unused', NULL);
UPDATE assetreg.entities SET active = false WHERE id IN (22, 32, 41);
INSERT INTO assetreg.assets (id, type, name, version) VALUES
	(1, 'model', 'Wan2.1', '1.0'), (2, 'lora', 'film-grain', '1.0'), (3, 'lora', 'film-grain', '1.1'), (4, 'custom_node', 'VideoHelperSuite', '1.6.1');
-- arrows point from the dependent to what it needs
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES
	(2, 1), (3, 1), (11, 2), (11, 4), (12, 3), (12, 1), (21, 11), (22, 11), (22, 12), (31, 21), (32, 22), (33, 22), (33, 12), (41, 31), (41, 33);
-- the same edge, stated twice
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (11, 2, 'scan'), (41, 31, 'scan');

SELECT * FROM assetreg.where_used(1) ORDER BY depth, entity_id;
SELECT * FROM assetreg.where_used(2) ORDER BY depth, entity_id;
SELECT * FROM assetreg.where_used(99) ORDER BY depth, entity_id;
SELECT * FROM assetreg.dependencies_of(41) ORDER BY depth, entity_id;
SELECT * FROM assetreg.dependencies_of(1) ORDER BY depth, entity_id;
-- rows come by depth
SELECT bool_and(depth >= previous) FROM (SELECT depth, lag(depth, 1, 1) OVER (ORDER BY n) AS previous
	FROM assetreg.where_used(1) WITH ORDINALITY w (entity_id, kind, key, label, active, depth, via_id, start_id, n)) x;
-- limits
SELECT entity_id, depth FROM assetreg.where_used(1, 0) ORDER BY depth, entity_id;
SELECT entity_id, depth FROM assetreg.where_used(1, 1) ORDER BY depth, entity_id;
SELECT entity_id, depth FROM assetreg.where_used(1, 2) ORDER BY depth, entity_id;
SELECT count(*) FROM assetreg.where_used(1, 2147483647);
SELECT entity_id, depth FROM assetreg.dependencies_of(41, 1) ORDER BY depth, entity_id;
-- kinds and active_only choose among the rows, they do not stop the walk
SELECT entity_id, kind, depth, via_id FROM assetreg.where_used(1, kinds => '{scene,segment}') ORDER BY depth, entity_id;
SELECT entity_id, kind, depth, via_id FROM assetreg.where_used(1, kinds => '{segment,segment,project}', active_only => false) ORDER BY depth, entity_id;
SELECT entity_id, kind, depth, via_id FROM assetreg.where_used(2, active_only => true) ORDER BY depth, entity_id;
SELECT count(*) FROM assetreg.where_used(1, kinds => '{}');
SELECT count(*) FROM assetreg.where_used(1, kinds => NULL);
SELECT entity_id, kind FROM assetreg.dependencies_of(41, kinds => '{model,lora}') ORDER BY depth, entity_id;
-- all versions: several starts, each entity with the start that is nearest
SELECT entity_id, depth, via_id, start_id FROM assetreg.where_used(2, all_versions => true) ORDER BY depth, entity_id;
SELECT entity_id, depth, via_id, start_id FROM assetreg.where_used(3, all_versions => true) EXCEPT
	SELECT entity_id, depth, via_id, start_id FROM assetreg.where_used(2, all_versions => true);
SELECT entity_id, depth, via_id, start_id FROM assetreg.where_used(11, all_versions => true) ORDER BY depth, entity_id;

SELECT * FROM assetreg.dependents('{2,4}') ORDER BY depth, entity_id;
SELECT * FROM assetreg.dependents('{4,2,2,4}', 1) ORDER BY depth, entity_id;
SELECT * FROM assetreg.dependents('{{2,4},{11,12}}', 1) ORDER BY depth, entity_id;
-- a start that depends on another start is still left out
SELECT * FROM assetreg.dependents('{1,2}', 1) ORDER BY depth, entity_id;
SELECT * FROM assetreg.dependents('{}') ORDER BY depth, entity_id;

SELECT id, assetreg.dependent_count(id) AS direct, assetreg.dependent_count(id, true) AS transitive,
	   assetreg.dependent_count(id, false, true) AS direct_of_all, assetreg.dependent_count(id, true, true) AS transitive_of_all
FROM assetreg.entities ORDER BY id;

SELECT * FROM assetreg.impact(1);
SELECT * FROM assetreg.impact(2);
SELECT * FROM assetreg.impact(2, true);
SELECT * FROM assetreg.impact(99);

-- Paths: from the dependency to the dependent.
SELECT * FROM assetreg.dependency_paths(1, 41) ORDER BY path, step;
SELECT * FROM assetreg.dependency_paths(2, 41) ORDER BY path, step;
SELECT path, string_agg(entity_id::text, '-' ORDER BY step) AS ids, bool_and(complete) AS complete FROM assetreg.dependency_paths(2, 41, 10) GROUP BY path ORDER BY path;
SELECT path, string_agg(entity_id::text, '-' ORDER BY step) AS ids, bool_and(complete) AS complete FROM assetreg.dependency_paths(1, 22, 10) GROUP BY path ORDER BY path;
SELECT path, string_agg(entity_id::text, '-' ORDER BY step) AS ids, bool_and(complete) AS complete FROM assetreg.dependency_paths(2, 33, 1) GROUP BY path ORDER BY path;
SELECT * FROM assetreg.dependency_paths(41, 1) ORDER BY path, step;
SELECT * FROM assetreg.dependency_paths(1, 99) ORDER BY path, step;
SELECT * FROM assetreg.dependency_paths(99, 99) ORDER BY path, step;

-- Circles.
SELECT * FROM assetreg.dependency_cycles() ORDER BY cycle, entity_id;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (11, 21), (12, 33), (2, 31), (99, 41);
SELECT * FROM assetreg.dependency_cycles() ORDER BY cycle, entity_id;
SELECT entity_id, depth, via_id FROM assetreg.where_used(11) ORDER BY depth, entity_id;
SELECT entity_id, depth, via_id FROM assetreg.where_used(2, all_versions => true) ORDER BY depth, entity_id;
SELECT entity_id, depth FROM assetreg.dependents('{11,21}') ORDER BY depth, entity_id;
SELECT path, string_agg(entity_id::text, '-' ORDER BY step) AS ids, bool_and(complete) AS complete FROM assetreg.dependency_paths(21, 11, 10) GROUP BY path ORDER BY path;
DELETE FROM assetreg.asset_dependencies WHERE (dependent_id, dependency_id) IN ((11, 21), (12, 33), (2, 31), (99, 41));

-- As a function of a query's rows, in a join, in a subquery, prepared, in PL/pgSQL, as a scrolling cursor, in parallel.
SELECT a.name, a.version, w.kind, count(*)
FROM assetreg.assets a CROSS JOIN LATERAL assetreg.where_used(a.id, active_only => true) w
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT e.id, (SELECT string_agg(w.entity_id::text, ' ' ORDER BY w.entity_id) FROM assetreg.where_used(e.id) w) AS users,
	   (SELECT string_agg(d.entity_id::text, ' ' ORDER BY d.entity_id) FROM assetreg.dependencies_of(e.id) d) AS needs
FROM assetreg.entities e ORDER BY e.id;
SELECT (assetreg.where_used(31)).*;
PREPARE used (bigint) AS SELECT entity_id, depth FROM assetreg.where_used($1);
EXECUTE used (31);
EXECUTE used (33);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (99, 41);
EXECUTE used (33);
DELETE FROM assetreg.asset_dependencies WHERE dependent_id = 99;
EXECUTE used (33);
DEALLOCATE used;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT entity_id FROM assetreg.where_used(2);
FETCH 2 FROM c;
DELETE FROM assetreg.asset_dependencies;
FETCH ALL FROM c;
FETCH FIRST FROM c;
DECLARE d CURSOR FOR SELECT entity_id FROM assetreg.where_used(2);
FETCH ALL FROM d;
ROLLBACK;
-- rows of the same statement are not there yet, those of statements before are
WITH new AS (INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (99, 41) RETURNING dependent_id)
SELECT (SELECT count(*) FROM new) AS new, assetreg.dependent_count(41) AS before;
SELECT assetreg.dependent_count(41) AS after;
DO $$
DECLARE
	n bigint;
BEGIN
	DELETE FROM assetreg.asset_dependencies WHERE dependent_id = 99;
	n := assetreg.dependent_count(41);
	RAISE NOTICE 'after the delete: %', n;
	BEGIN
		INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (99, 41);
		RAISE NOTICE 'after the insert: %', assetreg.dependent_count(41);
		RAISE EXCEPTION 'no';
	EXCEPTION WHEN raise_exception THEN
		RAISE NOTICE 'after the subtransaction: %', assetreg.dependent_count(41);
	END;
END
$$;
-- a row trigger sees the rows before it, as every query there does
CREATE FUNCTION count_dependents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'dependents of 41 when % comes: %', NEW.dependent_id, assetreg.dependent_count(41);
	RETURN NULL;
END
$$;
CREATE TRIGGER count_dependents AFTER INSERT ON assetreg.asset_dependencies FOR EACH ROW EXECUTE FUNCTION count_dependents();
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (99, 41), (12, 41);
DROP TRIGGER count_dependents ON assetreg.asset_dependencies;
DROP FUNCTION count_dependents();
DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 41;
BEGIN;
SELECT set_config(name, 'on', true) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');	-- its name until 15, and since
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SELECT count(*), sum(assetreg.dependent_count(e.id, true)) FROM assetreg.entities e;
SELECT string_agg(assetreg.asset_ref(a.id), ' ' ORDER BY a.id) FROM assetreg.assets a;
SELECT count(*) FROM assetreg.where_used(1);
SET LOCAL assetreg.graph_source = 'sql';
SELECT count(*), sum(assetreg.dependent_count(e.id, true)) FROM assetreg.entities e;
SELECT count(*) FROM assetreg.where_used(1);
ROLLBACK;
-- every source, every isolation level: the same
CREATE VIEW answers AS
	SELECT e.id, assetreg.dependent_count(e.id, true) AS n, (SELECT jsonb_agg(to_jsonb(w)) FROM assetreg.where_used(e.id) w) AS w,
		   (SELECT jsonb_agg(to_jsonb(d)) FROM assetreg.dependencies_of(e.id) d) AS d, (SELECT jsonb_agg(to_jsonb(i)) FROM assetreg.impact(e.id) i) AS i,
		   (SELECT jsonb_agg(to_jsonb(p)) FROM assetreg.dependency_paths(1, e.id, 5) p) AS p, assetreg.dependency_graph(e.id) AS g,
		   (SELECT jsonb_agg(t) FROM assetreg.dependency_tree(e.id, 'dependencies') t) AS t
	FROM assetreg.entities e;
CREATE TEMP TABLE answers_auto AS SELECT * FROM answers;
SET assetreg.graph_source = 'pages';
TABLE answers EXCEPT TABLE answers_auto;
SET assetreg.graph_source = 'sql';
TABLE answers EXCEPT TABLE answers_auto;
RESET assetreg.graph_source;
BEGIN ISOLATION LEVEL SERIALIZABLE;
TABLE answers EXCEPT TABLE answers_auto;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
TABLE answers EXCEPT TABLE answers_auto;
COMMIT;
SELECT count(*) FROM answers_auto;
DROP VIEW answers;
DROP TABLE answers_auto;
SELECT empty_registry();
