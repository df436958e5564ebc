-- What goes well together; what is in use and registered nowhere.
\set SHOW_CONTEXT never
SELECT empty_registry();
CREATE FUNCTION recommended(refs text, type text = NULL, max_results int = 10)
	RETURNS TABLE (asset text, together bigint, lift numeric, success numeric, score numeric) LANGUAGE sql AS $$
	SELECT assetreg.asset_ref(r.asset_id), r.together, round(r.lift::numeric, 4), round(r.success_rate::numeric, 4), round(r.score::numeric, 4)
	FROM assetreg.recommend_assets(ARRAY(SELECT assetreg.asset_id(x) FROM unnest($1::text[]) x), $2, $3) r
$$;
INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'model', 'wan', '1'), (2, 'lora', 'ink', '1'), (3, 'lora', 'grain', '1'), (4, 'lora', 'grain', '2'), (5, 'lora', 'rain', '1'),
	(6, 'custom_node', 'video-helper', '1'), (7, 'lora', 'unused', '1'), (8, 'lora', 'snow', '1');
INSERT INTO assetreg.entities (id, kind, key, active) SELECT 10 + i, 'template', 't' || i, i <> 5 FROM generate_series(1, 5) i;
INSERT INTO assetreg.entities (id, kind, key) VALUES (21, 'scene_type', 's1'), (31, 'scene', '1'), (41, 'workflow', 'w1');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES
	(2, 1),                                                  -- a LoRA's base model counts for who uses the LoRA
	(11, 2), (11, 3), (12, 2), (12, 4), (12, 3), (13, 5), (13, 1), (14, 41), (41, 6), (41, 2),
	(15, 7), (15, 2),                                        -- not active
	(21, 11), (21, 13), (31, 21), (31, 8);                   -- a scene is no user

-- Five users: four templates and the scene type, which needs what two templates need.
SELECT * FROM recommended('{lora/ink@1}');
SELECT * FROM recommended('{lora/rain@1}');
SELECT * FROM recommended('{model/wan@1}', 'lora');
SELECT * FROM recommended('{lora/ink@1,lora/rain@1}');
-- Nobody uses both: those who use most of them count.
SELECT * FROM recommended('{lora/rain@1,lora/unused@1}');
-- Nobody uses it at all.
SELECT * FROM recommended('{lora/unused@1}');
-- Nothing given: what is used most.
SELECT * FROM recommended('{}', max_results => 3);

-- How it ended.
SELECT assetreg.record_generation('{2,6,6}', true) FROM generate_series(1, 20) \g /dev/null
SELECT assetreg.record_generation('{2,4}', i % 10 = 0) FROM generate_series(1, 20) i \g /dev/null
SELECT assetreg.record_generation('{5,6}', false) FROM generate_series(1, 10) i \g /dev/null
SELECT assetreg.record_generation('{}', true);
SELECT asset_id, other_asset_id, successes, tries, round(success_bound::numeric, 4) AS bound FROM assetreg.asset_outcomes ORDER BY 1, 2;
SELECT count(*) FROM assetreg.generation_records;
SELECT * FROM recommended('{lora/ink@1}');
SELECT * FROM recommended('{}', max_results => 3);

-- In one transaction: unseen until it commits, gone if it does not.
BEGIN;
SELECT assetreg.record_generation('{1,2}', true), assetreg.record_generation('{1}', false);
SELECT count(*) FROM assetreg.asset_outcomes WHERE asset_id = 1;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT asset_id, other_asset_id, successes, tries FROM assetreg.asset_outcomes WHERE asset_id = 1 ORDER BY 1, 2;
ROLLBACK;
SELECT count(*) FROM assetreg.asset_outcomes WHERE asset_id = 1;

-- A blocker excludes: on the candidate, or on it and a given one; not one on it and something else.
SELECT assetreg.add_note(6, 'breaks', other_asset_id => 2, severity => 'blocker') \g /dev/null
SELECT * FROM recommended('{lora/ink@1}');
SELECT * FROM recommended('{lora/rain@1}') WHERE asset = 'custom_node/video-helper@1';
SELECT * FROM recommended('{model/wan@1}') WHERE asset = 'custom_node/video-helper@1';
SELECT assetreg.add_note(4, 'flickers', severity => 'blocker') \g /dev/null
SELECT * FROM recommended('{lora/ink@1}');
DELETE FROM assetreg.asset_notes;

-- Metadata that names another architecture excludes, both ways, unless a model of the right one is given.
UPDATE assetreg.assets SET metadata = '{"modelspec.architecture": "flux-1-dev"}' WHERE id = 1;
UPDATE assetreg.assets SET metadata = '{"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}' WHERE id IN (2, 5);
UPDATE assetreg.assets SET metadata = '{"modelspec.architecture": "flux-1-dev/lora"}' WHERE id = 4;
SELECT asset FROM recommended('{model/wan@1}') ORDER BY 1;
SELECT asset FROM recommended('{lora/ink@1}') ORDER BY 1;
UPDATE assetreg.assets SET metadata = '{}';

-- Only what is active.
UPDATE assetreg.assets SET status = 'deprecated' WHERE id = 6;
SELECT asset FROM recommended('{lora/ink@1}') ORDER BY 1;
UPDATE assetreg.assets SET status = 'active' WHERE id = 6;

-- What was recorded of a deleted asset goes with it.
SELECT assetreg.record_generation('{7,8}', true) \g /dev/null
DELETE FROM assetreg.entities WHERE id = 31;
DELETE FROM assetreg.assets WHERE id = 8;
SELECT asset_id, other_asset_id, successes, tries FROM assetreg.asset_outcomes WHERE 7 IN (asset_id, other_asset_id);
BEGIN;
SELECT assetreg.record_generation('{1,2}', true);
SET LOCAL assetreg.confirm_delete = on;
DELETE FROM assetreg.assets WHERE id = 1;
COMMIT;
SELECT asset_id, other_asset_id, successes, tries FROM assetreg.asset_outcomes WHERE asset_id <= 2 ORDER BY 1, 2;

-- What cannot be.
\set VERBOSITY sqlstate
SELECT assetreg.record_generation(NULL, true);
SELECT assetreg.record_generation('{2,NULL}', true);
SELECT assetreg.record_generation('{2}', NULL);
SELECT assetreg.record_generation('{999}', true);
SELECT assetreg.record_generation('{11}', true);
SELECT assetreg.recommend_assets(NULL);
SELECT assetreg.recommend_assets('{NULL}');
SELECT assetreg.recommend_assets('{999}');
SELECT assetreg.recommend_assets('{2}', 'template');
SELECT assetreg.recommend_assets('{2}', max_results => 0);
SELECT assetreg.recommend_assets('{2}', max_results => NULL);
\set VERBOSITY default
SELECT assetreg.recommend_assets('{2,11}');
INSERT INTO assetreg.assets (type, name, version) SELECT 'lora', 'many', i::text FROM generate_series(1001, 1101) i;  -- their ids are 1001 to 1101
SELECT assetreg.record_generation(ARRAY(SELECT generate_series(1001, 1101)), true);
SELECT assetreg.record_generation(ARRAY(SELECT generate_series(1001, 1100)), true);
SELECT count(*), sum(tries) FROM assetreg.asset_outcomes WHERE asset_id > 1000;
SELECT * FROM assetreg.check_registry();

-- Coverage: what entities that are no assets refer to, and what of it is registered.
SELECT empty_registry();
SELECT type, referenced, registered, percent FROM assetreg.coverage();
INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'model', 'wan', '1'), (2, 'lora', 'ink', '1'), (3, 'lora', 'grain', '1');
INSERT INTO assetreg.entities (id, kind, key) VALUES (11, 'template', 't1'), (12, 'template', 't2'), (13, 'template', 't3');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (2, 1), (11, 2), (12, 2), (12, 3);
INSERT INTO assetreg.unresolved_references (dependent_id, reference, type) VALUES
	(11, 'snow.safetensors', 'lora'), (12, 'snow.safetensors', 'lora'), (12, 'mist.safetensors', 'lora'), (13, 'KSamplerFancy', 'custom_node'), (13, 'something', NULL),
	(2, 'sha256:' || repeat('a', 64), 'model');
INSERT INTO assetreg.unresolved_references (dependent_id, reference, type, source) VALUES (12, 'snow.safetensors', 'lora', 'another');
SELECT type, referenced, registered, round(percent::numeric, 2) AS percent FROM assetreg.coverage();
SELECT left(reference, 20) AS reference, type, dependents FROM assetreg.wanted_assets;
DROP FUNCTION recommended;
SELECT empty_registry();
