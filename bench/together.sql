-- Fills an empty registry with 100,000 assets and a million dependencies: 20,000 templates of twenty assets each, 2,000 scene
-- types, scenes.  A few assets are in most templates, most are in a few.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET session_replication_role = replica;  -- right by construction

INSERT INTO assetreg.entities (kind, key, active)
	SELECT CASE WHEN i <= 20 THEN 'model' WHEN i <= 90000 THEN 'lora' ELSE 'custom_node' END, 'a' || i || '@1', true FROM generate_series(1, 100000) i;
INSERT INTO assetreg.assets (id, type, name, version, status, registered_by)
	SELECT e.id, e.kind, split_part(e.key, '@', 1), '1', 'active', 'bench' FROM assetreg.entities e ORDER BY e.id;
INSERT INTO assetreg.entities (kind, key, active)
	SELECT k.kind, k.kind || i, i % 10 > 0
	FROM (VALUES (1, 'template', 20000), (2, 'scene_type', 2000), (3, 'scene', 280000)) k (n, kind, members), generate_series(1, k.members) i
	ORDER BY k.n, i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by)
	SELECT 100000 + t, 1 + floor(exp(ln(100000) * (hashint8extended(t * 20 + i, 1) & 1048575) / 1048576.0))::int % 100000, 'bench'
	FROM generate_series(1, 20000) t, generate_series(1, 20) i
	UNION SELECT 120000 + s, 100001 + (hashint8extended(s * 20 + i, 2) & 1048575) % 20000, 'bench' FROM generate_series(1, 2000) s, generate_series(1, 20) i
	UNION SELECT 122000 + s, 120001 + (hashint8extended(s, 3) & 1048575) % 2000, 'bench' FROM generate_series(1, 280000) s
	UNION SELECT 122000 + s, 100001 + (hashint8extended(s, 4) & 1048575) % 20000, 'bench' FROM generate_series(1, 280000) s;
INSERT INTO assetreg.asset_outcomes (asset_id, other_asset_id, successes, tries)
	SELECT i, i, i % 50, 50 FROM generate_series(1, 50000) i
	UNION ALL SELECT g, i, i % 40, 40 FROM generate_series(1, 5) g, generate_series(6, 20000) i;
RESET session_replication_role;
VACUUM (ANALYZE) assetreg.entities, assetreg.assets, assetreg.asset_dependencies, assetreg.asset_outcomes;
SELECT count(*) AS dependencies FROM assetreg.asset_dependencies;
