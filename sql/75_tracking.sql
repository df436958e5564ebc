-- The studio's own tables keep their part of the graph.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET search_path = studio, assetreg, public;
SET client_min_messages = warning;
CREATE SCHEMA studio;
SELECT register_asset('model', 'tracked-base', '2.2') AS base, register_asset('lora', 'tracked-grain', '1.0') AS grain,
	register_asset('lora', 'tracked-rain', '1.0') AS rain \gset
CREATE TABLE projects (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE scene_types (id serial PRIMARY KEY, title text);
CREATE TABLE templates (id serial PRIMARY KEY, title text, base_model_id bigint REFERENCES assetreg.assets (id), loras text[], extra bigint[]);
CREATE TABLE scene_type_templates (scene_type_id int REFERENCES scene_types, template_id int REFERENCES templates ON DELETE CASCADE,
	PRIMARY KEY (scene_type_id, template_id));
CREATE TABLE scenes (id uuid PRIMARY KEY, project_id int REFERENCES projects, scene_type_id int REFERENCES scene_types ON UPDATE CASCADE,
	status text NOT NULL DEFAULT 'open', title text);
CREATE TABLE segments (scene_id uuid REFERENCES scenes ON DELETE CASCADE ON UPDATE CASCADE, no int, PRIMARY KEY (scene_id, no));
INSERT INTO projects (name) VALUES ('harbour');
INSERT INTO scene_types (title) VALUES ('night'), ('day');
INSERT INTO templates (title, base_model_id, loras, extra) VALUES
	('first', :base, '{lora/tracked-grain@1.0,lora/tracked-none}', NULL), ('second', NULL, '{lora/tracked-rain}', ARRAY[:rain, 999999999]);
INSERT INTO scene_type_templates VALUES (1, 1), (2, 2);
INSERT INTO scenes (id, project_id, scene_type_id, title)
	SELECT ('00000000-0000-0000-0000-00000000000' || i)::uuid, 1, 1 + i % 2, 'scene ' || i FROM generate_series(1, 5) i;
INSERT INTO segments SELECT s.id, n FROM scenes s, generate_series(1, 2) n;
CREATE FUNCTION edges() RETURNS TABLE (dependent text, dependency text, relation text, source text) LANGUAGE sql AS $$
	SELECT d.kind || '/' || d.key, e.kind || '/' || e.key, a.relation, a.source
	FROM assetreg.asset_dependencies a JOIN assetreg.entities d ON d.id = a.dependent_id JOIN assetreg.entities e ON e.id = a.dependency_id
	WHERE a.source <> 'metadata' AND d.kind IN ('project', 'scene_type', 'template', 'scene', 'segment', 'job')
	ORDER BY 1, 2, 4 $$;

-- in any order; what is not named is read from the foreign keys
SET client_min_messages = notice;
SELECT track_table('segments', 'segment');
SELECT track_table('scenes', 'scene', label_column => 'title', active_when => $$status <> 'archived'$$);
SELECT track_link('scene_type_templates', 'scene_type_id', 'template_id');
SELECT track_table('templates', 'template', label_column => 'title', asset_columns => '{base_model_id,loras,extra}');
SELECT track_table('scene_types', 'scene_type', label_column => 'title');
SELECT track_table('projects', 'project', label_column => 'name');
SET client_min_messages = warning;
SELECT relation, kind, key_columns, label_column, active_when, asset_columns, parent_columns FROM tracked_tables ORDER BY kind;
SELECT * FROM edges() WHERE dependent !~ 'segment' AND dependent !~ '00[345]$';
SELECT dependent, count(*) FROM edges() WHERE dependent ~ 'segment' GROUP BY 1 ORDER BY 1 LIMIT 2;
SELECT kind, affected, active, min_depth FROM impact(:base);
SELECT e.key, u.reference, u.type, u.source, u.relation FROM unresolved_references u JOIN entities e ON e.id = u.dependent_id WHERE u.source ~ 'studio' ORDER BY 1, 2;
SELECT * FROM check_tracking();
-- what is used and not registered
SELECT reference, type, dependents FROM wanted_assets WHERE reference ~ 'tracked|99999';
SELECT c.type, c.referenced > c.registered AS some_wanted, c.percent BETWEEN 1 AND 99.9 AS between FROM coverage() c ORDER BY 1;
-- nothing of it is an event
SELECT count(*) FROM events WHERE type ~ '^dependency' AND entity_id >= :base;

-- INSERT, UPDATE, DELETE, COPY; keys that change; NULLs
BEGIN;
UPDATE scenes SET status = 'archived' WHERE title = 'scene 1';
SELECT label, active FROM entities WHERE kind = 'scene' AND NOT active;
UPDATE scenes SET status = 'final', title = 'first scene' WHERE title = 'scene 1';
SELECT label, active FROM entities WHERE kind = 'scene' AND label = 'first scene';
UPDATE scenes SET scene_type_id = NULL, project_id = NULL WHERE title = 'scene 2';
SELECT * FROM edges() WHERE dependent ~ 'scene/.*2$';
SELECT add_dependency(entity_id('scene', '00000000-0000-0000-0000-000000000003'), :grain);
SELECT entity_id('scene', '00000000-0000-0000-0000-000000000003') AS third \gset
UPDATE scenes SET id = '00000000-0000-0000-0000-000000000013' WHERE title = 'scene 3';
SELECT entity_id('scene', '00000000-0000-0000-0000-000000000013') = :third AS keeps_its_id;
SELECT dependent, dependency, source FROM edges() WHERE dependent ~ '13' OR dependency ~ '13';
DELETE FROM scenes WHERE title = 'scene 4';
SELECT count(*) FROM entities WHERE kind = 'segment';
UPDATE templates SET loras = NULL, extra = '{}' WHERE title = 'second';
UPDATE templates SET base_model_id = NULL, extra = ARRAY[:base, :base, NULL] WHERE title = 'first';
SELECT * FROM edges() WHERE dependent ~ 'template';
SELECT e.key, u.reference FROM unresolved_references u JOIN entities e ON e.id = u.dependent_id WHERE u.source ~ 'studio' ORDER BY 1, 2;
DELETE FROM scene_type_templates WHERE template_id = 2;
INSERT INTO scene_type_templates VALUES (2, 1);
COPY scenes (id, scene_type_id, title) FROM stdin;
00000000-0000-0000-0000-0000000000a1	2	copied
00000000-0000-0000-0000-0000000000a2	1	copied
\.
SELECT count(*) FROM edges() WHERE dependent ~ '0a[12]$';
SELECT * FROM check_tracking();
-- savepoints
SAVEPOINT s;
DELETE FROM segments;
ROLLBACK TO s;
SELECT * FROM check_tracking();
TRUNCATE scenes CASCADE;
SELECT kind, count(*) FROM entities WHERE kind IN ('scene', 'segment') GROUP BY 1;
SELECT * FROM check_tracking();
ROLLBACK;
SELECT * FROM check_tracking();

-- keys that change places, in one statement
CREATE TABLE jobs (id int PRIMARY KEY DEFERRABLE, template_id int REFERENCES templates, state text);
SELECT track_table('jobs', 'job', label_column => 'state', active_when => $$state IN ('queued', 'running')$$);
INSERT INTO jobs VALUES (1, 1, 'queued'), (2, 2, 'done'), (3, NULL, NULL);
SELECT id AS job1 FROM entities WHERE kind = 'job' AND key = '1' \gset
UPDATE jobs SET id = 4 - id;
SELECT key, label, active, id = :job1 AS was_1 FROM entities WHERE kind = 'job' ORDER BY key;
UPDATE jobs SET id = id + 1;
SELECT key, label, active, id = :job1 AS was_1 FROM entities WHERE kind = 'job' ORDER BY key;
-- somebody made an entity of that key by hand
SELECT put_entity('job', '99') > 0;
SELECT * FROM check_tracking();
UPDATE jobs SET id = 99 WHERE state = 'done';
SELECT * FROM check_tracking();
MERGE INTO jobs j USING (VALUES (4, 'running'), (50, 'new')) v (id, state) ON j.id = v.id
	WHEN MATCHED THEN UPDATE SET state = v.state WHEN NOT MATCHED THEN INSERT VALUES (v.id, 1, v.state);
ALTER TABLE jobs DROP CONSTRAINT jobs_pkey, ADD PRIMARY KEY (id);
INSERT INTO jobs VALUES (50, 2, 'queued'), (52, 2, 'queued') ON CONFLICT (id) DO UPDATE SET template_id = excluded.template_id, state = excluded.state;
SELECT * FROM check_tracking();
SELECT dependent, dependency FROM edges() WHERE dependent ~ 'job';

-- a reference by name is an edge as soon as there is the asset
SELECT register_asset('lora', 'tracked-none', '1') > 0;
SELECT dependency FROM edges() WHERE dependent = 'template/1' AND source = 'studio.templates';
SELECT register_asset('lora', 'tracked-none', '2') > 0;
SELECT dependency FROM edges() WHERE dependent = 'template/1' AND source = 'studio.templates';
INSERT INTO templates (title, loras) VALUES ('by hash', ARRAY['abcdef0123', 'lora/tracked-none']);
SELECT register_asset('lora', 'tracked-hash', '1', sha256 => rpad('abcdef0123', 64, '0')) > 0;
SELECT dependency FROM edges() WHERE dependent = 'template/3';
SELECT * FROM check_tracking();

-- renamed, dropped, altered
ALTER TABLE scenes RENAME title TO caption;
ALTER TABLE scenes RENAME TO shots;
ALTER TABLE templates RENAME loras TO adapters;
INSERT INTO shots (id, scene_type_id, caption) VALUES ('00000000-0000-0000-0000-0000000000b1', 1, 'renamed');
UPDATE templates SET adapters = '{lora/tracked-rain@1.0}' WHERE id = 3;
SELECT label FROM entities WHERE kind = 'scene' AND key ~ 'b1$';
SELECT relation, label_column, asset_columns FROM tracked_tables WHERE kind IN ('scene', 'template') ORDER BY kind;
ALTER TABLE shots RENAME status TO state;
ALTER TABLE shots DROP COLUMN status;
ALTER TABLE segments DROP COLUMN no;
ALTER TABLE scene_type_templates RENAME template_id TO template;
DELETE FROM scene_type_templates WHERE template = 2;
ALTER TABLE shots DROP COLUMN project_id;
SELECT parent_columns FROM tracked_tables WHERE kind = 'scene';
SELECT count(*) FROM edges() WHERE dependency ~ '^project';
SELECT * FROM check_tracking();

-- partitions and children
INSERT INTO entity_kinds VALUES ('render', 'a rendered file');
CREATE TABLE renders (id int, day date, scene uuid REFERENCES shots, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE renders_1 PARTITION OF renders FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
SET datestyle = 'German';
INSERT INTO renders VALUES (1, '2026-01-02', '00000000-0000-0000-0000-000000000001');
SELECT track_table('renders', 'render');
INSERT INTO renders_1 VALUES (2, '2026-01-03', '00000000-0000-0000-0000-000000000001');
CREATE TABLE renders_2 PARTITION OF renders FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO renders_2 VALUES (3, '2026-02-03', NULL);
UPDATE renders SET day = day + 31 WHERE id = 2;
CREATE TABLE renders_3 (LIKE renders INCLUDING ALL);
INSERT INTO renders_3 VALUES (4, '2026-03-03', NULL);
ALTER TABLE renders ATTACH PARTITION renders_3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
RESET datestyle;
SELECT key FROM entities WHERE kind = 'render' ORDER BY key;
SELECT * FROM check_tracking();
TRUNCATE renders_2;
SELECT key FROM entities WHERE kind = 'render' ORDER BY key;
SELECT track_table('renders_1', 'job');

-- what happens behind the triggers' back is seen, and repaired
SET session_replication_role = replica;
INSERT INTO jobs VALUES (60, 1, 'queued');
DELETE FROM jobs WHERE id = 52;
UPDATE jobs SET template_id = 1 WHERE id = 50;
RESET session_replication_role;
ALTER TABLE renders_1 DISABLE TRIGGER assetreg_insert;
SELECT * FROM check_tracking();
SELECT * FROM check_registry() WHERE object ~ 'track';
SELECT * FROM repair_tracking();
SELECT * FROM check_tracking();
SELECT * FROM check_registry();

-- ordinary rows are written without SQL: none of the functions that would do it is called
SET track_functions = pl;
BEGIN;
INSERT INTO jobs VALUES (80, 1, 'queued'), (81, 2, 'queued');
UPDATE jobs SET state = 'done' WHERE id = 80;
UPDATE jobs SET template_id = 2 WHERE id = 80;
DELETE FROM jobs WHERE id IN (80, 81);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT funcname FROM pg_stat_xact_user_functions
	WHERE schemaname = 'assetreg' AND funcname NOT IN ('_tracking_of', '_columns_of', '_named_columns', '_key_expression') ORDER BY 1;
-- and the measure measures: keys that move are for SQL
UPDATE jobs SET id = 82 WHERE id = 50;
SELECT count(*) > 0 AS by_sql FROM pg_stat_xact_user_functions WHERE funcname = '_apply_entities';
ROLLBACK;
RESET track_functions;

-- many rows at once: new keys, keys that two rows or an entity have, and an index of somebody else's
INSERT INTO entity_kinds VALUES ('take');
CREATE TABLE takes (id int PRIMARY KEY, lora bigint REFERENCES assetreg.assets);
CREATE TABLE retakes () INHERITS (takes);
INSERT INTO takes SELECT i, :grain FROM generate_series(1, 100) i;
INSERT INTO retakes SELECT i, NULL FROM generate_series(51, 150) i;
SELECT track_table('takes', 'take');
INSERT INTO takes SELECT i, :grain FROM generate_series(201, 300) i;
CREATE INDEX entities_length_idx ON assetreg.entities (length(key));
INSERT INTO takes SELECT i, :grain FROM generate_series(301, 400) i;
DROP INDEX assetreg.entities_length_idx;
SELECT put_entity('take', '450', 'by hand') > 0 AS put;
INSERT INTO takes SELECT i, :grain FROM generate_series(401, 500) i;
INSERT INTO takes SELECT i, :grain FROM generate_series(501, 600) i;
UPDATE takes SET lora = NULL WHERE id % 2 = 0;
UPDATE takes SET lora = :grain WHERE id % 4 = 0;
SELECT * FROM check_tracking();
SELECT * FROM check_registry();
SELECT e.id IS NOT NULL AS made, d.dependency_id IS NOT NULL AS with_grain, count(*)
	FROM (SELECT id FROM takes GROUP BY id) t LEFT JOIN entities e ON e.kind = 'take' AND e.key = t.id::text LEFT JOIN asset_dependencies d ON d.dependent_id = e.id
	GROUP BY 1, 2 ORDER BY 1, 2;
DELETE FROM takes;
SELECT count(*) FROM entities WHERE kind = 'take';
DROP TABLE takes, retakes;

-- the end of it
DROP TABLE renders;
SELECT count(*) FROM entities WHERE kind = 'render';
SELECT add_dependency(entity_id('job', '60'), :grain);
SELECT untrack_table('jobs');
SELECT key FROM entities WHERE kind = 'job';
SELECT * FROM edges() WHERE dependent ~ 'job';
INSERT INTO jobs VALUES (70, 1, 'queued');
SELECT track_table('jobs', 'job', label_column => 'state');
SELECT dependent, dependency, source FROM edges() WHERE dependent = 'job/60';
SELECT * FROM check_tracking();
DROP SCHEMA studio CASCADE;
SELECT count(*) FROM tracked_tables;
SELECT count(*) FROM tracked_links;
SELECT kind, key FROM entities WHERE kind IN ('project', 'scene_type', 'template', 'scene', 'segment', 'job') AND key !~ '/';
SELECT * FROM check_registry();
DELETE FROM assets WHERE name ~ '^tracked-';
