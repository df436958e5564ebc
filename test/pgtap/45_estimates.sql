-- What the planner is told of a walk's rows: the truth of small ones, and that large ones are large; never an error.
SELECT plan(43);

SET session_replication_role = replica;
INSERT INTO assetreg.entities (id, kind, key, active) SELECT i, (ARRAY['scene', 'job', 'shot'])[1 + i % 3], i, i % 4 > 0 FROM generate_series(1, 100000) i;
-- three dependents each, to 30,000; a hub; a chain of 100; a circle
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by) SELECT i, i / 3 + 1, 'test' FROM generate_series(3, 30000) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by) SELECT i, 30001, 'test' FROM generate_series(30002, 90000) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by) SELECT i + 1, i, 'test' FROM generate_series(90001, 90099) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by) SELECT 90200 + (i + 1) % 50, 90200 + i, 'test' FROM generate_series(0, 49) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, added_by) SELECT dependent_id, dependency_id, 'again', 'test' FROM assetreg.asset_dependencies WHERE dependency_id > 90000;
RESET session_replication_role;
ANALYZE assetreg.entities, assetreg.asset_dependencies;

CREATE FUNCTION told(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
CREATE FUNCTION told_of(walk text) RETURNS bigint LANGUAGE sql AS 'SELECT told(''SELECT * FROM assetreg.'' || walk)';
CREATE FUNCTION rows_of(walk text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE 'SELECT count(*) FROM assetreg.' || walk INTO n;
	RETURN n;
END $$;

SELECT is(told_of(walk), rows_of(walk), walk || ': exactly') FROM unnest(ARRAY[
	'where_used(1000)', 'where_used(90001)', 'where_used(90050)', 'where_used(90210)', 'where_used(90001, 5)', 'where_used(2, 3)', 'where_used(1000, kinds => ''{scene}'')',
	'where_used(1000, kinds => ''{scene,job}'', active_only => true)', 'dependencies_of(29999)', 'dependencies_of(90100, 7)', 'dependencies_of(90100, kinds => ''{job}'')',
	'dependents(''{1000,90050}'')', 'dependents(''{1000,90050,90210}'', 2)', 'impact(1000)', 'impact(90210)']) walk;
SELECT is(told('SELECT assetreg.where_used(90001)'), 99::bigint, 'in the select list');
-- the planner says 1 where it is 0
SELECT is(told_of('where_used(100000)'), 1::bigint, 'a leaf');
SELECT is(told_of('where_used(1000, 0)'), 1::bigint, 'a depth of zero');

SELECT ok(told_of(walk) BETWEEN rows_of(walk) / 40 AND rows_of(walk) * 40, walk || ': large') FROM unnest(ARRAY['where_used(2)', 'where_used(30001)', 'where_used(30001, 1)', 'dependents(''{2,30001}'')']) walk;
SELECT ok(told_of('where_used(30001)') <= 100000, 'never more than there are entities');

-- what is not known, or would be an error, leaves ROWS
SELECT is(told_of(walk), 1000::bigint, walk || ': ROWS') FROM unnest(ARRAY['where_used(NULL)', 'where_used(1000, -5)', 'where_used((random() * 9)::int)', 'where_used(1000, all_versions => true)',
	'dependents(NULL)', 'dependents(ARRAY[NULL]::bigint[])']) walk;
SELECT is(told_of('where_used(-5)'), 1::bigint, 'an entity that does not exist');
PREPARE walk (bigint) AS SELECT * FROM assetreg.where_used($1);
SET plan_cache_mode = force_generic_plan;
SELECT is(told('EXECUTE walk (1000)'), 1000::bigint, 'a generic plan');
SET plan_cache_mode = force_custom_plan;
SELECT is(told('EXECUTE walk (90001)'), 99::bigint, 'a plan for one id');

CREATE FUNCTION told_after(change text, walk text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE change;
	n := told_of(walk);
	RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
	RETURN n;
END $$;
SELECT is(told_after('DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 90010', 'where_used(90001)'), 9::bigint, 'what the transaction has changed');
SELECT is(told_after(change, 'where_used(90001)'), 1000::bigint, change || ': ROWS') FROM unnest(ARRAY['SET LOCAL assetreg.graph_source = sql',
	'DROP TABLE assetreg.asset_dependencies CASCADE', 'ALTER TABLE assetreg.entities RENAME TO things', 'ALTER TABLE assetreg.asset_dependencies RENAME dependency_id TO needed',
	'DROP INDEX assetreg.asset_dependencies_dependent_idx; ALTER TABLE assetreg.asset_dependencies DROP CONSTRAINT asset_dependencies_pkey']) change;
CREATE ROLE regress_assetreg_planner;
GRANT USAGE ON SCHEMA assetreg, public, tap TO regress_assetreg_planner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA assetreg TO regress_assetreg_planner;
SELECT is(told_after(change || '; SET LOCAL ROLE regress_assetreg_planner', 'where_used(90001)'), expected::bigint, expected || ' for who may: ' || change) FROM (VALUES
	('SELECT', 1000), ('GRANT SELECT ON assetreg.entities, assetreg.asset_dependencies TO regress_assetreg_planner', 99),
	('GRANT SELECT ON assetreg.entities TO regress_assetreg_planner; GRANT SELECT (dependency_id, dependent_id) ON assetreg.asset_dependencies TO regress_assetreg_planner', 1000),
	('GRANT SELECT ON assetreg.entities, assetreg.asset_dependencies TO regress_assetreg_planner; ALTER TABLE assetreg.asset_dependencies ENABLE ROW LEVEL SECURITY', 1000)) v (change, expected);
DROP OWNED BY regress_assetreg_planner;
DROP ROLE regress_assetreg_planner;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT is(told_of('where_used(90001)'), 1000::bigint, 'SERIALIZABLE: ROWS');
COMMIT;

SELECT * FROM finish();
