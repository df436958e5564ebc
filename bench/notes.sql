-- Fills an empty registry with :assets assets and :notes notes on them and on pairs of them, as hard as it gets:
--
--   psql -v assets=250000 -v notes=1000000 -f bench/notes.sql
--
-- More than half of the notes are about pairs, and some assets have more of them than others.  Model 1 is a hub: a tenth
-- of all notes is about it together with another asset each, on either side; model 2 is the same with every note for one
-- version alone; model 3 has a thousand versions with notes on each.  Equal sizes give equal registries.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

-- Uniform in [0, 1): the throw that row i makes for purpose salt.
CREATE FUNCTION pg_temp.dice(i bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE
RETURN (hashint8extended(i, salt) & 1073741823)::float8 / 1073741824;

-- One of the assets, the first ones more often.
CREATE FUNCTION pg_temp.asset(i bigint, salt bigint, assets bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN 1004 + floor((assets - 1004) * pg_temp.dice(i, salt) ^ 1.25)::bigint;

-- Without the triggers, which is not what is measured here: the tables are filled one by one.
SET session_replication_role = replica;
SET maintenance_work_mem = '512MB';
INSERT INTO assetreg.assets (id, type, name, version, metadata, registered_by, registered_at, updated_at)
SELECT i, CASE WHEN i <= 1003 OR i % 20 = 0 THEN 'model' WHEN i % 20 < 4 THEN 'custom_node' ELSE 'lora' END,
	   CASE WHEN i <= 3 THEN 'base ' || i WHEN i <= 1003 THEN 'base 3' ELSE 'asset ' || i / 3 END, CASE WHEN i > 3 AND i <= 1003 THEN i - 2 ELSE 1 + i % 3 END,
	   CASE i % 4 WHEN 0 THEN '{"modelspec.architecture": "flux-1-dev/lora"}' WHEN 1 THEN '{"ss_base_model_version": "sdxl_base_v1-0"}' ELSE '{}' END::jsonb, 'importer', now(), now()
FROM generate_series(1, :assets) i;
INSERT INTO assetreg.entities (id, kind, key, active) SELECT a.id, a.type, a.name || '@' || a.version, true FROM assetreg.assets a;
-- a scene of one template, which needs 200 of the more popular assets
INSERT INTO assetreg.entities (id, kind, key) VALUES (:assets + 1, 'template', 'noir'), (:assets + 2, 'scene', '1');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by)
SELECT :assets + 2, :assets + 1, 'importer' UNION ALL
SELECT DISTINCT :assets + 1, pg_temp.asset(i, 1, :assets), 'importer' FROM generate_series(1, 200) i UNION ALL
SELECT i, 1 + i % 2, 'importer' FROM generate_series(1004, :assets) i WHERE i % 20 > 3;
SELECT setval('assetreg.entities_id_seq', :assets + 2);

DROP INDEX assetreg.asset_notes_terms_idx;
INSERT INTO assetreg.asset_notes (asset_id, other_asset_id, body, severity, all_versions, author)
SELECT n.a, nullif(n.b, n.a), format('note %s: flickers above 0.%s', n.i, n.i % 10), ('{info,warning,blocker}'::text[])[1 + n.i % 3], n.all_versions, 'artist ' || n.i % 100
FROM (SELECT i, CASE i % 10 WHEN 0 THEN 1 WHEN 1 THEN 2 ELSE CASE i % 500 WHEN 2 THEN 3 + i / 500 % 1000 ELSE pg_temp.asset(i, 2, :assets) END END AS a,
			 CASE WHEN i % 10 IN (0, 1, 3, 5, 7, 9) THEN 1004 + floor((:assets - 1004) * pg_temp.dice(i, 3))::bigint END AS b, i % 10 <> 1 AND i % 4 < 3 AS all_versions
	  FROM generate_series(1, :notes) i) n;
-- the hubs on the other side
UPDATE assetreg.asset_notes SET asset_id = other_asset_id, other_asset_id = asset_id WHERE asset_id IN (1, 2) AND id % 4 > 1 AND other_asset_id IS NOT NULL;
CREATE INDEX asset_notes_terms_idx ON assetreg.asset_notes USING gin (terms);
RESET session_replication_role;
VACUUM (ANALYZE) assetreg.assets, assetreg.entities, assetreg.asset_dependencies, assetreg.asset_notes;
