-- Notes: what may be written, who may edit it, how it is found, where it warns, where it goes when its asset does.
\set SHOW_CONTEXT never
SELECT empty_registry();
SELECT setval('assetreg.asset_notes_id_seq', 1, false) IS NOT NULL AS ids_begin_again;
CREATE VIEW notes AS
	SELECT n.id, a.name || '@' || a.version AS asset, o.name || '@' || o.version AS other, n.body, n.severity, n.all_versions AS all, n.author, n.edited_by
	FROM assetreg.asset_notes n JOIN assetreg.assets a ON a.id = n.asset_id LEFT JOIN assetreg.assets o ON o.id = n.other_asset_id;
INSERT INTO assetreg.assets (id, type, name, version) VALUES
	(1, 'model', 'sdxl', '1.0'), (2, 'lora', 'ink', '1'), (3, 'lora', 'ink', '2'), (4, 'lora', 'grain', '3'), (5, 'custom_node', 'Impact', '8');
INSERT INTO assetreg.entities (id, kind, key, label) VALUES (101, 'template', 'rain', 'Rain'), (102, 'scene_type', 'night', 'Night'), (103, 'scene', '1', 'First');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (2, 1), (3, 1), (101, 3), (101, 4), (102, 101), (103, 102);

-- Writing.
SET assetreg.actor = 'ana';
SELECT assetreg.add_note(2, 'rainy streets flicker above 0.8', severity => 'blocker') AS one, assetreg.add_note(4, 'too dark with <ink> & friends', 2) AS pair,
	   assetreg.add_note(3, E'only this one:\n\ttwo fingers', all_versions => false, severity => 'info') AS this_version, assetreg.add_note(1, 'base: use the VAE') AS base;
SELECT * FROM notes ORDER BY id;
SELECT s.call, e.code, e.message, e.detail, e.hint
FROM (VALUES (1, 'add_note(NULL, ''x'')'), (2, 'add_note(77, ''x'')'), (3, 'add_note(101, ''x'')'), (4, 'add_note(2, ''x'', 77)'), (5, 'add_note(2, ''x'', 2)'),
			 (6, 'add_note(2, NULL)'), (7, 'add_note(2, '''')'), (8, 'add_note(2, E'' \n\t'')'), (9, 'add_note(2, repeat(''x'', 100001))'), (10, 'add_note(2, repeat(''x'', 1048576))'),
			 (11, 'add_note(2, E''a\rb'')'), (12, 'add_note(2, E''\x01'')'), (13, 'add_note(2, U&''\202E'')'), (14, 'add_note(2, ''x'', severity => ''evil'')'),
			 (15, 'add_note(2, ''x'', severity => NULL)'), (16, 'add_note(2, ''x'', all_versions => NULL)'), (17, 'edit_note(99, ''x'')'), (18, 'edit_note(NULL, ''x'')'),
			 (19, 'edit_note(1, NULL)'), (20, 'edit_note(1, '' '')'), (21, 'edit_note(1, ''x'', ''evil'')'), (22, 'delete_note(99)'), (23, 'delete_note(NULL)')) s (n, call),
	 error('SELECT assetreg.' || s.call) e
ORDER BY s.n;
-- plain SQL obeys the same rules
SELECT s.n, e.code, e.message
FROM (VALUES (1, '(2, 2, ''x'', ''info'')'), (2, '(2, NULL, '''', ''info'')'), (3, '(2, NULL, E''\r'', ''info'')'), (4, '(2, NULL, repeat(''x '', 50001), ''info'')'),
			 (5, '(2, NULL, ''x'', ''evil'')'), (6, '(77, NULL, ''x'', ''info'')'), (7, '(2, 77, ''x'', ''info'')')) s (n, row),
	 error('INSERT INTO assetreg.asset_notes (asset_id, other_asset_id, body, severity) VALUES ' || s.row) e
ORDER BY s.n;
SELECT assetreg.add_note(5, repeat('x ', 50000)) IS NOT NULL AS longest;
DELETE FROM assetreg.asset_notes WHERE length(body) = 100000;

-- Editing: what it said before is kept, whichever way it is changed.
SET assetreg.actor = 'ben';
SELECT assetreg.edit_note(1, 'rainy streets flicker above 0.6');
UPDATE assetreg.asset_notes SET severity = 'warning' WHERE id = 1;
UPDATE assetreg.asset_notes SET body = upper(body), all_versions = NOT all_versions WHERE id IN (3, 4);
UPDATE assetreg.asset_notes SET body = body;
SELECT assetreg.edit_note(1, 'rainy streets flicker above 0.6', 'blocker');
SELECT * FROM notes ORDER BY id;
SELECT note_id, body, severity, all_versions, edited_by, edited_at IS NOT NULL AS edited FROM assetreg.asset_note_history ORDER BY id;
UPDATE assetreg.asset_notes SET body = lower(body), all_versions = NOT all_versions WHERE id IN (3, 4);
SELECT count(*) FROM assetreg.asset_note_history;

-- Searching: words that begin so, in any order; phrases, alternatives, exclusions.
CREATE FUNCTION found(query text, only_asset bigint = NULL) RETURNS TABLE (id bigint, fragment text) LANGUAGE sql AS
	'SELECT note_id, fragment FROM assetreg.search_notes(query, only_asset)';
SELECT q.query, f.id, f.fragment
FROM (VALUES (1, 'flicker'), (2, 'flick rai'), (3, 'FLICK'), (4, '"rainy streets"'), (5, '"streets rainy"'), (6, 'rain or dark'), (7, 'dark -flick'), (8, '-dark -base -fingers'),
			 (9, '-fing'), (10, 'nothing'), (11, '<ink>'), (12, '0.6'), (13, '!!'), (14, 'it''s o''clock'), (15, E'back\\slash'), (16, 'a & (b | !c):*'), (17, '"base use" or "two fingers"')) q (n, query)
	 LEFT JOIN LATERAL found(q.query) f ON true
ORDER BY q.n, f.id;
SELECT f.* FROM found(NULL) f;
SELECT f.* FROM found('  ') f;
-- for an asset: its own, pairs on either side, those for all versions of others of its name
SELECT a.id AS asset, array_agg(f.id ORDER BY f.id) AS notes FROM assetreg.assets a LEFT JOIN LATERAL found(NULL, a.id) f ON true GROUP BY 1 ORDER BY 1;
SELECT a.id AS asset, array_agg(f.id ORDER BY f.id) AS notes FROM assetreg.assets a LEFT JOIN LATERAL found('dark or fingers', a.id) f ON true GROUP BY 1 ORDER BY 1;
-- better matches first, then newer ones; no more than asked for
BEGIN;
SELECT assetreg.add_note(5, t) IS NOT NULL AS added FROM unnest('{one fog,fog fog fog,fog in one}'::text[]) t;
SELECT body, rank > 0 AS ranked FROM assetreg.search_notes('fog');
SELECT body FROM assetreg.search_notes('fog', max_results => 1);
SELECT body FROM assetreg.search_notes(max_results => 2);
ROLLBACK;
SELECT s.call, e.code, e.message FROM (VALUES ('77::bigint', '50'), ('101::bigint', '50'), ('2', 'NULL'), ('2', '0'), ('2', '1001')) s (call, n),
	error(format('SELECT FROM assetreg.search_notes(NULL, %s, %s)', s.call, s.n)) e;
SELECT e.code, e.message FROM error('SELECT FROM assetreg.search_notes(repeat(''x '', 5001))') e;
-- the index is used
SET enable_seqscan = off;
EXPLAIN (COSTS off) SELECT id FROM assetreg.asset_notes n WHERE n.terms @@ assetreg._note_query('flick');
RESET enable_seqscan;

-- Warnings: the notes on all that is needed, worst first, each once.
CREATE FUNCTION warned(ids bigint[]) RETURNS TABLE (severity text, asset_id bigint, other_asset_id bigint, note bigint) LANGUAGE sql AS
	'SELECT severity, asset_id, other_asset_id, note_id FROM assetreg.check_configuration(ids)';
SELECT * FROM warned('{2}');      -- its base model, too
SELECT * FROM warned('{3}');      -- another version of 2
SELECT * FROM warned('{2,4}');
SELECT * FROM warned('{4,3,3}');
SELECT * FROM warned('{5}');
SELECT * FROM warned('{}');
SELECT severity, asset_id, other_asset_id, body, author, note_id FROM assetreg.check_entity(103);
SELECT count(*) FROM assetreg.check_entity(1);
-- two versions of one asset
BEGIN;
SELECT assetreg.add_note(2, 'one ink at a time', 3) IS NOT NULL AS added;
SELECT * FROM warned('{2,3}') WHERE note > 5;
SELECT * FROM warned('{3}') WHERE note > 5;
INSERT INTO assetreg.assets (id, type, name, version) VALUES (6, 'lora', 'ink', '3');
SELECT * FROM warned('{6,3}') WHERE note > 5;
SELECT * FROM warned('{6,3,2}') WHERE note > 5;
UPDATE assetreg.asset_notes SET all_versions = false;
SELECT * FROM warned('{6,3}') WHERE note > 5;
SELECT * FROM warned('{6,2,3}') WHERE note > 5;
ROLLBACK;
SELECT s.call, e.code, e.message FROM (VALUES ('check_configuration(NULL)'), ('check_configuration(''{1,NULL}'')'), ('check_configuration(''{1,77}'')'), ('check_configuration(''{101}'')'),
	('check_entity(NULL)'), ('check_entity(77)')) s (call), error('SELECT FROM assetreg.' || s.call) e;

-- A base model that does not fit.
SELECT empty_registry();
INSERT INTO assetreg.assets (id, type, name, version, sha256, file_path, file_size, metadata) VALUES
	(1, 'model', 'sdxl', '1.0', repeat('a', 64), NULL, NULL, '{}'),
	(2, 'model', 'juggernaut', '9', repeat('b', 64), NULL, NULL, '{"modelspec.architecture": "stable-diffusion-xl-v1-base"}'),
	(3, 'model', 'wan', '2.1', NULL, NULL, NULL, '{"general.architecture": "wan"}'),
	(4, 'model', 'sdxl_vae', '1', repeat('c', 64), NULL, NULL, '{}'),
	(5, 'model', 'soft', '1', repeat('e', 64), E'C:\\models\\VAE\\soft.safetensors', 7, '{}'),
	(6, 'model', 'small', '1', repeat('f', 64), NULL, NULL, '{"modelspec.architecture": "stable-diffusion-xl-v1-base/vae"}'),
	(7, 'model', 'plain', '1', NULL, NULL, NULL, '{}'),
	(11, 'lora', 'by sha', '1', NULL, NULL, NULL, jsonb_build_object('ss_new_sd_model_hash', repeat('a', 64))),
	(12, 'lora', 'by autov1', '1', NULL, NULL, NULL, '{"ss_sd_model_hash": "01234567"}'),
	(13, 'lora', 'unknown base', '1', NULL, NULL, NULL, jsonb_build_object('ss_new_sd_model_hash', repeat('d', 64))),
	(14, 'lora', 'by architecture', '1', NULL, NULL, NULL, '{"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}'),
	(15, 'lora', 'in other words', '1', NULL, NULL, NULL, '{"ss_base_model_version": "sdxl_base_v1-0", "ss_network_module": "networks.lora"}'),
	(16, 'lora', 'says nothing', '1', NULL, NULL, NULL, '{}'),
	(17, 'custom_node', 'node', '1', NULL, NULL, NULL, '{"modelspec.architecture": "flux-1-dev"}');
INSERT INTO assetreg.asset_hashes VALUES (1, 'autov1', '01234567', 'measured'), (2, 'autov1', '89abcdef', 'measured');
INSERT INTO assetreg.entities (id, kind, key) VALUES (101, 'template', 't');
SELECT dependent_id, dependency_id, source, relation FROM assetreg.asset_dependencies ORDER BY 1;
SELECT c.config, w.severity, w.asset_id, w.other_asset_id, w.author, w.note_id, regexp_replace(w.body, '(.)\1{60,}', '\1...', 'g') AS body
FROM (VALUES (1, '{11,2}'::bigint[]), (2, '{11,1}'), (3, '{11,1,2}'), (4, '{11}'), (5, '{11,4,5,6}'), (6, '{12,2}'), (7, '{12,1}'), (8, '{13,1,2}'), (9, '{14,2}'), (10, '{14,3}'), (11, '{14,2,3}'),
			 (12, '{15,2}'), (13, '{15,3}'), (14, '{16,3}'), (15, '{17,3}'), (16, '{11,7}'), (17, '{11,3}'), (18, '{14,7}'), (19, '{11,13,14,3}')) c (n, config)
	 LEFT JOIN LATERAL assetreg.check_configuration(c.config) w ON true
ORDER BY c.n, w.asset_id, w.other_asset_id;
-- a template, and bases that only a declared edge or only metadata brings in
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (101, 11);
SELECT asset_id, other_asset_id FROM assetreg.check_entity(101);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (101, 13), (13, 2);
SELECT asset_id, other_asset_id FROM assetreg.check_entity(101);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (101, 1);
SELECT asset_id, other_asset_id FROM assetreg.check_entity(101);

-- Deleting an asset: notes for all versions go to the newest version that is left.
SELECT empty_registry();
INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'lora', 'ink', '1'), (2, 'lora', 'ink', '1.10'), (3, 'lora', 'ink', '1.9'), (4, 'lora', 'grain', '1'), (5, 'lora', 'grain', '2');
SELECT setval('assetreg.asset_notes_id_seq', 1, false) IS NOT NULL AS ids_begin_again;
SELECT assetreg.add_note(1, 'all') AS a, assetreg.add_note(1, 'this', all_versions => false) AS b, assetreg.add_note(1, 'pair', 4) AS c, assetreg.add_note(4, 'pair, other side', 1) AS d,
	   assetreg.add_note(1, 'pair, these two', 4, all_versions => false) AS e, assetreg.add_note(1, 'with the newest', 2) AS f, assetreg.add_note(3, 'of its name', 1) AS g;
BEGIN;
DELETE FROM assetreg.assets WHERE id = 1;
SELECT id, asset, other, body, edited_by FROM notes ORDER BY id;
DELETE FROM assetreg.assets WHERE id = 2;
SELECT id, asset, other, body FROM notes ORDER BY id;
DELETE FROM assetreg.assets WHERE id = 3;
SELECT id, asset, other, body FROM notes ORDER BY id;
ROLLBACK;
BEGIN;
DELETE FROM assetreg.assets WHERE id IN (1, 2, 4);
SELECT id, asset, other, body FROM notes ORDER BY id;
DELETE FROM assetreg.assets;
SELECT count(*) FROM notes;
ROLLBACK;
-- all at once, in either order
BEGIN;
DELETE FROM assetreg.assets WHERE name = 'ink';
SELECT id, asset, other, body FROM notes ORDER BY id;
ROLLBACK;
BEGIN;
UPDATE assetreg.assets SET preview_url = 'moves the row' WHERE id = 1;
DELETE FROM assetreg.assets;
SELECT count(*) FROM notes;
ROLLBACK;

-- Who may do what, by plain SQL as by functions.
CREATE ROLE regress_assetreg_ann;
CREATE ROLE regress_assetreg_bob;
CREATE ROLE regress_assetreg_chief;
CREATE ROLE regress_assetreg_reads;
SELECT assetreg.grant_access('regress_assetreg_ann', 'contributor'), assetreg.grant_access('regress_assetreg_bob', 'contributor'), assetreg.grant_access('regress_assetreg_chief', 'admin'),
	   assetreg.grant_access('regress_assetreg_reads', 'reader');
GRANT SELECT ON notes TO PUBLIC;
RESET assetreg.actor;
SET SESSION AUTHORIZATION regress_assetreg_ann;
SELECT assetreg.add_note(4, 'by ann') AS id;
SELECT assetreg.edit_note(8, 'by ann, edited');
INSERT INTO assetreg.asset_notes (asset_id, body, author, created_at, edited_by, edited_at) VALUES (4, 'forged', 'ana', '2001-01-01', 'ana', '2001-01-01')
	RETURNING id, author, created_at > '2002-01-01' AS now, edited_by, edited_at;
SELECT * FROM error('SELECT assetreg.edit_note(1, ''mine'')');
SELECT * FROM error('SELECT assetreg.delete_note(1)');
UPDATE assetreg.asset_notes SET body = 'mine' WHERE id = 1;
DELETE FROM assetreg.asset_notes WHERE id = 1;
UPDATE assetreg.asset_notes SET author = 'ana', created_at = '2001-01-01', edited_by = 'ana', edited_at = '2001-01-01' WHERE id = 8
	RETURNING author, created_at > '2002-01-01' AS now, edited_by, edited_at > '2002-01-01' AS edited_now;
SELECT e.code, e.message FROM (VALUES (1, 'UPDATE assetreg.asset_notes SET asset_id = 5 WHERE id = 8'), (2, 'UPDATE assetreg.asset_notes SET other_asset_id = 5 WHERE id = 8'),
	(3, 'UPDATE assetreg.asset_notes SET id = 5 WHERE id = 8'), (4, 'UPDATE assetreg.asset_note_history SET body = ''x'''), (5, 'DELETE FROM assetreg.asset_note_history'),
	(6, 'INSERT INTO assetreg.asset_note_history (note_id, body, severity, all_versions, edited_by, edited_at) VALUES (8, ''x'', ''info'', true, ''ana'', now())'),
	(7, 'SET assetreg.notes_editable_by = everyone'), (8, 'TRUNCATE assetreg.asset_notes CASCADE')) s (n, statement), error(s.statement) e ORDER BY s.n;
SELECT note_id, body, edited_by FROM assetreg.asset_note_history WHERE note_id = 8;
SELECT count(*) FROM assetreg.asset_notes;
SET SESSION AUTHORIZATION regress_assetreg_reads;
SELECT count(*) FROM assetreg.asset_notes;
SELECT count(*) FROM assetreg.search_notes('ann');
SELECT count(*) FROM assetreg.check_configuration('{4}');
SELECT e.code, e.message FROM (VALUES (1, 'SELECT assetreg.add_note(4, ''x'')'), (2, 'INSERT INTO assetreg.asset_notes (asset_id, body) VALUES (4, ''x'')'), (3, 'UPDATE assetreg.asset_notes SET body = ''x''')) s (n, statement),
	error(s.statement) e ORDER BY s.n;
-- the setting lets everybody edit, not delete
RESET SESSION AUTHORIZATION;
SET assetreg.notes_editable_by = everyone;
SET SESSION AUTHORIZATION regress_assetreg_bob;
SELECT assetreg.edit_note(8, 'by bob, too');
SELECT code, message, detail FROM error('SELECT assetreg.delete_note(8)');
RESET SESSION AUTHORIZATION;
SET assetreg.notes_editable_by = nobody;
RESET assetreg.notes_editable_by;
-- who may administer edits and deletes all
SET SESSION AUTHORIZATION regress_assetreg_chief;
SELECT assetreg.edit_note(8, 'by the chief');
SELECT assetreg.delete_note(9);
SELECT id, body, author, edited_by FROM notes WHERE id >= 8;
SELECT body, edited_by FROM assetreg.asset_note_history WHERE note_id = 8 ORDER BY id;
RESET SESSION AUTHORIZATION;
-- a granted right alone does not open the history
GRANT ALL ON assetreg.asset_note_history TO regress_assetreg_bob;
SET ROLE regress_assetreg_bob;
DELETE FROM assetreg.asset_note_history;
UPDATE assetreg.asset_note_history SET body = 'x';
SELECT code, message FROM error('INSERT INTO assetreg.asset_note_history (note_id, body, severity, all_versions, edited_by, edited_at) VALUES (8, ''x'', ''info'', true, ''ana'', now())');
RESET ROLE;
REVOKE ALL ON assetreg.asset_note_history FROM regress_assetreg_bob;
-- the trigger functions serve their own tables only
CREATE TABLE other_notes (LIKE assetreg.asset_notes);
CREATE TRIGGER t AFTER UPDATE ON other_notes REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._note_history_trigger();
CREATE TRIGGER d BEFORE DELETE ON other_notes FOR EACH ROW EXECUTE FUNCTION assetreg._move_notes_trigger();
INSERT INTO other_notes (id, asset_id, body, severity, all_versions, author, created_at) VALUES (1, 1, 'x', 'info', true, 'x', now());
SELECT e.code, e.message FROM (VALUES (1, 'UPDATE other_notes SET body = ''y'''), (2, 'DELETE FROM other_notes')) s (n, statement), error(s.statement) e ORDER BY s.n;
DROP TABLE other_notes;

-- Policies that somebody dropped or switched off are missed, and come back.
ALTER TABLE assetreg.asset_notes DISABLE ROW LEVEL SECURITY;
DROP POLICY asset_ratings_update ON assetreg.asset_ratings;
SELECT * FROM assetreg.check_registry() WHERE object !~ 'sequence';
SELECT assetreg.setup();
SELECT * FROM assetreg.check_registry() WHERE object !~ 'sequence';

SELECT assetreg.grant_access(r, 'none') FROM unnest('{regress_assetreg_ann,regress_assetreg_bob,regress_assetreg_chief,regress_assetreg_reads}'::regrole[]) r;
DROP ROLE regress_assetreg_ann, regress_assetreg_bob, regress_assetreg_chief, regress_assetreg_reads;
DROP VIEW notes;
DROP FUNCTION found, warned;
SELECT empty_registry();
