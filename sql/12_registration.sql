-- Files of assets: what is measured as they are registered, what is declared, and what follows from it.
\set SHOW_CONTEXT never
SELECT empty_registry();
\set root `mktemp -d`
\setenv ROOT :root
-- the server may run as another user
\! mkdir "$ROOT/loras" "$ROOT/nodes" "$ROOT/closed" && chmod 777 "$ROOT" "$ROOT"/* && chmod 000 "$ROOT/closed" && mkfifo "$ROOT/fifo"
SET assetreg.asset_roots = :'root';
SET regress.root = :'root';  -- which everybody may read

-- Writes a file of the root and returns its path.
CREATE FUNCTION put(name text, bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	file text := current_setting('regress.root') || '/' || name;
	large oid := lo_from_bytea(0, bytes);
BEGIN
	PERFORM lo_export(large, file), lo_unlink(large);
	RETURN file;
END
$$;
-- The path of a file of the root, and a text without the root.
CREATE FUNCTION at(name text) RETURNS text LANGUAGE sql AS $$ SELECT current_setting('regress.root') || '/' || name $$;
CREATE FUNCTION shown(message text) RETURNS text LANGUAGE sql AS $$ SELECT replace(message, current_setting('regress.root'), '...') $$;
CREATE FUNCTION refused(statement text) RETURNS TABLE (code text, message text, detail text, hint text) LANGUAGE sql AS
	$$ SELECT e.code, shown(e.message), shown(e.detail), e.hint FROM error(statement) e $$;
-- A safetensors file whose tensor is the data, and a hash as others compute it.
CREATE FUNCTION safetensors(metadata jsonb, data bytea) RETURNS bytea LANGUAGE sql AS $$
	SELECT set_byte(set_byte('\x0000000000000000', 0, octet_length(h) % 256), 1, octet_length(h) / 256) || h || data
	FROM convert_to(format('{"__metadata__":%s,"t":{"dtype":"U8","shape":[%s],"data_offsets":[0,%2$s]}}', metadata, octet_length(data)), 'UTF8') h
	$$;
-- asset_ref() is stable: it does not see what the statement that calls it registers.
CREATE FUNCTION ref(id bigint) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN assetreg.asset_ref(id); END $$;
CREATE FUNCTION sha(bytes bytea) RETURNS text LANGUAGE sql AS $$ SELECT encode(sha256(bytes), 'hex') $$;
-- What the registry knows of files.
CREATE VIEW files AS
	SELECT a.id, a.type || '/' || a.name || '@' || a.version AS asset, shown(a.file_path) AS path, a.file_size AS size, left(a.sha256, 6) AS sha256,
		   a.integrity, a.verified_at IS NOT NULL AS checked,
		   (SELECT string_agg(format('%s %s %s', h.source, h.algorithm, left(h.value, 6)), ', ' ORDER BY h.source, h.algorithm, h.value)
			FROM assetreg.asset_hashes h WHERE h.asset_id = a.id) AS hashes
	FROM assetreg.assets a;
CREATE VIEW edges AS
	SELECT assetreg.asset_ref(d.dependent_id) AS dependent, d.relation || ' ' || assetreg.asset_ref(d.dependency_id) AS needs, d.source FROM assetreg.asset_dependencies d
	UNION ALL
	SELECT assetreg.asset_ref(u.dependent_id), u.relation || ' ' || left(u.reference, 13) || '?' || coalesce(' of ' || nullif(u.candidates, '{}')::text, ''), u.source
	FROM assetreg.unresolved_references u;

-- Size and hashes are those that other programs compute: with and without bytes where AutoV1 looks, with and without tensors.
CREATE TABLE contents AS
	SELECT v.* FROM (SELECT string_agg(sha256(i::text::bytea), '' ORDER BY i) FROM generate_series(1, 40000) i) r (bytes),
		LATERAL (VALUES ('small.bin', 'small'::bytea, NULL::bytea), ('large.bin', r.bytes, NULL), ('below.bin', substr(r.bytes, 1, 1114111), NULL),
			('enough.bin', substr(r.bytes, 1, 1114112), NULL), ('small.safetensors', safetensors('{"n": "1"}', 'x'), 'x'),
			('large.safetensors', safetensors('{"format": "pt"}', r.bytes), r.bytes)) v (name, bytes, tensors);
SELECT c.name, assetreg.register_asset('model', c.name, '1', put(c.name, c.bytes)) FROM contents c ORDER BY c.name;
SELECT asset, path, size, integrity, checked, hashes FROM files ORDER BY asset COLLATE "C";
SELECT c.name, a.file_size = octet_length(c.bytes) AS size, a.sha256 = sha(c.bytes) AS sha256,
	   (SELECT h.value FROM assetreg.asset_hashes h WHERE h.asset_id = a.id AND h.algorithm = 'autov1')
	   IS NOT DISTINCT FROM CASE WHEN octet_length(c.bytes) >= 1114112 THEN left(sha(substr(c.bytes, 1048577, 65536)), 8) END AS autov1,
	   (SELECT h.value FROM assetreg.asset_hashes h WHERE h.asset_id = a.id AND h.algorithm = 'autov3') IS NOT DISTINCT FROM left(sha(c.tensors), 12) AS autov3,
	   a.verified_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS checked_now
FROM contents c JOIN assetreg.assets a ON a.name = c.name ORDER BY c.name;
-- a custom node may be a directory: SHA-256 over a line for each file
\! mkdir -p "$ROOT/nodes/pack/.git" "$ROOT/nodes/pack/sub" && chmod 777 "$ROOT/nodes/pack" "$ROOT/nodes/pack"/sub "$ROOT/nodes/pack"/.git
CREATE TABLE pack AS SELECT v.* FROM (VALUES ('__init__.py', 'import sub'::bytea), ('sub/a b.py', '1'), ('sub/ünicode.txt', ''), ('sub-0.py', '2'), ('.git/config', 'not counted')) v (name, bytes);
SELECT count(put('nodes/pack/' || name, bytes)) FROM pack;
SELECT assetreg.register_asset('custom_node', 'pack', '1', at('nodes/pack')) AS id \gset
SELECT assetreg.register_asset('custom_node', 'pack', '1', at('nodes/pack/')) = :id AS same;
SELECT path, size, integrity, hashes FROM files WHERE id = :id;
SELECT a.sha256 = sha(string_agg(convert_to(format('%s %s %s', sha(p.bytes), octet_length(p.bytes), p.name), 'UTF8') || '\x00', '' ORDER BY p.name COLLATE "C")) AS sha256
FROM assetreg.assets a, pack p WHERE a.id = :id AND p.name !~ '^[.]git/' GROUP BY a.id;
-- a file that may not be one
SELECT t.n, e.* FROM (VALUES (1, at('fifo')), (2, at('missing')), (3, at('closed/file')), (4, at('no/such/directory')), (5, '/dev/null'), (6, 'relative'), (7, at('../x')), (8, put('empty', '')),
	(9, put('broken.safetensors', 'x')), (10, at('loras')), (11, '')) t (n, path), refused(format('SELECT assetreg.register_asset(''model'', ''x'', ''1'', %L)', t.path)) e ORDER BY t.n;
SELECT t.n, e.* FROM (VALUES (1, at('fifo')), (2, at('missing')), (3, at('closed/file')), (4, at('no/such/directory')), (5, '/dev/null'), (6, 'relative'), (7, at('../x')), (8, at('empty')),
	(9, at('broken.safetensors')), (10, at('loras')), (11, '')) t (n, path),
	refused(format('SELECT assetreg.register_asset(''model'', ''y'', ''%s'', %L, 7, %L)', t.n, t.path, repeat('7', 64))) e ORDER BY t.n;
SELECT asset, path, integrity, checked FROM files WHERE asset LIKE 'model/_@%' ORDER BY id;
-- what is stated is not believed
SELECT t.n, e.* FROM (VALUES (1, 5, NULL), (2, NULL, sha('small')), (3, 5, upper(sha('small'))), (4, 6, NULL), (5, NULL, repeat('0', 64)), (6, 5, repeat('0', 64)), (7, -1, NULL), (8, NULL, '')) t (n, size, sha256),
	refused(format('SELECT assetreg.register_asset(''model'', ''stated'', ''%s'', %L, %L, %L)', t.n, at('small.bin'), t.size, t.sha256)) e ORDER BY t.n;
SELECT asset, size, sha256, integrity FROM files WHERE asset LIKE 'model/stated@%' ORDER BY id;

-- Metadata: what people state goes before what the file says.
SELECT assetreg.register_asset('lora', 'stated', '1', put('loras/meta.safetensors', safetensors('{"modelspec.title": "from the file", "ss_tag": "kept", "other": "file"}', 'abc')),
	metadata => '{"modelspec.title": "stated", "mine": [1, 2]}') AS id \gset
SELECT metadata FROM assetreg.assets WHERE id = :id;
SELECT assetreg.register_asset('lora', 'nothing stated', '1', at('loras/meta.safetensors'), metadata => NULL) AS id \gset
SELECT metadata FROM assetreg.assets WHERE id = :id;
SELECT * FROM refused(format('SELECT assetreg.register_asset(''lora'', ''array'', ''1'', %L, metadata => ''[1]'')', at('loras/meta.safetensors')));
SELECT assetreg.register_asset('model', 'no format', '1', at('small.bin'), metadata => '{"a": 1}') AS id \gset
SELECT metadata FROM assetreg.assets WHERE id = :id;
-- further hashes that the file claims, next to what was measured
SELECT assetreg.register_asset('lora', 'claims', '1', put('loras/claims.safetensors',
	safetensors(jsonb_build_object('sshs_model_hash', repeat('AB', 32), 'modelspec.hash_sha256', '0x' || repeat('cd', 32)), 'claimed'))) AS id \gset
SELECT hashes FROM files WHERE id = :id;
-- so it is with metadata of what nobody measured
SELECT assetreg.register_asset('lora', 'claims', '2', metadata => '{"sshs_model_hash": "0123456789AB"}') AS id \gset
SELECT hashes FROM files WHERE id = :id;

-- The version: stated, else of the same content, else what the metadata says, else the file's name, else an ordinal.
SELECT empty_registry();
SELECT assetreg.register_asset('lora', 'grain', 'mine', put('loras/grain-v2.safetensors', safetensors('{"modelspec.title": "Film Grain v3"}', '1'))) AS id \gset
SELECT ref(:id);
SELECT assetreg.register_asset('lora', 'grain', file_path => at('loras/grain-v2.safetensors')) = :id AS same_content;
SELECT assetreg.register_asset('lora', 'grain', file_path => put('loras/copy-v7.safetensors', pg_read_binary_file(at('loras/grain-v2.safetensors')))) = :id AS same_content;
SELECT ref(assetreg.register_asset('lora', 'other', file_path => at('loras/grain-v2.safetensors'))) AS of_metadata;
SELECT ref(assetreg.register_asset('lora', 'other', file_path => put('loras/other-v2.1.safetensors', safetensors('{}', '2')))) AS of_name;
SELECT ref(assetreg.register_asset('lora', 'other', file_path => put('loras/other_v4.safetensors', safetensors('{}', '3')), metadata => '{"modelspec.title": "x V5.1"}')) AS of_stated_metadata;
SELECT ref(assetreg.register_asset('lora', 'other', file_path => put('loras/other.safetensors', safetensors('{"ss_epoch": "5", "ss_num_epochs": "10", "ss_output_name": "other-v6"}', '4')))) AS of_an_epoch;
SELECT ref(assetreg.register_asset('lora', 'other', file_path => put('loras/other2.safetensors', safetensors('{}', '5')))) AS ordinal;
SELECT ref(assetreg.register_asset('lora', 'other', file_path => put('loras/other3.safetensors', safetensors('{}', '6')))) AS ordinal;
-- an ordinal is never given again, neither after a deletion nor where somebody stated it
DELETE FROM assetreg.assets WHERE name = 'other' AND version = 'r2';
INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'other', 'r4');
INSERT INTO assetreg.assets (type, name) VALUES ('lora', 'other'), ('lora', 'other') RETURNING version;
-- what was rolled back never was
BEGIN;
INSERT INTO assetreg.assets (type, name) VALUES ('lora', 'other') RETURNING version;
ROLLBACK;
INSERT INTO assetreg.assets (type, name) VALUES ('lora', 'other') RETURNING version;
-- other content under the same version says what differs
SELECT * FROM refused(format('SELECT assetreg.register_asset(''lora'', ''grain'', ''mine'', %L)', at('loras/other.safetensors')));
SELECT * FROM refused($$SELECT assetreg.register_asset('lora', 'grain', 'mine', sha256 => repeat('0', 64))$$);
SELECT * FROM refused($$SELECT assetreg.register_asset('lora', 'grain', 'mine', file_size => 1)$$);
SELECT * FROM refused($$SELECT assetreg.register_asset('lora', 'other', 'r4', sha256 => repeat('0', 64))$$);
SELECT * FROM refused(format('SELECT assetreg.register_asset(''lora'', ''other'', file_path => %L)', put('loras/another-v2.1.safetensors', safetensors('{}', '8'))));
-- a removed version is still there
SELECT assetreg.set_asset_status(:id, 'removed');
SELECT assetreg.register_asset('lora', 'grain', 'mine', at('loras/grain-v2.safetensors')) = :id AS same;
SELECT status FROM assetreg.assets WHERE id = :id;
SELECT asset, path, size, integrity FROM files ORDER BY id;
SELECT * FROM assetreg.version_ordinals ORDER BY type, name;

-- Plain INSERT, UPDATE and COPY obey the same rules. What a role may read is measured; what it may not is declared.
SELECT empty_registry();
CREATE ROLE regress_assetreg_reads;  -- may read files below the roots
CREATE ROLE regress_assetreg_blind;  -- may not
SELECT assetreg.grant_access('regress_assetreg_reads', 'contributor'), assetreg.grant_access('regress_assetreg_blind', 'contributor');
REVOKE EXECUTE ON FUNCTION assetreg._measure_file FROM regress_assetreg_blind;
GRANT SELECT ON files, edges, contents TO regress_assetreg_reads, regress_assetreg_blind;
SET ROLE regress_assetreg_reads;
INSERT INTO assetreg.assets (type, name, version, file_path, sha256, integrity, verified_at) VALUES
	('model', 'small', '1', at('small.bin'), upper(sha('small')), 'missing', '1999-01-01'),
	('model', 'large', '1', at('large.safetensors'), NULL, 'declared', NULL), ('model', 'elsewhere', '1', NULL, repeat('AB', 32), 'verified', '1999-01-01');
INSERT INTO assetreg.assets (type, name, version, file_path, file_size, sha256, integrity, verified_at) VALUES
	('model', 'elsewhere', '2', '/nas/x', 3, repeat('CD', 32), 'verified', '1999-01-01'),
	('model', 'elsewhere', '3', at('missing'), 3, repeat('ef', 32), 'verified', '1999-01-01');
SELECT asset, path, size, sha256, integrity, checked, hashes FROM files ORDER BY id;
SELECT count(*) FROM assetreg.assets WHERE verified_at < '2000-01-01';
UPDATE assetreg.assets SET integrity = 'verified', verified_at = '1999-01-01';
UPDATE assetreg.assets SET integrity = 'mismatch', verified_at = NULL, preview_url = 'x' WHERE name = 'small';
SELECT asset, integrity, checked FROM files ORDER BY id;
SELECT count(*) FROM assetreg.assets WHERE verified_at < '2000-01-01';
-- a path, a size, a hash that changes
SELECT t.n, e.* FROM (VALUES (1, $$UPDATE assetreg.assets SET sha256 = repeat('0', 64) WHERE name = 'small'$$), (2, $$UPDATE assetreg.assets SET file_size = 6 WHERE name = 'small'$$),
	(3, $$UPDATE assetreg.assets SET file_path = at('large.bin') WHERE name = 'small'$$), (4, $$UPDATE assetreg.assets SET file_path = at('missing'), file_size = NULL, sha256 = NULL WHERE name = 'elsewhere' AND version = '1'$$),
	(5, $$UPDATE assetreg.assets SET sha256 = upper(sha256) WHERE name = 'small'$$), (6, $$UPDATE assetreg.assets SET file_path = at('./small.bin') WHERE name = 'small'$$),
	(7, $$UPDATE assetreg.assets SET file_path = '/nas/x', file_size = 7 WHERE version = '1' AND name = 'elsewhere'$$),
	(8, $$UPDATE assetreg.assets SET file_size = NULL, sha256 = NULL, integrity = 'declared' WHERE name = 'small'$$),
	(9, $$UPDATE assetreg.assets SET file_path = NULL WHERE name = 'elsewhere' AND version = '2'$$), (10, $$UPDATE assetreg.assets SET file_size = 8 WHERE name = 'elsewhere' AND version = '2'$$)) t (n, statement),
	refused(t.statement) e ORDER BY t.n;
SELECT asset, path, size, sha256, integrity, checked FROM files ORDER BY id;
COPY assetreg.assets (type, name, version, file_size, sha256, integrity) FROM stdin;
model	copied	1	10	ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB	verified
model	copied	2	\N	\N	verified
\.
COPY assetreg.assets (type, name, file_path, file_size, sha256) FROM stdin;
model	copied	/nas/copied-v3.bin	10	abababababababababababababababababababababababababababababababab
\.
COPY assetreg.assets (type, name, file_path, file_size, sha256) FROM stdin;
model	copied	/nas/copied-v3.bin	10	acacacacacacacacacacacacacacacacacacacacacacacacacacacacacacacac
model	copied	/nas/copied.bin	10	babababababababababababababababababababababababababababababababa
\.
COPY assetreg.assets (type, name, version, file_path) FROM stdin;
model	copied	4	/nas/x
\.
\set VERBOSITY sqlstate
COPY assetreg.assets (type, name, version, file_path) FROM stdin;
model	copied	4	/nas/x
\.
\set VERBOSITY default
SELECT asset, path, size, sha256, integrity, checked FROM files WHERE asset LIKE 'model/copied@%' ORDER BY id;
-- with the same answers whether a file is there or not, to whoever may not know
SET ROLE regress_assetreg_blind;
SELECT t.n, e.* FROM (VALUES (1, 'small.bin'), (2, 'missing'), (3, 'fifo'), (4, 'loras'), (5, 'closed/file'), (6, 'empty'), (7, 'broken.safetensors'), (8, 'no/such')) t (n, name),
	LATERAL (SELECT e.code, replace(e.message, t.name, '...') AS message, e.detail, e.hint FROM refused(format('INSERT INTO assetreg.assets (type, name, version, file_path) VALUES (''model'', ''b'', ''1'', %L)', at(t.name))) e) e
ORDER BY t.n;
INSERT INTO assetreg.assets (type, name, version, file_path, file_size, sha256, integrity)
	SELECT 'model', 'blind', t.n, at(t.name), 3, repeat('ab', 32), 'verified'
	FROM (VALUES (1, 'small.bin'), (2, 'missing'), (3, 'fifo'), (4, 'loras'), (5, 'closed/file'), (6, 'empty'), (7, 'broken.safetensors'), (8, 'no/such')) t (n, name);
SELECT asset, size, sha256, integrity, checked, hashes FROM files WHERE asset LIKE 'model/blind@%' ORDER BY id;
SELECT DISTINCT e.* FROM assetreg.assets a, refused(format('SELECT assetreg.verify_asset(%s)', a.id)) e WHERE a.name = 'blind';
SELECT DISTINCT e.* FROM (VALUES (''), ('missing'), ('fifo'), ('loras'), ('small.bin')) t (name), refused(format('SELECT * FROM assetreg._list_files(%L)', at(t.name))) e;
SELECT DISTINCT e.* FROM (VALUES (''), ('missing'), ('fifo'), ('loras'), ('small.bin')) t (name), refused(format('SELECT * FROM assetreg._measure_file(%L)', at(t.name))) e;
SELECT DISTINCT replace(e.message, shown(a.file_path), 'PATH') AS message FROM assetreg.assets a, refused(format('SELECT assetreg.replace_file(%s)', a.id)) e WHERE a.name = 'blind';
SET ROLE regress_assetreg_reads;
SELECT a.version, assetreg.verify_asset(a.id) FROM assetreg.assets a WHERE a.name = 'blind' ORDER BY a.id;
RESET ROLE;
-- pg_read_server_files gives the right, too
GRANT pg_read_server_files TO regress_assetreg_blind;
SET ROLE regress_assetreg_blind;
INSERT INTO assetreg.assets (type, name, version, file_path) VALUES ('model', 'sees', '1', at('small.bin')) RETURNING file_size, integrity;
RESET ROLE;
REVOKE pg_read_server_files FROM regress_assetreg_blind;
-- Who owns the table may state what was checked elsewhere, but not what the server sees otherwise.
INSERT INTO assetreg.assets (type, name, version, file_path, file_size, sha256, integrity, verified_at) VALUES
	('model', 'restored', '1', '/nas/x', 3, repeat('ab', 32), 'verified', '1999-01-01'),
	('model', 'restored', '2', '/nas/y', 3, repeat('ab', 32), 'mismatch', '1999-01-01'),
	('model', 'restored', '3', at('small.bin'), 3, repeat('ab', 32), 'mismatch', '1999-01-01'),
	('model', 'restored', '4', at('missing'), 3, repeat('ab', 32), 'missing', '1999-01-01'),
	('model', 'restored', '5', NULL, NULL, repeat('ab', 32), 'verified', '1999-01-01');
SELECT * FROM refused($$INSERT INTO assetreg.assets (type, name, version, file_path, file_size, sha256, integrity) VALUES ('model', 'restored', '6', at('small.bin'), 3, repeat('ab', 32), 'verified')$$);
SELECT version, integrity, verified_at = '1999-01-01' AS as_stated FROM assetreg.assets WHERE name = 'restored' ORDER BY version;
UPDATE assetreg.assets SET integrity = 'declared', verified_at = NULL WHERE name = 'restored' AND version = '2';
SELECT * FROM refused($$UPDATE assetreg.assets SET integrity = 'nonsense' WHERE name = 'restored' AND version = '2'$$);
SELECT version, integrity, verified_at FROM assetreg.assets WHERE name = 'restored' AND version = '2';
-- without roots nothing is measured
SET assetreg.asset_roots = '';
SELECT * FROM error($$INSERT INTO assetreg.assets (type, name, version, file_path) VALUES ('model', 'nothing', '1', '/etc/passwd')$$);
SET assetreg.asset_roots = :'root';

-- replace_file: the file has changed in its place.
SELECT empty_registry();
SELECT assetreg.register_asset('model', 'base', '1', put('base.safetensors', safetensors('{"modelspec.title": "first", "ss_note": "first", "by": "file"}', pg_read_binary_file(at('large.bin')))),
	metadata => '{"ours": 1}') AS id \gset
SELECT asset, path, size, sha256, integrity, hashes FROM files WHERE id = :id;
SELECT metadata FROM assetreg.assets WHERE id = :id;
SELECT count(put('base.safetensors', safetensors('{"modelspec.title": "second", "format": "pt"}', 'short')));
-- a plain UPDATE of something else does not look at it
UPDATE assetreg.assets SET preview_url = 'x';
SELECT assetreg.replace_file(:id);
SELECT asset, path, size, sha256, integrity, hashes FROM files WHERE id = :id;
SELECT metadata FROM assetreg.assets WHERE id = :id;
SELECT size, sha256 = left(sha(pg_read_binary_file(at('base.safetensors'))), 6) AS same FROM files WHERE id = :id;
-- it has moved; to where it is something else
SELECT assetreg.replace_file(:id, put('moved.safetensors', pg_read_binary_file(at('base.safetensors'))));
SELECT path, size, sha256, integrity, hashes FROM files WHERE id = :id;
SELECT metadata FROM assetreg.assets WHERE id = :id;
SELECT assetreg.replace_file(:id, put('other.safetensors', safetensors('{"ss_tag": "other"}', pg_read_binary_file(at('large.bin')))));
SELECT path, size, sha256, integrity, hashes FROM files WHERE id = :id;
SELECT metadata FROM assetreg.assets WHERE id = :id;
-- to where the server does not see it: it is declared to be the same, or what is stated
SELECT assetreg.replace_file(:id, '/nas/other.safetensors');
SELECT path, size, sha256, integrity, checked, hashes FROM files WHERE id = :id;
SELECT assetreg.replace_file(:id, '/nas/changed.safetensors', 17, repeat('AB', 32));
SELECT path, size, sha256, integrity, checked, hashes FROM files WHERE id = :id;
SELECT metadata FROM assetreg.assets WHERE id = :id;
SELECT assetreg.replace_file(:id, NULL, 18, repeat('ac', 32));
SELECT path, size, sha256, integrity, checked, hashes FROM files WHERE id = :id;
-- nothing was measured and nothing is stated; what is not so; what is not there
SELECT t.n, e.* FROM (VALUES (1, ''), (2, ', file_size => 1'), (3, $$, sha256 => repeat('ad', 32)$$), (4, $$, '/nas/changed.safetensors'$$), (5, $$, at('small.bin'), 5, repeat('ad', 32)$$),
	(6, $$, at('missing')$$), (7, $$, at('fifo')$$), (8, $$, at('broken.safetensors')$$), (9, $$, at('empty')$$), (10, $$, ''$$), (11, $$, '/nas/z', 0, repeat('ad', 32)$$), (12, $$, '/nas/z', 1, 'x'$$),
	(13, $$, '/nas/z', 1, sha('')$$)) t (n, arguments), refused(format('SELECT assetreg.replace_file(%s%s)', :id, t.arguments)) e ORDER BY t.n;
SELECT path, size, sha256, integrity FROM files WHERE id = :id;
SELECT assetreg.replace_file(:id, at('missing'), 18, repeat('ac', 32));
SELECT path, size, sha256, integrity, checked FROM files WHERE id = :id;
-- metadata that is stated with the new content is about it
UPDATE assetreg.assets SET sha256 = repeat('ae', 32), metadata = '{"ss_tag": "stated"}' WHERE id = :id;
SELECT metadata FROM assetreg.assets WHERE id = :id;
UPDATE assetreg.assets SET file_path = at('other.safetensors'), file_size = NULL, sha256 = NULL, metadata = '{"ss_tag": "mine", "ss_note": "mine"}' WHERE id = :id;
SELECT integrity, metadata FROM assetreg.assets WHERE id = :id;
-- what has no file
SELECT assetreg.register_asset('custom_node', 'commit', '1', sha256 => repeat('1', 64)) AS node \gset
SELECT * FROM refused(format('SELECT assetreg.replace_file(%s)', :node));
SELECT path, size, sha256, integrity FROM files WHERE id = :node;
SELECT assetreg.replace_file(:node, sha256 => repeat('2', 64));
SELECT path, size, sha256, integrity FROM files WHERE id = :node;
SELECT assetreg.replace_file(:node, at('nodes/pack'));
SELECT path, size, integrity FROM files WHERE id = :node;
SELECT e.* FROM unnest('{NULL,999999}'::bigint[]) id, refused(format('SELECT assetreg.replace_file(%L)', id)) e;
SELECT * FROM refused($$SELECT assetreg.replace_file(assetreg.put_entity('scene', '1'))$$);

-- The edge from a LoRA to its base model and to its VAE, by the hashes in its metadata: now, or when those are registered.
SELECT empty_registry();
CREATE FUNCTION trained(base jsonb, name text = 'grain') RETURNS bytea LANGUAGE sql AS $$ SELECT safetensors(base || '{"ss_network_module": "networks.lora"}', convert_to(name, 'UTF8')) $$;
SELECT assetreg.register_asset('model', 'base', '1', put('base.safetensors', safetensors('{}', pg_read_binary_file(at('large.bin'))))) AS base \gset
SELECT sha(pg_read_binary_file(at('base.safetensors'))) AS base_sha, (SELECT value FROM assetreg.asset_hashes WHERE algorithm = 'autov1') AS base_v1, sha('the vae') AS vae_sha \gset
SELECT assetreg.register_asset('lora', 'now', '1', put('loras/now.safetensors', trained(jsonb_build_object('ss_new_sd_model_hash', upper(:'base_sha'), 'ss_sd_model_hash', 'deadbeef',
	'ss_sd_model_name', 'base.safetensors', 'ss_new_vae_hash', :'vae_sha', 'ss_vae_name', 'vae.pt')))) AS now \gset
SELECT assetreg.register_asset('lora', 'autov1', '1', put('loras/autov1.safetensors', trained(jsonb_build_object('ss_sd_model_hash', :'base_v1')))) AS autov1 \gset
SELECT assetreg.register_asset('lora', 'later', '1', put('loras/later.safetensors', trained(jsonb_build_object('ss_new_sd_model_hash', repeat('0', 64), 'ss_vae_hash', '0badcafe')))) AS later \gset
SELECT assetreg.register_asset('lora', 'declared', '1', '/nas/x', 1, repeat('d', 64), jsonb_build_object('ss_new_sd_model_hash', '0x' || :'base_sha')) AS declared \gset
SELECT assetreg.register_asset('lora', 'none', '1', put('loras/none.safetensors', trained('{"ss_new_sd_model_hash": "None", "ss_sd_model_hash": "e3b0c442", "ss_vae_hash": "xyz"}'))) AS none \gset
SELECT * FROM edges ORDER BY dependent, needs;
SELECT assetreg.asset_ref(dependent_id), reference, u.type, candidates, source, relation, requires, seen_at = registered_at AS seen_now
FROM assetreg.unresolved_references u JOIN assetreg.assets a ON a.id = dependent_id ORDER BY 1, 2;
-- later: by SHA-256, by AutoV1, by a hash that somebody adds
SELECT assetreg.register_asset('model', 'vae', '1', put('vae.pt', 'the vae')) AS vae \gset
INSERT INTO assetreg.assets (type, name, version, sha256) VALUES ('model', 'zeros', '1', repeat('0', 64));
SELECT * FROM edges ORDER BY dependent, needs;
INSERT INTO assetreg.asset_hashes VALUES (:vae, 'autov1', '0badcafe', 'claimed');
SELECT * FROM edges WHERE dependent = 'lora/later@1' ORDER BY dependent, needs;
SELECT entity_id = :base AS base, depth FROM assetreg.dependencies_of(:now) WHERE key = 'base@1';
SELECT count(*) FROM assetreg.unresolved_references;
-- several that could be meant: nobody guesses
SELECT assetreg.register_asset('model', 'twin', v::text, sha256 => repeat('7', 64)) FROM generate_series(1, 2) v;
SELECT assetreg.register_asset('lora', 'ambiguous', '1', metadata => jsonb_build_object('ss_new_sd_model_hash', repeat('7', 64), 'ss_sd_model_name', 'twin.ckpt')) AS ambiguous \gset
SELECT dependent, regexp_replace(needs, '[0-9]{4}', 'N', 'g') AS needs FROM edges WHERE dependent LIKE '%ambiguous%';
SELECT candidates = ARRAY(SELECT id FROM assetreg.assets WHERE name = 'twin' ORDER BY id) AS candidates FROM assetreg.unresolved_references;
SELECT assetreg.register_asset('model', 'twin', '3', sha256 => repeat('7', 64)) \gset
SELECT candidates = ARRAY(SELECT id FROM assetreg.assets WHERE name = 'twin' ORDER BY id) AS candidates FROM assetreg.unresolved_references;
-- one that was made while there was but one stays
SELECT assetreg.register_asset('model', 'other name of base', '1', at('base.safetensors')) AS other \gset
SELECT * FROM edges WHERE dependent ~ 'now|autov1|declared' ORDER BY dependent, needs;
UPDATE assetreg.assets SET metadata = metadata || '{"seen": true}' WHERE type = 'lora' AND name <> 'ambiguous';
SELECT * FROM edges WHERE dependent ~ 'now|autov1|declared' ORDER BY dependent, needs;
SELECT assetreg.register_asset('lora', 'after', '1', metadata => jsonb_build_object('ss_sd_model_hash', :'base_v1')) AS after \gset
SELECT dependent, regexp_replace(needs, '[0-9]{4},[0-9]{4}', 'two', 'g') AS needs FROM edges WHERE dependent LIKE '%after%';
-- and ends with the ambiguity
SELECT assetreg.delete_asset(id) FROM assetreg.assets WHERE name = 'twin' AND version > '1';
SELECT dependent, regexp_replace(needs, '[0-9]{4}', 'N', 'g') AS needs FROM edges WHERE dependent LIKE '%ambiguous%';
SELECT assetreg.delete_asset(:other);
SELECT * FROM edges WHERE dependent LIKE '%after%';
-- also where one of two becomes something else
INSERT INTO assetreg.assets (type, name, version, sha256) VALUES ('model', 'changing', '1', repeat('8', 64)), ('model', 'staying', '1', repeat('8', 64));
INSERT INTO assetreg.assets (type, name, version, metadata) VALUES ('lora', 'of two', '1', jsonb_build_object('ss_new_sd_model_hash', repeat('8', 64)));
UPDATE assetreg.assets SET sha256 = repeat('9', 64) WHERE name = 'changing';
SELECT * FROM edges WHERE dependent = 'lora/of two@1';
SELECT * FROM assetreg.check_registry();
-- a declared edge is another one
SELECT assetreg.add_dependency(:now, :base);
SELECT * FROM edges WHERE dependent = 'lora/now@1' ORDER BY needs, source;

-- Edges follow the metadata, and the file.
UPDATE assetreg.assets SET metadata = metadata - 'ss_new_vae_hash' WHERE id = :now;
SELECT * FROM edges WHERE dependent = 'lora/now@1' ORDER BY needs, source;
UPDATE assetreg.assets SET metadata = jsonb_set(metadata, '{ss_new_sd_model_hash}', to_jsonb(:'vae_sha'::text)) WHERE id = :now;
SELECT * FROM edges WHERE dependent = 'lora/now@1' ORDER BY needs, source;
UPDATE assetreg.assets SET metadata = metadata - 'ss_new_sd_model_hash' WHERE id = :now;
SELECT * FROM edges WHERE dependent = 'lora/now@1' ORDER BY needs, source;
SELECT count(put('loras/now.safetensors', trained(jsonb_build_object('ss_new_sd_model_hash', :'vae_sha'))));
SELECT assetreg.replace_file(:now);
SELECT * FROM edges WHERE dependent = 'lora/now@1' ORDER BY needs, source;
SELECT assetreg.replace_file(:now, '/nas/now', 1, repeat('9', 64));
SELECT * FROM edges WHERE dependent = 'lora/now@1' ORDER BY needs, source;
-- a base whose file changes is not what the LoRA was trained on
SELECT count(put('vae.pt', 'another vae'));
SELECT assetreg.register_asset('lora', 'of vae', '1', metadata => jsonb_build_object('ss_new_sd_model_hash', :'vae_sha')) AS of_vae \gset
SELECT * FROM edges WHERE dependent = 'lora/of vae@1';
SELECT assetreg.replace_file(:vae);
SELECT * FROM edges WHERE dependent = 'lora/of vae@1';
UPDATE assetreg.assets SET metadata = metadata || '{"seen": true}' WHERE id = :of_vae;
SELECT dependent, left(needs, 18) AS needs, source FROM edges WHERE dependent = 'lora/of vae@1';
-- the base is deleted, and comes again under another name
SELECT assetreg.register_asset('lora', 'orphan', '1', metadata => jsonb_build_object('ss_new_sd_model_hash', repeat('4', 64)));
SELECT assetreg.register_asset('model', 'four', '1', sha256 => repeat('4', 64)) AS four \gset
SELECT assetreg.delete_asset(:four);
SELECT * FROM edges WHERE dependent = 'lora/orphan@1';
SELECT assetreg.register_asset('model', 'four again', '1', sha256 => repeat('4', 64)) AS four \gset
SELECT * FROM edges WHERE dependent = 'lora/orphan@1';
-- in one statement, in any order; a model that names itself
INSERT INTO assetreg.assets (type, name, version, sha256, metadata) VALUES
	('lora', 'one', '1', repeat('e', 64), jsonb_build_object('ss_new_sd_model_hash', repeat('c', 64))), ('model', 'one', '1', repeat('c', 64), '{}'),
	('lora', 'one', '2', repeat('f', 64), jsonb_build_object('ss_new_sd_model_hash', repeat('c', 64))),
	('model', 'self', '1', repeat('5', 64), jsonb_build_object('ss_new_sd_model_hash', repeat('5', 64))), ('model', 'self', '2', repeat('6', 64), jsonb_build_object('ss_new_sd_model_hash', repeat('5', 64)));
SELECT * FROM edges WHERE dependent ~ 'one|self' ORDER BY dependent, needs;
SELECT * FROM assetreg.check_registry();

-- In a session that calls it often, with and without a file: the plans that are kept serve both.
SELECT empty_registry();
DO $$
BEGIN
	FOR i IN 1..20 LOOP
		PERFORM assetreg.register_asset('lora', 'often', i || '.0'), assetreg.register_asset('lora', 'often', i || '.1', put('often', convert_to('often' || i, 'UTF8'))),
			assetreg.register_asset('lora', 'often', sha256 => md5(i::text) || md5(i::text)), assetreg.register_asset('lora', 'often', file_path => '/nas/often', file_size => i, sha256 => repeat(md5(i || 'x'), 2));
	END LOOP;
END
$$;
SELECT a.integrity, count(*), count(a.sha256) AS hashes, count(DISTINCT a.version) AS versions FROM assetreg.assets a GROUP BY 1 ORDER BY 1;

-- Hashes belong to the content.
SELECT empty_registry();
SELECT assetreg.register_asset('model', 'm', '1', put('m.safetensors', safetensors('{"sshs_model_hash": "0123456789ab"}', 'm'))) AS id \gset
INSERT INTO assetreg.asset_hashes VALUES (:id, 'crc32', 'c0ffee00', 'claimed'), (:id, 'blake3', repeat('b3', 32), 'measured'), (:id, 'autov3', 'cccccccccccc', 'claimed');
-- in the transaction that measured, too, and whatever else changes
BEGIN;
SELECT assetreg.register_asset('model', 'n', '1', put('n.safetensors', safetensors('{}', 'n'))) AS n \gset
INSERT INTO assetreg.asset_hashes VALUES (:n, 'crc32', 'c0ffee00', 'measured'), (:n, 'autov3', 'dddddddddddd', 'claimed');
UPDATE assetreg.assets SET metadata = metadata || '{"seen": true}', preview_url = 'x';
COMMIT;
SELECT asset, hashes FROM files ORDER BY id;
SELECT count(put('m.safetensors', safetensors('{"sshs_model_hash": "ba9876543210"}', 'other')));
SELECT assetreg.replace_file(:id);
UPDATE assetreg.assets SET file_path = NULL, file_size = NULL, sha256 = NULL WHERE id = :n;
SELECT asset, integrity, hashes FROM files ORDER BY id;

-- References by every form of a hash. What was measured goes before what is claimed, and neither before what is exact.
SELECT empty_registry();
SELECT assetreg.register_asset('model', 'x', '1', put('x.safetensors', safetensors('{}', pg_read_binary_file(at('large.bin'))))) AS x \gset
SELECT a.sha256, sha(pg_read_binary_file(at('large.bin'))) AS tensors, (SELECT value FROM assetreg.asset_hashes WHERE algorithm = 'autov1') AS v1 FROM assetreg.assets a \gset
INSERT INTO assetreg.asset_hashes SELECT :x, v.* FROM (VALUES ('blake3', repeat('b3', 32), 'claimed'), ('crc32', 'c0ffee00', 'claimed'), ('md5', repeat('5', 32), 'claimed')) v;
SELECT r.form, assetreg.asset_id(r.reference) = :x AS found
FROM (VALUES (1, 'sha256:', 'sha256:' || :'sha256'), (2, 'SHA256: upper', upper('sha256:' || :'sha256')), (3, 'bare sha256', :'sha256'), (4, 'bare, upper', upper(:'sha256')),
	(5, 'autov2:', 'autov2:' || left(:'sha256', 10)), (6, 'bare autov2', left(:'sha256', 10)), (7, 'AutoV2: upper', 'AutoV2:' || upper(left(:'sha256', 10))), (8, 'autov1:', 'autov1:' || :'v1'),
	(9, 'bare autov1', upper(:'v1')), (10, 'autov3:', 'autov3:' || left(:'tensors', 12)), (11, 'bare autov3', left(:'tensors', 12)), (12, 'autov3: whole', 'autov3:' || :'tensors'),
	(13, 'blake3:', 'blake3:' || repeat('B3', 32)), (14, 'crc32:', 'CRC32:c0ffee00'), (15, 'md5:', 'md5:' || repeat('5', 32)), (16, 'sha256: short', 'sha256:' || left(:'sha256', 12))) r (n, form, reference)
ORDER BY r.n;
-- nothing else finds it
SELECT r.n, e.code, e.message
FROM (VALUES (1, left(:'sha256', 9)), (2, left(:'sha256', 12)), (3, left(:'sha256', 63)), (4, :'sha256' || '0'), (5, :'tensors'), (6, 'blake3:' || left(repeat('b3', 32), 10)), (7, 'c0ffee00'), (8, repeat('b3', 32)),
	(9, repeat('5', 32)), (10, 'autov1:' || left(:'sha256', 8)), (11, 'sha256:' || left(:'sha256', 7)), (12, 'sha256:' || repeat('0', 129)), (13, ' ' || :'sha256'), (14, 'autov2:' || :'sha256'), (15, 'sha256:' || :'sha256' || ' '),
	(16, '0x' || :'v1'), (17, 'sha256/' || :'sha256')) r (n, reference), LATERAL (SELECT e.code, replace(replace(replace(e.message, :'sha256', 'SHA'), left(:'sha256', 12), 'SHA12'), :'tensors', 'TENSORS') AS message
	FROM error(format('SELECT assetreg.asset_id(%L)', r.reference)) e) e ORDER BY r.n;
SELECT assetreg.register_asset('lora', 'claims', '1', metadata => jsonb_build_object('sshs_model_hash', :'tensors')) AS claims \gset
SELECT hashes FROM files WHERE id = :claims;
SELECT assetreg.asset_ref(assetreg.asset_id(left(:'tensors', 12)));
DELETE FROM assetreg.assets WHERE id = :x;
SELECT assetreg.asset_ref(assetreg.asset_id(left(:'tensors', 12)));
SELECT assetreg.register_asset('lora', 'claims', '2', metadata => jsonb_build_object('modelspec.hash_sha256', '0x' || :'tensors')) AS claims \gset
SELECT e.code, e.detail FROM error(format('SELECT assetreg.asset_id(%L)', left(:'tensors', 12))) e;

-- The status, and the two chains: neither ends where it began.
SELECT empty_registry();
INSERT INTO assetreg.assets (id, type, name, version) SELECT i, 'lora', 'chain', i::text FROM generate_series(1, 6) i;
SELECT t.n, e.* FROM (VALUES (1, 'UPDATE assetreg.assets SET supersedes = 1 WHERE id = 1'), (2, 'UPDATE assetreg.assets SET supersedes = 3 - id WHERE id IN (1, 2)'),
	(3, 'UPDATE assetreg.assets SET supersedes = id % 3 + 1 WHERE id <= 3'), (4, $$UPDATE assetreg.assets SET status = 'deprecated', replaced_by = 1 WHERE id = 1$$),
	(5, $$UPDATE assetreg.assets SET status = 'deprecated', replaced_by = 3 - id WHERE id IN (1, 2)$$), (6, $$UPDATE assetreg.assets SET status = 'removed', replaced_by = id % 3 + 1 WHERE id <= 3$$),
	(7, $$INSERT INTO assetreg.assets (id, type, name, version, supersedes) VALUES (11, 'lora', 'new', '1', 11)$$),
	(8, $$INSERT INTO assetreg.assets (id, type, name, version, supersedes) VALUES (11, 'lora', 'new', '1', 12), (12, 'lora', 'new', '2', 11)$$),
	(9, $$INSERT INTO assetreg.assets (id, type, name, version, supersedes) VALUES (12, 'lora', 'new', '1', 11), (11, 'lora', 'new', '2', 12)$$),
	(10, $$INSERT INTO assetreg.assets (id, type, name, version, supersedes) VALUES (11, 'lora', 'new', '1', 12), (12, 'lora', 'new', '2', 13), (13, 'lora', 'new', '3', 11)$$),
	(11, $$INSERT INTO assetreg.assets (id, type, name, version, status, replaced_by) VALUES (11, 'lora', 'new', '1', 'removed', 12), (12, 'lora', 'new', '2', 'removed', 13), (13, 'lora', 'new', '3', 'removed', 11)$$),
	(12, $$INSERT INTO assetreg.assets (id, type, name, version, status, replaced_by) VALUES (11, 'lora', 'new', '1', 'removed', 12), (12, 'lora', 'new', '2', 'removed', 11)$$),
	(13, 'UPDATE assetreg.assets SET supersedes = 999999 WHERE id = 1'), (14, 'UPDATE assetreg.assets SET supersedes = id WHERE id = 1'), (15, $$SELECT assetreg.register_asset('lora', 'new', '1', supersedes => 999999)$$),
	(19, 'UPDATE assetreg.assets SET supersedes = 5 - id % 2 WHERE id IN (1, 4, 5)'),  -- 1 leads to 4 and 5, which lead to each other
	(20, $$INSERT INTO assetreg.assets (id, type, name, version, supersedes) VALUES (11, 'lora', 'new', '1', 12), (12, 'lora', 'new', '2', 13), (13, 'lora', 'new', '3', 14), (14, 'lora', 'new', '4', 13)$$),
	(16, 'SELECT assetreg.set_asset_status(1, ''deprecated'', 1)'), (17, 'SELECT assetreg.set_asset_status(1, ''active'', 2)'), (18, 'UPDATE assetreg.assets SET replaced_by = 2 WHERE id = 1')) t (n, statement),
	error(t.statement) e ORDER BY t.n;
SELECT id, status, supersedes, replaced_by FROM assetreg.assets ORDER BY id;
-- step by step
UPDATE assetreg.assets SET supersedes = id - 1 WHERE id BETWEEN 2 AND 6;
SELECT assetreg.set_asset_status(1, 'deprecated', 2), assetreg.set_asset_status(2, 'deprecated', 3), assetreg.set_asset_status(3, 'removed', 6);
SELECT * FROM error('UPDATE assetreg.assets SET supersedes = 6 WHERE id = 1');
SELECT * FROM error('UPDATE assetreg.assets SET supersedes = 4 WHERE id = 3');
SELECT * FROM error($$UPDATE assetreg.assets SET status = 'deprecated', replaced_by = 1 WHERE id = 6$$);
SELECT * FROM error($$SELECT assetreg.set_asset_status(3, 'removed', 1)$$);
-- both at once, one of them right; a chain turned round in one statement; a long one
SELECT * FROM error($$UPDATE assetreg.assets SET supersedes = 3, status = 'deprecated', replaced_by = 1 WHERE id = 6$$);
UPDATE assetreg.assets SET supersedes = nullif(id, 6) + 1 WHERE id <= 6;
SELECT id, status, supersedes, replaced_by FROM assetreg.assets ORDER BY id;
UPDATE assetreg.assets SET supersedes = CASE WHEN id > 1 THEN id - 1 END WHERE id <= 6;
-- what is superseded may go
DELETE FROM assetreg.assets WHERE id = 3;
SELECT id, supersedes, replaced_by FROM assetreg.assets ORDER BY id;
SELECT assetreg.register_asset('lora', 'chain', '7', supersedes => 6) AS seventh \gset
SELECT supersedes FROM assetreg.assets WHERE id = :seventh;
-- removed is for ever
SELECT assetreg.set_asset_status(6, 'removed');
SELECT e.* FROM unnest('{active,deprecated,removed}'::text[]) s, error(format('SELECT assetreg.set_asset_status(6, %L)', s)) e ORDER BY s;
SELECT e.* FROM unnest('{active,deprecated,removed}'::text[]) s, error(format('UPDATE assetreg.assets SET status = %L WHERE id = 6', s)) e ORDER BY s;
SELECT assetreg.set_asset_status(5, 'deprecated'), assetreg.set_asset_status(5, 'active');
SELECT id, status FROM assetreg.assets ORDER BY id;

-- verify_asset: is the file still the file?
SELECT empty_registry();
CREATE VIEW verifications AS
	SELECT a.type || '/' || a.name || '@' || a.version AS asset, a.integrity, a.verified_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS just_now, v.result, shown(v.detail) AS detail,
		   v.file_size AS size, left(v.sha256, 6) AS sha256, v.checked_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS checked_now, replace(v.checked_by, session_user, 'me') AS checked_by
	FROM assetreg.assets a LEFT JOIN assetreg.asset_verifications v ON v.asset_id = a.id;
SELECT assetreg.register_asset('model', 'v', '1', put('v.safetensors', safetensors('{"modelspec.title": "v"}', 'v'))) AS id \gset
SELECT * FROM verifications;
UPDATE assetreg.assets SET verified_at = '1999-01-01';
SELECT assetreg.verify_asset(:id);
SELECT * FROM verifications;
-- changed: what was registered stays
SELECT sha256 AS before FROM assetreg.assets \gset
SELECT count(put('v.safetensors', safetensors('{"modelspec.title": "w"}', 'w')));
SELECT assetreg.verify_asset(:id);
SELECT * FROM verifications \gx
SELECT sha256 = :'before' AS same, metadata FROM assetreg.assets;
SELECT hashes FROM files;
-- whatever it is now: not its format any more, empty, longer, a FIFO, nothing, out of reach
SELECT count(put('v.safetensors', 'x')), assetreg.verify_asset(:id);
SELECT count(put('v.safetensors', '')), assetreg.verify_asset(:id);
SELECT integrity, result, detail FROM verifications;
\! rm "$ROOT/v.safetensors" && mkfifo "$ROOT/v.safetensors"
SELECT assetreg.verify_asset(:id);
SELECT integrity, result, detail, size FROM verifications;
\! rm "$ROOT/v.safetensors"
SELECT assetreg.verify_asset(:id);
SELECT integrity, just_now, result, detail, size FROM verifications;
UPDATE assetreg.assets SET file_path = at('closed/v.safetensors'), integrity = 'verified', verified_at = '1999-01-01';
SELECT assetreg.verify_asset(:id);
SELECT integrity, just_now, result, detail, checked_now FROM verifications;
UPDATE assetreg.assets SET file_path = at('gone/v.safetensors'), integrity = 'mismatch';
SELECT assetreg.verify_asset(:id);
UPDATE assetreg.assets SET file_path = '/nas/v.safetensors', integrity = 'declared';
SELECT assetreg.verify_asset(:id);
SELECT integrity, just_now, result, detail FROM verifications;
SET assetreg.asset_roots = '';
SELECT assetreg.verify_asset(:id);
SET assetreg.asset_roots = :'root';
-- and right again
SELECT count(put('v.safetensors', safetensors('{"modelspec.title": "v"}', 'v')));
UPDATE assetreg.assets SET file_path = at('v.safetensors'), integrity = 'missing';
SELECT assetreg.verify_asset(:id);
SELECT integrity, just_now, result, detail FROM verifications;
-- a directory
SELECT assetreg.register_asset('custom_node', 'pack', '1', at('nodes/pack')) AS pack \gset
SELECT assetreg.verify_asset(:pack), count(put('nodes/pack/more.py', 'more'));
SELECT assetreg.verify_asset(:pack), count(put('nodes/pack/.git/more', 'more'));
\! rm "$ROOT/nodes/pack/more.py"
SELECT assetreg.verify_asset(:pack);
\! mv "$ROOT/nodes/pack/sub" "$ROOT/nodes/pack/__init__.py" "$ROOT/nodes/pack/sub-0.py" "$ROOT/nodes/pack/.git"
SELECT assetreg.verify_asset(:pack);
\! mv "$ROOT/nodes/pack/.git/"*sub* "$ROOT/nodes/pack/.git/__init__.py" "$ROOT/nodes/pack"
SELECT assetreg.verify_asset(:pack);
-- what nobody measured is known once it is: hashes, metadata behind what people stated, and the edge that follows
SELECT assetreg.register_asset('model', 'base', '1', sha256 => repeat('1', 64)) AS base \gset
SELECT sha(put) AS lora_sha, octet_length(put) AS lora_size FROM (SELECT pg_read_binary_file(put('loras/declared.safetensors', trained(jsonb_build_object('modelspec.title', 'of the file', 'ss_note', 'n', 'ss_new_sd_model_hash', repeat('1', 64)))))) p (put) \gset
SET assetreg.asset_roots = '';
BEGIN;
SELECT assetreg.register_asset('lora', 'declared', '1', at('loras/declared.safetensors'), :lora_size, :'lora_sha', '{"modelspec.title": "stated"}') AS lora \gset
SELECT integrity, checked, hashes FROM files WHERE id = :lora;
SET LOCAL assetreg.asset_roots = :'root';
SELECT assetreg.verify_asset(:lora);
SELECT integrity, checked, hashes FROM files WHERE id = :lora;
SELECT metadata - 'ss_new_sd_model_hash' AS metadata FROM assetreg.assets WHERE id = :lora;
SELECT * FROM edges WHERE dependent = 'lora/declared@1';
COMMIT;
SET assetreg.asset_roots = :'root';
SELECT assetreg.verify_asset(:lora);
-- but metadata is not read again
UPDATE assetreg.assets SET metadata = '{}' WHERE id = :lora;
SELECT assetreg.verify_asset(:lora);
SELECT metadata FROM assetreg.assets WHERE id = :lora;

-- What somebody measured who sees the file.
SELECT assetreg.register_asset('model', 'nas', '1', '/nas/x', 10, repeat('a', 64)) AS nas \gset
SELECT assetreg.verify_asset(:nas, repeat('A', 64));
SELECT * FROM verifications WHERE asset = 'model/nas@1';
SELECT assetreg.verify_asset(:nas, repeat('a', 64), 11);
SELECT * FROM verifications WHERE asset = 'model/nas@1' \gx
SELECT assetreg.verify_asset(:nas, file_size => 10, sha256 => repeat('a', 64));
SELECT assetreg.verify_asset(:nas, repeat('b', 64));
SELECT integrity, result, detail, size, sha256 FROM verifications WHERE asset = 'model/nas@1' \gx
SELECT left(sha256, 6) AS sha256, file_size FROM assetreg.assets WHERE id = :nas;
SELECT assetreg.register_asset('custom_node', 'commit', '1') AS bare \gset
SELECT assetreg.register_asset('custom_node', 'commit', '2', sha256 => repeat('c', 64)) AS hashed \gset
SELECT assetreg.verify_asset(:hashed, repeat('c', 64), 5);
SELECT assetreg.verify_asset(:hashed, repeat('c', 64));
SELECT t.n, e.* FROM (VALUES (1, 'NULL'), (2, '999999'), (3, 'assetreg.put_entity(''scene'', ''1'')'), (4, :'bare'), (5, :'hashed'), (6, format('%s, repeat(''c'', 64)', :bare)), (7, format('%s, ''''', :hashed)),
	(8, format('%s, repeat(''c'', 63)', :hashed)), (9, format('%s, repeat(''g'', 64)', :hashed)), (10, format('%s, ''sha256:'' || repeat(''c'', 64)', :hashed)), (11, format('%s, NULL, 5', :nas)),
	(12, format('%s, repeat(''x'', 10000)', :nas)), (13, format('NULL, repeat(''c'', 64)'))) t (n, arguments), refused(format('SELECT assetreg.verify_asset(%s)', t.arguments)) e ORDER BY t.n;
-- a role that may not write at all
CREATE ROLE regress_assetreg_looks;
SELECT assetreg.grant_access('regress_assetreg_looks', 'reader');
SET ROLE regress_assetreg_looks;
SELECT e.code, e.message FROM error(format('SELECT assetreg.verify_asset(%s)', :nas)) e;
SELECT e.code, e.message FROM error($$UPDATE assetreg.asset_verifications SET result = 'verified'$$) e;
SET ROLE regress_assetreg_reads;
SELECT e.code, e.message FROM error($$UPDATE assetreg.asset_verifications SET result = 'verified'$$) e;
SELECT e.code, e.message FROM error($$INSERT INTO assetreg.verification_runs (started_at, total, resumed_at) VALUES (now(), 0, now())$$) e;
RESET ROLE;
-- it goes with the asset
SELECT assetreg.delete_asset(:nas);
SELECT count(*) FROM assetreg.asset_verifications WHERE asset_id = :nas;

-- Names of files, and names and versions that are no names.
SELECT empty_registry();
SELECT t.n, assetreg.register_asset('lora', 'odd', t.n::text, put(t.name, convert_to(t.name, 'UTF8'))) IS NOT NULL AS registered
FROM (VALUES (1, ' leading and trailing '), (2, E'new\nline'), (3, 'tab	and "quotes" and ''these'''), (4, 'ünïcödé 🎬'), (5, '..bin'), (6, '%s%n\1'), (7, 'a.safetensors.bak'), (8, '-rf'), (9, '$(touch x)')) t (n, name)
ORDER BY t.n;
SELECT a.version, a.file_path = at(t.name) AS same_path, a.sha256 = sha(convert_to(t.name, 'UTF8')) AS sha256, assetreg.verify_asset(a.id)
FROM assetreg.assets a JOIN (VALUES (1, ' leading and trailing '), (2, E'new\nline'), (3, 'tab	and "quotes" and ''these'''), (4, 'ünïcödé 🎬'), (5, '..bin'), (6, '%s%n\1'), (7, 'a.safetensors.bak'), (8, '-rf'), (9, '$(touch x)')) t (n, name) ON a.version = t.n::text
ORDER BY t.n;
SELECT t.n, e.code, left(e.message, 100) AS message, e.detail, e.hint FROM (VALUES (1, $$NULL, 'x'$$), (2, $$'lora', NULL$$), (3, $$'', 'x'$$), (4, $$'scene', 'x'$$), (5, $$repeat('x', 10000), 'x'$$), (6, $$'lora', ''$$),
	(7, $$'lora', repeat('x', 10000)$$), (8, $$'lora', 'x', repeat('1', 10000)$$), (9, $$'lora', 'x', ''$$), (10, $$'lora', E'a\nb'$$), (11, $$'lora', 'x', '1/2'$$), (12, $$'lora', 'x', '1', '/' || repeat('x', 10000)$$),
	(13, $$'lora', 'x', '1', at(repeat('x', 10000))$$), (14, $$'lora', 'x', '1', at(repeat('x', 10000)), 1, repeat('a', 64)$$), (15, $$'lora', 'x', '1', file_size => -1$$), (16, $$'lora', 'x', '1', file_size => 0$$), (17, $$'lora', 'x', '1', sha256 => 'ab'$$),
	(18, $$'lora', 'x', '1', sha256 => sha('')$$), (19, $$'lora', 'x', '1', metadata => 'null'$$), (20, $$'lora', 'x', '1', metadata => '"text"'$$), (21, $$'lora', 'x', '1', provides => '{a,NULL}'$$),
	(22, $$'lora', 'x', '1', supersedes => 0$$), (23, $$'lora', 'x', metadata => '{"ss_output_name": "v1.2", "modelspec.title": {}}', supersedes => NULL, preview_url => NULL, provides => NULL$$),
	(24, $$'lora', 'x', file_path => '/nas/v' || repeat('1', 300), file_size => 1, sha256 => repeat('b', 64)$$), (25, $$'lora', repeat('é', 501), '1'$$), (26, $$'lora', repeat('é', 500), '1'$$),
	(27, $$'lora', 'x', '1', '', 1, repeat('a', 64)$$)) t (n, arguments), refused(format('SELECT assetreg.register_asset(%s)', t.arguments)) e ORDER BY t.n;
SELECT left(ref(id), 50), integrity FROM assetreg.assets WHERE name <> 'odd' ORDER BY id;
SELECT * FROM assetreg.version_ordinals;
-- what metadata says of the type
SELECT assetreg.register_asset('model', 'a lora', '1', put('loras/typed.safetensors', trained('{"modelspec.architecture": "flux-1-dev/lora"}'))) IS NOT NULL AS registered;
SELECT assetreg.register_asset('lora', 'a model', '1', put('typed.safetensors', safetensors('{"modelspec.architecture": "flux-1-dev"}', 'x'))) IS NOT NULL AS registered;
SELECT assetreg.register_asset('custom_node', 'neither', '1', at('typed.safetensors')) IS NOT NULL AS registered;

-- A directory with its files. What it says is shown without the root.
SELECT empty_registry();
\setenv PGDATABASE :DBNAME
\setenv CALL 'psql -X -q -v SHOW_CONTEXT=never'
\! mkdir -p "$ROOT/tree/characters" "$ROOT/tree/empty" "$ROOT/tree/_x.v1" && chmod -R 777 "$ROOT/tree"
SELECT count(put('tree/' || t.name, t.bytes)) FROM (VALUES ('film-grain-v1.2.safetensors', safetensors('{"ss_note": "1.2"}', '1')), ('film-grain-v1.10.safetensors', safetensors('{"ss_note": "1.10"}', '2')),
	('characters/film-grain-v1.2.safetensors', safetensors('{}', '3')), ('plain.safetensors', safetensors('{}', '4')), ('broken.safetensors', 'x'), ('nothing.safetensors', ''), ('notes.txt', 'text'), ('_x.v1/50%.safetensors', safetensors('{}', '5')),
	('copy.safetensors', safetensors('{}', '4'))) t (name, bytes);
\! mkfifo "$ROOT/tree/fifo.safetensors"; ln -s plain.safetensors "$ROOT/tree/link.safetensors"; ln -s /etc/passwd "$ROOT/tree/out.safetensors"; mkdir "$ROOT/tree/hidden"; chmod 000 "$ROOT/tree/hidden"
\! $CALL -c "SET assetreg.asset_roots = '$ROOT'" -c "CALL assetreg.register_directory('lora', '$ROOT/tree', '*.safetensors')" 2>&1 | sed "s|$ROOT|...|g"
SELECT asset, path, integrity FROM files ORDER BY asset COLLATE "C";
-- a name that no asset may have
\! mkdir "$ROOT/odd" && chmod 777 "$ROOT/odd"
SELECT count(put(E'odd/new\nline', 'x'));
\! $CALL -c "SET assetreg.asset_roots = '$ROOT'" -c "CALL assetreg.register_directory('lora', '$ROOT/odd')" 2>&1 | grep ':  ' | sed "s|$ROOT|...|g; s/Failing row.*/Failing row./"
-- again: nothing new; a file more; one that changed under its version
SELECT count(put('tree/film-grain-v1.2.safetensors', safetensors('{"ss_note": "other"}', '1'))), count(put('tree/film-grain-v2.safetensors', safetensors('{}', '7')));
\! $CALL -c "SET assetreg.asset_roots = '$ROOT'; SET client_min_messages = notice" -c "CALL assetreg.register_directory('lora', '$ROOT/tree/', 'film?grain*', false)" 2>&1 | sed "s|$ROOT|...|g"
SELECT asset, path, integrity FROM files WHERE asset LIKE 'lora/film-grain@%' ORDER BY asset COLLATE "C";
-- custom nodes: what lies directly there
\! mkdir -p "$ROOT/packs/ComfyUI-Grain/.git" "$ROOT/packs/ComfyUI-Grain/nodes" "$ROOT/packs/.git" "$ROOT/packs/__pycache__" "$ROOT/packs/hollow" && chmod -R 777 "$ROOT/packs"
SELECT count(put('packs/' || name, convert_to(name, 'UTF8'))) FROM unnest('{ComfyUI-Grain/__init__.py,ComfyUI-Grain/nodes/a.py,ComfyUI-Grain/.git/config,single.py,.git/config,__pycache__/x.pyc}'::text[]) name;
\! $CALL -c "SET assetreg.asset_roots = '$ROOT'" -c "CALL assetreg.register_directory('custom_node', '$ROOT/packs')" 2>&1 | sed "s|$ROOT|...|g"
\! $CALL -c "SET assetreg.asset_roots = '$ROOT'" -c "CALL assetreg.register_directory('custom_node', '$ROOT/packs', 'ComfyUI-*', false)" 2>&1 | sed "s|$ROOT|...|g"
SELECT asset, path, size, integrity FROM files WHERE asset LIKE 'custom_node/%' ORDER BY asset COLLATE "C";
-- all of them again
\! rm "$ROOT/tree/plain.safetensors" && mv "$ROOT/tree/copy.safetensors" "$ROOT/tree/film-grain-v1.10.safetensors"
SELECT assetreg.set_asset_status(id, 'removed') FROM assetreg.assets WHERE name = 'characters/film-grain';
SELECT assetreg.register_asset('lora', 'nas', '1', '/nas/x', 1, repeat('1', 64)), assetreg.register_asset('lora', 'no file', '1');
UPDATE assetreg.assets SET verified_at = '1999-01-01';
\! $CALL -c "SET assetreg.asset_roots = '$ROOT'" -c "CALL assetreg.verify_assets('lora')" 2>&1 | sed "s|$ROOT|...|g"
SELECT asset, integrity, result, detail ~ '^registered: size' AS sizes, just_now FROM verifications ORDER BY asset COLLATE "C";
SELECT done, total, bytes = (SELECT sum(v.file_size) FROM assetreg.asset_verifications v) AS bytes, bytes_per_second > 0 AS speed, remaining, started_at < now() AS started FROM assetreg.verification_progress;
-- only those not looked at for a while
UPDATE assetreg.assets SET verified_at = '1999-01-01' WHERE type = 'custom_node';
\! $CALL -c "SET assetreg.asset_roots = '$ROOT'" -c "CALL assetreg.verify_assets(older_than => '1 day')" 2>&1 | sed "s|$ROOT|...|g"
\! $CALL -c "SET assetreg.asset_roots = '$ROOT'" -c "CALL assetreg.verify_assets(older_than => '1 day')" 2>&1 | sed "s|$ROOT|...|g"
SELECT r.type, r.older_than, r.total, r.done, r.finished_at >= r.started_at AS finished FROM assetreg.verification_runs r ORDER BY r.id;
-- one that cannot be read to its end holds nobody up
\! mkdir "$ROOT/packs/ComfyUI-Grain/locked" && chmod 000 "$ROOT/packs/ComfyUI-Grain/locked"
SELECT e.* FROM assetreg.assets a, refused(format('SELECT assetreg.verify_asset(%s)', a.id)) e WHERE a.name = 'ComfyUI-Grain';
\! $CALL -c "SET assetreg.asset_roots = '$ROOT'" -c "CALL assetreg.verify_assets('custom_node')"
SELECT asset, integrity, result, detail, just_now, checked_now FROM verifications WHERE asset LIKE 'custom_node/%' ORDER BY asset COLLATE "C";
\! chmod 700 "$ROOT/packs/ComfyUI-Grain/locked"; rmdir "$ROOT/packs/ComfyUI-Grain/locked"
-- a run that nobody finished is taken up
INSERT INTO assetreg.verification_runs (type, older_than, started_at, resumed_at, total, done, bytes) VALUES ('custom_node', NULL, (SELECT checked_at FROM assetreg.asset_verifications v JOIN assetreg.assets a ON a.id = v.asset_id WHERE a.name = 'single'), now(), 3, 2, 100);
SELECT done, total, bytes, bytes_per_second > 0 AS speed, remaining > '0' AS some_left FROM assetreg.verification_progress;
\! $CALL -c "SET assetreg.asset_roots = '$ROOT'" -c "CALL assetreg.verify_assets('custom_node')" 2>&1 | sed "s|$ROOT|...|g; s/began at [^:]*:[^:]*:[^:]*:/began at TIME:/"
SELECT done, total FROM assetreg.verification_progress;
-- arguments, and a transaction block
CALL assetreg.register_directory(NULL, '/x');
CALL assetreg.register_directory('scene', '/x');
CALL assetreg.register_directory('lora', NULL);
CALL assetreg.register_directory('lora', '/no/such/place');
CALL assetreg.register_directory('lora', '');
CALL assetreg.register_directory('lora', '/x', NULL);
CALL assetreg.register_directory('lora', '/x', recursive => NULL);
CALL assetreg.verify_assets('scene');
CALL assetreg.verify_assets(older_than => '-1 day');
\! $CALL -c "SET assetreg.asset_roots = '$ROOT'" -c "CALL assetreg.register_directory('lora', '$ROOT/tree/film-grain-v2.safetensors')" -c "CALL assetreg.register_directory('lora', '$ROOT/nowhere')" -c "CALL assetreg.register_directory('lora', '$ROOT/tree', 'none*')" -c "CALL assetreg.register_directory('lora', '$ROOT/tree/empty')" 2>&1 | sed "s|$ROOT|...|g"
BEGIN;
CALL assetreg.register_directory('lora', '/x');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
CALL assetreg.verify_assets();
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT * FROM error('CALL assetreg.verify_assets()');
-- PostgreSQL lets a DO block commit
DO $$ BEGIN CALL assetreg.verify_assets('custom_node'); END $$;
-- who may not read files
SET ROLE regress_assetreg_blind;
CALL assetreg.register_directory('lora', '/x');
CALL assetreg.verify_assets('lora');
RESET ROLE;

\! chmod 700 "$ROOT/closed" "$ROOT/tree/hidden"; rm -rf "$ROOT"
SELECT empty_registry();
DELETE FROM assetreg.verification_runs;
SELECT * FROM assetreg.check_registry();
RESET assetreg.asset_roots;
DROP VIEW files, edges, verifications;
DROP TABLE contents, pack;
DROP FUNCTION put, at, shown, refused, safetensors, ref, sha, trained;
DROP OWNED BY regress_assetreg_reads, regress_assetreg_blind, regress_assetreg_looks;
DROP ROLE regress_assetreg_reads, regress_assetreg_blind, regress_assetreg_looks;
