-- Entities and dependencies: the functions, plain DML, and what is refused.
\set SHOW_CONTEXT never
SELECT empty_registry();

-- put_entity: makes or changes; NULL keeps what is there, a new one is active.
SELECT assetreg.put_entity('scene', '7');
SELECT assetreg.put_entity('scene', '7', 'Rain');
SELECT assetreg.put_entity('scene', '7', active => false);
SELECT assetreg.put_entity('scene', '7');
SELECT * FROM assetreg.entities;
SELECT assetreg.put_entity('scene', '8', 'Fog', false);
SELECT assetreg.put_entity('scene', '8', 'Mist', true);
SELECT * FROM assetreg.entities ORDER BY id;
-- what stays as it is is not written
SELECT ctid AS place FROM assetreg.entities WHERE id = 1002 \gset
SELECT assetreg.put_entity('scene', '8', 'Mist', true);
SELECT ctid = :'place' AS unchanged FROM assetreg.entities WHERE id = 1002;
SELECT last_value FROM assetreg.entities_id_seq;
SELECT assetreg.entity_id('scene', '8');
SELECT assetreg.entity_id('scene', '9');
SELECT assetreg.entity_id('scenes', '9');
-- a key may be anything: a composite key is the JSON array of its texts
SELECT assetreg.put_entity('segment', '["7", "a ""b"" \\ c", null]');
SELECT assetreg.entity_id('segment', '["7", "a ""b"" \\ c", null]');
SELECT assetreg.put_entity('scene', E'a/b@c\n\t🎬\u202e', E'\n');
SELECT assetreg.entity_id('scene', E'a/b@c\n\t🎬\u202e');
-- the label of an asset's entity is for people to choose
SELECT assetreg.register_asset('lora', 'film-grain', '1.0') AS grain, assetreg.register_asset('lora', 'film-grain', '1.1') AS grain2,
	   assetreg.register_asset('model', 'Wan2.1', '1.0') AS wan \gset
SELECT assetreg.put_entity('lora', 'film-grain@1.0', 'our grain') = :grain AS same;
SELECT * FROM assetreg.entities WHERE id = :grain;

-- add_dependency: the declared edge; again: updates it.
SELECT assetreg.put_entity('template', 'noir') AS noir, assetreg.put_entity('scene_type', 'alley') AS alley \gset
SELECT assetreg.add_dependency(:noir, :grain);
SELECT assetreg.add_dependency(:alley, :noir, 'renders with', '{VHS_LoadVideo,VHS_LoadVideo}');
SELECT assetreg.add_dependency(:noir, :grain, NULL, NULL);
CREATE VIEW edges AS
	SELECT n.key AS dependent, d.key AS dependency, e.source, e.relation, e.requires
	FROM assetreg.asset_dependencies e
		 JOIN assetreg.entities n ON n.id = e.dependent_id
		 JOIN assetreg.entities d ON d.id = e.dependency_id;
SELECT * FROM edges ORDER BY 1, 2, 3;
SELECT assetreg.add_dependency(:noir, :grain, 'loads', '{strength}');
SELECT * FROM edges ORDER BY 1, 2, 3;
-- the same again writes nothing
SELECT ctid AS place FROM assetreg.asset_dependencies WHERE dependent_id = :noir \gset
SELECT assetreg.add_dependency(:noir, :grain, 'loads', '{strength}');
SELECT ctid = :'place' AS unchanged FROM assetreg.asset_dependencies WHERE dependent_id = :noir;
-- another source is another row of the same edge
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (:noir, :grain, 'scan');
SELECT * FROM edges ORDER BY 1, 2, 3;
SELECT assetreg.dependent_count(:grain);

-- remove_dependency takes the declared one only.
SELECT assetreg.remove_dependency(:noir, :grain);
SELECT * FROM edges ORDER BY 1, 2, 3;
SELECT assetreg.remove_dependency(:noir, :grain);
SELECT assetreg.remove_dependency(:grain, :noir);
SELECT assetreg.remove_dependency(:alley, :noir);

-- move_dependents: declared edges move, and merge where both exist; derived ones come back.
DELETE FROM assetreg.asset_dependencies;
SELECT assetreg.add_dependency(:noir, :grain, 'loads', '{b,a}'), assetreg.add_dependency(:noir, :grain2, 'kept', '{c,a}'),
	   assetreg.add_dependency(:alley, :grain, 'loads', '{x}'), assetreg.add_dependency(:grain2, :grain);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (:noir, :grain, 'scan');
BEGIN;
SELECT (SELECT key FROM assetreg.entities WHERE id = m.dependent_id) AS dependent, source, moved FROM assetreg.move_dependents(:grain, :grain2) m;
SELECT * FROM edges ORDER BY 1, 2, 3;
SELECT (SELECT key FROM assetreg.entities WHERE id = m.dependent_id) AS dependent, source, moved FROM assetreg.move_dependents(:grain, :grain2) m;
ROLLBACK;
-- only those that are named
SELECT (SELECT key FROM assetreg.entities WHERE id = m.dependent_id) AS dependent, source, moved
FROM assetreg.move_dependents(:grain, :grain2, ARRAY[:alley, :wan]) m;
SELECT * FROM edges ORDER BY 1, 2, 3;
SELECT * FROM assetreg.move_dependents(:grain, :grain2, '{}');
SELECT * FROM assetreg.move_dependents(:wan, :grain2);

-- Plain INSERT, UPDATE, DELETE, COPY.
DELETE FROM assetreg.asset_dependencies;
SELECT setval('assetreg.entities_id_seq', 2000, false);
COPY assetreg.entities (kind, key) FROM stdin;
job	1
job	2
\.
COPY assetreg.asset_dependencies (dependent_id, dependency_id) FROM stdin;
2000	2001
2001	2000
\.
SELECT * FROM edges ORDER BY 1, 2, 3;
UPDATE assetreg.asset_dependencies SET dependency_id = :wan WHERE dependent_id = 2000;
SELECT * FROM edges ORDER BY 1, 2, 3;
DELETE FROM assetreg.entities WHERE id = 2001;
SELECT * FROM edges ORDER BY 1, 2, 3;
-- an edge to what comes later in the same transaction, if the order is right
BEGIN;
INSERT INTO assetreg.entities (id, kind, key) VALUES (3000, 'job', '3');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (3000, :wan);
COMMIT;
SELECT assetreg.dependent_count(:wan);
-- a deleted asset takes its edges along
SELECT assetreg.put_entity('job', '1', active => false), assetreg.put_entity('job', '3', active => false);
DELETE FROM assetreg.assets WHERE id = :wan;
SELECT * FROM edges;

-- Kinds may be renamed, and their entities follow; asset types may not while they are used.
INSERT INTO assetreg.entity_kinds VALUES ('shot', 'a take', 'https://example.org/shots/{key}');
SELECT assetreg.put_entity('shot', '1');
UPDATE assetreg.entity_kinds SET name = 'take' WHERE name = 'shot';
SELECT kind, key FROM assetreg.entities WHERE kind IN ('shot', 'take');
DELETE FROM assetreg.entity_kinds WHERE name = 'take';
DELETE FROM assetreg.entities WHERE kind = 'take';
DELETE FROM assetreg.entity_kinds WHERE name = 'take';

-- An asset in use keeps its name; one that is not may get another.
SELECT assetreg.add_dependency(:noir, :grain);
\pset format unaligned
SELECT t.statement, e.*
FROM (VALUES (1, $$UPDATE assetreg.assets SET name = 'grain'$$),
			 (2, $$UPDATE assetreg.assets SET version = '1.0.0' WHERE version = '1.0'$$),
			 (3, $$UPDATE assetreg.assets SET type = 'model' WHERE version = '1.0'$$)) t (n, statement),
	 error(t.statement) e
ORDER BY t.n;
\pset format aligned
UPDATE assetreg.assets SET name = name, status = 'deprecated', preview_url = 'x';
UPDATE assetreg.assets SET name = 'grain' WHERE id = :grain2;
SELECT type, name, version, status FROM assetreg.assets ORDER BY id;
SELECT kind, key, label, active FROM assetreg.entities WHERE id IN (:grain, :grain2) ORDER BY id;

-- What makes no sense is refused.
\pset format unaligned
SELECT t.statement, e.*
FROM (VALUES (1, $$SELECT assetreg.add_dependency(2000, 2000)$$),
			 (2, $$SELECT assetreg.add_dependency(2000, 4711)$$),
			 (3, $$SELECT assetreg.add_dependency(4711, 2000)$$),
			 (4, $$INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (2000, 2000)$$),
			 (5, $$INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (2000, 4711)$$),
			 (6, $$INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (4711, 2000)$$),
			 (7, $$INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (3000, 2000, '')$$),
			 (8, $$INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, relation) VALUES (3000, 2000, '')$$),
			 (9, $$INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, requires) VALUES (3000, 2000, '{NULL}')$$),
			 (10, $$SELECT assetreg.add_dependency(3000, 2000, '')$$),
			 (11, $$UPDATE assetreg.asset_dependencies SET dependency_id = dependent_id$$),
			 (12, $$UPDATE assetreg.entities SET id = 4711 WHERE kind = 'template'$$),
			 (13, $$INSERT INTO assetreg.entities (kind, key) VALUES ('nonsense', '1')$$),
			 (14, $$INSERT INTO assetreg.entities (kind, key) VALUES ('job', '1')$$),
			 (15, $$INSERT INTO assetreg.entities (kind, key) VALUES ('job', '')$$),
			 (16, $$SELECT assetreg.move_dependents(2000, 3000)$$),
			 (17, format('SELECT assetreg.move_dependents(%s, %s)', :grain, :grain)),
			 (18, format('SELECT assetreg.move_dependents(%s, %s, %L)', :grain, :grain2, '{2000,4711}')),
			 (19, format('SELECT assetreg.move_dependents(%s, %s, %L)', :grain, :grain2, '{2000,NULL}'))) t (n, statement),
	 error(t.statement) e
ORDER BY t.n;
\pset format aligned
-- ids that were stated are for the sequence to follow
SELECT * FROM assetreg.check_registry();
SELECT setval('assetreg.entities_id_seq', 3000);
SELECT * FROM assetreg.check_registry();
DROP VIEW edges;
SELECT empty_registry();
