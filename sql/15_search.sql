-- Lists of assets and what finds them.
\set SHOW_CONTEXT never
SELECT empty_registry();
INSERT INTO assetreg.assets (id, type, name, version, status, file_size, sha256, metadata, registered_at)
	VALUES (1, 'model', 'Wan2.1-T2V-14B', '1.0', 'active', 28000000000, 'abcdef01' || repeat('0', 56), '{"family": "Wan", "licence": "Apache-2.0"}', '2026-01-01'),
		   (2, 'lora', 'Film-Grain', '1.0', 'deprecated', 300, 'abcdef02' || repeat('0', 56), '{"ss_base_model": "Wan2.1 T2V", "triggers": ["GRAINY film"]}', '2026-01-02'),
		   (3, 'lora', 'Film-Grain', '1.10', 'active', 300, NULL, '{"deep": {"er": [{"Author": "Somebody O''Neil"}]}}', '2026-01-03'),
		   (4, 'lora', 'Film-Grain', '1.9', 'active', NULL, NULL, '{"note": "100%_sure"}', '2026-01-04'),
		   (5, 'lora', '100%_film\_look', 'v2', 'active', 200, NULL, '{}', '2026-01-05'),
		   (6, 'custom_node', 'ComfyUI-Äther/nodes', 'nightly', 'removed', NULL, NULL, '{"a": {"b": "日本語のメモ、二つ目"}}', '2026-01-05');
INSERT INTO assetreg.asset_hashes (asset_id, algorithm, value, source)
	VALUES (2, 'autov1', '12345678', 'measured'), (2, 'autov3', 'abcdef123456', 'measured'), (3, 'autov3', 'abcdef123456', 'claimed'), (3, 'blake3', repeat('ef', 32), 'claimed');
INSERT INTO assetreg.asset_ratings (asset_id, rater, stars) VALUES (3, 'a', 5), (4, 'a', 5), (4, 'b', 5), (4, 'c', 4), (1, 'a', 1);
INSERT INTO assetreg.entities (id, kind, key) VALUES (11, 'scene', '1'), (12, 'scene', '2');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (11, 1), (12, 1), (12, 4);
INSERT INTO assetreg.asset_notes (asset_id, other_asset_id, body, severity, all_versions)
	VALUES (2, NULL, 'flickers', 'warning', true), (3, 5, 'too much', 'blocker', false), (4, 1, 'fine', 'info', true), (2, 4, 'not both', 'warning', true);

-- What a list shows.
SELECT id, reference, status, integrity, file_size, autov2, is_latest, dependents, rating_average::numeric(3, 2), rating_count, warnings
FROM assetreg.asset_list ORDER BY id;
SELECT a.attname AS "column", format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute a WHERE a.attrelid = 'assetreg.asset_list'::regclass AND a.attnum > 0 ORDER BY a.attnum;
-- the function gives the same rows, each with its cursor
SELECT count(*), count(DISTINCT cursor) FROM assetreg.find_assets(only_status => NULL);
SELECT to_jsonb(f) - 'cursor' AS only_here FROM assetreg.find_assets(only_status => NULL) f
EXCEPT SELECT to_jsonb(l) FROM assetreg.asset_list l;

-- The orders, both ways; what has no size comes last.
SELECT s.sort_by, d.descending, (SELECT array_agg(f.id) FROM assetreg.find_assets(only_status => NULL, sort_by => s.sort_by, descending => d.descending) f) AS ids
FROM unnest('{rating,name,newest,dependents,size}'::text[]) WITH ORDINALITY s (sort_by, n), (VALUES (NULL::boolean), (true), (false)) d (descending)
ORDER BY s.n, d.descending NULLS FIRST;

-- The filters.
SELECT (SELECT array_agg(f.id) FROM assetreg.find_assets() f) AS active,
	   (SELECT array_agg(f.id) FROM assetreg.find_assets(only_status => 'deprecated') f) AS deprecated,
	   (SELECT array_agg(f.id) FROM assetreg.find_assets(only_type => 'lora') f) AS loras,
	   (SELECT array_agg(f.id) FROM assetreg.find_assets(only_version => '1.0', only_status => NULL) f) AS v1_0,
	   (SELECT array_agg(f.id) FROM assetreg.find_assets(latest_only => true) f) AS latest,
	   (SELECT array_agg(f.id) FROM assetreg.find_assets('film', 'lora', '1.9', 'active', false, 'name', true, 1) f) AS all_of_them;

-- What a query finds, in the whole list and by the index alone.
CREATE FUNCTION found(query text) RETURNS bigint[] LANGUAGE sql STABLE AS $$
	SELECT coalesce(array_agg(f.id ORDER BY f.id), '{}') FROM assetreg.find_assets($1, only_status => NULL) f
$$;
CREATE FUNCTION found_by_index(query text) RETURNS bigint[] LANGUAGE sql STABLE AS $$
	SELECT array(SELECT unnest(assetreg._list_page(array(SELECT w FROM regexp_split_to_table(lower($1), E'\\s+') w WHERE w <> ''), NULL, NULL, NULL, false, 'newest', false, 50, NULL, 1)) ORDER BY 1)
$$;
SELECT t.what, t.query, found(t.query) AS ids, nullif(found_by_index(t.query), found(t.query)) AS index_differs
FROM (VALUES (1, 'everything', NULL), (2, 'everything', ''), (3, 'everything', E' \t\n '),
			 (10, 'one character', 'f'), (11, 'in any case', 'fILM-g'), (12, 'name and version', 'grain@1.1'), (13, 'its end', 't2v-14b@1.0'), (14, 'all of it', 'film-grain@1.10'),
			 (15, 'not ASCII', 'äTHER'), (16, 'of the version', '@v2'), (17, 'only signs', '/'), (18, 'nothing', 'grain1'),
			 (20, 'two words', 'grain film'), (21, 'the second not', 'grain filmy'), (22, 'one in the name, one in metadata', 'grain wan2.1'), (23, 'twice the same', 'film film'),
			 (30, 'metadata', 'apache'), (31, 'a beginning', 'somebo'), (32, 'no end', 'omebody'), (33, 'a key', 'author'), (34, 'words of a key', 'base'), (35, 'with a separator', 'ss_base_mo'),
			 (36, 'with a quote', 'o''neil'), (37, 'not its signs alone', '100%_sure'), (38, 'a digit', '2'), (39, 'Japanese', '日本語'), (40, 'behind punctuation', '二つ'), (41, 'within', '本語'),
			 (50, 'AutoV2', 'abcdef0100'), (51, 'SHA-256', 'abcdef01' || repeat('0', 56)), (52, 'in upper case', 'ABCDEF01'), (53, 'seven digits', 'abcdef0'), (54, 'named', 'sha256:abcdef02'),
			 (55, 'AutoV2, named', 'autov2:abcdef0200'), (56, 'AutoV3 of two', 'abcdef123456'), (57, 'AutoV3, named', 'AutoV3:abcdef12'), (58, 'AutoV1', '12345678'), (59, 'AutoV1, named', 'autov1:12345678'),
			 (60, 'BLAKE3', 'blake3:efefefefef'), (61, 'with 0x', '0xabcdef01'), (62, 'another algorithm', 'crc32:abcdef12'), (63, 'not AutoV3', 'sha256:abcdef123456'), (64, 'a hash and a word', 'abcdef12 1.10'),
			 (65, 'two hashes', 'abcdef12 efefefef')) t (n, what, query)
ORDER BY t.n;

-- What means something elsewhere means itself here.
SELECT t.query, found(t.query) AS ids, nullif(found_by_index(t.query), found(t.query)) AS index_differs
FROM (VALUES (1, '%'), (2, '_'), (3, '100%_'), (4, '%film'), (5, 'f_lm'), (6, E'\\'), (7, E'film\\_look'), (8, ''''), (9, ''' OR true --'), (10, '''; DROP TABLE assetreg.assets; --'), (11, '"'), (12, '&'), (13, 'film & grain'),
			 (14, 'film|grain'), (15, '!grain'), (16, 'gra:*'), (17, 'film<->grain'), (18, '()'), (19, ':*'), (20, 'gra*'), (21, '$1'), (22, '{}'), (23, 'NULL'), (24, '{"a"}'), (25, E'\u0001'), (26, '%s%1$s'), (27, '@@'), (28, '.'), (29, '--')) t (n, query)
ORDER BY t.n;
SELECT count(*) AS assets FROM assetreg.assets;
-- long ones
SELECT (SELECT count(*) FROM assetreg.find_assets(repeat('x', 10000))) AS one_word, (SELECT count(*) FROM assetreg.find_assets(repeat('film ', 2000))) AS one_often,
	   (SELECT count(*) FROM assetreg.find_assets(repeat('-', 10000))) AS signs, (SELECT count(*) FROM assetreg.find_assets(repeat('film-', 2000))) AS parts,
	   (SELECT count(*) FROM assetreg.find_assets(repeat('''\', 5000))) AS quotes, (SELECT count(*) FROM assetreg.find_assets(repeat('日', 10000))) AS wide,
	   (SELECT count(*) FROM assetreg.find_assets(repeat('ab', 5000))) AS digits, (SELECT count(*) FROM assetreg.find_assets('sha256:' || repeat('ab', 5000))) AS digits_named;

-- Bad input.
\pset format unaligned
SELECT t.call, e.code, e.message, e.detail, e.hint
FROM (VALUES (1, 'page_size => 0'), (2, 'page_size => 1001'), (3, 'page_size => NULL'), (4, 'sort_by => ''size; --'''), (5, 'sort_by => NULL'), (6, 'sort_by => ''Rating'''), (7, 'only_status => ''gone'''),
			 (8, 'only_status => '''''), (9, 'only_type => ''loras'''), (10, 'latest_only => NULL'), (11, '(SELECT string_agg(i::text, '' '') FROM generate_series(1, 101) i)'), (12, 'repeat(''x'', 100001)'),
			 (13, 'after => '''''), (14, 'after => ''rubbish'''), (15, 'after => ''7b726174696e67'''), (16, 'after => repeat(''0'', 100000)'), (17, 'after => ''{rating,t,1,2}''')) t (n, call),
	 error(format('SELECT * FROM assetreg.find_assets(%s)', t.call)) e
ORDER BY t.n;
-- a cursor holds for its order
SELECT cursor FROM assetreg.find_assets(sort_by => 'name', page_size => 1) \gset
SELECT e.code, e.message, e.detail, e.hint
FROM unnest(ARRAY['sort_by => ''rating''', 'sort_by => ''name'', descending => true', 'sort_by => ''size''']) WITH ORDINALITY s (arguments, n),
	 error(format('SELECT * FROM assetreg.find_assets(%s, after => %L)', s.arguments, :'cursor')) e
ORDER BY s.n;
SELECT e.code FROM error(format('SELECT * FROM assetreg.find_assets(sort_by => ''name'', after => %L)', overlay(:'cursor' PLACING '00' FROM 20))) e;
SELECT (SELECT array_agg(f.id) FROM assetreg.find_assets(sort_by => 'name', descending => false, after => :'cursor') f) AS behind,
	   (SELECT array_agg(f.id) FROM assetreg.find_assets('film', sort_by => 'name', after => :'cursor') f) AS and_filtered;
\pset format aligned

-- Keys come back from a cursor as they were: any text, every digit, other styles of dates.
BEGIN;
UPDATE assetreg.asset_stats SET prior = 3 + 1.0 / (3 + asset_id);
UPDATE assetreg.assets SET registered_at = CASE WHEN id = 6 THEN 'infinity' WHEN id = 5 THEN '-infinity' WHEN id = 4 THEN '0044-03-15 BC' ELSE timestamptz '2026-01-01' + id * interval '1 microsecond' END;
UPDATE assetreg.assets SET name = (ARRAY['a"b', 'a\b', 'a,b', '{a}', 'NULL', ' '])[id] WHERE id NOT IN (1, 4);
SET LOCAL DateStyle = 'German';
SET LOCAL TimeZone = 'Asia/Kathmandu';
SET LOCAL extra_float_digits = -10;
WITH RECURSIVE page AS (
	SELECT o.sort_by, f.id, f.cursor, 1 AS n FROM unnest('{rating,name,newest,size}'::text[]) o (sort_by), assetreg.find_assets(only_status => NULL, sort_by => o.sort_by, page_size => 1) f
	UNION ALL
	SELECT p.sort_by, f.id, f.cursor, p.n + 1 FROM page p, assetreg.find_assets(only_status => NULL, sort_by => p.sort_by, page_size => 1, after => p.cursor) f WHERE p.n < 10
)
SELECT p.sort_by, array_agg(p.id ORDER BY p.n) AS one_by_one, (SELECT array_agg(f.id) FROM assetreg.find_assets(only_status => NULL, sort_by => p.sort_by) f) AS at_once
FROM page p GROUP BY p.sort_by ORDER BY p.sort_by;
ROLLBACK;

-- What is found by follows the assets, whatever statement changes them.
SELECT found('film') AS before, (SELECT count(*) FROM assetreg.asset_search) AS rows;
BEGIN;
INSERT INTO assetreg.assets (type, name, version, metadata) VALUES ('lora', 'film-grain', 'x', '{"w": "zebra"}'), ('lora', 'new', '1', '{"w": "film"}');
INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'new', '1') ON CONFLICT (type, name, version) DO UPDATE SET metadata = '{"w": "yak"}';
MERGE INTO assetreg.assets a USING (VALUES ('Film-Grain'), ('other')) v (name) ON a.name = v.name AND a.version = '1.9'
	WHEN MATCHED THEN UPDATE SET metadata = '{"w": "xerus"}' WHEN NOT MATCHED THEN INSERT (type, name, version, metadata) VALUES ('lora', v.name, '1', '{"w": "wombat"}');
UPDATE assetreg.assets SET name = 'renamed' WHERE name = '100%_film\_look';
DELETE FROM assetreg.assets WHERE name = 'film-grain';
SELECT cardinality(found('film')) AS film, cardinality(found('zebra')) AS zebra, cardinality(found('yak')) AS yak, cardinality(found('xerus')) AS xerus, cardinality(found('wombat')) AS wombat,
	   cardinality(found('renamed')) AS renamed, cardinality(found('sure')) AS sure;
SELECT * FROM assetreg._search_problems();
ROLLBACK;
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL assetreg.confirm_delete = on;
TRUNCATE assetreg.assets CASCADE;
SELECT count(*) FROM assetreg.asset_search;
ROLLBACK;
SELECT found('film') AS after, (SELECT count(*) FROM assetreg.asset_search) AS rows;

-- Any metadata can be stored: of much, the words near the top and the first of each text are found.
BEGIN;
INSERT INTO assetreg.assets (type, name, version, metadata) VALUES
	('lora', 'm1', '1', jsonb_build_object('text', (SELECT string_agg('word' || i, ' ') FROM generate_series(1, 300000) i), 'zz', 'second')),
	('lora', 'm2', '1', (SELECT jsonb_object_agg('key' || i, 'value' || i) FROM generate_series(1, 5000) i)),
	('lora', 'm3', '1', jsonb_build_object('deep', (repeat('[', 5000) || '"bottom"' || repeat(']', 5000))::jsonb, 'last', 'top')),
	('lora', 'm4', '1', jsonb_build_object('long', repeat('x', 1000000), 'wide', repeat('日', 100000))),
	('lora', 'm5', '1', jsonb_build_object('tags', (SELECT jsonb_agg(jsonb_build_object('t' || i, 'u' || i)) FROM generate_series(1, 5000) i), 'zz', 'summary')),
	('lora', repeat('ä', 500), repeat('1', 200), '{}');
SELECT left(q.query, 10) AS query, length(q.query), (SELECT string_agg(left(f.name, 3), ' ' ORDER BY f.name) FROM assetreg.find_assets(q.query) f) AS found
FROM unnest(ARRAY['word1', 'word250', 'word251', 'second', 'value100', 'value4999', 'bottom', 'top', repeat('x', 64), repeat('x', 65), repeat('日', 21), repeat('日', 22), 'summary', 'u100', 'u4999', repeat('ä', 500) || '@', repeat('1', 200)])
	 WITH ORDINALITY q (query, n) ORDER BY q.n;
SELECT max(pg_column_size(s.terms)) < 100000 AS bounded FROM assetreg.asset_search s;
SELECT * FROM assetreg._search_problems();
ROLLBACK;

-- The rights are those of who asks; what a policy hides is not found.
CREATE ROLE regress_assetreg_reader;
CREATE ROLE regress_assetreg_nobody;
GRANT USAGE ON SCHEMA assetreg TO regress_assetreg_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA assetreg TO regress_assetreg_nobody;
SELECT assetreg.grant_access('regress_assetreg_reader', 'reader');
SET ROLE regress_assetreg_nobody;
SELECT code, message FROM error('SELECT * FROM assetreg.find_assets()');
SELECT code, message FROM error('SELECT * FROM assetreg.asset_list');
SET ROLE regress_assetreg_reader;
SELECT array_agg(id) FROM assetreg.find_assets(only_status => NULL);
SELECT found('film abcdef12') AS ids, found('somebody') AS metadata;
SELECT count(*), count(*) FILTER (WHERE is_latest) AS latest, sum(warnings) AS warnings FROM assetreg.asset_list;
RESET ROLE;
ALTER TABLE assetreg.assets ENABLE ROW LEVEL SECURITY;
CREATE POLICY hidden ON assetreg.assets USING (id NOT IN (3, 5));
SET ROLE regress_assetreg_reader;
SELECT array_agg(id) FROM assetreg.find_assets(only_status => NULL);
SELECT found('film') AS name, found('abcdef12') AS hash, found('somebody') AS metadata, found_by_index('film') AS by_index;
SELECT id, is_latest FROM assetreg.asset_list ORDER BY id;
RESET ROLE;
DROP POLICY hidden ON assetreg.assets;
ALTER TABLE assetreg.assets DISABLE ROW LEVEL SECURITY;
SELECT assetreg.grant_access('regress_assetreg_reader', 'none');
DROP OWNED BY regress_assetreg_nobody;
DROP ROLE regress_assetreg_reader, regress_assetreg_nobody;

-- Rows that came past the triggers are seen and put right; a view or an index that is gone is made again.
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO assetreg.assets (id, type, name, version, registered_by) VALUES (7, 'lora', 'unseen', '1', 'nobody');
UPDATE assetreg.assets SET name = 'other name' WHERE id = 5;
DELETE FROM assetreg.assets WHERE id = 6;
SET LOCAL session_replication_role = origin;
DROP VIEW assetreg.asset_list;
DROP INDEX assetreg.assets_name_idx;
SELECT code, message, hint FROM error('SELECT * FROM assetreg.find_assets()');
SELECT * FROM assetreg.check_registry();
SELECT asset_id - min(asset_id) OVER () AS asset, problem FROM assetreg._search_problems() ORDER BY asset_id;
SELECT assetreg.setup();
SELECT found('unseen') AS unseen, found('other') AS other, to_regclass('assetreg.assets_name_idx') AS index;
SELECT * FROM assetreg._search_problems();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE assetreg.assets SET metadata = '{"w": "zebra"}' WHERE id = 5;
DROP INDEX assetreg.assets_name_idx;
SELECT * FROM assetreg.check_registry();
ROLLBACK;
-- a trigger function serves its own table only
CREATE TABLE other_assets (LIKE assetreg.assets);
CREATE TRIGGER misused AFTER INSERT ON other_assets REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_search_trigger();
INSERT INTO other_assets SELECT * FROM assetreg.assets;
\echo :LAST_ERROR_SQLSTATE
DROP TABLE other_assets;

DROP FUNCTION found, found_by_index;
SELECT empty_registry();
SELECT * FROM assetreg.check_registry();
