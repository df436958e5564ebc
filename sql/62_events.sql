-- Events: a row for each fact, whichever way the data was changed.
\set SHOW_CONTEXT never
SELECT empty_registry();
SET assetreg.confirm_delete = on;
DELETE FROM assetreg.events;

-- What was written since the last look.
CREATE TABLE looked (recorded bigint);
INSERT INTO looked SELECT coalesce(max(recorded), 0) FROM assetreg.events;
CREATE FUNCTION news() RETURNS TABLE (type text, subject text, entity_id bigint, actor text, data jsonb) LANGUAGE sql AS $$
	WITH moved AS (UPDATE looked SET recorded = (SELECT max(e.recorded) FROM assetreg.events e) RETURNING 1)
	SELECT e.type, e.subject, e.entity_id, nullif(e.actor, session_user), e.data FROM assetreg.events e, looked l WHERE e.recorded > l.recorded ORDER BY e.recorded
$$;

-- Through the functions.
SELECT assetreg.register_asset('lora', 'grain', '1', NULL, 10, repeat('a', 64));
SELECT assetreg.register_asset('lora', 'grain', '2', supersedes => 1001);
SELECT assetreg.register_asset('lora', 'grain', '2');
SELECT * FROM news();
SELECT assetreg.put_entity('scene', 'rain', 'Rain');
SELECT assetreg.add_dependency(1004, 1001, requires => '{b,a}');
SELECT assetreg.add_dependency(1004, 1001, 'again');
SELECT assetreg.replace_file(1001, file_size => 11, sha256 => repeat('b', 64));
SELECT assetreg.verify_asset(1001, repeat('b', 64));
SELECT assetreg.verify_asset(1001, repeat('c', 64));
SELECT assetreg.set_asset_status(1001, 'deprecated', 1002);
SELECT * FROM news();
SELECT moved FROM assetreg.move_dependents(1001, 1002);
SELECT assetreg.remove_dependency(1004, 1002);
SELECT assetreg.delete_asset(1001);
SELECT * FROM news();

-- By plain SQL, on whose behalf the server knows.
SET assetreg.actor = 'ana';
INSERT INTO assetreg.assets (id, type, name, version) VALUES (2003, 'lora', 'new', '3'), (2001, 'lora', 'new', '1'), (2002, 'lora', 'other', '1'), (900, 'lora', 'grain', '0');
SELECT * FROM news();
RESET assetreg.actor;
UPDATE assetreg.assets SET status = CASE id WHEN 2001 THEN 'deprecated' ELSE status END, sha256 = CASE id WHEN 2002 THEN repeat('d', 64) ELSE sha256 END,
	metadata = '{"a": 1}', integrity = CASE id WHEN 2003 THEN 'missing' ELSE integrity END WHERE id > 2000;
UPDATE assetreg.assets SET status = 'deprecated', sha256 = repeat('e', 64), integrity = 'mismatch' WHERE id = 2003;
UPDATE assetreg.assets SET preview_url = 'x', provides = '{a}', name = name || '!' WHERE id > 2000;
SELECT * FROM news();
INSERT INTO assetreg.assets (id, type, name, version) VALUES (2002, 'lora', 'other!', '1') ON CONFLICT (id) DO UPDATE SET status = 'deprecated';
MERGE INTO assetreg.assets a USING (VALUES (2002, 'lora', 'other!', '1'), (2004, 'lora', 'merged', '1')) v (id, type, name, version) ON a.id = v.id
	WHEN MATCHED THEN UPDATE SET status = 'active' WHEN NOT MATCHED THEN INSERT (id, type, name, version) VALUES (v.id, v.type, v.name, v.version);
COPY assetreg.assets (id, type, name, version) FROM stdin;
2005	lora	copied	1
2006	lora	copied	2
\.
SELECT * FROM news();

-- Edges: declared ones alone, and what moves is gone here and new there.
INSERT INTO assetreg.entities (id, kind, key) VALUES (3001, 'scene', 'a'), (3002, 'scene', 'b'), (3003, 'template', 't');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (3001, 3003, 'declared'), (3001, 3003, 'scanner'), (3002, 3003, 'scanner'), (3001, 2001, 'declared');
UPDATE assetreg.asset_dependencies SET relation = 'other';
UPDATE assetreg.asset_dependencies SET dependency_id = 2002 WHERE dependency_id = 2001;
UPDATE assetreg.asset_dependencies SET source = 'declared' WHERE dependent_id = 3002;
UPDATE assetreg.asset_dependencies SET source = 'found' WHERE dependent_id = 3002;
SELECT * FROM news();
-- the names of what is gone: of a dependency, a dependent, and of what never was outside of this transaction
DELETE FROM assetreg.entities WHERE id = 3003;
DELETE FROM assetreg.entities WHERE id = 3001;
SELECT * FROM news();
BEGIN;
INSERT INTO assetreg.entities (id, kind, key) VALUES (3004, 'template', 'short'), (3005, 'scene', 'lived');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (3005, 3004), (3005, 2002);
DELETE FROM assetreg.entities WHERE id = 3004;
DELETE FROM assetreg.assets WHERE id = 2002;
COMMIT;
SELECT * FROM news();

-- Notes and ratings.
INSERT INTO assetreg.asset_notes (id, asset_id, other_asset_id, body, severity, author) VALUES (1, 2001, NULL, 'overexposes', 'info', 'x'), (2, 2001, 2003, 'clash', 'blocker', 'x');
UPDATE assetreg.asset_notes SET body = 'less so' WHERE id = 1;
INSERT INTO assetreg.asset_ratings (asset_id, rater, stars) VALUES (2001, 'ana', 3), (2001, 'ben', 5), (2003, 'ana', 1);
UPDATE assetreg.asset_ratings SET stars = CASE rater WHEN 'ana' THEN 4 ELSE stars END, comment = 'changed';
DELETE FROM assetreg.asset_ratings WHERE rater = 'ben';
SELECT type, subject, entity_id, data - 'rater' AS data FROM news();
-- ratings go with their asset in silence
DELETE FROM assetreg.assets WHERE id = 2003;
SELECT type, subject, entity_id FROM news();

-- Nothing of what did not happen.
BEGIN;
SELECT assetreg.register_asset('lora', 'never', '1');
ROLLBACK;
BEGIN;
SAVEPOINT s;
INSERT INTO assetreg.assets (id, type, name, version) VALUES (4001, 'lora', 'never', '2');
ROLLBACK TO s;
INSERT INTO assetreg.assets (id, type, name, version) VALUES (4002, 'lora', 'once', '1');
COMMIT;
INSERT INTO assetreg.assets (id, type, name, version) SELECT 4003, 'lora', 'none', '1' WHERE false;
DELETE FROM assetreg.assets WHERE id = 99;
SELECT * FROM error('INSERT INTO assetreg.assets (id, type, name, version) VALUES (4004, ''lora'', ''once'', ''1'')');
SELECT type, subject FROM news();

-- All at once.
TRUNCATE assetreg.asset_ratings, assetreg.asset_dependencies;
SELECT type, subject, data FROM news();
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (3002, 2001);
TRUNCATE assetreg.assets CASCADE;
SELECT type, subject FROM news();
SELECT empty_registry();
SELECT type, subject FROM news();

-- 20,000 rows are 20,000 events, also in a session that began with one, and their order is that of the ids.
INSERT INTO assetreg.assets (type, name, version) SELECT 'lora', 'bulk ' || i / 2, i % 2 FROM generate_series(1, 20000) i;
UPDATE assetreg.assets SET status = 'deprecated';
INSERT INTO assetreg.entities (id, kind, key) VALUES (1, 'scene', 'everything');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT 1, id FROM assetreg.assets;
DELETE FROM assetreg.asset_dependencies;
DELETE FROM assetreg.assets;
SELECT n.type, count(*), count(DISTINCT n.entity_id) AS assets, count(DISTINCT n.subject) AS subjects FROM news() n GROUP BY 1 ORDER BY 1;
SELECT bool_and(in_order) AS in_order FROM (
	SELECT entity_id > lag(entity_id) OVER (ORDER BY recorded) AS in_order FROM assetreg.events WHERE subject LIKE 'lora/bulk%' AND type IN ('asset.registered', 'asset.version_released')) o;

-- What other parts of the registry emit.
INSERT INTO assetreg.assets (id, type, name, version) VALUES (5001, 'lora', 'x', '1'), (5002, 'lora', 'y', '1');
SELECT assetreg._emit('update.opened', '{5002,5001,5009}', '{7,8,9}', ARRAY['{"change": "new_version"}', NULL, '{}']::jsonb[]), assetreg._emit('update.testing', '{}', '{}', '{}');
SELECT type, subject, entity_id, update_id, data FROM assetreg.events WHERE update_id IS NOT NULL ORDER BY recorded;
SELECT count(DISTINCT event_id) = count(*) AS distinct_ids, count(DISTINCT recorded) = count(*) AS distinct_numbers, bool_and(seq IS NULL) AS unpublished FROM assetreg.events;

-- Nobody writes or changes events by hand, and a trigger function serves its own table.
CREATE ROLE regress_assetreg_forger;
SELECT assetreg.grant_access('regress_assetreg_forger', 'admin');
SET ROLE regress_assetreg_forger;
SELECT * FROM error('INSERT INTO assetreg.events (type, actor) VALUES (''asset.registered'', ''ana'')');
SELECT * FROM error('UPDATE assetreg.events SET actor = ''ana''');
SELECT * FROM error('DELETE FROM assetreg.events');
SELECT * FROM error('SELECT assetreg._emit(''asset.deleted'', ''{1}'', ''{1}'', ''{}'')');
SELECT assetreg.register_asset('lora', 'theirs', '1') > 0 AS registered;
SELECT actor, session_user = actor AS of_the_session FROM assetreg.events WHERE subject = 'lora/theirs@1' AND actor <> session_user;
RESET ROLE;
SELECT assetreg.grant_access('regress_assetreg_forger', 'none');
DROP ROLE regress_assetreg_forger;
CREATE TABLE mine (id bigint, type text);
CREATE TRIGGER t AFTER DELETE ON mine REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_events_trigger();
SELECT * FROM error('DELETE FROM mine');
CREATE TRIGGER n AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION assetreg._notify_trigger();
SELECT * FROM error('INSERT INTO mine VALUES (1, ''x'')');
SELECT assetreg.notify_queue_usage() BETWEEN 0 AND 1 AS usage;

-- Off: everything but the wake-up.
SET assetreg.notify = off;
SELECT assetreg.register_asset('lora', 'silent', '1') > 0 AS registered;
SELECT count(*) FROM assetreg.events WHERE subject = 'lora/silent@1';
RESET assetreg.notify;
SELECT * FROM assetreg.check_registry();
DROP TABLE mine, looked CASCADE;
DROP FUNCTION news;
RESET assetreg.confirm_delete;
SELECT empty_registry();
