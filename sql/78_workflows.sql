-- What ComfyUI workflows need, in whichever format, and how their references become edges.
\set SHOW_CONTEXT never
SELECT empty_registry();
CREATE FUNCTION needs(workflow jsonb) RETURNS TABLE (type text, reference text, node_class text, node_id text, relation text, hash text) LANGUAGE sql AS $$
	SELECT * FROM assetreg._workflow_needs($1) $$;

-- The UI format: ids of both kinds, backslashes, a space at the end of a class, notes and wires, values by name.
SELECT * FROM assetreg.workflow_references('{"version": 0.4, "links": [], "nodes": [
	{"id": 1, "type": "CheckpointLoaderSimple", "mode": 0, "widgets_values": ["v15\\dreamshaper_8.safetensors"]},
	{"id": "two", "type": "LoraLoader", "widgets_values": ["styles/Ink.SAFETENSORS", 1, 0.8]},
	{"id": 3, "type": "ConditioningAverage ", "widgets_values": [0.5]},
	{"id": 4, "type": "ConditioningAverage  ", "widgets_values": [0.5]},
	{"id": 5, "type": "Note", "widgets_values": ["get model.safetensors"]},
	{"id": 6, "type": "MarkdownNote", "widgets_values": ["model.safetensors"]},
	{"id": 7, "type": "Reroute"}, {"id": 8, "type": "SetNode", "widgets_values": ["vae"]},
	{"id": 9, "type": "PrimitiveNode", "outputs": [{"widget": {"name": "lora_name"}}], "widgets_values": ["rain.safetensors", "fixed"]},
	{"id": 10, "type": "VHS_LoadVideo", "widgets_values": {"video": "in.mp4", "model": "yolo.onnx", "more": {"list": ["deep.pth"]}}},
	{"id": -11, "type": "Efficient Loader", "inputs": [{"name": "a", "link": 4}, {"name": "ckpt_name", "link": 3, "widget": {"name": "ckpt_name"}},
		{"name": "lora_name", "link": null, "widget": {"name": "lora_name"}}, {"name": "seed", "link": null, "widget": {"name": "seed"}}],
		"widgets_values": ["stale.ckpt", "snow.safetensors", 7, "randomize"]},
	{"id": 12, "type": "SaveText", "widgets_values": [".pt", "a/.pt", "line\nbreak.pt", "model.pt.txt", null, true, 3]},
	{"id": 13, "type": "FloralPattern", "widgets_values": ["flower.bin", "x/florafilter.sft"]}]}');
-- The API format; a link is no name.
SELECT * FROM assetreg.workflow_references('{"3": {"class_type": "KSampler", "inputs": {"model": ["4", 0], "seed": 1}, "_meta": {"title": "x.pt"}},
	"4": {"class_type": "LoraLoader", "inputs": {"lora_name": "a\\b.safetensors", "model": ["5:1", 0]}},
	"5:1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux.gguf"}}, "6": {"class_type": "IPAdapter", "inputs": {"clip_name": "lora/clip.bin"}}}');
SELECT * FROM assetreg.workflow_references('{"client_id": "x", "prompt": {"1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux.gguf"}}}}');
-- Prompts.
SELECT reference, type FROM assetreg.workflow_references('{"1": {"class_type": "CLIPTextEncode", "inputs": {"text":
	"a <lora:ink wash:0.8> <lora:sub\\grain:1:0.5>, <lora:> <lora:open (embedding:rain:1.2), embedding:dir/snow.pt, [embedding:hail|fog] embedding:sun. <lora:ink wash:0.1>"}}}');
-- Loaders that switch each of their files, and custom nodes by what the document tells of them.
SELECT * FROM needs('{"extra": {"node_versions": {"kjnodes": "1.0.5", "comfy-core": "0.3"}}, "nodes": [
	{"id": 1, "type": "Power Lora Loader (rgthree)", "properties": {"cnr_id": "rgthree-comfy", "ver": "1.0.2"},
		"widgets_values": [{}, {"on": true, "lora": "ink.safetensors", "strength": 1}, {"on": false, "lora": "rain.safetensors"}, ""]},
	{"id": 2, "type": "KSampler", "properties": {"cnr_id": "comfy-core", "ver": "0.3.1"}},
	{"id": 3, "type": "ResizeImage", "properties": {"cnr_id": "kjnodes"}},
	{"id": 4, "type": "VHS_Combine", "properties": {"aux_id": "Kosinkadink/VHS", "ver": "8a1b2c"}},
	{"id": 5, "type": "SomethingNew", "properties": {"cnr_id": "comfy-core"}},
	{"id": 6, "type": "Odd", "properties": {"cnr_id": "odd", "ver": "a/b"}}, {"id": 7, "type": "Unknown", "mode": 2}, {"id": 8, "type": "Unknown2", "mode": 4, "widgets_values": ["x.pt"]}]}');
-- Files that the document says more of.
SELECT * FROM needs('{"models": [{"name": "flux.gguf", "hash": "AB12cd34ef", "hash_type": "AutoV2", "directory": "unet"}, {"name": "extra.safetensors", "directory": "loras"}, {"url": "x"}, 3], "nodes": [
	{"id": 1, "type": "UNETLoader", "widgets_values": ["sub/flux.gguf"]},
	{"id": 2, "type": "VAELoader", "widgets_values": ["v.safetensors"], "properties": {"models": [{"name": "v.safetensors", "hash": "00112233", "hash_type": "sha256"}, {"name": "before.safetensors"}]}},
	{"id": 3, "type": "VAELoader", "properties": {"models": [{"name": "w.safetensors", "hash": "no hash", "hash_type": "sha256"}]}}]}');
-- Subgraphs within subgraphs, used twice, muted and not used; group nodes with values of their own.
SELECT * FROM needs('{"nodes": [{"id": 1, "type": "aaaa"}, {"id": 2, "type": "aaaa", "mode": 4}, {"id": 3, "type": "workflow/G", "widgets_values": ["new.ckpt", 3]}, {"id": 4, "type": "workflow>G", "widgets_values": ["x"]},
		{"id": 5, "type": "workflow>gone"}],
	"definitions": {"subgraphs": [{"id": "aaaa", "nodes": [{"id": 7, "type": "bbbb", "mode": 2}, {"id": 8, "type": "LoraLoader", "widgets_values": ["a.safetensors"]}],
									"definitions": {"subgraphs": [{"id": "bbbb", "nodes": [{"id": 9, "type": "UNETLoader", "widgets_values": ["b.gguf"]}]}]}},
									{"id": "cccc", "nodes": [{"id": 1, "type": "UNETLoader", "widgets_values": ["unused.gguf"]}]}]},
	"extra": {"groupNodes": {"G": {"nodes": [{"type": "CheckpointLoaderSimple", "widgets_values": ["old.ckpt"]}, {"type": "KSampler", "widgets_values": [1]}]}}}}');
SELECT * FROM assetreg.workflow_nodes('{"nodes": [{"id": 1, "type": "aaaa", "mode": 2}, {"id": 2, "type": "X ", "mode": 4, "properties": {"cnr_id": "x", "ver": "1"}}, {"id": 3, "type": "Note", "mode": 99.5}],
	"definitions": {"subgraphs": [{"id": "aaaa", "nodes": [{"id": 7, "type": "KSampler", "mode": 0}]}]}}');
SELECT * FROM assetreg.workflow_references('{"nodes": []}');
SELECT * FROM assetreg.workflow_references(NULL);

-- What is no workflow.
SELECT assetreg.workflow_references('1');
SELECT assetreg.workflow_references('"x"');
SELECT assetreg.workflow_references('null');
SELECT assetreg.workflow_references('[]');
SELECT assetreg.workflow_references('{}');
SELECT assetreg.workflow_references('{"nodes": 1}');
SELECT assetreg.workflow_references('{"nodes": [[]]}');
SELECT assetreg.workflow_references('{"nodes": [{"type": "X"}]}');
SELECT assetreg.workflow_references('{"nodes": [{"type": "X", "id": 1.5}]}');
SELECT assetreg.workflow_references('{"nodes": [{"type": "X", "id": 1e30}]}');
SELECT assetreg.workflow_references('{"nodes": [{"type": "X", "id": {}}]}');
SELECT assetreg.workflow_references('{"nodes": [{"type": 4, "id": 1}]}');
SELECT assetreg.workflow_references('{"nodes": [{"id": 1, "type": ""}]}');
SELECT assetreg.workflow_references(jsonb_build_object('nodes', jsonb_build_array(jsonb_build_object('id', 1, 'type', repeat('x', 1001)))));
SELECT assetreg.workflow_references('{"": {"class_type": "X"}}');
SELECT assetreg.workflow_references('{"1": "X"}');
SELECT assetreg.workflow_references('{"1": {"inputs": {}}}');
SELECT assetreg.workflow_references('{"nodes": [], "definitions": {"subgraphs": [1]}}');
SELECT assetreg.workflow_references('{"nodes": [], "definitions": {"subgraphs": [{}]}}');
SELECT assetreg.workflow_references('{"nodes": [{"id": 1, "type": "a"}], "definitions": {"subgraphs": [{"id": "a"}]}}');
SELECT assetreg.workflow_references('{"nodes": [{"id": 1, "type": "a"}], "definitions": {"subgraphs": [{"id": "a", "nodes": [{"id": 1, "type": "b"}]}, {"id": "b", "nodes": [{"id": 1, "type": "a"}]}]}}');
-- Nested 10,000 deep, where values are read and where they are not.
SELECT assetreg.workflow_references(('{"1": {"class_type": "X", "inputs": {"a": ' || repeat('[', 4000) || repeat(']', 4000) || '}}}')::jsonb);
SELECT * FROM assetreg.workflow_references(('{"nodes": [{"id": 1, "type": "X", "widgets_values": ["a.pt"]}], "extra": ' || repeat('[', 4000) || repeat(']', 4000) || '}')::jsonb);
-- Ten subgraphs in each of ten, and so on: 10^17 nodes.
SELECT assetreg.workflow_references((SELECT jsonb_build_object('nodes', '[{"id": 1, "type": "g1"}]'::jsonb, 'definitions', jsonb_build_object('subgraphs', jsonb_agg(
	jsonb_build_object('id', 'g' || i, 'nodes', (SELECT jsonb_agg(jsonb_build_object('id', k, 'type', 'g' || i + 1)) FROM generate_series(1, 10) k))))) FROM generate_series(1, 17) i));
-- As deep as the ids go.
SELECT assetreg.workflow_references((SELECT jsonb_build_object('nodes', '[{"id": 1, "type": "g1"}]'::jsonb, 'definitions', jsonb_build_object('subgraphs', jsonb_agg(
	jsonb_build_object('id', 'g' || i, 'nodes', jsonb_build_array(jsonb_build_object('id', i, 'type', 'g' || i + 1)))))) FROM generate_series(1, 1000) i));
-- 50 MB of prompt.
SELECT * FROM assetreg.workflow_references(jsonb_build_object('1', jsonb_build_object('class_type', 'CLIPTextEncode', 'inputs', jsonb_build_object('text', repeat('<lora:a:1> embedding:b, ', 2200000)))));

-- Random documents: both formats of one picture say the same, and the files are those that jsonpath finds.
CREATE TEMP TABLE pictures AS
	SELECT n, i, (ARRAY['KSampler', 'LoraLoader', 'CheckpointLoaderSimple', 'Some Node', 'VAELoader'])[1 + abs(hashint4(n * 131 + i)) % 5] AS class,
		   (SELECT array_agg(CASE abs(hashint4(n * 977 + i * 31 + v)) % 6 WHEN 0 THEN 'dir\f' || abs(hashint4(n + i * v)) % 9 || '.safetensors' WHEN 1 THEN 'f' || abs(hashint4(n * v)) % 7 || '.ckpt' WHEN 2 THEN 'text ' || v
								   WHEN 3 THEN 'a.pth/' ELSE v::text END) FROM generate_series(1, 4) v) AS vals
	FROM generate_series(1, 100) n, generate_series(1, 1 + n % 7) i;
CREATE TEMP TABLE documents AS
	SELECT n, jsonb_build_object('nodes', jsonb_agg(jsonb_build_object('id', i, 'type', class, 'widgets_values', vals))) AS ui,
		   jsonb_object_agg(i, jsonb_build_object('class_type', class, 'inputs', jsonb_build_object('w', vals[1], 'x', vals[2], 'y', vals[3], 'z', jsonb_build_array(vals[4])))) AS api
	FROM pictures GROUP BY n;
SELECT count(*) AS documents, sum((SELECT count(*) FROM assetreg.workflow_references(ui))) > 300 AS enough,
	   count(*) FILTER (WHERE EXISTS (SELECT * FROM assetreg.workflow_references(ui) EXCEPT SELECT * FROM assetreg.workflow_references(api))
						   OR EXISTS (SELECT * FROM assetreg.workflow_references(api) EXCEPT SELECT * FROM assetreg.workflow_references(ui))) AS formats_differ,
	   count(*) FILTER (WHERE (SELECT array_agg(DISTINCT reference ORDER BY reference) FROM assetreg.workflow_references(ui) WHERE type <> 'custom_node') IS DISTINCT FROM
							  (SELECT array_agg(DISTINCT replace(f #>> '{}', '\', '/') ORDER BY replace(f #>> '{}', '\', '/'))
							   FROM jsonb_path_query(ui, '$.nodes[*].widgets_values[*] ? (@ like_regex "[^/]\\.(safetensors|ckpt|pth)$")') f)) AS files_differ
FROM documents;

-- References become edges: by hash, by path, by the name alone.
INSERT INTO assetreg.assets (id, type, name, version, file_path, file_size, sha256) VALUES
	(1, 'lora', 'ink', '1', '/m/loras/ink.safetensors', 1, repeat('1', 64)), (2, 'model', 'ink', '1', '/m/checkpoints/ink.safetensors', 1, repeat('2', 64)),
	(3, 'model', 'deep', '1', '/m/checkpoints/xl/deep.ckpt', 1, repeat('3', 64)), (4, 'model', 'deep2', '1', '/m/checkpoints/sd/deep.ckpt', 1, repeat('4', 64)),
	(5, 'model', 'renamed', '1', '/m/vae/other.pt', 1, 'abcd' || repeat('5', 60)), (6, 'lora', 'grain.safetensors', '1', NULL, NULL, NULL), (7, 'lora', 'grain.safetensors', '2', NULL, NULL, NULL),
	(8, 'lora', 'by name', '1', '/m/loras/by-name-v1.safetensors', 1, repeat('8', 64));
INSERT INTO assetreg.assets (id, type, name, version, provides) VALUES (11, 'custom_node', 'rgthree-comfy', '1.0', '{}'), (12, 'custom_node', 'rgthree-comfy', '1.10', '{}'), (13, 'custom_node', 'rgthree-comfy', '1.2', '{}'),
	(14, 'custom_node', 'VHS', '1', '{VHS_Load}'), (15, 'custom_node', 'ipa', '1', '{IPAdapter,Shared}'), (16, 'custom_node', 'ipb', '1', '{Shared}');
UPDATE assetreg.assets SET status = 'deprecated' WHERE id = 12;
CREATE VIEW edges AS SELECT e.key, assetreg.asset_ref(d.dependency_id) AS asset, d.relation, d.requires FROM assetreg.asset_dependencies d JOIN assetreg.entities e ON e.id = d.dependent_id WHERE d.source = 'workflow';
CREATE VIEW waiting AS SELECT e.key, u.type, u.reference, u.candidates, u.relation, u.requires FROM assetreg.unresolved_references u JOIN assetreg.entities e ON e.id = u.dependent_id;
SELECT * FROM assetreg.ingest_workflow('workflow', 'w', '{"nodes": [
	{"id": 1, "type": "LoraLoader", "widgets_values": ["ink.safetensors"]}, {"id": 2, "type": "CheckpointLoaderSimple", "widgets_values": ["ink.safetensors"], "mode": 2},
	{"id": 3, "type": "CheckpointLoaderSimple", "widgets_values": ["xl\\deep.ckpt"]}, {"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": ["deep.ckpt"]},
	{"id": 5, "type": "CheckpointLoaderSimple", "widgets_values": ["elsewhere/other.pt"], "mode": 4},
	{"id": 6, "type": "VAELoader", "widgets_values": ["wrong.pt"], "properties": {"models": [{"name": "wrong.pt", "hash": "ABCD555555", "hash_type": "AutoV2"}]}},
	{"id": 7, "type": "CLIPTextEncode", "widgets_values": ["<lora:grain:1> <lora:missing:1> <lora:by name:1> <lora:named later:1>"]},
	{"id": 8, "type": "Any Switch", "properties": {"cnr_id": "rgthree-comfy", "ver": "1.0"}}, {"id": 9, "type": "Fast Muter", "properties": {"cnr_id": "rgthree-comfy", "ver": "1.0"}, "mode": 2},
	{"id": 10, "type": "Seed", "properties": {"cnr_id": "rgthree-comfy", "ver": "0f3a"}}, {"id": 11, "type": "VHS_Load", "properties": {"aux_id": "Kosinkadink/VHS"}},
	{"id": 12, "type": "IPAdapter"}, {"id": 13, "type": "Shared"}, {"id": 14, "type": "Nobody"}, {"id": 15, "type": "IPAdapter"}]}', 'A workflow') ;
SELECT label FROM assetreg.entities WHERE key = 'w';
SELECT * FROM edges ORDER BY asset;
SELECT * FROM waiting ORDER BY reference;
SELECT * FROM assetreg.check_registry();
-- It arrives: a file by its name, a class by what a pack provides, a pack by its name.
SELECT count(*) FROM assetreg.ingest_workflow('workflow', 'v', '{"nodes": [{"id": 1, "type": "New", "properties": {"cnr_id": "newpack", "ver": "3"}}, {"id": 2, "type": "New2", "properties": {"cnr_id": "newpack"}, "mode": 4},
	{"id": 3, "type": "UNETLoader", "widgets_values": ["a/later.gguf"], "properties": {"models": [{"name": "later.gguf", "hash": "0123456789ab", "hash_type": "autov3"}]}},
	{"id": 4, "type": "UNETLoader", "widgets_values": ["b/soon.gguf"]}]}');
INSERT INTO assetreg.assets (id, type, name, version, file_path, file_size, sha256) VALUES (21, 'lora', 'missing', '1', '/m/loras/missing.safetensors', 1, repeat('6', 64)), (22, 'model', 'soon', '1', '/m/unet/soon.gguf', 1, repeat('7', 64));
INSERT INTO assetreg.assets (id, type, name, version, provides) VALUES (23, 'custom_node', 'newpack', '4', '{}'), (24, 'custom_node', 'somebody', '4', '{}');
UPDATE assetreg.assets SET provides = '{Nobody}' WHERE id = 24;
INSERT INTO assetreg.assets (id, type, name, version) VALUES (25, 'model', 'hashed', '1'), (26, 'lora', 'named later', '1');
INSERT INTO assetreg.asset_hashes VALUES (25, 'autov3', '0123456789ab', 'measured');
SELECT * FROM edges WHERE asset ~ 'missing|soon|newpack|somebody|hashed|named' ORDER BY asset;
SELECT * FROM waiting ORDER BY reference;
SELECT * FROM assetreg.check_registry();
-- Of two that it may mean one goes.
DELETE FROM assetreg.assets WHERE id = 4;
DELETE FROM assetreg.assets WHERE id = 16;
SELECT * FROM edges WHERE asset ~ 'deep|ip' ORDER BY asset;
SELECT * FROM waiting;
-- Again: exactly what it needs now; what people declared stays.
SELECT assetreg.add_dependency(assetreg.entity_id('workflow', 'w'), 2);
SELECT * FROM assetreg.ingest_workflow('workflow', 'w', '{"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.safetensors"}}, "2": {"class_type": "Nobody", "inputs": {"x": "gone.pt"}}}');
SELECT * FROM edges WHERE key = 'w' ORDER BY asset;
SELECT * FROM waiting WHERE key = 'w';
SELECT d.dependency_id, d.source FROM assetreg.asset_dependencies d WHERE d.dependent_id = assetreg.entity_id('workflow', 'w') ORDER BY 1, 2;
SELECT label FROM assetreg.entities WHERE key = 'w';
-- One name that is missing as a LoRA and as a model waits for both, and each becomes an edge for itself.
SELECT type, reference, resolution FROM assetreg.ingest_workflow('workflow', 'twice', '{"nodes": [{"id": 1, "type": "LoraLoader", "widgets_values": ["twin.safetensors"]},
	{"id": 2, "type": "CheckpointLoaderSimple", "widgets_values": ["twin.safetensors"]}]}');
SELECT type, reference, relation FROM waiting WHERE key = 'twice' ORDER BY type;
SELECT reference, type, dependents FROM assetreg.wanted_assets WHERE reference = 'twin.safetensors' ORDER BY type;
INSERT INTO assetreg.assets (id, type, name, version, file_path, file_size, sha256) VALUES (31, 'lora', 'twin', '1', '/m/loras/twin.safetensors', 1, repeat('a', 64));
SELECT type, reference, candidates FROM waiting WHERE key = 'twice' ORDER BY type;
INSERT INTO assetreg.assets (id, type, name, version, file_path, file_size, sha256) VALUES (32, 'model', 'twin', '1', '/m/checkpoints/twin.safetensors', 1, repeat('b', 64));
SELECT asset FROM edges WHERE key = 'twice' ORDER BY asset;
SELECT type, reference, candidates FROM waiting WHERE key = 'twice' ORDER BY type;
-- Ingested again with one of the two, the other waits no longer.
SELECT count(*) FROM assetreg.ingest_workflow('workflow', 'once', '{"nodes": [{"id": 1, "type": "LoraLoader", "widgets_values": ["alone.safetensors"]}, {"id": 2, "type": "CheckpointLoaderSimple", "widgets_values": ["alone.safetensors"]}]}');
SELECT count(*) FROM assetreg.ingest_workflow('workflow', 'once', '{"nodes": [{"id": 2, "type": "CheckpointLoaderSimple", "widgets_values": ["alone.safetensors"]}]}');
SELECT type, reference FROM waiting WHERE key = 'once';
SELECT * FROM assetreg.check_registry();
-- A table of before has a key without the type: setup() adds it, and keeps its rows.
SET client_min_messages = warning;
DROP TRIGGER unresolved_references_type_key ON assetreg.unresolved_references;
ALTER TABLE assetreg.unresolved_references DROP CONSTRAINT unresolved_references_pkey, DROP COLUMN type_key,
	ADD CONSTRAINT unresolved_references_pkey PRIMARY KEY (dependent_id, reference, source, relation);
SELECT assetreg.setup();
SELECT assetreg.setup();
RESET client_min_messages;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'unresolved_references_pkey';
SELECT type, reference FROM waiting WHERE key = 'once';
SELECT count(*) > 0 AS rows, bool_and(type_key = coalesce(type, '')) AS right FROM assetreg.unresolved_references;
SELECT * FROM assetreg.check_registry();
-- Rubbish changes nothing.
SELECT * FROM assetreg.ingest_workflow('workflow', 'w', '[]');
SELECT * FROM assetreg.ingest_workflow('workflow', 'w', NULL);
SELECT * FROM assetreg.ingest_workflow('workflow', 'new', '{"1": 1}');
SELECT * FROM assetreg.ingest_workflow('spaceship', 'new', '{"1": {"class_type": "X"}}');
SELECT * FROM assetreg.ingest_workflow(NULL, 'new', '{"1": {"class_type": "X"}}');
SELECT count(*) FROM assetreg.entities WHERE key = 'new';
SELECT count(*) FROM edges WHERE key = 'w';
DROP VIEW edges, waiting;
DROP FUNCTION needs(jsonb);
SELECT empty_registry();
