-- Rights: who reads a walk sees what a query of the tables would show, no more and no less.
\set SHOW_CONTEXT never
SET jit = off;  -- costs here are guesses
SELECT empty_registry();
INSERT INTO assetreg.assets (id, type, name, version, sha256) VALUES (1, 'model', 'Wan2.1', '1.0', repeat('a', 64)), (2, 'lora', 'film-grain', '1.0', NULL), (3, 'lora', 'film-grain', '1.1', NULL);
INSERT INTO assetreg.entities (id, kind, key, label, active) VALUES (11, 'template', 'noir', 'Noir', true), (12, 'template', 'dawn', 'Dawn', true),
	(21, 'scene', '1', 'Rain', true), (22, 'scene', '2', 'Secret', true), (31, 'segment', '1', NULL, false), (32, 'segment', '2', NULL, true), (99, 'job', 'loner', NULL, true);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (2, 1, 'declared'), (3, 1, 'declared'), (11, 2, 'declared'), (12, 3, 'declared'),
	(12, 1, 'secret'), (21, 11, 'declared'), (22, 11, 'secret'), (31, 21, 'declared'), (32, 22, 'declared'), (32, 21, 'secret'), (12, 32, 'secret');

-- What SQL says: the closure with depths, in the rights of who asks.
CREATE FUNCTION sql_where_used(start bigint) RETURNS TABLE (entity_id bigint, depth int) LANGUAGE sql STABLE AS $$
	WITH RECURSIVE walk (id, depth) AS (
		SELECT start, 0
		UNION
		SELECT d.dependent_id, w.depth + 1 FROM walk w JOIN assetreg.asset_dependencies d ON d.dependency_id = w.id WHERE w.depth < 10
	)
	SELECT w.id, min(w.depth) FROM walk w WHERE w.id <> start GROUP BY w.id
$$;
-- all answers for all starts that the role sees, by the functions and by SQL; names come from the entities that it sees
CREATE VIEW answers WITH (security_invoker) AS
	SELECT s.id AS start, 'where_used' AS function, w.entity_id, w.depth, w.kind, w.key, w.label, w.active::int AS active, NULL::bigint AS n
	FROM assetreg.entities s, assetreg.where_used(s.id) w
	UNION ALL
	SELECT s.id, 'dependents', w.entity_id, w.depth, NULL, NULL, NULL, NULL, NULL FROM assetreg.entities s, assetreg.dependents(ARRAY[s.id]) w
	UNION ALL
	SELECT s.id, 'dependent_count', NULL, NULL, NULL, NULL, NULL, NULL, assetreg.dependent_count(s.id, true) FROM assetreg.entities s
	UNION ALL
	SELECT s.id, 'impact', NULL, i.max_depth, i.kind, NULL, NULL, i.active, i.affected FROM assetreg.entities s, assetreg.impact(s.id) i;
CREATE VIEW sql_answers WITH (security_invoker) AS
	SELECT s.id AS start, 'where_used' AS function, w.entity_id, w.depth, e.kind, e.key, e.label, e.active::int AS active, NULL::bigint AS n
	FROM assetreg.entities s, sql_where_used(s.id) w, assetreg.entities e WHERE e.id = w.entity_id
	UNION ALL
	SELECT s.id, 'dependents', w.entity_id, w.depth, NULL, NULL, NULL, NULL, NULL FROM assetreg.entities s, sql_where_used(s.id) w
	UNION ALL
	SELECT s.id, 'dependent_count', NULL, NULL, NULL, NULL, NULL, NULL, (SELECT count(*) FROM sql_where_used(s.id)) FROM assetreg.entities s
	UNION ALL
	SELECT s.id, 'impact', NULL, max(w.depth), e.kind, NULL, NULL, count(*) FILTER (WHERE e.active), count(*)
	FROM assetreg.entities s, sql_where_used(s.id) w, assetreg.entities e WHERE e.id = w.entity_id
	GROUP BY s.id, e.kind;
CREATE VIEW differences WITH (security_invoker) AS
	SELECT 'function' AS only_in, f.* FROM (TABLE answers EXCEPT ALL TABLE sql_answers) f
	UNION ALL
	SELECT 'SQL', q.* FROM (TABLE sql_answers EXCEPT ALL TABLE answers) q;
GRANT SELECT ON answers, sql_answers, differences TO PUBLIC;
SELECT function, count(*) FROM answers GROUP BY 1 ORDER BY 1;
SELECT * FROM differences;

CREATE ROLE regress_assetreg_reader;
CREATE ROLE regress_assetreg_column;
CREATE ROLE regress_assetreg_nobody;
GRANT USAGE ON SCHEMA assetreg TO regress_assetreg_reader, regress_assetreg_column, regress_assetreg_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA assetreg TO regress_assetreg_reader, regress_assetreg_column, regress_assetreg_nobody;
GRANT SELECT ON ALL TABLES IN SCHEMA assetreg TO regress_assetreg_reader;

-- No right to read a table: 42501 from every function that reads it.
CREATE FUNCTION reading_functions() RETURNS TABLE (n int, call text) LANGUAGE sql AS $$
	VALUES (1, 'where_used(1)'), (2, 'where_used(1, kinds => ''{scene}'')'), (3, 'where_used(2, all_versions => true)'), (4, 'dependencies_of(31)'), (5, 'dependents(''{1}'')'),
		   (6, 'dependent_count(1)'), (7, 'impact(1)'), (8, 'dependency_paths(1, 31)'), (9, 'dependency_cycles()'),
		   (10, 'dependency_graph(1)'), (11, 'dependency_tree(1)'), (12, 'asset_id(''lora/film-grain'')'), (13, 'asset_id(''lora/film-grain@1.0'')'),
		   (14, 'asset_id(''aaaaaaaaaa'')'), (15, 'asset_ref(1)'), (16, 'versions(2)'), (17, 'entity_id(''scene'', ''1'')'), (18, 'check_registry()')
$$;
\pset format unaligned
SET ROLE regress_assetreg_nobody;
SELECT r.call, e.code, e.message FROM reading_functions() r, error('SELECT * FROM assetreg.' || r.call) e ORDER BY r.n;
SET assetreg.graph_source = 'pages';
SELECT r.call, e.code, e.message FROM reading_functions() r, error('SELECT * FROM assetreg.' || r.call) e WHERE e.code IS DISTINCT FROM '42501' ORDER BY r.n;
RESET assetreg.graph_source;
RESET ROLE;
-- the functions that write need the rights to write
GRANT SELECT ON ALL TABLES IN SCHEMA assetreg TO regress_assetreg_nobody;
SET ROLE regress_assetreg_nobody;
SELECT c.call, e.code, e.message
FROM (VALUES (1, 'put_entity(''scene'', ''3'')'), (2, 'put_entity(''scene'', ''1'', ''x'')'), (3, 'add_dependency(99, 1)'), (4, 'remove_dependency(2, 1)'),
			 (5, 'move_dependents(2, 3)'), (6, 'register_asset(''lora'', ''x'', ''1'')'), (7, 'register_asset(''lora'', ''x'')')) c (n, call),
	 error('SELECT * FROM assetreg.' || c.call) e
ORDER BY c.n;
-- what is there and stays as it is needs no more than reading
SELECT assetreg.put_entity('scene', '1', 'Rain');
RESET ROLE;
-- one table is missing each time
REVOKE SELECT ON ALL TABLES IN SCHEMA assetreg FROM regress_assetreg_nobody;
GRANT SELECT ON assetreg.entities TO regress_assetreg_nobody;
SET ROLE regress_assetreg_nobody;
SELECT * FROM error('SELECT * FROM assetreg.where_used(1)');
SELECT * FROM error('SELECT * FROM assetreg.where_used(99)');
RESET ROLE;
REVOKE SELECT ON assetreg.entities FROM regress_assetreg_nobody;
GRANT SELECT ON assetreg.asset_dependencies TO regress_assetreg_nobody;
SET ROLE regress_assetreg_nobody;
SELECT * FROM error('SELECT * FROM assetreg.where_used(1)');
SELECT * FROM error('SELECT * FROM assetreg.dependents(''{1}'')');
SELECT * FROM assetreg.dependency_cycles();
RESET ROLE;
-- and without EXECUTE nothing at all
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA assetreg FROM regress_assetreg_nobody;
SET ROLE regress_assetreg_nobody;
SELECT * FROM error('SELECT * FROM assetreg.where_used(1)');
SELECT * FROM error('SELECT * FROM assetreg.register_asset(''lora'', ''x'')');
RESET ROLE;
\pset format aligned

-- Rights on columns are enough, if they are those that are read.
GRANT SELECT (dependent_id, dependency_id) ON assetreg.asset_dependencies TO regress_assetreg_column;
GRANT SELECT (id, kind, key, label, active) ON assetreg.entities TO regress_assetreg_column;
SET ROLE regress_assetreg_column;
SELECT * FROM differences;
SELECT entity_id, key, depth FROM assetreg.where_used(1) ORDER BY depth, entity_id;
SELECT entity_id, depth FROM assetreg.dependencies_of(31) ORDER BY depth, entity_id;
SELECT path, step, entity_id, complete FROM assetreg.dependency_paths(1, 31) ORDER BY path, step;
SELECT * FROM assetreg.dependency_cycles() ORDER BY cycle, entity_id;
SELECT * FROM assetreg.dependency_tree(12, 'dependencies', 1);
RESET ROLE;
REVOKE SELECT (label) ON assetreg.entities FROM regress_assetreg_column;
SET ROLE regress_assetreg_column;
SELECT * FROM assetreg.where_used(1);
RESET ROLE;

-- Row security on the edges: those of source secret are not for everybody.
ALTER TABLE assetreg.asset_dependencies ENABLE ROW LEVEL SECURITY;
CREATE POLICY declared_only ON assetreg.asset_dependencies FOR SELECT TO regress_assetreg_reader USING (source = 'declared');
SET ROLE regress_assetreg_reader;
SELECT * FROM differences;
SELECT entity_id, key, depth, via_id FROM assetreg.where_used(1) ORDER BY depth, entity_id;
SELECT entity_id, depth FROM assetreg.dependencies_of(32) ORDER BY depth, entity_id;
SELECT path, step, entity_id FROM assetreg.dependency_paths(1, 12) ORDER BY path, step;
SELECT * FROM assetreg.dependency_paths(1, 32);
SELECT * FROM assetreg.dependency_cycles();
SELECT * FROM assetreg.dependency_tree(1);
SELECT jsonb_path_query_array(assetreg.dependency_graph(1, max_depth => NULL)::jsonb, '$.nodes[*].id') AS nodes;
SELECT jsonb_path_query_array(assetreg.dependency_graph(32, max_depth => NULL)::jsonb, '$.nodes[*].id') AS nodes;
SET row_security = off;
SELECT * FROM assetreg.where_used(1);
RESET row_security;
RESET ROLE;
-- another role has no policy: it sees no edge
GRANT SELECT ON ALL TABLES IN SCHEMA assetreg TO regress_assetreg_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA assetreg TO regress_assetreg_nobody;
SET ROLE regress_assetreg_nobody;
SELECT assetreg.dependent_count(1, true);
SELECT * FROM differences;
RESET ROLE;
-- the superuser bypasses it
SELECT assetreg.dependent_count(1, true);
-- plans that were made by one role serve no other
SET ROLE regress_assetreg_reader;
SELECT assetreg.dependent_count(1, true);
SET ROLE regress_assetreg_nobody;
SELECT assetreg.dependent_count(1, true);
SET ROLE regress_assetreg_reader;
SELECT assetreg.dependent_count(1, true);
RESET ROLE;

-- Row security on the entities: a row that may not be seen has no row in the answer, and a start that may not be seen does not exist.
ALTER TABLE assetreg.asset_dependencies DISABLE ROW LEVEL SECURITY;
ALTER TABLE assetreg.entities ENABLE ROW LEVEL SECURITY;
CREATE POLICY no_secrets ON assetreg.entities FOR SELECT TO regress_assetreg_reader USING (label IS DISTINCT FROM 'Secret');
SET ROLE regress_assetreg_reader;
SELECT * FROM differences;
SELECT entity_id, key, depth, via_id FROM assetreg.where_used(1) ORDER BY depth, entity_id;
SELECT * FROM assetreg.impact(11) ORDER BY kind;
SELECT * FROM assetreg.where_used(22);
\echo :LAST_ERROR_SQLSTATE
SELECT c.call, e.code, e.message
FROM (VALUES (1, 'dependencies_of(22)'), (2, 'dependents(''{1,22}'')'), (3, 'dependent_count(22)'), (4, 'impact(22)'), (5, 'dependency_paths(22, 31)'),
			 (6, 'dependency_paths(1, 22)'), (7, 'dependency_graph(22)'), (8, 'dependency_tree(22)'), (9, 'entity_id(''scene'', ''2'')')) c (n, call),
	 error('SELECT * FROM assetreg.' || c.call) e
ORDER BY c.n;
-- nothing of what is hidden is shown in texts
SELECT count(*) FROM assetreg.dependency_graph(1, max_depth => NULL) g WHERE g ~ 'Secret';
SELECT count(*) FROM assetreg.dependency_graph(1, 'dot', max_depth => NULL) g WHERE g ~ 'Secret';
SELECT * FROM assetreg.dependency_tree(1);
SELECT step, entity_id, kind, key, label FROM assetreg.dependency_paths(2, 12, 1) ORDER BY step;
RESET ROLE;
ALTER TABLE assetreg.entities DISABLE ROW LEVEL SECURITY;

-- Row security on assets.
ALTER TABLE assetreg.assets ENABLE ROW LEVEL SECURITY;
CREATE POLICY models_only ON assetreg.assets FOR SELECT TO regress_assetreg_reader USING (type = 'model');
SET ROLE regress_assetreg_reader;
SELECT * FROM error('SELECT assetreg.asset_ref(2)');
SELECT * FROM error('SELECT assetreg.asset_id(''lora/film-grain'')');
SELECT assetreg.asset_ref(1);
-- versions that may not be seen are no starts
SELECT entity_id, start_id FROM assetreg.where_used(2, all_versions => true) ORDER BY depth, entity_id;
RESET ROLE;
ALTER TABLE assetreg.assets DISABLE ROW LEVEL SECURITY;

-- The owner of a table is above its row security, unless it is forced.
CREATE ROLE regress_assetreg_owner;
GRANT USAGE ON SCHEMA assetreg TO regress_assetreg_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA assetreg TO regress_assetreg_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA assetreg TO regress_assetreg_owner;
ALTER TABLE assetreg.asset_dependencies OWNER TO regress_assetreg_owner;
ALTER TABLE assetreg.asset_dependencies ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner_declared_only ON assetreg.asset_dependencies FOR SELECT TO regress_assetreg_owner USING (source = 'declared');
SET ROLE regress_assetreg_owner;
SELECT assetreg.dependent_count(1), assetreg.dependent_count(11);
ALTER TABLE assetreg.asset_dependencies FORCE ROW LEVEL SECURITY;
SELECT assetreg.dependent_count(1), assetreg.dependent_count(11);
SELECT * FROM differences;
RESET ROLE;
SELECT object FROM assetreg.check_registry();
ALTER TABLE assetreg.asset_dependencies NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
SELECT assetreg.setup();
SELECT object FROM assetreg.check_registry();

-- A security definer function reads with its owner's rights, a view with those of who asks.
CREATE FUNCTION definer_count(id bigint) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT assetreg.dependent_count(id, true) $$;
CREATE VIEW counts AS SELECT assetreg.dependent_count(1, true) AS n;
GRANT SELECT ON counts TO regress_assetreg_column;
REVOKE ALL ON ALL TABLES IN SCHEMA assetreg FROM regress_assetreg_column;
SET ROLE regress_assetreg_column;
SELECT definer_count(1);
SELECT * FROM counts;
RESET ROLE;

DROP FUNCTION definer_count(bigint);
DROP VIEW counts;
DROP POLICY declared_only ON assetreg.asset_dependencies;
DROP POLICY owner_declared_only ON assetreg.asset_dependencies;
DROP POLICY no_secrets ON assetreg.entities;
DROP POLICY models_only ON assetreg.assets;
DROP VIEW differences, answers, sql_answers;
DROP FUNCTION sql_where_used(bigint);
DROP FUNCTION reading_functions();
DROP OWNED BY regress_assetreg_reader, regress_assetreg_column, regress_assetreg_nobody, regress_assetreg_owner;
DROP ROLE regress_assetreg_reader, regress_assetreg_column, regress_assetreg_nobody, regress_assetreg_owner;
SELECT * FROM assetreg.check_registry();
SELECT empty_registry();
