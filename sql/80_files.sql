-- Files of the server: headers, what is refused in them, and what their metadata proposes.
\set SHOW_CONTEXT never
\set directory `mktemp -d`
\setenv DIRECTORY :directory
-- the server may run as another user
\! chmod 777 "$DIRECTORY"
SET assetreg.asset_roots = :'directory';

-- Writes a file and says what is measured, or why not.
CREATE FUNCTION pg_temp.try(name text, bytes bytea, strict boolean = true, OUT size bigint, OUT sha256 text, OUT autov3 text, OUT format text,
	OUT metadata jsonb, OUT tensors jsonb, OUT error text)
	LANGUAGE plpgsql AS $$
DECLARE
	file text := current_setting('assetreg.asset_roots') || '/' || name;
	large oid := lo_from_bytea(0, bytes);
BEGIN
	PERFORM lo_export(large, file), lo_unlink(large);
	SELECT m.size, left(m.sha256, 12), m.autov3, m.format, m.metadata, m.tensors INTO size, sha256, autov3, format, metadata, tensors
	FROM assetreg._measure_file(file, strict) m;
EXCEPTION WHEN OTHERS THEN
	DECLARE
		detail text;
	BEGIN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
		error := SQLSTATE || ' ' || replace(SQLERRM, file, '...') || ' ' || detail;
	END;
END
$$;
-- Little-endian numbers.
CREATE FUNCTION pg_temp.le(n numeric, bytes int) RETURNS bytea LANGUAGE sql AS
	$$ SELECT string_agg(set_byte('\x00', 0, (div(n, 256::numeric ^ i) % 256)::int), '' ORDER BY i) FROM generate_series(0, bytes - 1) i $$;
CREATE FUNCTION pg_temp.safetensors(header text, data text = '', length numeric = NULL) RETURNS bytea LANGUAGE sql AS
	$$ SELECT pg_temp.le(coalesce(length, octet_length(header)), 8) || convert_to(header, 'UTF8') || convert_to(data, 'UTF8') $$;
CREATE FUNCTION pg_temp.text(t text) RETURNS bytea LANGUAGE sql AS
	$$ SELECT pg_temp.le(octet_length(t), 8) || convert_to(t, 'UTF8') $$;
CREATE FUNCTION pg_temp.gguf(entries bytea[], tensors bytea[] = '{}', data bytea = '', version int = 3, nentries numeric = NULL, ntensors numeric = NULL)
	RETURNS bytea LANGUAGE sql AS $$
	SELECT header || CASE WHEN octet_length(data) > 0 THEN decode(repeat('00', -octet_length(header) & 31), 'hex') ELSE '' END || data
	FROM (SELECT 'GGUF'::bytea || pg_temp.le(version, 4) || pg_temp.le(coalesce(ntensors, cardinality(tensors)), 8)
				 || pg_temp.le(coalesce(nentries, cardinality(entries)), 8)
				 || coalesce((SELECT string_agg(e, '' ORDER BY n) FROM unnest(entries || tensors) WITH ORDINALITY u (e, n)), '')) h (header)
	$$;
CREATE FUNCTION pg_temp.tensor(name text, dimensions int[], type int, at bigint) RETURNS bytea LANGUAGE sql AS
	$$ SELECT pg_temp.text(name) || pg_temp.le(cardinality(dimensions), 4)
			  || coalesce((SELECT string_agg(pg_temp.le(d, 8), '' ORDER BY n) FROM unnest(dimensions) WITH ORDINALITY u (d, n)), '')
			  || pg_temp.le(type, 4) || pg_temp.le(at, 8) $$;

-- safetensors that are right.
SELECT t.* FROM (VALUES
	(1, '{}', ''),
	(2, '{"__metadata__":{},"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}   ', 'abc'),
	(3, E'{ "b" :\t{ "data_offsets" : [ 2 , 6 ] , "shape" : [ 1 , 2 ] , "dtype" : "F16" } ,\n"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}', 'abcdef'),
	(4, '{"none":{"dtype":"F32","shape":[7,0],"data_offsets":[0,0]},"half":{"dtype":"F4","shape":[3,2],"data_offsets":[0,3]},"six":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[3,6]}}', 'abcdef'),
	(5, '{"__metadata__":{"modelspec.title":"\u00c9lan \ud83c\udfac \"q\" \\ \/ \n","":"empty key","影":""},"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 'a')
	) v (n, header, data), pg_temp.try(n || '.safetensors', pg_temp.safetensors(header, data)) t ORDER BY n;
-- by the beginning, whatever the name is
SELECT format, tensors FROM pg_temp.try('renamed.bin', pg_temp.safetensors('{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}', 'abc'));
SELECT size, sha256, format FROM pg_temp.try('notes.txt', 'a text file');

-- safetensors that are not.
SELECT v.n, t.error FROM (VALUES
	(1, pg_temp.safetensors('', '', 9223372036854775808)),
	(2, pg_temp.safetensors('{}', '', 18446744073709551615)),
	(3, pg_temp.safetensors('{}', '', 3)),
	(4, pg_temp.safetensors('{}', '', 100000001)),
	(5, pg_temp.safetensors('', '', 0)),
	(6, '\x0102'),
	(7, pg_temp.safetensors(' {}')),
	(8, pg_temp.safetensors('[]')),
	(9, pg_temp.safetensors('{}', 'x')),
	(10, pg_temp.safetensors('{} x')),
	(11, pg_temp.safetensors(E'{}\n')),
	(12, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}', 'x')),
	(13, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},}', 'x')),
	(14, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', 'xx')),
	(15, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', 'xx')),
	(16, pg_temp.safetensors('{"__metadata__":{"a":"1","a":"2"}}')),
	(17, pg_temp.safetensors('{"__metadata__":{},"__metadata__":{}}')),
	(18, pg_temp.safetensors('{"__metadata__":{"a":1}}')),
	(19, pg_temp.safetensors('{"__metadata__":{"a":{"b":"c"}}}')),
	(20, pg_temp.safetensors('{"__metadata__":null}')),
	(21, pg_temp.safetensors('{"__metadata__":{"a":"\u0000"}}')),
	(22, pg_temp.safetensors('{"__metadata__":{"a":"\ud83c"}}')),
	(23, pg_temp.safetensors('{"__metadata__":{"a":"\udfac\ud83c"}}')),
	(24, pg_temp.safetensors('{"__metadata__":{"a":"\x"}}')),
	(25, pg_temp.safetensors('{"__metadata__":{"a":"\u12')),
	(26, pg_temp.safetensors(E'{"__metadata__":{"a":"\n"}}')),
	(27, pg_temp.safetensors('{"__metadata__":{"a')),
	(28, pg_temp.le(23, 8) || '{"__metadata__":{"a":"'::bytea || '\xff'),
	(29, pg_temp.le(24, 8) || '{"__metadata__":{"a":"'::bytea || '\xc080'),
	(30, pg_temp.le(25, 8) || '{"__metadata__":{"a":"'::bytea || '\xeda080'),
	(31, pg_temp.le(23, 8) || '{"__metadata__":{"a":"'::bytea || '\x00'),
	(32, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', 'xx')),
	(33, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}', 'xxx')),
	(34, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}}', 'xx')),
	(35, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[2,1]}}', 'x')),
	(36, pg_temp.safetensors('{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}', 'x')),
	(37, pg_temp.safetensors('{"a":{"dtype":"F16","shape":[4294967296,4294967296],"data_offsets":[0,0]}}')),
	(38, pg_temp.safetensors('{"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]}}')),
	(39, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,0]}}')),
	(40, pg_temp.safetensors('{"a":{"dtype":"Q8","shape":[1],"data_offsets":[0,1]}}', 'x')),
	(41, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', 'x')),
	(42, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', 'x')),
	(43, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}', 'x')),
	(44, pg_temp.safetensors('{"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}', 'x')),
	(45, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}', 'x')),
	(46, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}', 'x')),
	(47, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1]}}', 'x')),
	(48, pg_temp.safetensors('{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 'x')),
	(49, pg_temp.safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}}', 'x')),
	(50, pg_temp.safetensors('{"a":[]}')),
	(51, pg_temp.safetensors('{"a":{}}')),
	(52, pg_temp.safetensors(repeat('{"a":', 100000))),
	(53, pg_temp.safetensors('{"a":{"dtype":"U8","shape":' || repeat('[', 100000))),
	(54, '')
	) v (n, bytes), pg_temp.try('bad.safetensors', bytes) t ORDER BY n;
-- such a file may have been good once: who verifies it asks for its hash all the same
SELECT t.* FROM (VALUES ('\x0102'::bytea), (pg_temp.safetensors('{]')), ('')) v (bytes), pg_temp.try('bad.safetensors', bytes, false) t;

-- GGUF that is right.
SELECT t.* FROM pg_temp.try('every.gguf', pg_temp.gguf(ARRAY[
	pg_temp.text('general.architecture') || pg_temp.le(8, 4) || pg_temp.text('wan'),
	pg_temp.text('uint8') || pg_temp.le(0, 4) || '\xff', pg_temp.text('int8') || pg_temp.le(1, 4) || '\xff',
	pg_temp.text('uint16') || pg_temp.le(2, 4) || '\xfeff', pg_temp.text('int16') || pg_temp.le(3, 4) || '\xfeff',
	pg_temp.text('uint32') || pg_temp.le(4, 4) || '\xfeffffff', pg_temp.text('int32') || pg_temp.le(5, 4) || '\xfeffffff',
	pg_temp.text('float32') || pg_temp.le(6, 4) || '\xcdcccc3d', pg_temp.text('nan') || pg_temp.le(6, 4) || '\x0000c07f',
	pg_temp.text('true') || pg_temp.le(7, 4) || '\x01', pg_temp.text('false') || pg_temp.le(7, 4) || '\x00',
	pg_temp.text('uint64') || pg_temp.le(10, 4) || '\xffffffffffffffff', pg_temp.text('int64') || pg_temp.le(11, 4) || '\x0000000000000080',
	pg_temp.text('float64') || pg_temp.le(12, 4) || '\x9a9999999999b93f', pg_temp.text('infinite') || pg_temp.le(12, 4) || '\x000000000000f0ff',
	pg_temp.text('words') || pg_temp.le(9, 4) || pg_temp.le(8, 4) || pg_temp.le(2, 8) || pg_temp.text('one') || pg_temp.text(''),
	pg_temp.text('numbers') || pg_temp.le(9, 4) || pg_temp.le(5, 4) || pg_temp.le(3, 8) || '\x000000000000000000000000',
	pg_temp.text('long') || pg_temp.le(8, 4) || pg_temp.text(repeat('x', 1048577)), pg_temp.text('after') || pg_temp.le(8, 4) || pg_temp.text('"élan"')],
	ARRAY[pg_temp.tensor('a', '{32,2}', 2, 0), pg_temp.tensor('patch', '{1,2,2,3,4}', 1, 64), pg_temp.tensor('new', '{7}', 250, 160)],
	decode(repeat('00', 160), 'hex'))) t;
SELECT format, metadata, tensors FROM pg_temp.try('renamed.bin', pg_temp.gguf('{}', version => 2));
-- GGUF that is not.
SELECT v.n, t.error FROM (VALUES
	(1, '\x47475546'::bytea),
	(2, 'GGUX'),
	(3, 'GG'),
	(4, pg_temp.gguf('{}', version => 1)),
	(5, pg_temp.gguf('{}', version => 50331648)),
	(6, pg_temp.gguf('{}', nentries => 1)),
	(7, pg_temp.gguf('{}', nentries => 18446744073709551615)),
	(8, pg_temp.gguf('{}', ntensors => 18446744073709551615)),
	(9, pg_temp.gguf(ARRAY[pg_temp.le(9223372036854775808, 8)])),
	(10, pg_temp.gguf(ARRAY[pg_temp.text('')])),
	(11, pg_temp.gguf(ARRAY[pg_temp.le(1, 8) || '\xff'])),
	(12, pg_temp.gguf(ARRAY[pg_temp.text('a') || pg_temp.le(13, 4)])),
	(13, pg_temp.gguf(ARRAY[pg_temp.text('a') || pg_temp.le(7, 4) || '\x02'])),
	(14, pg_temp.gguf(ARRAY[pg_temp.text('a') || pg_temp.le(8, 4) || pg_temp.le(18446744073709551615, 8)])),
	(15, pg_temp.gguf(ARRAY[pg_temp.text('a') || pg_temp.le(8, 4) || pg_temp.le(1, 8) || '\x00'])),
	(16, pg_temp.gguf(ARRAY[pg_temp.text('a') || pg_temp.le(9, 4) || pg_temp.le(8, 4) || pg_temp.le(4611686018427387904, 8)])),
	(17, pg_temp.gguf(ARRAY[pg_temp.text('a') || pg_temp.le(9, 4) || pg_temp.le(12, 4) || pg_temp.le(4611686018427387904, 8)])),
	(18, pg_temp.gguf(ARRAY[pg_temp.text('a') || pg_temp.le(9, 4) || pg_temp.le(9, 4) || pg_temp.le(1, 8)])),
	(19, pg_temp.gguf(ARRAY[pg_temp.text('a') || pg_temp.le(7, 4) || '\x01', pg_temp.text('a') || pg_temp.le(7, 4) || '\x01'])),
	(20, pg_temp.gguf(ARRAY[pg_temp.text('general.alignment') || pg_temp.le(4, 4) || pg_temp.le(0, 4)])),
	(21, pg_temp.gguf(ARRAY[pg_temp.text('general.alignment') || pg_temp.le(8, 4) || pg_temp.text('32')])),
	(22, pg_temp.gguf('{}', ARRAY[pg_temp.tensor('a', '{8}', 0, 0)])),
	(23, pg_temp.gguf('{}', ARRAY[pg_temp.tensor('a', '{8}', 0, 0)], '\x00')),
	(24, pg_temp.gguf('{}', ARRAY[pg_temp.tensor('a', '{8}', 0, 1)], '\x00')),
	(25, pg_temp.gguf('{}', ARRAY[pg_temp.tensor('a', '{8}', 2, 0)], '\x00')),
	(26, pg_temp.gguf('{}', ARRAY[pg_temp.tensor('a', '{1,1,1,1,1,1,1,1,1}', 0, 0)], '\x00000000')),
	(27, pg_temp.gguf('{}', ARRAY[pg_temp.tensor('a', '{2147483647,2147483647,2147483647}', 0, 0)])),
	(28, pg_temp.gguf('{}', ARRAY[pg_temp.tensor('a', '{1}', 0, 9223372036854775776)])),
	(29, pg_temp.gguf('{}', ARRAY[pg_temp.tensor('a', '{1}', 100000, 0)])),
	(30, pg_temp.gguf('{}', ARRAY[pg_temp.tensor('a', '{1}', 0, 0), pg_temp.tensor('a', '{1}', 0, 0)], '\x00000000'))
	) v (n, bytes), pg_temp.try('bad.gguf', bytes) t ORDER BY n;

-- What metadata proposes.
SELECT f.* FROM assetreg._metadata_facts(jsonb_build_object('modelspec.architecture', 'flux-1-dev/lora', 'modelspec.title', 'Film Grain',
	'modelspec.hash_sha256', '0x' || repeat('AB', 32), 'sshs_model_hash', repeat('cd', 32), 'ss_new_sd_model_hash', repeat('12', 32),
	'ss_sd_model_hash', '0badcafe', 'ss_sd_model_name', 'flux1-dev.safetensors', 'ss_new_vae_hash', repeat('34', 32), 'ss_vae_hash', 'deadbeef',
	'ss_vae_name', 'ae.safetensors', 'ss_output_name', 'film-grain-v1.2', 'ss_epoch', '8', 'ss_num_epochs', '10', 'ss_network_module', 'networks.lora')) f \gx
SELECT f.title, f.asset_type, f.part, f.base_architecture, f.base_name, f.version, f.epoch FROM (VALUES
	(1, '{"modelspec.architecture": "stable-diffusion-xl-v1-base", "modelspec.title": "Juggernaut XL v9"}'::jsonb),
	(2, '{"modelspec.architecture": "stable-diffusion-xl-v1-base/vae"}'),
	(3, '{"ss_network_module": "networks.lora_wan", "ss_base_model_version": "wan2.1", "ss_output_name": "grain", "ss_epoch": "16", "ss_num_epochs": "16"}'),
	(4, '{"general.architecture": "wan", "general.name": "Wan2.1 T2V 14B", "general.version": "v2.1"}'),
	(5, '{"ss_output_name": "grain_v2", "ss_epoch": "10", "ss_num_epochs": "10", "ss_sd_model_name": "None"}'),
	(6, '{"ss_epoch": "99999999999999999999", "modelspec.title": " ", "modelspec.architecture": ""}'),
	(7, '{"modelspec.title": {"not": "a string"}, "format": "pt"}'),
	(8, '{}'), (9, '[]'), (10, '"text"'), (11, NULL)) m (n, metadata), assetreg._metadata_facts(m.metadata) f ORDER BY m.n;
-- a hash is a hash, and not that of nothing
SELECT f.base_sha256, f.base_autov1, f.vae_sha256, f.claimed_autov3 FROM (VALUES
	(1, '{"ss_new_sd_model_hash": "None", "ss_sd_model_hash": "", "ss_new_vae_hash": "xyz", "sshs_model_hash": "0x12"}'::jsonb),
	(2, jsonb_build_object('ss_new_sd_model_hash', encode(sha256(''), 'hex'), 'ss_sd_model_hash', 'E3B0C442', 'sshs_model_hash', encode(sha256(''), 'hex'))),
	(3, jsonb_build_object('ss_new_sd_model_hash', repeat('a', 8), 'ss_sd_model_hash', repeat('a', 64), 'sshs_model_hash', 'ABCDEF012345',
						   'modelspec.hash_sha256', '0xabcdef012345'))) m (n, metadata), assetreg._metadata_facts(m.metadata) f ORDER BY m.n;

-- Arguments.
SELECT assetreg._measure_file(NULL);
SELECT assetreg._measure_file('x', NULL);
SELECT assetreg._list_files('x', NULL);
RESET assetreg.asset_roots;
\! rm -rf "$DIRECTORY"
