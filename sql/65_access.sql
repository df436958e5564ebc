-- Access levels, and on whose behalf a statement runs.
\set SHOW_CONTEXT never
SELECT empty_registry();
CREATE ROLE regress_assetreg_reader LOGIN;
CREATE ROLE regress_assetreg_contributor LOGIN;
CREATE ROLE regress_assetreg_service LOGIN;
CREATE ROLE regress_assetreg_admin LOGIN;
CREATE ROLE regress_assetreg_none LOGIN;
GRANT CREATE ON SCHEMA public TO regress_assetreg_contributor, regress_assetreg_service, regress_assetreg_admin;
SELECT assetreg.grant_access('regress_assetreg_reader', 'reader'), assetreg.grant_access('regress_assetreg_contributor', 'contributor'),
	   assetreg.grant_access('regress_assetreg_service', 'service'), assetreg.grant_access('regress_assetreg_admin', 'admin');

-- Everything there is needs a decision: members of the extension, what setup() makes, and the sequences of that; but
-- identity columns need no right on theirs.
CREATE VIEW objects AS
	SELECT CASE WHEN c.relkind = 'S' THEN 'sequence' ELSE 'table' END AS kind, c.relname::text AS object
	FROM pg_class c
	WHERE c.relnamespace = 'assetreg'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')
	UNION
	SELECT 'table', unnest(assetreg._relations())
	UNION
	SELECT 'function', p.proname FROM pg_proc p WHERE p.pronamespace = 'assetreg'::regnamespace;
SELECT o.kind, o.object AS without_decision FROM objects o
WHERE NOT EXISTS (SELECT FROM assetreg._access() a WHERE (a.kind, a.object) = (o.kind, o.object)) ORDER BY 1, 2;
SELECT a.kind, a.object AS decided_twice_or_gone FROM assetreg._access() a
WHERE a.kind IN ('table', 'sequence', 'function')
GROUP BY 1, 2 HAVING count(*) > 1 OR NOT EXISTS (SELECT FROM objects o WHERE (o.kind, o.object) = (a.kind, a.object)) ORDER BY 1, 2;
SELECT a.* FROM assetreg._access() a
WHERE a.kind NOT IN ('schema', 'setting', 'column', 'sequence', 'table', 'function')
   OR (a.reader || a.contributor || a.service || a.admin) !~ CASE a.kind WHEN 'table' THEN '^[rawd]*$' WHEN 'sequence' THEN '^[rU]*$' WHEN 'function' THEN '^X*$'
		 WHEN 'column' THEN '^[rawx]*$' WHEN 'schema' THEN '^U*$' ELSE '^s*$' END;

-- What the catalog says that a role may do.
CREATE FUNCTION may(role text, kind text, object text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT coalesce(string_agg(l.letter, '' ORDER BY l.n), '')
	FROM (VALUES (1, 'r', 'SELECT'), (2, 'a', 'INSERT'), (3, 'w', 'UPDATE'), (4, 'd', 'DELETE'), (5, 'D', 'TRUNCATE'), (6, 'x', 'REFERENCES'), (7, 't', 'TRIGGER'),
				 (8, 'U', 'USAGE'), (9, 'C', 'CREATE'), (10, 'X', 'EXECUTE'), (11, 's', 'SET'), (12, 'A', 'ALTER SYSTEM')) l (n, letter, word)
	WHERE CASE kind
		  WHEN 'table' THEN CASE WHEN l.n <= 7 THEN has_table_privilege(role, 'assetreg.' || object, l.word) END
		  WHEN 'column' THEN CASE WHEN l.n IN (1, 2, 3, 6)
								THEN has_column_privilege(role, 'assetreg.' || split_part(object, '.', 1), split_part(object, '.', 2), l.word)
									 AND NOT has_table_privilege(role, 'assetreg.' || split_part(object, '.', 1), l.word) END
		  WHEN 'sequence' THEN CASE WHEN l.n IN (1, 3, 8) THEN has_sequence_privilege(role, 'assetreg.' || object, l.word) END
		  WHEN 'function' THEN l.n = 10 AND (SELECT bool_or(has_function_privilege(role, p.oid, 'EXECUTE')) FROM pg_proc p
												  WHERE p.pronamespace = 'assetreg'::regnamespace AND p.proname = object)
		  WHEN 'schema' THEN CASE WHEN l.n IN (8, 9) THEN has_schema_privilege(role, object, l.word) END
		  WHEN 'setting' THEN CASE WHEN l.n > 10 THEN has_parameter_privilege(role, object, l.word) END
		  END
$$;
CREATE VIEW rights AS
	SELECT a.kind, a.object, may('regress_assetreg_none', a.kind, a.object) AS none, may('regress_assetreg_reader', a.kind, a.object) AS reader,
		   may('regress_assetreg_contributor', a.kind, a.object) AS contributor, may('regress_assetreg_service', a.kind, a.object) AS service,
		   may('regress_assetreg_admin', a.kind, a.object) AS admin
	FROM (SELECT kind, object FROM assetreg._access() UNION SELECT kind, object FROM objects) a;
SELECT * FROM rights ORDER BY kind DESC, object COLLATE "C";
SELECT r.* FROM rights r FULL JOIN assetreg._access() a USING (kind, object)
WHERE (r.none, r.reader, r.contributor, r.service, r.admin) IS DISTINCT FROM ('', a.reader, a.contributor, a.service, a.admin);
-- columns and sequences that no line names
SELECT c.relname, t.attname, r.rolname FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid AND t.attacl IS NOT NULL, aclexplode(t.attacl) x JOIN pg_roles r ON r.oid = x.grantee
WHERE c.relnamespace = 'assetreg'::regnamespace AND NOT EXISTS (SELECT FROM assetreg._access() a WHERE a.kind = 'column' AND a.object = c.relname || '.' || t.attname);
SELECT c.relname, r.rolname FROM pg_class c, pg_roles r
WHERE c.relnamespace = 'assetreg'::regnamespace AND c.relkind = 'S' AND c.relname NOT IN (SELECT a.object FROM assetreg._access() a WHERE a.kind = 'sequence') AND r.rolname LIKE 'regress\_assetreg\_%'
  AND has_sequence_privilege(r.oid, c.oid, 'USAGE, SELECT, UPDATE');

-- Again, another level, none: what the new level lacks is taken away, whoever gave it.
CREATE TEMP TABLE before AS TABLE rights;
CREATE TEMP TABLE acls AS SELECT oid, relacl AS acl FROM pg_class WHERE relnamespace = 'assetreg'::regnamespace
	UNION ALL SELECT oid, proacl FROM pg_proc WHERE pronamespace = 'assetreg'::regnamespace;
SELECT assetreg.grant_access('regress_assetreg_service', 'service'), assetreg.grant_access('regress_assetreg_admin', 'admin'), assetreg.grant_access('regress_assetreg_reader', 'reader');
TABLE before EXCEPT TABLE rights;
SELECT count(*) FROM acls a JOIN pg_class c USING (oid) WHERE a.acl IS DISTINCT FROM c.relacl
	AND (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(a.acl) x) IS DISTINCT FROM (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(c.relacl) x);
BEGIN;
GRANT TRUNCATE, TRIGGER ON assetreg.assets TO regress_assetreg_service;
GRANT UPDATE (name) ON assetreg.assets TO regress_assetreg_service;
SELECT assetreg.grant_access('regress_assetreg_service', 'reader');
SELECT count(*) FROM rights WHERE service <> reader;
SELECT has_any_column_privilege('regress_assetreg_service', 'assetreg.assets', 'UPDATE, REFERENCES') AS columns;
SELECT assetreg.grant_access('regress_assetreg_service', 'admin');
SELECT count(*) FROM rights WHERE service <> admin;
SELECT assetreg.grant_access('regress_assetreg_service', 'contributor');
SELECT count(*) FROM rights WHERE service <> contributor;
SELECT assetreg.grant_access('regress_assetreg_service', 'none');
SELECT count(*) FROM rights WHERE service <> '';
-- nothing is left that would keep the role from being dropped
REVOKE CREATE ON SCHEMA public FROM regress_assetreg_service;
DROP ROLE regress_assetreg_service;
ROLLBACK;
-- a name that has to be quoted, a role that may not log in, members of a group
BEGIN;
CREATE ROLE "regress assetreg ""; --";
SELECT assetreg.grant_access('"regress assetreg ""; --"', 'admin');
SELECT count(*) FROM rights WHERE admin <> may('regress assetreg "; --', kind, object);
GRANT "regress assetreg ""; --" TO regress_assetreg_none;
SELECT count(*) FROM rights WHERE admin <> none;
ROLLBACK;
\pset format unaligned
SELECT c.call, e.*
FROM (VALUES (1, $$grant_access(NULL, 'reader')$$), (2, $$grant_access('regress_assetreg_none', NULL)$$), (3, $$grant_access('regress_assetreg_none', 'owner')$$),
			 (4, $$grant_access('regress_assetreg_none', 'READER')$$), (5, $$grant_access('regress_assetreg_nobody', 'reader')$$), (6, $$grant_access(0, 'reader')$$),
			 (7, $$grant_access('regress_assetreg_none', 'reader; DROP TABLE assetreg.assets')$$)) c (n, call),
	 error('SELECT assetreg.' || c.call) e
ORDER BY c.n;
SELECT e.code, replace(e.message, e.owner, 'owner') AS message
FROM (SELECT o.owner, e.* FROM (SELECT pg_get_userbyid(extowner)::text AS owner FROM pg_extension WHERE extname = 'assetreg') o, error(format('SELECT assetreg.grant_access(%L, ''none'')', quote_ident(o.owner))) e) e;
\pset format aligned
-- who may execute it is not by that its owner
GRANT EXECUTE ON FUNCTION assetreg.grant_access, assetreg._access TO regress_assetreg_admin;
SET ROLE regress_assetreg_admin;
SELECT assetreg.grant_access('regress_assetreg_admin', 'service');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION assetreg.grant_access, assetreg._access FROM regress_assetreg_admin;

-- What each level may do, in one table: the SQLSTATE where it may not.
INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'model', 'Wan2.1', '1.0'), (2, 'lora', 'film-grain', '1.0'), (3, 'lora', 'film-grain', '1.1'), (4, 'lora', 'unused', '1');
INSERT INTO assetreg.entities (id, kind, key) VALUES (11, 'template', 'noir'), (21, 'scene', '7');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (2, 1), (11, 2), (21, 11);
CREATE TABLE tries (n int GENERATED ALWAYS AS IDENTITY, statement text);
INSERT INTO tries (statement) VALUES
	('SELECT assetreg.asset_id(''lora/film-grain'')'), ('SELECT assetreg.asset_ref(1)'), ('SELECT assetreg.versions(2)'), ('SELECT assetreg.entity_id(''scene'', ''7'')'),
	('SELECT assetreg.where_used(1, all_versions => true, kinds => ''{scene}'')'), ('SELECT assetreg.dependencies_of(21)'), ('SELECT assetreg.dependents(''{1}'')'),
	('SELECT assetreg.dependent_count(1, true)'), ('SELECT assetreg.impact(1)'), ('SELECT assetreg.dependency_paths(1, 21)'), ('SELECT assetreg.dependency_cycles()'),
	('SELECT assetreg.dependency_graph(1)'), ('SELECT assetreg.dependency_tree(1)'), ('SELECT assetreg.delete_preview(1)'), ('SELECT * FROM assetreg.assets'),
	('SELECT assetreg.where_used(999)'),  -- a helper raises the error
	('SELECT assetreg.register_asset(''lora'', ''new'')'), ('SELECT assetreg.register_asset(''lora'', ''new'', ''1'')'),
	('INSERT INTO assetreg.assets (type, name, version) VALUES (''lora'', ''new'', ''1'')'), ('UPDATE assetreg.assets SET metadata = ''{"a": 1}'' WHERE id = 4'),
	('SELECT assetreg.set_asset_status(4, ''deprecated'', 3)'), ('SELECT assetreg.set_asset_status(4, ''removed'')'), ('SELECT assetreg.set_asset_status(2, ''removed'', confirm => true)'),
	('SELECT assetreg.set_asset_status(2, ''removed'', token => (SELECT token FROM assetreg.delete_preview(2)))'),
	('SET LOCAL assetreg.confirm_delete = on; UPDATE assetreg.assets SET status = ''removed'' WHERE id = 2'),
	('SELECT assetreg.add_dependency(21, 3)'), ('SELECT assetreg.remove_dependency(21, 11)'), ('SELECT assetreg.move_dependents(2, 3)'), ('DELETE FROM assetreg.asset_dependencies'),
	('INSERT INTO assetreg.asset_hashes VALUES (4, ''autov3'', ''00'', ''claimed'')'),
	('INSERT INTO assetreg.asset_notes (asset_id, body, author) VALUES (4, ''grainy'', ''nobody'')'), ('INSERT INTO assetreg.asset_ratings (asset_id, stars, rater) VALUES (4, 5, ''nobody'')'),
	('SELECT assetreg.put_entity(''scene'', ''8'')'), ('SELECT assetreg.put_entity(''scene'', ''7'', ''Rain'')'), ('INSERT INTO assetreg.entities (kind, key) VALUES (''job'', ''1'')'),
	('DELETE FROM assetreg.entities WHERE id = 21'), ('SELECT assetreg.act_as(''ana'')'), ('SET LOCAL assetreg.actor = ''ana'''), ('SET assetreg.asset_roots = ''/'''),
	('CREATE TABLE public.shots (asset bigint REFERENCES assetreg.assets)'), ('CREATE TABLE public.shots (asset bigint REFERENCES assetreg.entities)'),
	('DELETE FROM assetreg.assets WHERE id = 4'), ('SELECT assetreg.delete_asset(4)'), ('SELECT assetreg.delete_asset(1, confirm => true)'),
	('SELECT assetreg._change_asset(4, NULL, NULL, true, NULL)'), ('INSERT INTO assetreg.asset_types VALUES (''audio'')'), ('INSERT INTO assetreg.entity_kinds VALUES (''shot'')'),
	('DELETE FROM assetreg.asset_types WHERE name = ''custom_node'''), ('SELECT assetreg.check_registry()'), ('SELECT * FROM assetreg.asset_stat_changes'),
	('SELECT assetreg.setup()'), ('SELECT assetreg.grant_access(''regress_assetreg_none'', ''reader'')'), ('TRUNCATE assetreg.assets CASCADE'), ('DROP TABLE assetreg.assets'),
	('ALTER TABLE assetreg.assets DISABLE TRIGGER ALL'), ('CREATE TRIGGER t BEFORE INSERT ON assetreg.assets FOR EACH ROW EXECUTE FUNCTION assetreg._attribution_trigger(''a'', ''b'')'),
	('CREATE TABLE assetreg.mine (i int)'), ('SELECT nextval(''assetreg.entities_id_seq'')'), ('SELECT setval(''assetreg.entities_id_seq'', 1)'),
	('UPDATE assetreg.asset_stats SET prior = 5'), ('DELETE FROM assetreg.asset_search'), ('DELETE FROM assetreg.version_ordinals'),
	('COPY assetreg.assets TO PROGRAM ''cat''');
-- in a transaction block, as the role, and taken back
CREATE FUNCTION try(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	EXECUTE statement;
	RAISE EXCEPTION SQLSTATE 'XX999';
EXCEPTION
	WHEN SQLSTATE 'XX999' THEN RETURN 'yes';
	WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SET client_min_messages = warning;
BEGIN;
SELECT left(t.statement, 100) AS statement, try('regress_assetreg_none', t.statement) AS none, try('regress_assetreg_reader', t.statement) AS reader,
	   try('regress_assetreg_contributor', t.statement) AS contributor, try('regress_assetreg_service', t.statement) AS service, try('regress_assetreg_admin', t.statement) AS admin
FROM tries t ORDER BY t.n;
ROLLBACK;
RESET client_min_messages;
-- who may administer: admins, their like, and who owns the registry
SELECT r.role, may_administer FROM (VALUES (1, 'regress_assetreg_reader'), (2, 'regress_assetreg_contributor'), (3, 'regress_assetreg_service'), (4, 'regress_assetreg_admin')) r (n, role),
	 LATERAL (SELECT try(r.role, 'DO $do$ BEGIN IF NOT assetreg._may_administer() THEN RAISE SQLSTATE ''P0NO0''; END IF; END $do$') AS may_administer) m ORDER BY r.n;
SELECT assetreg._may_administer();

-- A service references assets by id from its own tables, and these obey its ON DELETE.
SET ROLE regress_assetreg_service;
CREATE TABLE service_shots (id int PRIMARY KEY, asset bigint NOT NULL REFERENCES assetreg.assets (id) ON DELETE CASCADE);
INSERT INTO service_shots VALUES (1, 4), (2, 3);
INSERT INTO service_shots VALUES (3, 999);
RESET ROLE;
SET ROLE regress_assetreg_admin;
SELECT assetreg.delete_asset(4);
RESET ROLE;
TABLE service_shots;
DROP TABLE service_shots;

-- Who acts: for the transaction only, and as it was before on every way out.
CREATE VIEW actor AS SELECT current_setting('assetreg.actor') AS actor;
GRANT SELECT ON actor TO PUBLIC;
SET SESSION AUTHORIZATION regress_assetreg_service;
SELECT assetreg.act_as('ana');
SELECT assetreg.act_as('ana') FROM generate_series(1, 2);
DO $$ BEGIN PERFORM assetreg.act_as('ana'); END $$;
BEGIN;
SELECT assetreg.act_as('ana');
SELECT * FROM actor;
SELECT assetreg.register_asset('lora', 'by ana', '1');
SAVEPOINT s;
SELECT assetreg.act_as('bo');
SELECT assetreg.register_asset('lora', 'by bo', '0');
ROLLBACK TO s;
SELECT * FROM actor;
SAVEPOINT s;
SELECT assetreg.act_as('bo');
RELEASE s;
SELECT assetreg.register_asset('lora', 'by bo', '1');
COMMIT;
SELECT * FROM actor;
SELECT assetreg.register_asset('lora', 'by the service', '1');
BEGIN;
SELECT assetreg.act_as('ana');
ROLLBACK;
SELECT * FROM actor;
BEGIN;
SELECT assetreg.act_as('ana');
SELECT 1/0;
COMMIT;
SELECT * FROM actor;
-- in a function, a block of PL/pgSQL, a prepared statement
PREPARE act (text) AS SELECT assetreg.act_as($1);
BEGIN;
EXECUTE act ('cy');
DO $$
BEGIN
	PERFORM assetreg.act_as('di');
	RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
	PERFORM assetreg.register_asset('lora', 'by cy', '1');
END $$;
DO $$ BEGIN PERFORM assetreg.act_as('di'); END $$;
SELECT assetreg.register_asset('lora', 'by di', '1');
COMMIT;
SELECT * FROM actor;
-- a session's setting comes back, and a pooler's DISCARD ALL takes it away
SET assetreg.actor = 'pool';
BEGIN;
SELECT assetreg.act_as('ana');
COMMIT;
SELECT * FROM actor;
SELECT assetreg.register_asset('lora', 'by pool', '1');
DISCARD ALL;
SELECT * FROM actor;
RESET SESSION AUTHORIZATION;
SELECT name, registered_by FROM assetreg.assets WHERE name LIKE 'by %' ORDER BY id;
-- a name, and no more than that
SET SESSION AUTHORIZATION regress_assetreg_service;
BEGIN;
\pset format unaligned
SELECT t.what, e.*
FROM (VALUES (1, 'NULL', NULL), (2, 'empty', ''), (3, 'blank', '  '), (4, 'line', E'a\nb'), (5, 'tab', E'a\tb'), (6, 'escape', E'\x1b[31m'), (7, 'delete', E'a\x7f'), (8, 'C1', U&'a\0085'),
			 (9, 'turned', U&'\202Ea'), (10, 'isolated', U&'a\2067'), (11, '201 bytes', repeat('a', 201)), (12, '202 bytes', repeat(U&'\00E9', 101)),
			 (13, '200 bytes', repeat(U&'\00E9', 100)), (14, 'quotes', $$o'brien"; RESET ROLE --$$), (15, 'no control characters', U&'\00A0\2029 \2070'), (16, 'off', 'off')) t (n, what, actor),
	 error(format('SELECT assetreg.act_as(%L)', t.actor)) e
ORDER BY t.n;
SELECT e.* FROM error(format('SET LOCAL assetreg.actor = %L', E'a\nb')) e;
\pset format aligned
SELECT assetreg.act_as($$o'brien"; RESET ROLE --$$);
SELECT * FROM actor;
SELECT assetreg.register_asset('lora', 'quoted', '1');
ROLLBACK;
RESET SESSION AUTHORIZATION;
-- a function of somebody's who may act acts
CREATE FUNCTION act_for_me() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT assetreg.act_as('the back door') $$;
SET SESSION AUTHORIZATION regress_assetreg_contributor;
BEGIN;
SELECT act_for_me();
SELECT * FROM actor;
ROLLBACK;

-- Nobody else forges it.
SET assetreg.actor = 'mallory';
SET LOCAL assetreg.actor = 'mallory';
SET SESSION assetreg.actor TO mallory;
SELECT set_config('assetreg.actor', 'mallory', false);
SELECT set_config('assetreg.actor', 'mallory', true);
SELECT code, lower(message) FROM error($$SELECT set_config('AssetReg.ACTOR', 'mallory', false)$$);  -- 18 has the name in its own spelling
UPDATE pg_settings SET setting = 'mallory' WHERE name = 'assetreg.actor';
CREATE FUNCTION forge() RETURNS void LANGUAGE sql SET assetreg.actor = 'mallory' AS '';
ALTER ROLE regress_assetreg_contributor SET assetreg.actor = 'mallory';
ALTER ROLE regress_assetreg_contributor IN DATABASE :"DBNAME" SET assetreg.actor = 'mallory';
BEGIN;
SELECT assetreg.act_as('mallory');
ROLLBACK;
RESET SESSION AUTHORIZATION;
GRANT EXECUTE ON FUNCTION assetreg.act_as TO regress_assetreg_contributor;  -- is not the right to set the parameter
SET SESSION AUTHORIZATION regress_assetreg_contributor;
BEGIN;
SELECT assetreg.act_as('mallory');
ROLLBACK;
RESET SESSION AUTHORIZATION;
REVOKE EXECUTE ON FUNCTION assetreg.act_as FROM regress_assetreg_contributor;
SET SESSION AUTHORIZATION regress_assetreg_contributor;
SELECT * FROM actor;
SELECT assetreg.register_asset('lora', 'attributed', '1');
INSERT INTO assetreg.assets (type, name, version, registered_by, registered_at) VALUES ('lora', 'attributed', '2', 'mallory', '1999-01-01');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by) VALUES (21, 3, 'mallory');
UPDATE assetreg.assets SET registered_by = 'mallory', updated_at = '1999-01-01' WHERE name = 'attributed';
RESET SESSION AUTHORIZATION;
SELECT name, version, registered_by, updated_at > '2000-01-01' AS updated FROM assetreg.assets WHERE name = 'attributed' ORDER BY id;
SELECT dependent_id, dependency_id, added_by FROM assetreg.asset_dependencies WHERE dependency_id = 3;
-- an own function's setting that another level gave is of no use without the right
SET SESSION AUTHORIZATION regress_assetreg_service;
CREATE FUNCTION as_mallory() RETURNS text LANGUAGE sql SET assetreg.actor = 'mallory' AS 'SELECT current_setting(''assetreg.actor'')';
SELECT as_mallory();
SET SESSION AUTHORIZATION regress_assetreg_contributor;
SELECT as_mallory();
SELECT * FROM actor;
RESET SESSION AUTHORIZATION;
DROP FUNCTION as_mallory();

-- Without the right any more, without the actor any more.
SELECT assetreg.grant_access('regress_assetreg_service', 'contributor');
SET SESSION AUTHORIZATION regress_assetreg_service;
BEGIN;
SELECT assetreg.act_as('ana');
ROLLBACK;
SET assetreg.actor = 'ana';
RESET SESSION AUTHORIZATION;

DROP FUNCTION act_for_me();
DROP TABLE tries;
DROP VIEW actor, rights, objects;
DROP FUNCTION may(text, text, text);
DROP FUNCTION try(text, text);
SELECT assetreg.grant_access(rolname::regrole, 'none') FROM pg_roles WHERE rolname LIKE 'regress\_assetreg\_%';
REVOKE CREATE ON SCHEMA public FROM regress_assetreg_contributor, regress_assetreg_service, regress_assetreg_admin;
DROP ROLE regress_assetreg_none, regress_assetreg_reader, regress_assetreg_contributor, regress_assetreg_service, regress_assetreg_admin;
SELECT * FROM assetreg.check_registry();
SELECT empty_registry();
