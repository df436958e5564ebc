-- Assets: types, references, versions, hashes, registration, and the rules behind plain DML.
\set SHOW_CONTEXT never
SELECT empty_registry();

-- An asset type is an entity kind as long as it exists.
INSERT INTO assetreg.asset_types VALUES ('upscaler', 'makes pictures larger');
SELECT name, description FROM assetreg.entity_kinds WHERE name = 'upscaler';
DELETE FROM assetreg.asset_types WHERE name = 'upscaler';
SELECT name, description FROM assetreg.entity_kinds WHERE name = 'upscaler';
-- a kind that nothing uses yet may become a type, one that is used may not
INSERT INTO assetreg.entity_kinds VALUES ('voice', 'a speaker');
INSERT INTO assetreg.asset_types VALUES ('voice', 'a voice model');
SELECT name, description FROM assetreg.entity_kinds WHERE name = 'voice';
INSERT INTO assetreg.entity_kinds VALUES ('shot', 'a take');
SELECT assetreg.put_entity('shot', '1');
INSERT INTO assetreg.asset_types VALUES ('shot', 'no');
BEGIN;
UPDATE assetreg.asset_types SET name = 'shot' WHERE name = 'custom_node';
ROLLBACK;
SELECT name FROM assetreg.asset_types ORDER BY name;
SELECT assetreg.register_asset('voice', 'narrator', '1');
DELETE FROM assetreg.asset_types WHERE name = 'voice';
DELETE FROM assetreg.entity_kinds WHERE name = 'voice';
DELETE FROM assetreg.assets WHERE type = 'voice';
DELETE FROM assetreg.asset_types WHERE name = 'voice';
DELETE FROM assetreg.entities WHERE kind = 'shot';
DELETE FROM assetreg.entity_kinds WHERE name = 'shot';
SELECT name FROM assetreg.entity_kinds ORDER BY name;
-- names of types and kinds are parts of references
INSERT INTO assetreg.asset_types SELECT code.name FROM (VALUES ('a/b')) code (name);
INSERT INTO assetreg.entity_kinds VALUES ('a@b');
INSERT INTO assetreg.entity_kinds VALUES ('');
INSERT INTO assetreg.entity_kinds VALUES (E'a\nb');

-- Registering makes the entity.
SELECT empty_registry();
SELECT assetreg.register_asset('model', 'Wan2.1-T2V-14B', '1.0', '/models/wan2.1_t2v_14B_fp8.safetensors', 14000, repeat('A1', 32),
							   '{"base": "wan"}', '{T2V}', preview_url => 'https://example.org/wan.png');
SELECT id, type, name, version, status, file_path, file_size, left(sha256, 10) AS sha256, integrity, verified_at, metadata, provides,
	   supersedes, preview_url
FROM assetreg.assets;
SELECT * FROM assetreg.entities ORDER BY id;
SELECT assetreg.asset_ref(1001);

-- The same content again is the same asset; other content is a version of its own.
SELECT assetreg.register_asset('model', 'Wan2.1-T2V-14B', '1.0', file_size => 14000, sha256 => repeat('a1', 32));
SELECT assetreg.register_asset('model', 'Wan2.1-T2V-14B', file_size => 14000, sha256 => repeat('a1', 32));
SELECT assetreg.register_asset('model', 'Wan2.1-T2V-14B', '1.0', file_size => 14001, sha256 => repeat('a1', 32));
\echo :LAST_ERROR_SQLSTATE
SELECT assetreg.register_asset('model', 'Wan2.1-T2V-14B', '1.0', file_size => 14000, sha256 => repeat('b2', 32));
SELECT assetreg.register_asset('model', 'Wan2.1-T2V-14B', '1.0');
SELECT assetreg.register_asset('custom_node', 'ComfyUI-VideoHelperSuite', '1.6.1', provides => '{VHS_LoadVideo,VHS_VideoCombine}') AS id,
	   assetreg.register_asset('custom_node', 'ComfyUI-VideoHelperSuite', '1.6.1') AS again;
SELECT count(*) FROM assetreg.assets;

-- References.
SELECT assetreg.asset_id('model/Wan2.1-T2V-14B@1.0') AS exact, assetreg.asset_id('model/Wan2.1-T2V-14B') AS latest,
	   assetreg.asset_id('sha256:' || repeat('a1', 32)) AS sha256, assetreg.asset_id('SHA256:' || repeat('A1', 32)) AS upper_case,
	   assetreg.asset_id(repeat('a1', 32)) AS bare, assetreg.asset_id(repeat('a1', 5)) AS autov2, assetreg.asset_id(repeat('A1', 5)) AS "AUTOV2";
INSERT INTO assetreg.asset_hashes VALUES (1001, 'autov3', repeat('c3', 6), 'measured'), (1001, 'autov3', repeat('c3', 6), 'claimed'),
	(1001, 'autov1', repeat('d4', 4), 'measured'), (1001, 'crc32', repeat('e5', 6), 'claimed');
SELECT assetreg.asset_id(repeat('c3', 6)) AS autov3, assetreg.asset_id(repeat('C3', 6)) AS "AUTOV3";
SELECT assetreg.asset_id(repeat('e5', 6));
SELECT assetreg.asset_id(repeat('a1', 6));
SELECT assetreg.asset_id(repeat('00', 5));
-- the first / ends the type, the last @ begins the version: a name may contain both
SELECT assetreg.register_asset('lora', 'styles/noir@night/deep', '2') AS id \gset
SELECT assetreg.asset_ref(:id);
SELECT assetreg.asset_ref(assetreg.asset_id('lora/styles/noir@night/deep@2'));
SELECT assetreg.asset_id('lora/styles/noir@night/deep');
SELECT assetreg.register_asset('lora', 'it''s "quoted" \ 100%', 'v1 🎬') AS id \gset
SELECT assetreg.asset_ref(:id);
SELECT assetreg.asset_ref(assetreg.asset_id('lora/it''s "quoted" \ 100%@v1 🎬'));
SELECT assetreg.register_asset('lora', 'élan/影', '1.0') AS id \gset
SELECT assetreg.asset_ref(:id);
SELECT assetreg.asset_ref(assetreg.asset_id('lora/élan/影'));
-- a name that looks like a hash is a name
SELECT assetreg.register_asset('lora', 'deadbeef00', '1') AS id \gset
SELECT assetreg.asset_ref(:id);
SELECT assetreg.asset_ref(assetreg.asset_id('lora/deadbeef00'));
SELECT assetreg.asset_id('deadbeef00');

-- A hash that several share names the candidates, ten at most.
INSERT INTO assetreg.assets (type, name, version, sha256) SELECT 'lora', 'copy', i::text, repeat('f', 64) FROM generate_series(1, 12) i;
SELECT * FROM error(format('SELECT assetreg.asset_id(%L)', repeat('f', 64)));
SELECT * FROM error($$SELECT assetreg.asset_id('ffffffffff')$$);
INSERT INTO assetreg.asset_hashes SELECT a.id, 'autov3', repeat('9', 12), 'claimed' FROM assetreg.assets a WHERE a.name = 'copy' AND a.version <= '10';
SELECT * FROM error($$SELECT assetreg.asset_id('999999999999')$$);
-- but neighbours in the index do not count
INSERT INTO assetreg.assets (type, name, version, sha256) VALUES ('lora', 'next', '1', repeat('f', 9) || repeat('e', 55)),
	('lora', 'next', '2', 'fffffffff0' || repeat('0', 54));
SELECT assetreg.asset_ref(assetreg.asset_id('fffffffffe')), assetreg.asset_ref(assetreg.asset_id('fffffffff0'));

-- Versions, newest first: semantic versions by precedence.
SELECT empty_registry();
INSERT INTO assetreg.assets (type, name, version) SELECT 'lora', 'film-grain', v FROM unnest('{1.10,1.9,v1.9.1,2.0.0-rc.1,2.0.0-rc.11,2.0.0-rc.2,2.0.0-beta,
	2.0.0-rc,2.0.0-rc.x,2.0.0,V2.0.1+build.7,1,0.9,1.0.0-alpha,1.0.0-1,1.0.0-alpha.beta,10,99999999999999999999}'::text[]) v;
SELECT a.version FROM assetreg.versions(1001) WITH ORDINALITY v (id, n) JOIN assetreg.assets a USING (id) ORDER BY v.n;
SELECT assetreg.asset_ref(assetreg.asset_id('lora/film-grain'));
-- every version gives the same list
SELECT count(DISTINCT l) FROM assetreg.assets a, LATERAL (SELECT array_agg(v) AS l FROM assetreg.versions(a.id) v) x;
-- equal precedence: by registration
INSERT INTO assetreg.assets (type, name, version) SELECT 'model', 'same', v FROM unnest('{1.0,1,v1,1.0.0+a,01.0}'::text[]) v;
SELECT a.version FROM assetreg.versions(assetreg.asset_id('model/same@1')) WITH ORDINALITY v (id, n) JOIN assetreg.assets a USING (id) ORDER BY v.n;
-- what is no semantic version counts by registration
INSERT INTO assetreg.assets (type, name, version) SELECT 'model', 'mixed', v FROM unnest('{fp16,2.0,1.0,final,1.1,0.9,"1.2 ",1.2.3.4,final-2}'::text[]) v;
SELECT a.version FROM assetreg.versions(assetreg.asset_id('model/mixed@fp16')) WITH ORDINALITY v (id, n) JOIN assetreg.assets a USING (id) ORDER BY v.n;
SELECT assetreg.asset_ref(assetreg.asset_id('model/mixed'));
INSERT INTO assetreg.assets (type, name, version) VALUES ('model', 'mixed', '0.1');
SELECT assetreg.asset_ref(assetreg.asset_id('model/mixed'));
-- many versions, some removed: latest is by version, not by status
SELECT assetreg.asset_ref(v) FROM assetreg.versions(assetreg.asset_id('lora/film-grain@0.9')) v LIMIT 3;

-- A version that was left out: from the file's name, else an ordinal.
SELECT empty_registry();
SELECT f.path, assetreg._stated_version(f.path, '{}') AS version
FROM unnest('{/l/film-grain-v1.2.safetensors,/l/film_grain_V3.safetensors,/l/v2.1.3/film-grain.safetensors,/l/film-grain.v10.0.1.safetensors,
	/l/filmv2.safetensors,C:\\loras\\film-grain-v1.5.safetensors,v4.ckpt,/l/film v5.pt,/l/wan2.1_t2v.safetensors,""}'::text[])
	 WITH ORDINALITY f (path, n)
ORDER BY f.n;
-- what is not understood is not cut down to something that others have, too
SELECT p, assetreg._stated_version(p, '{}')
FROM unnest('{/l/y-v1.2beta.safetensors,/l/y-v1.3beta.safetensors,/l/y-v1.2.3.4.safetensors,/l/y-v1.2.3.5.safetensors}'::text[]) p;
SELECT empty_registry();
SELECT assetreg.register_asset('lora', 'film-grain', file_path => '/l/film-grain-v1.2.safetensors', file_size => 1, sha256 => repeat('1', 64)) AS id \gset
SELECT assetreg.asset_ref(:id);
SELECT assetreg.register_asset('lora', 'rain') AS id \gset
SELECT assetreg.asset_ref(:id);
SELECT assetreg.register_asset('lora', 'rain', 'r3');
SELECT assetreg.register_asset('lora', 'rain');
SELECT assetreg.register_asset('lora', 'rain');
SELECT version FROM assetreg.assets WHERE name = 'rain' ORDER BY id;
-- never re-used
DELETE FROM assetreg.assets WHERE name = 'rain';
SELECT assetreg.register_asset('lora', 'rain') AS id \gset
SELECT assetreg.asset_ref(:id);
SELECT assetreg.register_asset('model', 'rain') AS id \gset
SELECT assetreg.asset_ref(:id);
-- content that is known is not given a new ordinal
SELECT assetreg.register_asset('lora', 'rain', sha256 => repeat('2', 64)) = assetreg.register_asset('lora', 'rain', sha256 => repeat('2', 64)) AS same;
SELECT * FROM assetreg.version_ordinals ORDER BY type, name;

-- Plain INSERT, UPDATE, DELETE and COPY obey the same rules.
SELECT empty_registry();
INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'a', '1'), ('lora', 'b', '1'), ('model', 'c', '1') RETURNING id, type, name, version;
COPY assetreg.assets (type, name, version, status) FROM stdin;
lora	d	1	active
lora	e	1	deprecated
lora	f	1	removed
\.
SELECT * FROM assetreg.entities ORDER BY id;
UPDATE assetreg.assets SET status = 'deprecated', replaced_by = 1002 WHERE id = 1001;
UPDATE assetreg.assets SET status = 'active' WHERE id = 1005;
-- what was removed stays removed
UPDATE assetreg.assets SET status = 'active' WHERE id = 1006;
UPDATE assetreg.assets SET status = 'deprecated' WHERE id IN (1005, 1006);
UPDATE assetreg.assets SET status = 'removed' WHERE id = 1006;
UPDATE assetreg.assets SET version = version || '.0', name = upper(name) WHERE type = 'lora';
SELECT * FROM assetreg.entities ORDER BY id;
-- a label that somebody chose stays
UPDATE assetreg.entities SET label = 'our grain' WHERE id = 1002;
UPDATE assetreg.assets SET name = 'b' WHERE id = 1002;
SELECT * FROM assetreg.entities WHERE id = 1002;
UPDATE assetreg.assets SET type = 'model' WHERE id = 1002;
SELECT * FROM assetreg.entities WHERE id = 1002;
-- a replacement that goes is forgotten
DELETE FROM assetreg.assets WHERE id = 1002;
SELECT id, replaced_by FROM assetreg.assets WHERE id = 1001;
DELETE FROM assetreg.assets WHERE type = 'lora';
SELECT * FROM assetreg.entities ORDER BY id;
WITH gone AS (DELETE FROM assetreg.assets RETURNING id) SELECT * FROM gone;
SELECT * FROM assetreg.entities;
-- nothing of a statement that fails is left
INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'ok', '1'), ('lora', 'ok', '1');
INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'ok', '1'), ('nonsense', 'ok', '1');
SELECT count(*) FROM assetreg.entities;
INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'ok', '1')
	ON CONFLICT (type, name, version) DO UPDATE SET status = 'deprecated';
INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'ok', '1')
	ON CONFLICT (type, name, version) DO UPDATE SET status = 'deprecated';
SELECT kind, key, active FROM assetreg.entities;
MERGE INTO assetreg.assets a USING (VALUES ('ok', '1'), ('ok', '2')) n (name, version)
	ON a.type = 'lora' AND a.name = n.name AND a.version = n.version
	WHEN MATCHED THEN UPDATE SET status = 'active'
	WHEN NOT MATCHED THEN INSERT (type, name, version) VALUES ('lora', n.name, n.version);
SELECT kind, key, active FROM assetreg.entities ORDER BY key;
SET client_min_messages = warning;  -- the notices list what else is emptied
TRUNCATE assetreg.assets CASCADE;
RESET client_min_messages;
SELECT count(*) FROM assetreg.entities;

-- What cannot be: an id that changes, an entity by hand, a row that makes no sense.
SELECT assetreg.register_asset('lora', 'a', '1') AS a \gset
SELECT assetreg.put_entity('scene', '1') AS scene \gset
\pset format unaligned
SELECT t.statement, e.*
FROM (VALUES (1, $$UPDATE assetreg.assets SET id = id + 1000$$),
			 (2, $$UPDATE assetreg.entities SET id = id + 1000 WHERE kind = 'lora'$$),
			 (3, $$UPDATE assetreg.entities SET key = 'b@1' WHERE kind = 'lora'$$),
			 (4, $$UPDATE assetreg.entities SET kind = 'model' WHERE kind = 'lora'$$),
			 (5, $$UPDATE assetreg.entities SET kind = 'scene' WHERE kind = 'lora'$$),
			 (6, $$UPDATE assetreg.entities SET kind = 'lora', key = 'x@1' WHERE kind = 'scene'$$),
			 (7, $$UPDATE assetreg.entities SET active = false WHERE kind = 'lora'$$),
			 (8, $$DELETE FROM assetreg.entities WHERE kind = 'lora'$$),
			 (9, $$DELETE FROM assetreg.entities$$),
			 (10, $$INSERT INTO assetreg.entities (kind, key) VALUES ('lora', 'x@1')$$),
			 (11, $$SELECT assetreg.put_entity('lora', 'x@1')$$),
			 (12, $$SELECT assetreg.put_entity('lora', 'a@1', active => false)$$),
			 (13, $$TRUNCATE assetreg.assets$$),
			 (14, $$INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'a', '1')$$),
			 (15, $$INSERT INTO assetreg.assets (type, name, version) VALUES ('scene', 'a', '1')$$),
			 (16, $$INSERT INTO assetreg.assets (type, name, version, status) VALUES ('lora', 'b', '1', 'Active')$$),
			 (17, $$INSERT INTO assetreg.assets (type, name, version, sha256) VALUES ('lora', 'b', '1', 'A')$$),
			 (18, $$INSERT INTO assetreg.assets (type, name, version, sha256) VALUES ('lora', 'b', '1', repeat('G', 64))$$),
			 (19, $$INSERT INTO assetreg.assets (type, name, version, file_size) VALUES ('lora', 'b', '1', -1)$$),
			 (20, $$INSERT INTO assetreg.assets (type, name, version, file_path) VALUES ('lora', 'b', '1', '/l/b')$$),
			 (21, $$INSERT INTO assetreg.assets (type, name, version, metadata) VALUES ('lora', 'b', '1', '[]')$$),
			 (22, $$INSERT INTO assetreg.assets (type, name, version, provides) VALUES ('lora', 'b', '1', '{a,NULL}')$$),
			 (23, $$INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', '', '1')$$),
			 (24, $$INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'b', '')$$),
			 (25, $$INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'b', '1/2')$$),
			 (26, $$INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'b', '1@2')$$),
			 (27, $$INSERT INTO assetreg.assets (type, name, version, status, replaced_by) VALUES ('lora', 'b', '1', 'removed', 999999)$$),
			 (28, $$UPDATE assetreg.assets SET status = 'deprecated', replaced_by = id$$),
			 (29, $$UPDATE assetreg.assets SET supersedes = id$$),
			 (30, $$INSERT INTO assetreg.assets (id, type, name, version) SELECT id, 'lora', 'b', '1' FROM assetreg.entities WHERE kind = 'scene'$$),
			 (31, $$INSERT INTO assetreg.asset_hashes VALUES (999999, 'autov3', '00', 'measured')$$),
			 (32, $$INSERT INTO assetreg.asset_hashes SELECT id, 'autov3', 'XYZ', 'measured' FROM assetreg.assets$$),
			 (33, $$UPDATE assetreg.asset_types SET name = 'LoRA' WHERE name = 'lora'$$),
			 (34, $$UPDATE assetreg.entity_kinds SET name = 'LoRA' WHERE name = 'lora'$$),
			 -- the id of what is there already, as something else
			 (35, $$UPDATE assetreg.assets SET id = (SELECT e.id FROM assetreg.entities e WHERE e.kind = 'scene')$$),
			 (36, $$UPDATE assetreg.assets SET id = (SELECT e.id FROM assetreg.entities e WHERE e.kind = 'scene'), version = '2'$$),
			 (37, $$INSERT INTO assetreg.assets (type, name, version, replaced_by) SELECT 'lora', 'b', '1', id FROM assetreg.assets$$),
			 (38, $$INSERT INTO assetreg.assets (type, name, version, sha256) VALUES ('lora', 'b', '1', encode(sha256(''), 'hex'))$$),
			 (39, $$INSERT INTO assetreg.assets (type, name, version, file_size) VALUES ('lora', 'b', '1', 0)$$)) t (n, statement),
	 error(t.statement) e
ORDER BY t.n;
\pset format aligned
SELECT kind, key, label, active FROM assetreg.entities ORDER BY kind;
SELECT * FROM assetreg.check_registry();

-- Without the types nobody could tell which entities are assets.
SET client_min_messages = warning;
TRUNCATE assetreg.asset_types CASCADE;
\echo :LAST_ERROR_SQLSTATE
TRUNCATE assetreg.entity_kinds CASCADE;
SELECT (SELECT count(*) FROM assetreg.assets) AS assets, (SELECT count(*) FROM assetreg.entities) AS entities, (SELECT count(*) FROM assetreg.asset_types) AS types;
TRUNCATE assetreg.entities CASCADE;
SELECT (SELECT count(*) FROM assetreg.assets) AS assets, (SELECT count(*) FROM assetreg.entities) AS entities, (SELECT count(*) FROM assetreg.asset_types) AS types;
RESET client_min_messages;
SELECT * FROM assetreg.check_registry();

-- Who and when is the server's to say.
SELECT empty_registry();
CREATE ROLE regress_assetreg_writer;
GRANT USAGE ON SCHEMA assetreg TO regress_assetreg_writer;
GRANT ALL ON ALL TABLES IN SCHEMA assetreg TO regress_assetreg_writer;
GRANT ALL ON ALL SEQUENCES IN SCHEMA assetreg TO regress_assetreg_writer;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA assetreg TO regress_assetreg_writer;
CREATE VIEW attribution AS
	SELECT a.name AS thing, replace(a.registered_by, session_user, 'me') AS who, a.registered_at = '1999-01-01' AS stated_at,
		   a.updated_at = '1999-01-01' AS stated_updated_at
	FROM assetreg.assets a
	UNION ALL
	SELECT d.dependent_id || ' on ' || d.dependency_id, replace(d.added_by, session_user, 'me'), d.added_at = '1999-01-01', NULL
	FROM assetreg.asset_dependencies d;
SET SESSION AUTHORIZATION regress_assetreg_writer;
SELECT assetreg.register_asset('lora', 'by function', '1');
INSERT INTO assetreg.assets (type, name, version, registered_by, registered_at, updated_at)
	VALUES ('lora', 'forged', '1', 'forger', '1999-01-01', '1999-01-01');
SELECT assetreg.put_entity('scene', '1');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by, added_at) VALUES (1003, 1001, 'forger', '1999-01-01');
SELECT assetreg.add_dependency(1003, 1002);
RESET SESSION AUTHORIZATION;
SELECT * FROM attribution ORDER BY thing;
SET SESSION AUTHORIZATION regress_assetreg_writer;
SET assetreg.actor = 'forger';
UPDATE assetreg.assets SET registered_by = 'forger', registered_at = '1999-01-01', updated_at = '1999-01-01' WHERE name = 'forged';
UPDATE assetreg.asset_dependencies SET added_by = 'forger', added_at = '1999-01-01';
RESET SESSION AUTHORIZATION;
SELECT * FROM attribution ORDER BY thing;
-- the tables' owner states what happened elsewhere, and keeps it by an update of something else
INSERT INTO assetreg.assets (type, name, version, registered_by, registered_at) VALUES ('lora', 'imported', '1', 'archive', '1999-01-01');
INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'mine', '1');
UPDATE assetreg.assets SET preview_url = 'x' WHERE name = 'imported';
UPDATE assetreg.assets SET registered_by = 'corrected' WHERE name = 'forged';
UPDATE assetreg.assets SET registered_by = NULL WHERE name = 'mine';
-- the actor is whom a service speaks for
SET assetreg.actor = 'somebody "quoted", somebody''s';
SELECT assetreg.register_asset('lora', 'for somebody', '1');
SELECT assetreg.add_dependency(1003, assetreg.asset_id('lora/for somebody'));
SELECT assetreg.add_dependency(1003, 1001, 'changed');
RESET assetreg.actor;
SELECT * FROM attribution ORDER BY thing;
-- a role that was granted the setting may set it, and is believed
GRANT SET ON PARAMETER assetreg.actor TO regress_assetreg_writer;
SET SESSION AUTHORIZATION regress_assetreg_writer;
SET assetreg.actor = 'somebody';
INSERT INTO assetreg.assets (type, name, version, registered_by) VALUES ('lora', 'for somebody again', '1', 'forger');
RESET assetreg.actor;
RESET SESSION AUTHORIZATION;
SELECT * FROM attribution WHERE thing = 'for somebody again';
REVOKE SET ON PARAMETER assetreg.actor FROM regress_assetreg_writer;
DROP VIEW attribution;
SELECT empty_registry();
DROP OWNED BY regress_assetreg_writer;
DROP ROLE regress_assetreg_writer;
SELECT * FROM assetreg.check_registry();
