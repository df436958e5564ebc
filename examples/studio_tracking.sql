-- Makes the graph of examples/studio.sql live: eight calls, and it follows the tables for ever.
-- Use: psql -d DATABASE -f examples/studio_tracking.sql      after CREATE EXTENSION assetreg and examples/studio.sql
--
-- Foreign keys tell what belongs to what. Columns that name assets by text or number carry none, so they are named.
\set ON_ERROR_STOP on

BEGIN;
INSERT INTO assetreg.entity_kinds (name, description) VALUES ('character', 'somebody whom a project shows') ON CONFLICT DO NOTHING;

SELECT assetreg.track_table('studio.projects', 'project', label_column => 'title', active_when => $$state = 'running'$$);
SELECT assetreg.track_table('studio.characters', 'character', label_column => 'name', asset_columns => '{look}');
SELECT assetreg.track_table('studio.templates', 'template', label_column => 'name', active_when => 'enabled', asset_columns => '{base_model,loras}');
SELECT assetreg.track_table('studio.scene_types', 'scene_type', label_column => 'title', active_when => 'NOT retired');
SELECT assetreg.track_table('studio.scenes', 'scene', label_column => 'title', active_when => $$state <> 'done'$$);
SELECT assetreg.track_table('studio.segments', 'segment');
SELECT assetreg.track_table('studio.jobs', 'job', active_when => $$state IN ('queued', 'running')$$, asset_columns => '{upscaler_id,used_ids}');
SELECT assetreg.track_link('studio.template_assets', 'template_id', 'asset');
COMMIT;
