-- Deleting with a confirmation: previews, tokens, and what a deletion leaves behind.
\set SHOW_CONTEXT never
SELECT empty_registry();
-- 1 <- 2 <- 11 <- 21 <- 31, 1 <- 3 <- 12 (asleep) <- 32 (done), 5 <- 12
CREATE FUNCTION make_registry() RETURNS void LANGUAGE sql AS $$
	SELECT empty_registry();
	INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'model', 'Wan2.1', '1.0'), (2, 'lora', 'film-grain', '1.0'), (3, 'lora', 'film-grain', '1.1'),
		(4, 'lora', 'unused', '1'), (5, 'lora', 'asleep', '1');
	INSERT INTO assetreg.entities (id, kind, key, label, active) VALUES (11, 'template', 'noir', 'Noir', true), (12, 'template', 'old', 'Old', false),
		(21, 'scene', '7', NULL, true), (31, 'job', '"9"', E'a "quoted"\nlabel', true), (32, 'job', '10', 'done', false), (41, 'job', '11', 'fresh', true);
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, relation, requires) VALUES (2, 1, 'declared', 'uses', '{}'), (3, 1, 'declared', 'uses', '{}'),
		(11, 2, 'declared', 'styles', '{a}'), (11, 2, 'scanner', 'uses', '{}'), (12, 3, 'declared', 'uses', '{}'), (21, 11, 'declared', 'uses', '{}'), (31, 21, 'declared', 'uses', '{}'),
		(12, 5, 'declared', 'uses', '{}'), (32, 12, 'declared', 'uses', '{}');
$$;
CREATE VIEW assets_left AS SELECT string_agg(id || CASE status WHEN 'active' THEN '' ELSE ' ' || status END, ', ' ORDER BY id) AS assets FROM assetreg.assets;
CREATE VIEW unresolved AS SELECT dependent_id, reference, type, candidates, source, relation, requires FROM assetreg.unresolved_references ORDER BY dependent_id, reference, source;
SELECT make_registry();

-- What would be struck.
SELECT a.id, p.active_dependents, p.dependents, length(p.token) FROM assetreg.assets a, assetreg.delete_preview(a.id) p ORDER BY a.id;
SELECT a.id FROM assetreg.assets a, assetreg.delete_preview(a.id) p WHERE p.dependents <> assetreg.dependent_count(a.id, true);
\pset format unaligned
SELECT c.call, e.*
FROM (VALUES (1, 'delete_preview(NULL)'), (2, 'delete_preview(99)'), (3, 'delete_preview(11)'), (4, 'delete_asset(NULL)'), (5, 'delete_asset(99, true)'), (6, 'delete_asset(11, true)'),
			 (7, 'delete_asset(4, NULL)'), (8, 'set_asset_status(NULL, ''removed'')'), (9, 'set_asset_status(11, ''removed'')'), (10, 'set_asset_status(4, NULL)'),
			 (11, 'set_asset_status(4, ''gone'')'), (12, 'set_asset_status(4, ''Removed'')'), (13, 'set_asset_status(4, ''deprecated'', 99)'), (14, 'set_asset_status(4, ''deprecated'', 11)'),
			 (15, 'set_asset_status(4, ''deprecated'', 4)'), (16, 'set_asset_status(4, ''active'', 5)'), (17, 'set_asset_status(4, ''removed'', confirm => NULL)')) c (n, call),
	 error('SELECT assetreg.' || c.call) e
ORDER BY c.n;

-- Refused as a plain DELETE is, with another hint; nothing has changed then.
SELECT e.* FROM error('SELECT assetreg.delete_asset(1)') e;
SELECT e.* FROM error('SELECT assetreg.delete_asset(2, false)') e;
SELECT e.* FROM error('SELECT assetreg.set_asset_status(2, ''removed'')') e;
\pset format aligned
SELECT * FROM assets_left;

-- Allowed: what nothing active uses.
BEGIN;
SELECT assetreg.delete_asset(4), assetreg.delete_asset(5), assetreg.delete_asset(3);
SELECT * FROM assets_left;
ROLLBACK;
-- Confirmed.
BEGIN;
SELECT assetreg.delete_asset(1, confirm => true), assetreg.set_asset_status(2, 'removed', confirm => true);
SELECT * FROM assets_left;
ROLLBACK;

-- A token is for what was shown: the same and less, nothing more.
SELECT token AS t1 FROM assetreg.delete_preview(1) \gset
SELECT token AS t2 FROM assetreg.delete_preview(2) \gset
SELECT token AS t4 FROM assetreg.delete_preview(4) \gset
BEGIN;
SELECT assetreg.delete_asset(2, token => :'t2'), assetreg.delete_asset(4, token => :'t4');
SELECT * FROM assets_left;
ROLLBACK;
BEGIN;  -- less: asleep, gone
UPDATE assetreg.entities SET active = false WHERE id = 31;
DELETE FROM assetreg.entities WHERE id = 21;
SELECT assetreg.delete_asset(2, token => :'t2');
SELECT * FROM assets_left;
ROLLBACK;
BEGIN;  -- nothing at all
DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 2;
SELECT assetreg.delete_asset(2, token => :'t2');
ROLLBACK;
BEGIN;  -- more, but of what does not protect: the inactive, assets
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (12, 2), (4, 2), (5, 2);
SELECT assetreg.delete_asset(2, token => :'t2');
ROLLBACK;
BEGIN;  -- the same by another way
DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 2;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (21, 2), (4, 2), (11, 4);
SELECT assetreg.delete_asset(2, token => :'t2');
ROLLBACK;
BEGIN;  -- a new edge
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (41, 31);
SELECT assetreg.delete_asset(2, token => :'t2');
ROLLBACK;
BEGIN;  -- an inactive one that woke up, one that came for another
DELETE FROM assetreg.entities WHERE id IN (21, 31);
UPDATE assetreg.entities SET active = true WHERE id IN (12, 32);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (41, 11);
SELECT assetreg.delete_asset(1, token => :'t1');
ROLLBACK;
BEGIN;  -- neither confirm nor the setting help a token that did not see it
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (41, 2);
SET LOCAL assetreg.confirm_delete = on;
SAVEPOINT s;
SELECT assetreg.delete_asset(2, true, :'t2');
ROLLBACK TO s;
SELECT assetreg.set_asset_status(2, 'removed', token => :'t2');
ROLLBACK TO s;
-- nor does a token harm what nothing uses any more
DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 2;
SELECT assetreg.delete_asset(2, token => :'t2');
ROLLBACK;
BEGIN;  -- more than ten that are new
INSERT INTO assetreg.entities (id, kind, key) SELECT 100 + i, 'segment', i::text FROM generate_series(1, 12) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT 100 + i, 2 FROM generate_series(1, 12) i;
SELECT assetreg.delete_asset(2, token => :'t2');
ROLLBACK;
-- a token can be used again, and a status is set with it in the same way
BEGIN;
SELECT assetreg.set_asset_status(2, 'removed', token => :'t2'), assetreg.delete_asset(2, token => :'t2');
ROLLBACK;
BEGIN;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (41, 11);
SELECT assetreg.set_asset_status(2, 'deprecated', token => :'t2');
SELECT * FROM assets_left;
SELECT assetreg.set_asset_status(2, 'removed', token => :'t2');
ROLLBACK;

-- What is no token of this asset.
\pset format unaligned
SELECT t.what, e.*
FROM (VALUES (1, 'empty', ''), (2, 'no hex', 'no token'), (3, 'on', 'on'), (4, 'short', '00'), (5, 'zeros', repeat('0', 64)), (6, 'cut', left(:'t2', -2)), (7, 'longer', :'t2' || '00'),
			 (8, 'odd', :'t2' || '0'), (9, 'upper', upper(:'t2')), (10, 'changed id', translate(left(:'t2', 16), '2', '3') || substr(:'t2', 17)),
			 (11, 'changed digit', overlay(:'t2' PLACING CASE substr(:'t2', 50, 1) WHEN '0' THEN '1' ELSE '0' END FROM 50)), (12, 'space', :'t2' || ' '), (13, 'injection', ''' OR true --'),
			 (14, 'another asset''s', :'t1'), (15, 'huge', repeat('0', 1000000))) t (n, what, token),
	 error(format('SELECT assetreg.delete_asset(2, token => %L)', t.token)) e
ORDER BY t.n;
SELECT e.* FROM error(format('SELECT assetreg.set_asset_status(2, ''deprecated'', token => %L)', :'t1')) e;
SELECT e.code, e.message FROM error(format('SELECT assetreg.delete_asset(4, true, %L)', :'t1')) e;
\pset format aligned
SELECT * FROM assets_left;
-- a token of another database
CREATE DATABASE regress_assetreg_other;
SELECT current_database() AS here \gset
\c regress_assetreg_other
\set SHOW_CONTEXT never
CREATE EXTENSION assetreg;
INSERT INTO assetreg.assets (id, type, name, version) VALUES (2, 'lora', 'film-grain', '1.0');
SELECT assetreg.delete_asset(2, token => :'t2');
SELECT token AS other FROM assetreg.delete_preview(2) \gset
SELECT :'other' = :'t2' AS same;
\c :here
\set SHOW_CONTEXT never
DROP DATABASE regress_assetreg_other;

-- Of so many that the token cannot name them, any change counts.
SELECT empty_registry();
INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'model', 'Wan2.1', '1.0');
INSERT INTO assetreg.entities (id, kind, key) SELECT 1000 + 200 * i, 'segment', i::text FROM generate_series(1, 70000) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT 1000 + 200 * i, CASE WHEN i = 1 THEN 1 ELSE 1000 + 200 * (i / 2) END FROM generate_series(1, 70000) i;
SELECT active_dependents, length(token), token FROM assetreg.delete_preview(1) \gset many_
SELECT :many_active_dependents AS active_dependents, :many_length AS length;
BEGIN;
SELECT assetreg.delete_asset(1, token => :'many_token');
SELECT count(*) FROM unresolved;
ROLLBACK;
BEGIN;
UPDATE assetreg.entities SET active = false WHERE id = 1000 + 200 * 777;
SELECT assetreg.delete_asset(1, token => :'many_token');
ROLLBACK;
BEGIN;
UPDATE assetreg.entities SET active = false WHERE id = 1000 + 200 * 777;
INSERT INTO assetreg.entities (id, kind, key) VALUES (7, 'job', 'new');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (7, 1);
SELECT assetreg.delete_asset(1, token => :'many_token');
ROLLBACK;
BEGIN;
UPDATE assetreg.entities SET active = false WHERE kind = 'segment';
SELECT assetreg.delete_asset(1, token => :'many_token');
ROLLBACK;
-- as many that lie close are named
BEGIN;
UPDATE assetreg.entities SET active = id % 1000 = 0 WHERE kind = 'segment';
SELECT active_dependents, length(token), token FROM assetreg.delete_preview(1) \gset few_
SELECT :few_active_dependents AS active_dependents, :few_length AS length;
UPDATE assetreg.entities SET active = false WHERE id = 2000;
SAVEPOINT s;
SELECT assetreg.delete_asset(1, token => :'few_token');
ROLLBACK TO s;
UPDATE assetreg.entities SET active = true WHERE id = 1200;
SELECT assetreg.delete_asset(1, token => :'few_token');
ROLLBACK;
-- ids of every size, negative ones among them
SELECT empty_registry();
INSERT INTO assetreg.assets (id, type, name, version) VALUES (-9, 'model', 'Wan2.1', '1.0');
INSERT INTO assetreg.entities (id, kind, key) SELECT i, 'segment', i::text FROM unnest('{-9223372036854775808,-9223372036854775807,-300,-1,0,1,127,128,255,16384,9223372036854775806,9223372036854775807}'::bigint[]) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT id, -9 FROM assetreg.entities WHERE kind = 'segment';
SELECT active_dependents, length(token), token FROM assetreg.delete_preview(-9) \gset wide_
SELECT :wide_active_dependents AS active_dependents, :wide_length AS length;
BEGIN;
UPDATE assetreg.entities SET active = false WHERE id = 128;
SELECT assetreg.delete_asset(-9, token => :'wide_token');
ROLLBACK;
-- each of them counts
SELECT t.id, e.code, e.detail
FROM (SELECT e.id FROM assetreg.entities e WHERE e.kind = 'segment') t,
	 LATERAL (SELECT e.* FROM error(format($$
		DO $do$
		DECLARE
			token text;
		BEGIN
			UPDATE assetreg.entities SET active = false WHERE id = %1$s;
			SELECT p.token INTO token FROM assetreg.delete_preview(-9) p;
			UPDATE assetreg.entities SET active = true WHERE id = %1$s;
			PERFORM assetreg.delete_asset(-9, token => token);
		END $do$ $$, t.id)) e) e
ORDER BY t.id;

-- The user's own setting stays what it is, and confirms what it says.
SELECT make_registry();
BEGIN;
SELECT assetreg.delete_asset(2, true);
SHOW assetreg.confirm_delete;
DELETE FROM assetreg.assets WHERE id = 1;  -- only 3 is left, and only the inactive use it
SELECT * FROM assets_left;
ROLLBACK;
SELECT assetreg.delete_asset(2);
SHOW assetreg.confirm_delete;
DELETE FROM assetreg.assets WHERE id = 2;
BEGIN;
SET LOCAL assetreg.confirm_delete = on;
SELECT assetreg.delete_asset(2, token => :'t1');
ROLLBACK;
BEGIN;
SET LOCAL assetreg.confirm_delete = on;
SELECT assetreg.delete_asset(2);
SHOW assetreg.confirm_delete;
ROLLBACK;

-- A confirmation is for one asset: what a trigger of the studio's does on the way has to be confirmed by itself.
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (41, 4);
CREATE FUNCTION take_along() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM assetreg.assets WHERE id = 4; RETURN NULL; END $$;
CREATE TRIGGER take_along AFTER DELETE ON assetreg.assets FOR EACH ROW WHEN (OLD.id = 2) EXECUTE FUNCTION take_along();
SELECT assetreg.delete_asset(2, true);
SELECT assetreg.delete_asset(2, token => token) FROM assetreg.delete_preview(2);
BEGIN;
SET LOCAL assetreg.confirm_delete = on;
SELECT assetreg.delete_asset(2);
SELECT * FROM assets_left;
ROLLBACK;
-- an error on the way leaves no confirmation behind
CREATE OR REPLACE FUNCTION take_along() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE division_by_zero; END $$;
SELECT assetreg.delete_asset(2, true);
DROP TRIGGER take_along ON assetreg.assets;
DELETE FROM assetreg.assets WHERE id = 2;
SELECT code, message FROM error('SELECT assetreg.delete_asset(2)');
DO $$
BEGIN
	PERFORM assetreg.delete_asset(2, true);
	RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
	DELETE FROM assetreg.assets WHERE id = 2;
END $$;
-- nor does one that deletes again on the way
CREATE OR REPLACE FUNCTION take_along() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM assetreg.delete_asset(4, true); DELETE FROM assetreg.assets WHERE id = 1; RETURN NULL; END $$;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (41, 1);
CREATE TRIGGER take_along AFTER DELETE ON assetreg.assets FOR EACH ROW WHEN (OLD.id = 2) EXECUTE FUNCTION take_along();
SELECT assetreg.delete_asset(2, true);
DROP TRIGGER take_along ON assetreg.assets;
DROP FUNCTION take_along();
-- a row that a trigger of the studio's keeps is kept, as by a plain DELETE
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE DELETE ON assetreg.assets FOR EACH ROW EXECUTE FUNCTION keep();
SELECT assetreg.delete_asset(4, true);
SELECT * FROM assets_left;
DROP TRIGGER keep ON assetreg.assets;
DROP FUNCTION keep();

-- Statuses.
SELECT make_registry();
SELECT assetreg.set_asset_status(3, 'deprecated', 2);
SELECT id, status, replaced_by FROM assetreg.assets WHERE id = 3;
SELECT assetreg.set_asset_status(3, 'deprecated');  -- what replaces it stays
SELECT id, status, replaced_by FROM assetreg.assets WHERE id = 3;
SELECT assetreg.set_asset_status(3, 'deprecated', 4);
SELECT id, status, replaced_by FROM assetreg.assets WHERE id = 3;
SELECT assetreg.set_asset_status(3, 'active');  -- and goes with the status
SELECT a.id, a.status, a.replaced_by, e.active FROM assetreg.assets a JOIN assetreg.entities e USING (id) WHERE a.id = 3;
SELECT assetreg.set_asset_status(3, 'removed', 2);
SELECT a.id, a.status, a.replaced_by, e.active FROM assetreg.assets a JOIN assetreg.entities e USING (id) WHERE a.id = 3;
-- what changes nothing writes nothing
SELECT xmin AS version FROM assetreg.assets WHERE id = 3 \gset
SELECT assetreg.set_asset_status(3, 'removed'), assetreg.set_asset_status(3, 'removed', 2);
SELECT xmin = :'version' AS same FROM assetreg.assets WHERE id = 3;
SELECT * FROM unresolved;

-- What dangles is kept: of direct dependents that stay, whoever confirmed and whether or not anybody had to.
SELECT make_registry();
BEGIN;
SELECT assetreg.delete_asset(2, true);
SELECT * FROM unresolved;
ROLLBACK;
BEGIN;
SELECT assetreg.delete_asset(2, token => token) FROM assetreg.delete_preview(2);
SELECT * FROM unresolved;
ROLLBACK;
BEGIN;
SET LOCAL assetreg.confirm_delete = on;
DELETE FROM assetreg.assets WHERE id = 1;
SELECT * FROM unresolved;
DELETE FROM assetreg.assets WHERE id IN (2, 3);  -- they go, and what they needed with them
SELECT * FROM unresolved;
DELETE FROM assetreg.entities WHERE id = 11;
SELECT * FROM unresolved;
ROLLBACK;
BEGIN;
DELETE FROM assetreg.assets WHERE id IN (3, 4, 5);
SELECT * FROM unresolved;
ROLLBACK;
BEGIN;
SET LOCAL assetreg.confirm_delete = on;
DELETE FROM assetreg.assets;
SELECT * FROM unresolved;
ROLLBACK;
SET client_min_messages = warning;
BEGIN;
SET LOCAL assetreg.confirm_delete = on;
TRUNCATE assetreg.assets CASCADE;
SELECT * FROM unresolved;
SELECT * FROM assetreg.check_registry();
ROLLBACK;
BEGIN;
SET LOCAL assetreg.confirm_delete = on;
TRUNCATE assetreg.entities, assetreg.assets CASCADE;
SELECT count(*) FROM unresolved;
ROLLBACK;
RESET client_min_messages;
-- removal leaves the dependencies where they are
BEGIN;
SELECT assetreg.set_asset_status(2, 'removed', confirm => true);
SELECT * FROM unresolved;
ROLLBACK;
-- what was unresolved before is not lost, and what two needed is needed by one
INSERT INTO assetreg.unresolved_references (dependent_id, reference, type, relation, requires) VALUES (11, 'lora/film-grain@1.0', 'lora', 'styles', '{b,a}'), (11, 'lora/other', 'lora', 'uses', '{}');
BEGIN;
SELECT assetreg.delete_asset(2, true);
SELECT * FROM unresolved;
ROLLBACK;
-- a name of any sort, as long as it may be
UPDATE assetreg.assets SET name = repeat(U&'\00E9', 500), version = repeat('9', 200) WHERE id = 4;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, relation) VALUES (41, 4, 'x/y@z''', 'it''s');
SELECT assetreg.delete_asset(4, true);
SELECT dependent_id, octet_length(reference), reference = 'lora/' || repeat(U&'\00E9', 500) || '@' || repeat('9', 200) AS same, source, relation FROM unresolved WHERE dependent_id = 41;

-- Tables of the studio's that reference assets.
SELECT make_registry();
CREATE TABLE restricted (id int, asset bigint REFERENCES assetreg.assets);
CREATE TABLE cascaded (id int, asset bigint REFERENCES assetreg.assets ON DELETE CASCADE);
CREATE TABLE nulled (id int, asset bigint REFERENCES assetreg.assets ON DELETE SET NULL);
INSERT INTO cascaded VALUES (1, 4), (2, 2), (3, 1);
INSERT INTO nulled TABLE cascaded;
SELECT assetreg.delete_asset(2);  -- the guard speaks first
SELECT * FROM cascaded;
SELECT assetreg.delete_asset(4);
TABLE cascaded;
TABLE nulled;
INSERT INTO restricted VALUES (1, 2), (2, 5);
SELECT assetreg.delete_asset(5);  -- no confirmation helps against a foreign key
SELECT assetreg.delete_asset(2, true);
SELECT assetreg.delete_asset(2, token => token) FROM assetreg.delete_preview(2);
SELECT assetreg.set_asset_status(2, 'removed', confirm => true);
SELECT * FROM assets_left;
TABLE cascaded;
DROP TABLE restricted;
SELECT assetreg.delete_asset(2, true);
TABLE cascaded;
TABLE nulled;
SELECT * FROM unresolved;
DROP TABLE cascaded, nulled;
-- and the other way round: an asset that goes with a row of the studio's
SELECT make_registry();
CREATE TABLE vendor (id int PRIMARY KEY);
ALTER TABLE assetreg.assets ADD COLUMN vendor int REFERENCES vendor ON DELETE CASCADE;
INSERT INTO vendor VALUES (1), (2);
UPDATE assetreg.assets SET vendor = CASE WHEN id IN (1, 2) THEN 1 WHEN id IN (3, 4) THEN 2 END;
DELETE FROM vendor WHERE id = 1;
DELETE FROM vendor WHERE id = 2;
SELECT * FROM assets_left;
BEGIN;
SET LOCAL assetreg.confirm_delete = on;
DELETE FROM vendor;
SELECT * FROM assets_left;
SELECT * FROM unresolved;
ROLLBACK;
ALTER TABLE assetreg.assets DROP COLUMN vendor;
DROP TABLE vendor;

-- Rights: of who calls.
SELECT make_registry();
CREATE ROLE regress_assetreg_delete;
GRANT USAGE ON SCHEMA assetreg TO regress_assetreg_delete;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA assetreg TO regress_assetreg_delete;
SET ROLE regress_assetreg_delete;
\pset format unaligned
SELECT c.call, e.code, e.message
FROM (VALUES (1, 'delete_preview(2)'), (2, '_delete_preview(2)'), (3, 'delete_asset(2, true)'), (4, '_change_asset(2, NULL, NULL, true, NULL)'), (5, 'set_asset_status(2, ''removed'')')) c (n, call),
	 error('SELECT assetreg.' || c.call) e
ORDER BY c.n;
RESET ROLE;
GRANT SELECT ON ALL TABLES IN SCHEMA assetreg TO regress_assetreg_delete;
SET ROLE regress_assetreg_delete;
SELECT c.call, e.code, e.message
FROM (VALUES (1, 'delete_preview(2)'), (3, 'delete_asset(2, true)'), (4, '_change_asset(2, NULL, NULL, true, NULL)'), (5, 'set_asset_status(2, ''removed'')')) c (n, call),
	 error('SELECT assetreg.' || c.call) e
ORDER BY c.n;
\pset format aligned
SELECT :'t2' = token AS same, active_dependents, dependents FROM assetreg.delete_preview(2);
RESET ROLE;
-- who sees a part is shown a part, and confirms no more: the guard sees everything
GRANT DELETE, UPDATE ON assetreg.assets TO regress_assetreg_delete;
ALTER TABLE assetreg.entities ENABLE ROW LEVEL SECURITY;
CREATE POLICY no_jobs ON assetreg.entities FOR SELECT TO regress_assetreg_delete USING (kind <> 'job');
SET ROLE regress_assetreg_delete;
SELECT active_dependents, dependents FROM assetreg.delete_preview(2);
SELECT assetreg.delete_asset(2, token => token) FROM assetreg.delete_preview(2);
BEGIN;
SELECT assetreg.delete_asset(2, token => :'t2');
SELECT id FROM assetreg.assets ORDER BY id;
ROLLBACK;
SELECT assetreg.delete_asset(2);
RESET ROLE;
DROP POLICY no_jobs ON assetreg.entities;
ALTER TABLE assetreg.entities DISABLE ROW LEVEL SECURITY;
DROP OWNED BY regress_assetreg_delete;
DROP ROLE regress_assetreg_delete;

-- The studio's tables that reference assets go along with a deletion only, and one that assets reference brings none about.
SELECT make_registry();
CREATE TABLE uses (asset_id bigint REFERENCES assetreg.assets ON DELETE CASCADE, shot int) PARTITION BY LIST (shot);
CREATE TABLE uses_1 PARTITION OF uses FOR VALUES IN (1);
CREATE TABLE marks (asset_id bigint REFERENCES assetreg.assets ON DELETE SET NULL);
CREATE TABLE licences (id int PRIMARY KEY);
ALTER TABLE assetreg.assets ADD licence_id int REFERENCES licences ON DELETE CASCADE ON UPDATE CASCADE;
INSERT INTO uses VALUES (2, 1), (4, 1);
INSERT INTO marks VALUES (2), (4);
INSERT INTO licences VALUES (1), (2);
UPDATE assetreg.assets SET licence_id = CASE id WHEN 2 THEN 1 ELSE 2 END WHERE id IN (2, 4);
DELETE FROM assetreg.assets WHERE id = 2;
DELETE FROM licences WHERE id = 1;
DELETE FROM licences;
SET client_min_messages = warning;
TRUNCATE licences CASCADE;
TRUNCATE assetreg.entities CASCADE;
TRUNCATE assetreg.entity_kinds CASCADE;
RESET client_min_messages;
SELECT * FROM assets_left;
SELECT * FROM uses;
SELECT * FROM marks;
UPDATE licences SET id = 7 WHERE id = 1;
DELETE FROM licences WHERE id = 2;  -- what nothing uses goes
SELECT * FROM assets_left;
SELECT * FROM uses;
BEGIN;
SET LOCAL assetreg.confirm_delete = on;
DELETE FROM licences;
SELECT * FROM assets_left;
SELECT * FROM uses;
SELECT * FROM marks;
SELECT * FROM unresolved;
ROLLBACK;
DROP TABLE uses, marks;
ALTER TABLE assetreg.assets DROP licence_id;
DROP TABLE licences;

-- The trigger function serves its own table only.
CREATE TEMP TABLE t (id bigint);
CREATE TRIGGER t AFTER DELETE ON t REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._keep_references_trigger();
DELETE FROM t;
DROP TABLE t;
SELECT * FROM assetreg.check_registry();
DROP VIEW assets_left, unresolved;
DROP FUNCTION make_registry();
SELECT empty_registry();
