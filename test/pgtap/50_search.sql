-- Random registries: lists and searches against a plain definition, in both ways to a page, and while rows change.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET jit = off;

SELECT plan(88);

-- Texts of few parts, so that they have much in common; some mean something to SQL, LIKE or a tsquery.
CREATE FUNCTION one_of(VARIADIC parts text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT parts[1 + floor(random() * cardinality(parts))::int] $$;
CREATE FUNCTION part() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT one_of('Film', 'grain', 'NOIR', 'wan2', 'flux', 'style', 'x', 'abc', 'abcd', 'ab', 'ÄÖ', 'äöü', '日本', '日本語日本', '1', '12', '123456', 'deadbeef', 'cafe0123', 'vintage')
$$;
CREATE FUNCTION separator() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT one_of('-', '-', '_', ' ', '.', '', '', '/', '@', '''', E'\\', '%', '&', ':*', '|', '"', '--', '(', '—', '日')
$$;
CREATE FUNCTION phrase(n int) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT string_agg(part() || separator(), '') FROM generate_series(1, n) $$;
CREATE FUNCTION some_metadata() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT CASE floor(random() * 4)
		WHEN 0 THEN '{}'::jsonb
		WHEN 1 THEN jsonb_build_object('base', phrase(2), 'n', 123456, 'on', true, 'none', NULL)
		WHEN 2 THEN jsonb_build_object(part(), phrase(1), 'tags', jsonb_build_array(part(), phrase(2), 7, jsonb_build_object(part() || '_key', part())))
		ELSE jsonb_build_object('deep', jsonb_build_array(jsonb_build_array(jsonb_build_object(phrase(1), jsonb_build_array(phrase(3))))), '', part()) END
$$;

CREATE PROCEDURE make_assets(seed int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed / 1000.0);
	SET LOCAL assetreg.confirm_delete = on;
	DELETE FROM assetreg.assets;
	INSERT INTO assetreg.assets (type, name, version, status, file_size, sha256, metadata, registered_at)
		SELECT one_of('lora', 'lora', 'model', 'custom_node'), btrim(phrase(1 + (random() * 2)::int)) || CASE WHEN random() < 0.5 THEN floor(i / 3)::text ELSE '' END,
			   one_of('1.0', '1.1', '1.0-beta.1', 'v2', 'fp8', 'r1', '10', 'ÄÖ'), one_of('active', 'active', 'deprecated', 'removed'),
			   CASE WHEN random() < 0.8 THEN 1 + floor(random() * 5) END, CASE WHEN random() < 0.8 THEN one_of('deadbeef', 'cafe0123', '12345678') || md5(i::text) || left(md5(random()::text), 24) END,
			   some_metadata(), timestamptz '2026-01-01' + floor(random() * 5) * interval '1 microsecond'
		FROM generate_series(1, 120) i
		ON CONFLICT DO NOTHING;
	-- some of few names, with many versions
	INSERT INTO assetreg.assets (type, name, version, metadata)
		SELECT 'lora', one_of('many', 'Many more'), one_of('1.', '2.', 'v3.') || i % 4 || one_of('', '-rc.1', '-rc.2', '.7'), some_metadata() FROM generate_series(1, 30) i
		ON CONFLICT DO NOTHING;
	INSERT INTO assetreg.asset_hashes (asset_id, algorithm, value, source)
		SELECT a.id, one_of('autov1', 'autov3', 'blake3'), one_of('deadbeef', 'cafe0123') || left(md5(a.id::text), 4), 'claimed' FROM assetreg.assets a WHERE random() < 0.3
		ON CONFLICT DO NOTHING;
	INSERT INTO assetreg.asset_ratings (asset_id, rater, stars)
		SELECT a.id, 'rater ' || r, 1 + floor(random() * 5) FROM assetreg.assets a, generate_series(1, 3) r WHERE random() < 0.3;
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id)
		SELECT a.id, b.id FROM assetreg.assets a, assetreg.assets b WHERE a.id <> b.id AND random() < 0.02;
	-- not folded into the numbers for some time
	PERFORM setval('assetreg.asset_dependent_changes_id_seq', (last_value / 256 + 1) * 256 + 64) FROM assetreg.asset_dependent_changes_id_seq;
	DELETE FROM assetreg.asset_dependencies WHERE random() < 0.1;
	INSERT INTO assetreg.asset_notes (asset_id, other_asset_id, body, severity, all_versions)
		SELECT a.id, CASE WHEN random() < 0.5 THEN b.id END, 'note', one_of('info', 'warning', 'blocker'), random() < 0.5
		FROM assetreg.assets a, assetreg.assets b WHERE a.id <> b.id AND random() < 0.003;
END
$$;

-- The same by definition: what each asset has that a word may match.
CREATE TABLE plain (id bigint PRIMARY KEY, shown text, words text[], hashes text[]);
CREATE FUNCTION plain_words(metadata jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(DISTINCT w)
	FROM jsonb_path_query(metadata, 'strict $.**') v,
		 LATERAL (SELECT v #>> '{}' WHERE jsonb_typeof(v) = 'string'
				  UNION ALL SELECT jsonb_object_keys(v) WHERE jsonb_typeof(v) = 'object') t (text),
		 regexp_split_to_table(lower(t.text), '[^a-z0-9äöü日本語]+') w
	WHERE w <> ''
$$;
CREATE PROCEDURE make_plain() LANGUAGE sql AS $$
	DELETE FROM plain;
	INSERT INTO plain
		SELECT a.id, lower(a.name || '@' || a.version), coalesce(plain_words(a.metadata), '{}'),
			   ARRAY(SELECT x FROM unnest(ARRAY[a.sha256, 'sha256:' || a.sha256, 'autov2:' || a.sha256]) x WHERE x IS NOT NULL
					 UNION ALL SELECT h.value FROM assetreg.asset_hashes h WHERE h.asset_id = a.id
					 UNION ALL SELECT h.algorithm || ':' || h.value FROM assetreg.asset_hashes h WHERE h.asset_id = a.id)
		FROM assetreg.assets a;
$$;
CREATE FUNCTION plain_matches(p plain, word text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT strpos(p.shown, word) > 0
		OR (word ~ '^([a-z0-9]+:)?(0x)?[0-9a-f]{8,}$' AND EXISTS (
			SELECT FROM unnest(p.hashes) h WHERE starts_with(h, regexp_replace(word, '^([a-z0-9]+:)?0x([0-9a-f]{8})', E'\\1\\2'))))
		OR (word ~ '[a-z0-9äöü日本語]'
			-- short parts alone are for names
			AND (word ~ '[a-z0-9äöü日本語]{4}' OR word !~ '[a-z0-9äöü日本語][^a-z0-9äöü日本語]+[a-z0-9äöü日本語]')
			AND NOT EXISTS (
			SELECT FROM regexp_split_to_table(word, '[^a-z0-9äöü日本語]+') w
			WHERE w <> '' AND NOT EXISTS (SELECT FROM unnest(p.words) m WHERE starts_with(m, w))))
$$;
CREATE FUNCTION plain_find(query text, only_type text, only_version text, only_status text, latest_only boolean, sort_by text, descending boolean)
	RETURNS bigint[] LANGUAGE plpgsql STABLE AS $$
DECLARE
	keys text := CASE sort_by WHEN 'rating' THEN 't.rating_score' WHEN 'dependents' THEN '(SELECT count(DISTINCT d.dependent_id) FROM assetreg.asset_dependencies d WHERE d.dependency_id = a.id)' WHEN 'newest' THEN 'a.registered_at'
							  WHEN 'size' THEN 'a.file_size' ELSE 'a.name %1$s, a.version' END || ' %1$s NULLS LAST, a.id %1$s';
	ids bigint[];
BEGIN
	EXECUTE format('SELECT array_agg(a.id ORDER BY ' || keys || ')
		FROM assetreg.assets a JOIN assetreg.asset_stats t ON t.asset_id = a.id JOIN plain p ON p.id = a.id
		WHERE ($1 IS NULL OR a.type = $1) AND ($2 IS NULL OR a.version = $2) AND ($3 IS NULL OR a.status = $3)
		  AND (NOT $4 OR a.id = (SELECT v FROM assetreg.versions(a.id) v LIMIT 1))
		  AND NOT EXISTS (SELECT FROM regexp_split_to_table(lower($5), E''\\s+'') w WHERE w <> '''' AND NOT plain_matches(p, w))',
		CASE WHEN coalesce(descending, sort_by <> 'name') THEN 'DESC' ELSE 'ASC' END)
		INTO ids USING only_type, only_version, only_status, latest_only, query;
	RETURN coalesce(ids, '{}');
END
$$;

-- All pages, one after the other.
CREATE FUNCTION all_pages(query text, only_type text, only_version text, only_status text, latest_only boolean, sort_by text, descending boolean, page_size int)
	RETURNS bigint[] LANGUAGE plpgsql STABLE AS $$
DECLARE
	found bigint[] := '{}';
	page bigint[];
	last text;
BEGIN
	LOOP
		SELECT array_agg(f.id ORDER BY f.n), (array_agg(f.cursor ORDER BY f.n DESC))[1] INTO page, last
		FROM assetreg.find_assets(query, only_type, only_version, only_status, latest_only, sort_by, descending, page_size, last) WITH ORDINALITY
			 f (id, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, cursor, n);
		found := found || page;
		IF cardinality(page) > page_size THEN RAISE 'a page of %', cardinality(page); END IF;
		EXIT WHEN page IS NULL OR cardinality(page) < page_size;
	END LOOP;
	RETURN found;
END
$$;

CREATE FUNCTION some_query() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT string_agg(CASE floor(random() * 8)
			WHEN 0 THEN part()
			WHEN 1 THEN phrase(2)
			WHEN 2 THEN left(upper(part()), 1 + floor(random() * 3)::int)
			WHEN 3 THEN one_of('sha256:', 'autov2:', 'autov1:', 'autov3:', 'SHA256:', '', '', '0x') || left(one_of(p.hashes[1], p.hashes[2], md5(random()::text)), 6 + floor(random() * 30)::int)
			WHEN 4 THEN left(p.words[1], 5)
			WHEN 5 THEN one_of('''', E'\\', '&', '|', '!', '%', '_', ':*', '<->', '()', '--', '@', '日', 'NULL', '{}', ',', '"')
			ELSE substr(p.shown, 1 + floor(random() * 8)::int, 1 + floor(random() * 9)::int) END, one_of(' ', '  ', E'\t', E' \n'))
	FROM (SELECT p.* FROM plain p, generate_series(1, 3) ORDER BY random() LIMIT 1 + floor(random() ^ 2 * 3)::int) p
$$;

-- One random question to the registry in all ways; what differs.
CREATE FUNCTION difference() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	query text := CASE WHEN random() < 0.9 THEN some_query() END;
	only_type text := CASE WHEN random() < 0.3 THEN one_of('lora', 'model') END;
	only_version text := CASE WHEN random() < 0.1 THEN one_of('1.0', 'v2', 'none') END;
	only_status text := CASE WHEN random() < 0.5 THEN one_of('active', 'deprecated', 'removed') END;
	latest_only boolean := random() < 0.3;
	sort_by text := one_of('rating', 'name', 'newest', 'dependents', 'size');
	descending boolean := CASE WHEN random() < 0.6 THEN random() < 0.5 END;
	page_size int := 1 + floor(random() ^ 2 * 40);
	words text[] := ARRAY(SELECT w FROM regexp_split_to_table(lower(query), E'\\s+') w WHERE w <> '');
	expected bigint[] := plain_find(query, only_type, only_version, only_status, latest_only, sort_by, descending);
	found bigint[] := all_pages(query, only_type, only_version, only_status, latest_only, sort_by, descending, page_size);
	what text := 'all_pages';
BEGIN
	IF found = expected THEN
		-- with so few rows to look at first, the index is asked, too
		what := '_list_page';
		found := assetreg._list_page(words, only_type, only_version, only_status, latest_only, sort_by, descending, page_size, NULL, 1 + floor(random() * 3)::int);
		expected := expected[1:page_size];
	END IF;
	RETURN CASE WHEN found <> expected THEN
		format('%s(%L, %L, %L, %L, %L, %L, %L, %L): %s, not %s ', what, query, only_type, only_version, only_status, latest_only, sort_by, descending, page_size, found, expected) END;
END
$$;

-- The columns of every asset, by definition.
CREATE FUNCTION wrong_columns() RETURNS bigint LANGUAGE sql STABLE AS $$
	WITH plain AS (
		SELECT a.id, a.type, a.name, a.version, assetreg.asset_ref(a.id) AS reference, a.status, a.integrity, a.file_path, a.file_size, a.sha256,
			   substr(a.sha256, 1, 10) AS autov2, a.preview_url, a.id = (SELECT v FROM assetreg.versions(a.id) v LIMIT 1) AS is_latest,
			   (SELECT count(DISTINCT d.dependent_id) FROM assetreg.asset_dependencies d WHERE d.dependency_id = a.id) AS dependents,
			   (SELECT avg(r.stars)::double precision FROM assetreg.asset_ratings r WHERE r.asset_id = a.id) AS rating_average,
			   (SELECT count(*) FROM assetreg.asset_ratings r WHERE r.asset_id = a.id) AS rating_count,
			   (SELECT count(*) FROM assetreg._notes_of(a.id) o (id) JOIN assetreg.asset_notes n ON n.id = o.id WHERE n.severity <> 'info') AS warnings,
			   a.registered_by, a.registered_at
		FROM assetreg.assets a
	), found AS (
		SELECT id, type, name, version, reference, status, integrity, file_path, file_size, sha256, autov2, preview_url, is_latest, dependents, rating_average,
			   rating_count, warnings, registered_by, registered_at
		FROM assetreg.find_assets(only_status => NULL, page_size => 1000)
	)
	SELECT (SELECT count(*) FROM (TABLE plain EXCEPT ALL TABLE found) d) + (SELECT count(*) FROM (TABLE plain EXCEPT ALL TABLE assetreg.asset_list) d)
		+ abs((SELECT count(*) FROM plain) - (SELECT count(*) FROM found)) + abs((SELECT count(*) FROM plain) - (SELECT count(*) FROM assetreg.asset_list))
$$;

SELECT s.statement
FROM generate_series(1, 20) seed,
	 LATERAL (VALUES
		(1, format('CALL make_assets(%s)', seed)),
		(2, CASE seed % 3 WHEN 0 THEN 'VACUUM ANALYZE assetreg.assets, assetreg.asset_search, assetreg.asset_stats' ELSE 'SELECT 1 WHERE false' END),
		(3, 'CALL make_plain()'),
		(4, format('SELECT is(string_agg(difference(), E''\n''), NULL, ''searches %s'') FROM generate_series(1, 40)', seed)),
		(5, format('SELECT is(wrong_columns(), 0::bigint, ''columns %s'')', seed)),
		-- all that is found by follows the rows
		(6, 'UPDATE assetreg.assets SET name = phrase(2) || id, status = one_of(''active'', ''deprecated''), metadata = some_metadata() '
			'WHERE random() < 0.3 AND status <> ''removed'' AND NOT EXISTS (SELECT FROM assetreg.asset_dependencies d WHERE d.dependency_id = id)'),
		(7, 'CALL make_plain()'),
		(8, format('SELECT is(string_agg(difference(), E''\n''), NULL, ''searches after changes %s'') FROM generate_series(1, 20)', seed)),
		(9, format('SELECT is(string_agg(problem, '', ''), NULL, ''whole %s'') FROM assetreg._search_problems()', seed))) s (n, statement)
ORDER BY seed, s.n
\gexec

-- Pages while others come, go and change: what is there all the time is shown once.
CREATE FUNCTION pages_meanwhile(sort_by text, descending boolean) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	staying bigint[] := ARRAY(SELECT id FROM assetreg.assets WHERE id % 3 > 0);
	shown bigint[] := '{}';
	page bigint[];
	last text;
BEGIN
	LOOP
		SELECT array_agg(f.id), (array_agg(f.cursor ORDER BY f.n DESC))[1] INTO page, last
		FROM assetreg.find_assets(only_status => NULL, sort_by => sort_by, descending => descending, page_size => 7, after => last) WITH ORDINALITY
			 f (id, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, cursor, n);
		EXIT WHEN page IS NULL;
		shown := shown || page;
		-- the row of the cursor goes as well, but none that others are sorted by
		DELETE FROM assetreg.assets WHERE id = ANY (page) AND NOT id = ANY (staying)
			AND (sort_by <> 'dependents' OR NOT EXISTS (SELECT FROM assetreg.asset_dependencies d WHERE d.dependent_id = id));
		INSERT INTO assetreg.assets (type, name, version, file_size) VALUES ('lora', part() || random(), '1', 1 + floor(random() * 5));
		UPDATE assetreg.assets SET preview_url = 'changed', status = 'deprecated' WHERE random() < 0.1 AND status <> 'removed';
		EXIT WHEN cardinality(shown) > 1000;
	END LOOP;
	RETURN concat_ws(', ',
		'missed ' || nullif((SELECT count(*) FROM unnest(staying) s WHERE NOT s = ANY (shown)), 0),
		'shown twice ' || nullif(cardinality(shown) - (SELECT count(DISTINCT s) FROM unnest(shown) s), 0));
END
$$;
SELECT s.statement
FROM (VALUES ('newest', 'NULL'), ('newest', 'false'), ('name', 'NULL'), ('name', 'true'), ('size', 'NULL'), ('size', 'false'), ('rating', 'NULL'), ('dependents', 'NULL'))
	 o (sort_by, descending),
	 LATERAL (VALUES (1, format('CALL make_assets(%s)', 900 + length(sort_by || descending))),
					 (2, format('SELECT is(pages_meanwhile(%L, %s), '''', ''%1$s, descending %2$s, meanwhile'')', sort_by, descending))) s (n, statement)
ORDER BY o, s.n
\gexec

SELECT * FROM finish();
