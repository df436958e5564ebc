-- Bad input: rows, or one clear error, and nothing half done.
\set SHOW_CONTEXT never
SELECT empty_registry();
INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'model', 'Wan2.1', '1.0');
INSERT INTO assetreg.entities (id, kind, key) VALUES (11, 'scene', '1');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (11, 1);
-- calls, and what each one says; no error where the right answer is rows
CREATE FUNCTION try(calls text) RETURNS TABLE (call text, code text, message text, detail text, hint text) LANGUAGE sql VOLATILE AS $$
	SELECT c.call, e.* FROM regexp_split_to_table(trim(calls, E'\n\t '), '\s*\n\s*') WITH ORDINALITY c (call, n), error('SELECT * FROM assetreg.' || c.call) e ORDER BY c.n
$$;
\pset format unaligned

-- NULL where an id is needed, or anything else that has no meaning without.
SELECT * FROM try($$
	where_used(NULL)
	where_used(1, NULL, NULL, NULL)
	where_used(1, all_versions => NULL)
	where_used(1, kinds => '{NULL}')
	where_used(1, kinds => '{scene,NULL}')
	dependencies_of(NULL)
	dependencies_of(1, kinds => '{NULL}')
	dependents(NULL)
	dependents('{NULL}')
	dependents('{1,NULL}')
	dependent_count(NULL)
	dependent_count(1, NULL)
	dependent_count(1, true, NULL)
	impact(NULL)
	impact(1, NULL)
	dependency_paths(NULL, 1)
	dependency_paths(1, NULL)
	dependency_paths(1, 1, NULL)
	dependency_graph(NULL)
	dependency_graph(1, NULL)
	dependency_graph(1, 'json', NULL)
	dependency_graph(1, max_nodes => NULL)
	dependency_tree(NULL)
	dependency_tree(1, NULL)
	asset_id(NULL)
	asset_ref(NULL)
	versions(NULL)
	entity_id(NULL, 'x')
	entity_id('scene', NULL)
	put_entity(NULL, 'x')
	put_entity('scene', NULL)
	add_dependency(NULL, 1)
	add_dependency(1, NULL)
	add_dependency(NULL, NULL)
	remove_dependency(NULL, 1)
	remove_dependency(1, NULL)
	move_dependents(NULL, 1)
	move_dependents(1, NULL)
	register_asset(NULL, 'x')
	register_asset('lora', NULL)
$$);
-- where NULL means without limit, there is none
SELECT * FROM try($$
	where_used(1, NULL, NULL)
	dependencies_of(1, NULL, NULL)
	dependents('{1}', NULL)
	dependency_graph(1, max_depth => NULL)
	dependency_tree(1, max_depth => NULL)
$$);

-- Ids of nothing.
SELECT * FROM try($$
	where_used(4711)
	where_used(0)
	where_used(-1)
	where_used(9223372036854775807)
	where_used(-9223372036854775808)
	where_used(9223372036854775808)
	where_used('x')
	where_used(4711, all_versions => true)
	dependencies_of(4711)
	dependents('{1,4711,4712}')
	dependents('{-9223372036854775808,9223372036854775807}')
	dependent_count(4711)
	dependent_count(4711, true, true)
	impact(4711)
	dependency_paths(4711, 1)
	dependency_paths(1, 4711)
	dependency_paths(4711, 4711)
	dependency_graph(4711)
	dependency_tree(4711)
	asset_ref(4711)
	asset_ref(11)
	versions(4711)
	versions(11)
	entity_id('scene', '2')
	entity_id('nonsense', '2')
	put_entity('nonsense', '2')
	add_dependency(4711, 1)
	add_dependency(1, 4711)
	add_dependency(11, 11)
	add_dependency(4711, 4711)
	remove_dependency(4711, 1)
	remove_dependency(1, 4711)
	remove_dependency(1, 11)
	move_dependents(4711, 1)
	move_dependents(1, 4711)
	move_dependents(1, 11)
	move_dependents(1, 1)
	register_asset('nonsense', 'x')
	register_asset('scene', 'x')
	register_asset('lora', 'x', supersedes => 4711)
	register_asset('lora', 'x', supersedes => 11)
$$);

-- Depths, counts, words.
SELECT * FROM try($$
	where_used(1, -1)
	where_used(1, -2147483648)
	where_used(1, 0)
	where_used(1, 2147483647)
	where_used(1, 2147483648)
	dependencies_of(1, -1)
	dependents('{1}', -1)
	dependency_graph(1, max_depth => -1)
	dependency_graph(1, max_nodes => 0)
	dependency_graph(1, max_nodes => -1)
	dependency_graph(1, max_nodes => 2147483647, max_depth => 2147483647)
	dependency_graph(1, 'svg')
	dependency_graph(1, 'JSON')
	dependency_graph(1, '')
	dependency_graph(1, 'json', 'up')
	dependency_graph(4711, 'json', 'up')
	dependency_tree(1, 'up')
	dependency_tree(1, max_depth => -1)
	dependency_tree(1, max_depth => 2147483647)
	dependency_paths(1, 11, 0)
	dependency_paths(1, 11, -1)
	dependency_paths(1, 11, 2147483647)
	where_used(1, kinds => '{scenes}')
	where_used(1, kinds => '{scene,scenes}')
	where_used(1, kinds => '{""}')
	where_used(1, kinds => '{{scene,lora},{model,job}}')
	dependencies_of(1, kinds => '{SCENE}')
$$);
-- a hundred thousand kinds, all of them the same
SELECT count(*) FROM assetreg.where_used(1, kinds => (SELECT array_agg('scene'::text) FROM generate_series(1, 100000)));

-- References.
SELECT * FROM try($$
	asset_id('')
	asset_id(' ')
	asset_id('/')
	asset_id('@')
	asset_id('lora')
	asset_id('lora/')
	asset_id('/x')
	asset_id('@1')
	asset_id('lora@1')
	asset_id('lora/@1')
	asset_id('lora/x@')
	asset_id('lora/x')
	asset_id('lora/x@1')
	asset_id('LORA/x@1')
	asset_id('a/b/c@d@e')
	asset_id('lora/a@b/c')
	asset_id('lora/x@@1')
	asset_id('model/Wan2.1 ')
	asset_id('model/wan2.1@1.0')
	asset_id('model/Wan2_1')
	asset_id('model/%')
	asset_id('sha256:')
	asset_id('sha256:00')
	asset_id('sha256:xyz')
	asset_id('md5:d41d8cd98f00b204e9800998ecf8427e')
	asset_id('0123456789')
	asset_id('012345678')
	asset_id('01234567890')
	asset_id('0123456789ab')
	asset_id('012345678g')
	asset_id(''';DROP TABLE assetreg.assets;--')
	asset_id('lora/🎬')
	asset_id(E'lora/a\nb@1')
	asset_id(E'\u202elora/x@1')
$$);
SELECT * FROM try($$
	asset_id(repeat('x', 10000))
	asset_id('lora/' || repeat('x', 10000))
	asset_id('lora/x@' || repeat('1', 10000))
	asset_id(repeat('/', 10000))
	asset_id(repeat('@', 10000))
	asset_id(repeat('a/', 5000) || repeat('@b', 5000))
	asset_id(repeat('0', 10000))
$$);

-- Names, versions, keys.
SELECT * FROM try($$
	register_asset('lora', '')
	register_asset('lora', '', '1')
	register_asset('lora', 'x', '')
	register_asset('lora', 'x', 'a/b')
	register_asset('lora', 'x', 'a@b')
	register_asset('lora', repeat('x', 1001), '1')
	register_asset('lora', repeat('影', 334), '1')
	register_asset('lora', 'x', repeat('1', 201))
	register_asset('lora', repeat('x', 10000), repeat('1', 10000))
	register_asset('lora', E'tab\there', '1')
	register_asset('lora', E'line\nbreak', '1')
	register_asset('lora', E'line\nbreak')
	register_asset('lora', E'delete\u007f', '1')
	register_asset('lora', E'next line\u0085', '1')
	register_asset('lora', E'bidi \u202etxt.exe', '1')
	register_asset('lora', E'isolate \u2066x', '1')
	register_asset('lora', 'x', E'1\u202e')
	register_asset('lora', 'x', E'1\t')
	register_asset('lora', 'x', '1', '')
	register_asset('lora', 'x', '1', '/l/x')
	register_asset('lora', 'x', '1', '/l/x', 1)
	register_asset('lora', 'x', '1', '/l/x', 1, 'nonsense')
	register_asset('lora', 'x', '1', '/l/x', -1, repeat('0', 64))
	register_asset('lora', 'x', '1', sha256 => '')
	register_asset('lora', 'x', '1', sha256 => repeat('0', 63))
	register_asset('lora', 'x', '1', metadata => '[]')
	register_asset('lora', 'x', '1', metadata => 'null')
	register_asset('lora', 'x', '1', provides => '{NULL}')
	put_entity('scene', '')
	put_entity('scene', repeat('x', 2001))
	put_entity('scene', repeat('x', 10000))
	put_entity('', 'x')
	put_entity(repeat('x', 10000), 'x')
	entity_id(repeat('x', 10000), 'x')
	entity_id('scene', repeat('x', 10000))
	where_used(1, kinds => ARRAY[repeat('x', 10000)])
	add_dependency(11, 1, '')
	add_dependency(11, 1, requires => '{NULL}')
$$);
SELECT count(*) FROM assetreg.assets;
SELECT count(*) FROM assetreg.entities;
SELECT count(*) FROM assetreg.version_ordinals;
-- too long and random, and without a version
SELECT code FROM error($$SELECT assetreg.register_asset('lora', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i))$$);
-- what is long but allowed works everywhere
SELECT assetreg.register_asset('lora', repeat('影', 333) || 'x', repeat('1', 200)) AS lora \gset
SELECT assetreg.put_entity('scene', repeat('k', 2000), repeat('long ', 20000)) AS scene \gset
SELECT assetreg.add_dependency(:scene, :lora);
SELECT assetreg.asset_id(assetreg.asset_ref(:lora)) = :lora AS found, assetreg.asset_id('lora/' || repeat('影', 333) || 'x') = :lora AS latest;
SELECT length(key), length(label) FROM assetreg.where_used(:lora);
SELECT length(assetreg.dependency_graph(:lora)), length(assetreg.dependency_graph(:lora, 'dot')), length(assetreg.dependency_graph(:lora, 'mermaid'));
DELETE FROM assetreg.entities WHERE id = :scene;
-- a random key that no compression makes shorter still fits its index
SELECT * FROM try($$
	put_entity('scene', (SELECT left(string_agg(md5(i::text), ''), 2000) FROM generate_series(1, 63) i))
	register_asset('lora', (SELECT left(string_agg(md5(i::text), ''), 1000) FROM generate_series(1, 32) i), (SELECT left(string_agg(md5(i::text), ''), 200) FROM generate_series(1, 7) i))
	register_asset('lora', (SELECT left(string_agg(md5(i::text), ''), 1000) FROM generate_series(1, 32) i))
$$);

-- A million ids in one array.
SELECT * FROM error('SELECT * FROM assetreg.dependents((SELECT array_agg(i) FROM generate_series(1, 1000000) i))');
VACUUM ANALYZE assetreg.entities;
DO $$
BEGIN
	FOR i IN 1 .. 10 LOOP
		INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT max(id), min(id) FROM assetreg.entities;
		DELETE FROM assetreg.asset_dependencies WHERE (dependent_id, dependency_id) = (SELECT max(id), min(id) FROM assetreg.entities);
	END LOOP;
END $$;
INSERT INTO assetreg.entities (id, kind, key) SELECT 1000000 + i, 'job', i::text FROM generate_series(1, 100000) i;
-- foreign keys do not go by plans from when there were few
BEGIN;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT 1000000 + i, 1000001 + i FROM generate_series(1, 99999) i;
SELECT seq_tup_read < 1000000 AS by_index FROM pg_stat_xact_user_tables WHERE relid = 'assetreg.entities'::regclass;
COMMIT;
SELECT count(*) FROM assetreg.dependents((SELECT array_agg(1000000 + i % 100000 + 1 ORDER BY md5(i::text)) FROM generate_series(1, 1000000) i));
SELECT count(*), sum(depth) FROM assetreg.dependents((SELECT array_agg(1000002 + i * 2) FROM generate_series(0, 49999) i));
SELECT * FROM error('SELECT * FROM assetreg.dependents((SELECT array_agg(1000000 + i % 100001 + 1) FROM generate_series(1, 1000000) i))');
DELETE FROM assetreg.entities WHERE id > 1000000;

-- The memory limit says what to change; the depth that fits still works.
INSERT INTO assetreg.entities (id, kind, key) SELECT i * 100000::bigint, 'segment', i::text FROM generate_series(1, 5000) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT i * 100000::bigint, CASE WHEN i = 1 THEN 1 ELSE i / 2 * 100000::bigint END FROM generate_series(1, 5000) i;
SET work_mem = '64kB';
SET hash_mem_multiplier = 1;
SELECT c.call, e.*
FROM (VALUES (1, 'where_used(1)'), (2, 'dependent_count(1, true)'), (3, 'impact(1)'), (4, 'dependents(''{1}'')'), (5, 'dependency_graph(1, max_depth => NULL)'), (6, 'dependency_cycles()')) c (n, call),
	 error('SELECT * FROM assetreg.' || c.call) e
ORDER BY c.n;
SELECT count(*) FROM assetreg.where_used(1, 5);
SELECT * FROM error('DELETE FROM assetreg.assets WHERE id = 1');
RESET work_mem;
RESET hash_mem_multiplier;
SELECT assetreg.dependent_count(1, true);
SELECT * FROM assetreg.impact(1);
SELECT * FROM error('DELETE FROM assetreg.assets WHERE id = 1');
\pset format aligned

-- Ids at the ends of what there is.
INSERT INTO assetreg.entities (id, kind, key) VALUES (-9223372036854775808, 'job', 'min'), (-5, 'job', 'minus five'), (0, 'job', 'zero'),
	(4611686018427387904, 'job', '2^62'), (9223372036854775807, 'job', 'max');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (-9223372036854775808, 9223372036854775807), (-5, -9223372036854775808), (0, -5),
	(4611686018427387904, 0), (9223372036854775807, 4611686018427387904);
SELECT entity_id, key, depth, via_id FROM assetreg.where_used(9223372036854775807) ORDER BY depth;
SELECT entity_id, key, depth, via_id FROM assetreg.dependencies_of(-9223372036854775808) ORDER BY depth;
SELECT * FROM assetreg.dependents('{9223372036854775807,-9223372036854775808}') ORDER BY depth, entity_id;
SELECT * FROM assetreg.dependency_cycles() ORDER BY cycle, entity_id;
SELECT step, entity_id FROM assetreg.dependency_paths(-9223372036854775808, 9223372036854775807) ORDER BY step;
SELECT * FROM assetreg.dependency_tree(0, max_depth => NULL);
SELECT jsonb_path_query_array(assetreg.dependency_graph(-5, max_depth => NULL)::jsonb, '$.nodes[*].id') AS nodes;
-- a minus sign is no part of a name in dot
SELECT count(*) FROM regexp_split_to_table(assetreg.dependency_graph(-5, 'dot', max_depth => NULL), E'\n') l
WHERE regexp_replace(l, '"([^"\\\\]|\\\\.)*"', '', 'g') ~ '[A-Za-z_]-[0-9]';

DROP FUNCTION try(text);
SELECT empty_registry();
