-- Fills an empty registry with a synthetic studio of about :edges dependencies.
--
--   psql -v edges=1000000 -f bench/studio.sql
--
-- Layers, in order of creation (and so of ids): base models, LoRAs, custom nodes, templates, scene
-- types, scenes, segments.  Popularity is heavy-tailed: what has rank r in its layer is picked about
-- 1/r as often as the first.  Odd and even numbers are two families that never mix: every odd LoRA
-- and template runs on base model 1, so about half of everything depends on it; the even ones share
-- the other base models.  Equal :edges give an equal studio: chance is a hash of the row's number.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

SELECT 10 + :edges / 50000 AS models,
       :edges / 1000 * 2 AS loras,
       20 + :edges / 5000 AS nodes,
       :edges / 400 * 2 AS templates,
       :edges / 2000 * 2 AS scene_types,
       :edges / 10 AS scenes,
       :edges / 5 * 2 AS segments \gset

-- Uniform in [0, 1): the throw that row i makes for purpose salt.
CREATE FUNCTION pg_temp.dice(i bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE
RETURN (hashint8extended(i, salt) & 1073741823)::float8 / 1073741824;

-- A rank from 1 to n, small ones far more often.
CREATE FUNCTION pg_temp.pick(n bigint, i bigint, salt bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN least(n, floor(exp(ln(n + 1) * pg_temp.dice(i, salt)))::bigint);

-- The same among the members of row i's family in a layer of n.
CREATE FUNCTION pg_temp.kin(n bigint, family bigint, i bigint, salt bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN 2 * pg_temp.pick(n / 2, i, salt) - family % 2;

CREATE FUNCTION pg_temp.base_model(n bigint, i bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN CASE i % 2 WHEN 1 THEN 1 ELSE 1 + pg_temp.pick(n - 1, i, 1) END;

CREATE FUNCTION pg_temp.scene_type(n bigint, scene bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN pg_temp.pick(n, scene, 2);

-- Assets by plain INSERT: the registry's own trigger makes their entities.  No file, no checksum.
INSERT INTO assetreg.assets (type, name, version) SELECT 'model', 'base-' || i, '1' FROM generate_series(1, :models) i;
INSERT INTO assetreg.assets (type, name, version) SELECT 'lora', 'lora-' || i, '1' FROM generate_series(1, :loras) i;
INSERT INTO assetreg.assets (type, name, version) SELECT 'custom_node', 'nodes-' || i, '1' FROM generate_series(1, :nodes) i;

-- Everything below is right by construction, so triggers and foreign keys are left out (a superuser
-- may): at ten million edges they would take longer than the benchmark.
SET session_replication_role = replica;

INSERT INTO assetreg.entities (kind, key, label, active)
SELECT layer.kind, layer.kind || '-' || i, initcap(translate(layer.kind, '_', ' ')) || ' ' || i, i % 3 > 0
FROM (VALUES (1, 'template', :templates), (2, 'scene_type', :scene_types), (3, 'scene', :scenes), (4, 'segment', :segments))
     AS layer (position, kind, members), generate_series(1, layer.members) i
ORDER BY layer.position, i;

-- One sequence numbers them all, so number i of a layer has the id "first of the layer" + i - 1.
-- It is checked that this really is so.
SELECT min(id) FILTER (WHERE kind = 'model') - 1 AS model,
       min(id) FILTER (WHERE kind = 'lora') - 1 AS lora,
       min(id) FILTER (WHERE kind = 'custom_node') - 1 AS node,
       min(id) FILTER (WHERE kind = 'template') - 1 AS template,
       min(id) FILTER (WHERE kind = 'scene_type') - 1 AS scene_type,
       min(id) FILTER (WHERE kind = 'scene') - 1 AS scene,
       min(id) FILTER (WHERE kind = 'segment') - 1 AS segment,
       max(id) - min(id) + 1 = count(*) AS dense
FROM assetreg.entities \gset
\if :dense
\else
DO $$ BEGIN RAISE EXCEPTION 'the registry must be empty, and used by nobody else meanwhile'; END $$;
\endif

CREATE TEMP VIEW edge AS SELECT dependent_id, dependency_id, source, relation, added_by FROM assetreg.asset_dependencies;

-- Two throws may hit the same asset: ON CONFLICT keeps one edge.
INSERT INTO edge
SELECT :lora + i, :model + pg_temp.base_model(:models, i), 'declared', 'uses', current_user
FROM generate_series(1, :loras) i;

INSERT INTO edge
SELECT :template + i, needs.id, 'declared', 'uses', current_user
FROM generate_series(1, :templates) i, LATERAL (
    SELECT :model + pg_temp.base_model(:models, i) AS id
    UNION ALL SELECT :lora + pg_temp.kin(:loras, i, i, 10 + k) FROM generate_series(1, 4) k
    UNION ALL SELECT :node + pg_temp.pick(:nodes, i, 20 + k) FROM generate_series(1, 5) k) needs
ON CONFLICT DO NOTHING;

INSERT INTO edge
SELECT :scene_type + i, :template + pg_temp.kin(:templates, i, i, 30 + k), 'declared', 'uses', current_user
FROM generate_series(1, :scene_types) i, generate_series(1, 3) k
ON CONFLICT DO NOTHING;

INSERT INTO edge
SELECT :scene + i, needs.id, 'declared', 'uses', current_user
FROM generate_series(1, :scenes) i, LATERAL (
    SELECT :scene_type + pg_temp.scene_type(:scene_types, i) AS id
    UNION ALL SELECT :lora + pg_temp.kin(:loras, pg_temp.scene_type(:scene_types, i), i, 40 + k) FROM generate_series(1, 3) k) needs
ON CONFLICT DO NOTHING;

-- Four segments a scene; every second one has a LoRA of its own.
INSERT INTO edge
SELECT :segment + i, needs.id, 'declared', 'uses', current_user
FROM generate_series(1, :segments) i, LATERAL (
    SELECT :scene + (i + 3) / 4 AS id
    UNION ALL SELECT :lora + pg_temp.kin(:loras, pg_temp.scene_type(:scene_types, (i + 3) / 4), i, 50) WHERE i % 2 = 0) needs
ON CONFLICT DO NOTHING;

RESET session_replication_role;
VACUUM (ANALYZE) assetreg.assets, assetreg.entities, assetreg.asset_dependencies;
