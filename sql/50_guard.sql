-- Delete protection: assets that production needs are not removed unasked.
\set SHOW_CONTEXT never
SELECT empty_registry();
INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'model', 'Wan2.1', '1.0'), (2, 'lora', 'film-grain', '1.0'), (3, 'lora', 'film-grain', '1.1'),
	(4, 'lora', 'unused', '1'), (5, 'lora', 'asleep', '1');
INSERT INTO assetreg.entities (id, kind, key, label, active) VALUES (11, 'template', 'noir', 'Noir', true), (12, 'template', 'old', 'Old', false),
	(21, 'scene', '7', NULL, true), (31, 'job', '"9"', E'a "quoted"\nlabel', true), (32, 'job', '10', 'done', false);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (2, 1), (3, 1), (11, 2), (12, 3), (21, 11), (31, 21), (12, 5), (32, 12);
CREATE TEMP TABLE before AS SELECT to_jsonb(a) AS row FROM assetreg.assets a UNION ALL SELECT to_jsonb(e) FROM assetreg.entities e
	UNION ALL SELECT to_jsonb(d) FROM assetreg.asset_dependencies d;
CREATE TEMP VIEW changed AS
	(SELECT to_jsonb(a) AS row FROM assetreg.assets a UNION ALL SELECT to_jsonb(e) FROM assetreg.entities e UNION ALL SELECT to_jsonb(d) FROM assetreg.asset_dependencies d)
	EXCEPT TABLE before;

-- Refused: directly used, used through others, several at once, set to removed, truncated.
\pset format unaligned
SELECT t.statement, e.*
FROM (VALUES (1, $$DELETE FROM assetreg.assets WHERE id = 2$$),
			 (2, $$DELETE FROM assetreg.assets WHERE id = 1$$),
			 (3, $$DELETE FROM assetreg.assets WHERE id IN (2, 4)$$),
			 (4, $$DELETE FROM assetreg.assets$$),
			 (5, $$UPDATE assetreg.assets SET status = 'removed' WHERE id = 2$$),
			 (6, $$UPDATE assetreg.assets SET status = 'removed'$$),
			 (7, $$INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'film-grain', '1.0') ON CONFLICT (type, name, version) DO UPDATE SET status = 'removed'$$),
			 (8, $$MERGE INTO assetreg.assets a USING (VALUES (2)) v (id) ON v.id = a.id WHEN MATCHED THEN DELETE$$),
			 (9, $$WITH gone AS (DELETE FROM assetreg.assets WHERE id = 2 RETURNING id) SELECT * FROM gone$$),
			 (10, $$TRUNCATE assetreg.assets, assetreg.asset_hashes$$),
			 (11, $$TRUNCATE assetreg.assets CASCADE$$),
			 (12, $$TRUNCATE assetreg.entities CASCADE$$),
			 (13, $$TRUNCATE assetreg.asset_types CASCADE$$)) t (n, statement),
	 error(t.statement) e
ORDER BY t.n;
\pset format aligned
-- nothing changed
SELECT * FROM changed;
SELECT count(*) FROM before;

-- Not refused: what nothing uses, what only the inactive or other assets use.
BEGIN;
DELETE FROM assetreg.assets WHERE id = 4;
DELETE FROM assetreg.assets WHERE id = 5;
DELETE FROM assetreg.assets WHERE id = 3;
SELECT id FROM assetreg.assets ORDER BY id;
ROLLBACK;
BEGIN;
UPDATE assetreg.assets SET status = 'removed' WHERE id IN (3, 4, 5);
UPDATE assetreg.assets SET status = 'deprecated' WHERE id = 2;
UPDATE assetreg.assets SET preview_url = 'x';
SELECT id, status FROM assetreg.assets ORDER BY id;
-- an asset that is removed already may be changed, and deleted like any other
UPDATE assetreg.assets SET preview_url = 'y' WHERE status = 'removed';
ROLLBACK;
-- an active asset does not protect, the inactive pass the protection on
BEGIN;
UPDATE assetreg.entities SET active = false WHERE id IN (21, 31);
DELETE FROM assetreg.assets WHERE id = 2;
ROLLBACK;
BEGIN;
UPDATE assetreg.entities SET active = false WHERE id IN (11, 21);
DELETE FROM assetreg.assets WHERE id = 2;
ROLLBACK;
BEGIN;
UPDATE assetreg.entities SET active = false WHERE id IN (11, 21, 31);
DELETE FROM assetreg.assets WHERE id = 2;
SELECT id FROM assetreg.assets ORDER BY id;
SELECT * FROM assetreg.asset_dependencies WHERE 2 IN (dependent_id, dependency_id);
ROLLBACK;
-- deleted together with what uses it
BEGIN;
WITH users AS (DELETE FROM assetreg.entities WHERE id IN (11, 21, 31)) DELETE FROM assetreg.assets WHERE id = 2;
ROLLBACK;
BEGIN;
DELETE FROM assetreg.entities WHERE id IN (11, 21, 31);
DELETE FROM assetreg.assets WHERE id = 2;
ROLLBACK;
-- an asset that is its own dependent's dependent
BEGIN;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (4, 5), (5, 4);
DELETE FROM assetreg.assets WHERE id = 4;
SELECT id FROM assetreg.assets ORDER BY id;
ROLLBACK;
-- the statement's own changes count: an edge that goes with it, one that came before it in the transaction
BEGIN;
DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 2;
DELETE FROM assetreg.assets WHERE id = 2;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (21, 4);
DELETE FROM assetreg.assets WHERE id = 4;
ROLLBACK;

-- The nearest ten are named, the others counted.
INSERT INTO assetreg.entities (kind, key, label) SELECT 'job', 'far ' || i, 'far ' || i FROM generate_series(1, 20) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT e.id, 31 FROM assetreg.entities e WHERE e.key LIKE 'far %';
DELETE FROM assetreg.assets WHERE id = 2;
DELETE FROM assetreg.assets WHERE id IN (2, 3);
\echo :LAST_ERROR_SQLSTATE
UPDATE assetreg.entities SET active = false WHERE key LIKE 'far 1_';
DELETE FROM assetreg.assets WHERE id = 2;
UPDATE assetreg.entities SET active = true WHERE label IN ('far 2', 'far 3');
DELETE FROM assetreg.assets WHERE id = 2;
-- ten exactly
UPDATE assetreg.entities SET active = id <= 31 OR label IN ('far 1', 'far 2', 'far 3', 'far 4', 'far 5', 'far 6', 'far 7') WHERE kind <> 'lora' AND kind <> 'model' AND id NOT IN (12, 32);
DELETE FROM assetreg.assets WHERE id = 2;
-- eleven
UPDATE assetreg.entities SET active = true WHERE label = 'far 8';
DELETE FROM assetreg.assets WHERE id = 2;
DELETE FROM assetreg.entities WHERE key LIKE 'far %';
SELECT * FROM changed;

-- Confirmed.
BEGIN;
SET LOCAL assetreg.confirm_delete = on;
DELETE FROM assetreg.assets WHERE id = 2;
UPDATE assetreg.assets SET status = 'removed' WHERE id = 1;
SELECT id, status FROM assetreg.assets ORDER BY id;
SELECT count(*) FROM assetreg.asset_dependencies WHERE dependency_id = 2;
ROLLBACK;
BEGIN;
SET LOCAL assetreg.confirm_delete = on;
TRUNCATE assetreg.assets CASCADE;
SELECT id FROM assetreg.entities ORDER BY id;
ROLLBACK;
-- and only as long as it is said
SHOW assetreg.confirm_delete;
DELETE FROM assetreg.assets WHERE id = 2;
SELECT * FROM changed;

-- Who may not read entities gets a count and no names; the guard itself sees everything.
CREATE ROLE regress_assetreg_admin;
GRANT USAGE ON SCHEMA assetreg TO regress_assetreg_admin;
GRANT SELECT, DELETE, UPDATE, TRUNCATE ON assetreg.assets, assetreg.asset_hashes TO regress_assetreg_admin;
SET ROLE regress_assetreg_admin;
DELETE FROM assetreg.assets WHERE id = 2;
UPDATE assetreg.assets SET status = 'removed' WHERE id = 1;
DELETE FROM assetreg.assets WHERE id IN (1, 2);
TRUNCATE assetreg.assets, assetreg.asset_hashes;
RESET ROLE;
GRANT SELECT ON assetreg.entities TO regress_assetreg_admin;
SET ROLE regress_assetreg_admin;
DELETE FROM assetreg.assets WHERE id = 2;
RESET ROLE;
ALTER TABLE assetreg.entities ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON assetreg.entities FOR SELECT TO regress_assetreg_admin USING (id = 11);
SET ROLE regress_assetreg_admin;
SELECT id FROM assetreg.entities;
DELETE FROM assetreg.assets WHERE id = 2;
SET assetreg.confirm_delete = on;
DELETE FROM assetreg.assets WHERE id = 2;
RESET assetreg.confirm_delete;
RESET ROLE;
SELECT count(*) FROM assetreg.entities WHERE id = 2;
DROP POLICY one ON assetreg.entities;
ALTER TABLE assetreg.entities DISABLE ROW LEVEL SECURITY;
DROP OWNED BY regress_assetreg_admin;
DROP ROLE regress_assetreg_admin;

-- A hundred thousand dependents.
SELECT empty_registry();
INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'model', 'Wan2.1', '1.0');
INSERT INTO assetreg.entities (id, kind, key, active) SELECT 1000 + i, 'segment', i::text, false FROM generate_series(1, 100000) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT 1000 + i, CASE WHEN i = 1 THEN 1 ELSE 1000 + i / 2 END FROM generate_series(1, 100000) i;
UPDATE assetreg.entities SET active = true WHERE id = 100999;
DELETE FROM assetreg.assets;
UPDATE assetreg.entities SET active = false WHERE id = 100999;
DELETE FROM assetreg.assets;
SELECT count(*) FROM assetreg.asset_dependencies;

-- The trigger function is nobody's to call otherwise.
\pset format unaligned
CREATE TEMP TABLE t (id bigint);
SELECT * FROM error('SELECT assetreg._guard_trigger()');
CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION assetreg._guard_trigger();
SELECT * FROM error('INSERT INTO t VALUES (1)');
DROP TRIGGER t ON t;
CREATE TRIGGER t AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION assetreg._guard_trigger();
SELECT * FROM error('INSERT INTO t VALUES (1)');
DROP TRIGGER t ON t;
CREATE TRIGGER t AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION assetreg._attribution_trigger('a', 'b');
SELECT * FROM error('INSERT INTO t VALUES (1)');
DROP TRIGGER t ON t;
CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION assetreg._attribution_trigger('a', 'b');
SELECT * FROM error('INSERT INTO t VALUES (1)');
DROP TRIGGER t ON t;
-- nor does any of them serve another table than its own
CREATE TRIGGER t AFTER DELETE ON t REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._guard_trigger();
SELECT * FROM error('DELETE FROM t');
DROP TRIGGER t ON t;
CREATE TRIGGER t AFTER DELETE ON t REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_sync_trigger();
SELECT * FROM error('DELETE FROM t');
DROP TRIGGER t ON t;
CREATE TRIGGER t AFTER DELETE ON t REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._entities_check_trigger();
SELECT * FROM error('DELETE FROM t');
DROP TRIGGER t ON t;
CREATE TRIGGER t AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION assetreg._asset_types_trigger();
SELECT * FROM error('INSERT INTO t VALUES (1)');
DROP TABLE t;
\pset format aligned
DROP VIEW changed;
DROP TABLE before;
SELECT empty_registry();
