-- Updates: they open themselves, tell what breaks, and are acted on.
\set SHOW_CONTEXT never
SELECT empty_registry();
DELETE FROM assetreg.events;
CREATE VIEW updates AS
	SELECT u.id, assetreg.asset_ref(u.asset_id) AS asset, CASE WHEN u.previous_id IS NOT NULL THEN assetreg.asset_ref(u.previous_id) END AS previous, u.change, u.state,
		   u.affected AS entities, u.affected_scene_types AS types, u.active_scenes AS scenes, u.stale_segments AS segments, u.reason
	FROM assetreg.asset_updates u ORDER BY u.id;
CREATE VIEW update_events AS
	SELECT e.type, e.subject, e.update_id, e.actor, e.data FROM assetreg.events e WHERE e.type LIKE 'update.%' ORDER BY e.recorded;
CREATE PROCEDURE empty_updates() LANGUAGE sql AS $$
	DELETE FROM assetreg.asset_updates;
	ALTER TABLE assetreg.asset_updates ALTER id RESTART;
	ALTER TABLE assetreg.asset_update_history ALTER id RESTART;
$$;
CALL empty_updates();

-- noir needs 1.0, which scenes and segments follow; grey needs what only 1.0 has; plain does not say what it needs
INSERT INTO assetreg.assets (id, type, name, version, provides) VALUES (1, 'custom_node', 'pack', '1.0', '{Load,Mix,Save}'), (2, 'custom_node', 'other', '1', '{}');
INSERT INTO assetreg.entities (id, kind, key, label, active) VALUES (11, 'template', 'noir', 'Noir', true), (12, 'template', 'grey', 'Grey', true), (13, 'template', 'plain', 'Plain', true),
	(21, 'scene_type', 'night', NULL, true), (22, 'scene_type', 'day', NULL, true), (31, 'scene', '1', NULL, true), (32, 'scene', '2', NULL, false), (33, 'scene', '3', NULL, true),
	(41, 'segment', '1/1', NULL, true), (42, 'segment', '1/2', NULL, false);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, requires) VALUES (11, 1, '{Load,Save}'), (12, 1, '{Mix}'), (13, 1, '{}'),
	(21, 11, '{}'), (22, 12, '{}'), (31, 21, '{}'), (32, 21, '{}'), (33, 22, '{}'), (41, 31, '{}'), (42, 33, '{}');
SELECT count(*) FROM updates;  -- a first version is no update

-- A new version that lacks something.
SELECT assetreg.register_asset('custom_node', 'pack', '1.1', provides => '{Load,Save,Blur}') AS pack_11 \gset
SELECT * FROM updates;
SELECT reference, previous_id, change, state, affected, affected_scene_types, active_scenes, stale_segments, remaining, opened_by = session_user AS mine FROM assetreg.open_updates;
SELECT kind, key, depth, via_id, start_id, verdict FROM assetreg.update_impact(1);
-- live: who has moved is not affected any more, and what was counted stays
UPDATE assetreg.asset_dependencies SET dependency_id = :pack_11 WHERE dependent_id = 12;
SELECT affected, remaining FROM assetreg.open_updates;
SELECT kind, key, verdict FROM assetreg.update_impact(1) WHERE kind = 'scene';
UPDATE assetreg.asset_dependencies SET dependency_id = 1 WHERE dependent_id = 12;

-- The next version has it again: the older update is closed, nothing breaks, who does not say what it needs is affected.
SELECT assetreg.register_asset('custom_node', 'pack', '1.2', provides => '{Load,Mix,Save,Blur}') AS pack_12 \gset
SELECT * FROM updates;
SELECT kind, key, verdict FROM assetreg.update_impact(2) WHERE verdict <> 'safe';
-- One that was left out is older than what is there, one is no semantic version and follows all, one names what it supersedes, one is removed.
INSERT INTO assetreg.assets (id, type, name, version, provides, supersedes, status) VALUES (101, 'custom_node', 'pack', '0.9', '{}', NULL, 'active'),
	(102, 'custom_node', 'pack', '1.0.5', '{}', NULL, 'active'), (103, 'custom_node', 'pack', 'nightly', '{}', NULL, 'active'), (104, 'custom_node', 'renamed', '1', '{}', :pack_12, 'active'),
	(105, 'custom_node', 'pack', '7', '{}', NULL, 'removed');
SELECT * FROM updates WHERE id > 2;
-- what nothing needs opens no update
SELECT assetreg.register_asset('custom_node', 'other', '2') > 0 AS registered;
SELECT count(*) FROM updates WHERE asset LIKE '%other%';

-- Changes of an asset itself.
CALL empty_updates();
UPDATE assetreg.assets SET preview_url = 'x', metadata = '{"a": 1}';
UPDATE assetreg.assets SET provides = '{Save,Mix,Load,Load}' WHERE id = 1;  -- says the same
SELECT count(*) FROM updates;
UPDATE assetreg.assets SET provides = '{Load,Mix,Save,Blur}' WHERE id = 1;  -- adding breaks nobody
SELECT kind, key, verdict FROM assetreg.update_impact(1) WHERE verdict <> 'safe';
UPDATE assetreg.assets SET provides = '{Mix,Save}' WHERE id = 1;
SELECT verdict, string_agg(kind || '/' || key, ', ' ORDER BY entity_id) AS entities FROM assetreg.update_impact(2) GROUP BY 1 ORDER BY 1;
SELECT assetreg.replace_file(1, 'packs/pack.zip', 10, repeat('a', 64)) AS changed, assetreg.replace_file(1, 'old/pack.zip', 10, repeat('a', 64)) AS moved,
	   assetreg.replace_file(1, NULL, 10, repeat('b', 64)) AS again;
SELECT assetreg.set_asset_status(1, 'deprecated');
SELECT DISTINCT verdict FROM assetreg.update_impact(5);
SELECT assetreg.set_asset_status(1, 'active');
SELECT assetreg.set_asset_status(1, 'removed', confirm => true);
SELECT verdict, string_agg(kind || '/' || key, ', ' ORDER BY entity_id) AS entities FROM assetreg.update_impact(7) GROUP BY 1 ORDER BY 1;
SELECT id, asset, previous, change, state, entities FROM updates;
-- a file, its interface and the status at once are two changes
BEGIN;
UPDATE assetreg.assets SET sha256 = repeat('c', 64), file_path = NULL, provides = '{}', status = 'deprecated' WHERE id = :pack_12;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (13, :pack_12);
UPDATE assetreg.assets SET sha256 = repeat('d', 64), provides = '{Load}', status = 'active' WHERE id = :pack_12;
SELECT asset, change, entities FROM updates WHERE id > 7;
ROLLBACK;

-- A version that comes closes what waits for the versions before it, but not what became of their status.
SELECT assetreg.register_asset('custom_node', 'pack', 'nightly-2') > 0 AS registered;
SELECT id, asset, change, state, reason FROM updates;
-- several at once: as if one came after the other
INSERT INTO assetreg.assets (type, name, version) VALUES ('custom_node', 'pack', 'nightly-3'), ('custom_node', 'pack', 'nightly-4');
SELECT asset, previous, state, reason = 'superseded by update ' || lead(id) OVER (ORDER BY id) AS by_the_next FROM updates WHERE change = 'new_version';

-- What people do.
CALL empty_updates();
DELETE FROM assetreg.events;
SELECT assetreg.register_asset('custom_node', 'pack', 'nightly-5') > 0 AS registered;
SELECT assetreg.run_regression_tests(1);
SELECT state, closed_at IS NOT NULL AS closed FROM assetreg.asset_updates;
SELECT assetreg.resolve_update(1, passed => false, reason => 'scene 3 is grey');
SELECT state, reason, remaining FROM assetreg.open_updates;
SELECT assetreg.run_regression_tests(1);
SELECT assetreg.resolve_update(1, reason => 'fixed');
SELECT state, reason, closed_by = session_user AS mine, closed_at IS NOT NULL AS closed FROM assetreg.asset_updates;
-- a dismissal holds for this one, the next version opens another; it and a resolution need no test
SELECT assetreg.register_asset('custom_node', 'pack', 'nightly-6') > 0 AS registered;
SELECT assetreg.dismiss_update(2, 'only a comment');
SELECT assetreg.register_asset('custom_node', 'pack', 'nightly-7') > 0 AS registered;
SELECT assetreg.run_regression_tests(3);
SELECT assetreg.dismiss_update(3);
SELECT assetreg.register_asset('custom_node', 'pack', 'nightly-8') > 0 AS registered;
SELECT assetreg.resolve_update(4);
SELECT id, asset, state, reason FROM updates;
SELECT count(*) FROM assetreg.open_updates;
SELECT id, update_id, old_state, state, reason, acted_by = session_user AS mine FROM assetreg.asset_update_history ORDER BY id;
SELECT type, subject, update_id, actor = session_user AS mine, data - 'previous_id' AS data FROM update_events;

-- What is refused; plain SQL obeys the same rules.
SELECT assetreg.register_asset('custom_node', 'pack', 'nightly-9') > 0 AS registered;
\pset format unaligned
SELECT c.call, e.*
FROM (VALUES (1, 'SELECT assetreg.run_regression_tests(1)'), (2, 'SELECT assetreg.dismiss_update(1)'), (3, 'SELECT assetreg.resolve_update(2)'), (4, 'SELECT assetreg.resolve_update(2, false)'),
			 (5, 'SELECT assetreg.resolve_update(5, false)'), (6, 'SELECT assetreg.run_regression_tests(99)'), (7, 'SELECT assetreg.resolve_update(99)'), (8, 'SELECT assetreg.dismiss_update(99)'),
			 (9, 'SELECT * FROM assetreg.update_impact(99)'), (10, 'SELECT assetreg.run_regression_tests(NULL)'), (11, 'SELECT assetreg.resolve_update(NULL)'), (12, 'SELECT assetreg.dismiss_update(NULL)'),
			 (13, 'SELECT * FROM assetreg.update_impact(NULL)'), (14, 'SELECT assetreg.resolve_update(5, NULL)'), (15, 'SELECT assetreg.dismiss_update(5, '''')'),
			 (16, 'SELECT assetreg.dismiss_update(5, repeat(''x'', 10001))'), (21, 'SELECT assetreg.resolve_update(5, reason => repeat(''x'', 100000000))'), (22, 'UPDATE assetreg.asset_updates SET reason = repeat(''x'', 10001) WHERE id = 5'), (17, 'UPDATE assetreg.asset_updates SET state = ''open'' WHERE id = 1'), (18, 'UPDATE assetreg.asset_updates SET reason = ''mine'' WHERE id = 2'),
			 (19, 'UPDATE assetreg.asset_updates SET state = ''closed'' WHERE id = 5'), (20, 'UPDATE assetreg.asset_updates SET change = ''x'' WHERE id = 5')) c (n, call),
	 error(c.call) e
ORDER BY c.n;
\pset format aligned
SELECT assetreg.run_regression_tests(5);
SELECT * FROM error('SELECT assetreg.run_regression_tests(5)');
UPDATE assetreg.asset_updates SET state = 'resolved', reason = 'by hand' WHERE id = 5;
SELECT state, reason, closed_by = session_user AS mine FROM assetreg.asset_updates WHERE id = 5;
SELECT type, update_id, data FROM update_events WHERE update_id = 5;

-- Whichever way it comes about: what the owner writes by hand, what is superseded, each has its event and its history.
BEGIN;
DELETE FROM assetreg.events;
INSERT INTO assetreg.asset_updates (asset_id, change, affected, affected_scene_types, active_scenes, stale_segments)
	SELECT a.id, 'file_changed', 3, 0, 0, 0 FROM assetreg.assets a WHERE a.id IN (1, 2) ORDER BY a.id;
COPY assetreg.asset_updates (asset_id, change, affected, affected_scene_types, active_scenes, stale_segments) FROM stdin;
1	status_changed	4	0	0	0
\.
SELECT assetreg.register_asset('custom_node', 'pack', 'nightly-9.1') > 0 AS registered;
WITH closed AS (UPDATE assetreg.asset_updates SET state = 'dismissed', reason = 'all' WHERE closed_at IS NULL RETURNING id) SELECT count(*) FROM closed;
SELECT type, subject, update_id, data ->> 'change' AS change, data ->> 'reason' AS reason FROM update_events;
SELECT update_id, old_state, state, reason FROM assetreg.asset_update_history WHERE update_id > 5 ORDER BY id;
-- nothing of it is rewritten: an event and a history for what changed, none for what did not
DELETE FROM assetreg.events;
UPDATE assetreg.asset_updates SET state = state;
SELECT count(*) FROM update_events;
ROLLBACK;
SELECT setval('assetreg.asset_updates_id_seq', 5) AS last;

-- Who may: readers look, contributors act and state nothing else.
CREATE ROLE regress_assetreg_viewer;
CREATE ROLE regress_assetreg_artist;
SELECT assetreg.grant_access('regress_assetreg_viewer', 'reader'), assetreg.grant_access('regress_assetreg_artist', 'contributor');
SET ROLE regress_assetreg_artist;
SELECT assetreg.register_asset('custom_node', 'pack', 'nightly-10') > 0 AS registered;
SELECT assetreg.run_regression_tests(6);
SELECT assetreg.replace_file(2, NULL, 10, repeat('e', 64));
SELECT count(*) FROM assetreg.open_updates WHERE remaining = affected;
SELECT * FROM error('UPDATE assetreg.asset_updates SET affected = 0');
SELECT * FROM error('INSERT INTO assetreg.asset_updates (asset_id, change, affected, affected_scene_types, active_scenes, stale_segments) VALUES (1, ''file_changed'', 1, 1, 1, 1)');
SELECT * FROM error('DELETE FROM assetreg.asset_update_history');
SET ROLE regress_assetreg_viewer;
SELECT state, affected, remaining FROM assetreg.open_updates;
SELECT count(*) FROM assetreg.update_impact(6);
SELECT * FROM error('SELECT assetreg.resolve_update(6)');
RESET ROLE;
SELECT assetreg.grant_access('regress_assetreg_viewer', 'none'), assetreg.grant_access('regress_assetreg_artist', 'none');
DROP ROLE regress_assetreg_viewer, regress_assetreg_artist;

-- An asset goes, and its updates with it; what named it as the previous one forgets it.
BEGIN;
SELECT assetreg.delete_asset(a.id, true) FROM assetreg.assets a WHERE a.version = 'nightly-9';
SELECT id, asset, previous FROM updates WHERE id IN (5, 6);
ROLLBACK;
SELECT empty_registry();
SELECT count(*) FROM assetreg.asset_updates;
DROP VIEW updates, update_events;
DROP PROCEDURE empty_updates;
