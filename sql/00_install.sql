-- Installation: what CREATE EXTENSION makes, what stays the studio's, and what setup() puts back.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_assetreg_squatter;
RESET client_min_messages;

-- Helpers of all tests: what an error says, and an empty registry whose next id is 1001.
CREATE FUNCTION error(statement text) RETURNS TABLE (code text, message text, detail text, hint text)
	LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	EXECUTE statement;
	message := 'no error';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code := RETURNED_SQLSTATE, message := MESSAGE_TEXT, detail := PG_EXCEPTION_DETAIL,
		hint := PG_EXCEPTION_HINT;
	detail := regexp_replace(detail, '^Failing row contains .*', 'Failing row.');  -- it has times
	RETURN NEXT;
END
$$;
CREATE FUNCTION empty_registry() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	SET LOCAL assetreg.confirm_delete = on;
	DELETE FROM assetreg.asset_dependencies;
	DELETE FROM assetreg.assets;
	DELETE FROM assetreg.entities;
	DELETE FROM assetreg.version_ordinals;
	PERFORM setval('assetreg.entities_id_seq', 1001, false), setval('assetreg.asset_updates_id_seq', 1, false);
	SET LOCAL assetreg.confirm_delete = off;
END
$$;

-- A schema that somebody else prepared is refused.
CREATE ROLE regress_assetreg_squatter;
CREATE SCHEMA assetreg AUTHORIZATION regress_assetreg_squatter;
CREATE EXTENSION assetreg;
\echo :LAST_ERROR_SQLSTATE
DROP SCHEMA assetreg;
CREATE EXTENSION assetreg SCHEMA public;
CREATE EXTENSION assetreg;

-- The members: functions, and no table, view or sequence.
SELECT pg_describe_object(classid, objid, objsubid) AS member
FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'assetreg')
ORDER BY 1;

-- What setup() made.
CREATE VIEW registry_relations AS
	SELECT c.oid, c.relname, c.relkind, c.relowner, c.relacl
	FROM pg_class c WHERE c.relnamespace::regnamespace::text = 'assetreg' AND c.relkind IN ('r', 'v', 'm', 'p', 'S');
SELECT relname, relkind FROM registry_relations ORDER BY relname;
SELECT r.relname AS "table", a.attname AS "column", format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
	   pg_get_expr(d.adbin, d.adrelid) AS "default"
FROM registry_relations r
	 JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
	 LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind = 'r'
ORDER BY r.relname, a.attnum;
SELECT r.relname AS "table", c.conname AS "constraint", pg_get_constraintdef(c.oid) AS definition
FROM registry_relations r JOIN pg_constraint c ON c.conrelid = r.oid
WHERE c.contype NOT IN ('c', 'n')
ORDER BY r.relname, c.conname;
SELECT r.relname AS "table", c.conname AS "check"
FROM registry_relations r JOIN pg_constraint c ON c.conrelid = r.oid
WHERE c.contype = 'c'
ORDER BY r.relname, c.conname;
SELECT indexdef FROM pg_indexes WHERE schemaname = 'assetreg' ORDER BY indexname;
SELECT pg_get_triggerdef(t.oid) AS "trigger"
FROM pg_trigger t JOIN registry_relations r ON r.oid = t.tgrelid
WHERE NOT t.tgisinternal
ORDER BY r.relname, t.tgname;
SELECT name, description FROM assetreg.entity_kinds ORDER BY name;
SELECT name, description FROM assetreg.asset_types ORDER BY name;

-- Tables use nothing of the extension: it would take their columns, defaults and indexes with it.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS uses_the_extension
FROM pg_depend d
	 JOIN pg_depend m ON m.classid = d.refclassid AND m.objid = d.refobjid AND m.deptype = 'e'
WHERE m.refclassid = 'pg_extension'::regclass AND m.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'assetreg')
  AND d.classid <> 'pg_trigger'::regclass AND d.deptype <> 'e';

-- The functions and their marks.
CREATE VIEW registry_functions AS
	SELECT p.*
	FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'assetreg');
\pset format unaligned
SELECT p.proname AS function, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
FROM registry_functions p
ORDER BY p.proname;
\pset format aligned
SELECT p.proname AS function, l.lanname AS language,
	   CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
	   CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel,
	   p.proisstrict AS strict, p.prosecdef AS definer, p.procost AS cost, p.prorows AS rows
FROM registry_functions p JOIN pg_language l ON l.oid = p.prolang
ORDER BY p.proname;

-- Everything that resolves names pins its search path.
SELECT p.proname FROM registry_functions p JOIN pg_language l ON l.oid = p.prolang
WHERE (l.lanname <> 'c' OR p.prosecdef)
  AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false);

-- Everything has a comment.
SELECT p.proname AS without_comment FROM registry_functions p WHERE obj_description(p.oid, 'pg_proc') IS NULL
UNION ALL
SELECT r.relname FROM registry_relations r WHERE obj_description(r.oid, 'pg_class') IS NULL
UNION ALL
SELECT r.relname || '.' || a.attname
FROM registry_relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE r.relkind <> 'S' AND col_description(r.oid, a.attnum) IS NULL;
SELECT obj_description(oid, 'pg_extension') IS NOT NULL AS extension_has_comment FROM pg_extension WHERE extname = 'assetreg';

-- Nothing is for everybody.
SELECT p.proname AS for_everybody
FROM registry_functions p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0
UNION ALL
SELECT r.relname FROM registry_relations r, aclexplode(r.relacl) a WHERE a.grantee = 0
UNION ALL
SELECT n.nspname FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'assetreg' AND a.grantee = 0;

-- The settings.
SELECT name, context, vartype, boot_val, enumvals, short_desc, extra_desc
FROM pg_settings WHERE name LIKE 'assetreg.%' ORDER BY name;
SET assetreg.no_such_setting = 1;

SELECT empty_registry();

-- setup() again changes nothing.
CREATE VIEW registry_catalog AS
	SELECT 'pg_class' AS catalog, c.oid, c.xmin::text AS version FROM pg_class c JOIN registry_relations r USING (oid)
	UNION ALL
	SELECT 'pg_trigger', t.oid, t.xmin::text FROM pg_trigger t JOIN registry_relations r ON r.oid = t.tgrelid
	UNION ALL
	SELECT 'pg_constraint', c.oid, c.xmin::text FROM pg_constraint c JOIN registry_relations r ON r.oid = c.conrelid
	UNION ALL
	SELECT 'pg_description', d.objoid, d.xmin::text FROM pg_description d JOIN registry_relations r ON r.oid = d.objoid
	UNION ALL
	SELECT 'pg_depend', d.objid, d.xmin::text FROM pg_depend d JOIN registry_relations r ON r.oid = d.objid;
CREATE TEMP TABLE before AS SELECT * FROM registry_catalog;
SELECT assetreg.setup();
SELECT assetreg.setup();
SELECT count(*) AS changed
FROM (SELECT * FROM before EXCEPT SELECT * FROM registry_catalog) a
	 FULL JOIN (SELECT * FROM registry_catalog EXCEPT SELECT * FROM before) b USING (catalog, oid, version);
SELECT * FROM assetreg.check_registry();

-- A small registry, and what it answers.
SELECT assetreg.register_asset('model', 'Wan2.1-T2V-14B', '1.0', sha256 => repeat('a', 64)) AS model,
	   assetreg.register_asset('lora', 'film-grain', '1.0') AS lora,
	   assetreg.put_entity('template', 'noir') AS template,
	   assetreg.put_entity('scene', '7', 'Rain', false) AS scene
\gset
SELECT assetreg.add_dependency(:lora, :model), assetreg.add_dependency(:template, :lora), assetreg.add_dependency(:scene, :template);
INSERT INTO assetreg.asset_hashes VALUES (:model, 'autov3', repeat('b', 12), 'measured');
CREATE VIEW answers AS
	SELECT e.id, (SELECT jsonb_agg(to_jsonb(w)) FROM assetreg.where_used(e.id) w) AS where_used,
		   (SELECT jsonb_agg(to_jsonb(d)) FROM assetreg.dependencies_of(e.id) d) AS dependencies,
		   assetreg.dependency_graph(e.id) AS graph
	FROM assetreg.entities e;
CREATE TEMP TABLE answers_before AS SELECT * FROM answers;
CREATE TEMP TABLE rows_before AS SELECT to_jsonb(a) AS asset, d.* FROM assetreg.assets a, assetreg.asset_dependencies d;
SELECT count(*) FROM answers_before;
DROP VIEW answers;

-- A studio's own comment, index and column stay as well.
COMMENT ON TABLE assetreg.assets IS 'ours';
ALTER TABLE assetreg.entities ADD COLUMN colour text DEFAULT 'red';
CREATE INDEX entities_colour_idx ON assetreg.entities (colour);

-- The extension goes: its functions and triggers with it, and no row.
\set VERBOSITY terse
DROP EXTENSION assetreg;
\set VERBOSITY default
SET client_min_messages = warning;  -- the notice lists what goes
DROP EXTENSION assetreg CASCADE;
RESET client_min_messages;
SELECT count(*) AS functions FROM pg_proc WHERE pronamespace = 'assetreg'::regnamespace;
SELECT count(*) AS triggers FROM pg_trigger t JOIN registry_relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal;
SELECT count(*) FROM assetreg.assets;
SELECT count(*) FROM assetreg.asset_dependencies;
SELECT count(*) FROM assetreg.asset_hashes;

-- It comes back and adopts what it finds.
CREATE EXTENSION assetreg;
SELECT * FROM assetreg.check_registry();
SELECT count(*) AS triggers FROM pg_trigger t JOIN registry_relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal;
CREATE VIEW answers AS
	SELECT e.id, (SELECT jsonb_agg(to_jsonb(w)) FROM assetreg.where_used(e.id) w) AS where_used,
		   (SELECT jsonb_agg(to_jsonb(d)) FROM assetreg.dependencies_of(e.id) d) AS dependencies,
		   assetreg.dependency_graph(e.id) AS graph
	FROM assetreg.entities e;
TABLE answers EXCEPT TABLE answers_before;
TABLE answers_before EXCEPT TABLE answers;
SELECT to_jsonb(a) AS asset, d.* FROM assetreg.assets a, assetreg.asset_dependencies d EXCEPT TABLE rows_before;
SELECT obj_description('assetreg.assets'::regclass, 'pg_class') AS comment, to_regclass('assetreg.entities_colour_idx') AS index,
	   (SELECT string_agg(DISTINCT colour, ',') FROM assetreg.entities) AS colours;
-- the id after the last one is next, and the rules hold again
SELECT assetreg.put_entity('scene', '8') - :scene AS next;
DELETE FROM assetreg.entities WHERE id = :model;
ALTER TABLE assetreg.entities DROP COLUMN colour;
COMMENT ON TABLE assetreg.assets IS 'the versions of models, LoRAs, custom nodes and a studio''s own types';

-- A missing table: every function says what to do.
DROP TABLE assetreg.version_ordinals;
SELECT assetreg.asset_ref(:model);
\echo :LAST_ERROR_SQLSTATE
SELECT assetreg.where_used(:model);  -- does not need it
SELECT * FROM assetreg.check_registry();
SELECT assetreg.setup();
SELECT * FROM assetreg.check_registry();
BEGIN;
DROP TABLE assetreg.asset_dependencies;
\pset format unaligned
SELECT proname, e.*
FROM (VALUES ('where_used', '(1001)'), ('dependencies_of', '(1001)'), ('dependents', '(ARRAY[1001])'), ('dependent_count', '(1001)'), ('impact', '(1001)'),
			 ('dependency_paths', '(1001, 1002)'), ('dependency_cycles', '()'), ('dependency_graph', '(1001)'), ('dependency_tree', '(1001)'),
			 ('asset_id', '(''a/b'')'), ('asset_ref', '(1001)'), ('versions', '(1001)'), ('register_asset', '(''model'', ''x'')'),
			 ('entity_id', '(''scene'', ''7'')'), ('put_entity', '(''scene'', ''7'')'), ('add_dependency', '(1001, 1002)'),
			 ('remove_dependency', '(1001, 1002)'), ('move_dependents', '(1001, 1002)')) f (proname, arguments),
	 error(format('SELECT * FROM assetreg.%s%s', proname, arguments)) e;
\pset format aligned
ROLLBACK;

-- A trigger that was switched off, dropped or made to fire elsewhere is found and put back.
ALTER TABLE assetreg.assets DISABLE TRIGGER assets_delete_guard;
ALTER TABLE assetreg.assets ENABLE ALWAYS TRIGGER assets_update_guard;
ALTER TABLE assetreg.entities ENABLE REPLICA TRIGGER entities_insert_check;
DROP TRIGGER asset_dependencies_attribution ON assetreg.asset_dependencies;
SELECT * FROM assetreg.check_registry() ORDER BY object COLLATE "C";
SELECT assetreg.setup();
SELECT * FROM assetreg.check_registry();

-- Foreign keys that were switched off, as a data-only dump does, too.
ALTER TABLE assetreg.asset_dependencies DISABLE TRIGGER ALL;
ALTER TABLE assetreg.entities DISABLE TRIGGER USER;
SELECT * FROM assetreg.check_registry() ORDER BY object;
SELECT assetreg.setup();
SELECT * FROM assetreg.check_registry();
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (:scene, 4711);

-- A table that became a member or somebody else's is found and put right.
ALTER EXTENSION assetreg ADD TABLE assetreg.assets;
ALTER TABLE assetreg.entities OWNER TO regress_assetreg_squatter;
SELECT object, replace(problem, current_user, 'the owner') AS problem FROM assetreg.check_registry();
SELECT assetreg.setup();
SELECT * FROM assetreg.check_registry();
SELECT relname FROM registry_relations WHERE relowner <> (SELECT extowner FROM pg_extension WHERE extname = 'assetreg');

-- A constraint or an index that is gone.
BEGIN;
ALTER TABLE assetreg.asset_dependencies DROP CONSTRAINT asset_dependencies_dependent_id_fkey;
DROP INDEX assetreg.asset_dependencies_dependent_idx;
SELECT * FROM assetreg.check_registry();
ROLLBACK;

-- Rows that came past the rules.
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by) VALUES (:scene, 4711, 'nobody');
INSERT INTO assetreg.assets (id, type, name, version, registered_by) VALUES (4712, 'lora', 'no-entity', '1', 'nobody');
INSERT INTO assetreg.entities (id, kind, key) VALUES (4713, 'lora', 'no-asset@1');
UPDATE assetreg.entities SET active = false WHERE id = :lora;
SELECT regexp_replace(object, '\d{4}', '') AS object, regexp_replace(problem, '\d{4}', '') AS problem FROM assetreg.check_registry();
ROLLBACK;

-- No tables where a restore brings them.
SET client_min_messages = warning;
DROP EXTENSION assetreg CASCADE;
DROP SCHEMA assetreg CASCADE;
RESET client_min_messages;
SET row_security = off;
CREATE EXTENSION assetreg;
RESET row_security;
SELECT count(*) FROM registry_relations;
SELECT * FROM assetreg.check_registry() ORDER BY object;
SELECT assetreg.where_used(1);
DROP EXTENSION assetreg;
SET application_name = 'pg_restore';
CREATE EXTENSION assetreg;
RESET application_name;
SELECT count(*) FROM registry_relations;
SELECT assetreg.setup();
SELECT * FROM assetreg.check_registry();
SELECT relname, relkind FROM registry_relations ORDER BY relname;

-- The guard works with the new tables in the session that used the old ones.
SELECT empty_registry();
SELECT assetreg.add_dependency(assetreg.put_entity('scene', '7'), assetreg.register_asset('lora', 'film-grain', '1.0'));
DELETE FROM assetreg.assets;
SELECT empty_registry();

-- Backslashes in our literals mean what they say, whatever the session's setting.
SET client_min_messages = warning;
DROP EXTENSION assetreg CASCADE;
DROP SCHEMA assetreg CASCADE;
SET standard_conforming_strings = off;
SET escape_string_warning = off;
CREATE EXTENSION assetreg;
SELECT * FROM error($$SELECT assetreg.register_asset('lora', 'tab	inside', '1')$$);
SELECT code, message FROM error($$SELECT assetreg.register_asset('lora', 'film-grain', file_path => 'C:\\loras\\film-grain-v1.2.safetensors',
	file_size => 1, sha256 => repeat('0', 64))$$);
SELECT version, file_path FROM assetreg.assets;
SELECT count(*) FROM error($$SELECT assetreg.asset_id('lora/film-grain@1.2')$$) WHERE code IS NOT NULL;
RESET standard_conforming_strings;
RESET escape_string_warning;
RESET client_min_messages;
SELECT empty_registry();
DROP ROLE regress_assetreg_squatter;
