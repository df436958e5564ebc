-- Lists of assets, and what finds them.

CREATE FUNCTION assetreg._search_row(type text, name text, version text, status text, metadata jsonb,
		OUT name text, OUT words tsvector, OUT terms tsvector)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000
	AS 'MODULE_PATHNAME', 'assetreg_search_row';
COMMENT ON FUNCTION assetreg._search_row(text, text, text, text, jsonb) IS 'what asset_search holds of an asset';

CREATE FUNCTION assetreg._search_query(words text[], type text, version text, status text) RETURNS tsquery
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'assetreg_search_query';
COMMENT ON FUNCTION assetreg._search_query(text[], text, text, text) IS
	'what the search index is asked, which may give more than what matches; NULL: nothing to ask';

CREATE FUNCTION assetreg._search_words_query(word text) RETURNS tsquery
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'assetreg_search_words_query';
COMMENT ON FUNCTION assetreg._search_words_query(text) IS
	'matches the words of metadata that has the word of a query; NULL: there can be none';

CREATE FUNCTION assetreg._latest_version(type text, name text) RETURNS bigint
	LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (SELECT v.id
			FROM (SELECT a.id, k.key, count(*) FILTER (WHERE k.key IS NULL) OVER (ORDER BY a.id) AS era
				  FROM assetreg.assets a CROSS JOIN LATERAL assetreg._version_key(a.version) k (key)
				  WHERE a.type = $1 COLLATE "C" AND a.name = $2 COLLATE "default") v  -- else the call's collation beats the index's
			ORDER BY v.era DESC, v.key DESC NULLS LAST, v.id DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION assetreg._latest_version(text, text) IS 'the first of versions()';

CREATE FUNCTION assetreg._setup_search() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	-- No foreign key: the triggers keep a row for each asset, a statement at a time.
	IF to_regclass('assetreg.asset_search') IS NULL THEN
		CREATE TABLE assetreg.asset_search (
			asset_id bigint CONSTRAINT asset_search_pkey PRIMARY KEY,
			name text NOT NULL,
			words tsvector NOT NULL,
			terms tsvector NOT NULL
		);
		CREATE INDEX asset_search_terms_idx ON assetreg.asset_search USING gin (terms);
		COMMENT ON TABLE assetreg.asset_search IS 'what find_assets() finds assets by; kept by triggers';
		COMMENT ON COLUMN assetreg.asset_search.asset_id IS 'which asset';
		COMMENT ON COLUMN assetreg.asset_search.name IS 'name@version in lower case';
		COMMENT ON COLUMN assetreg.asset_search.words IS 'the words of its metadata';
		COMMENT ON COLUMN assetreg.asset_search.terms IS 'its attributes, the pieces of its name and of the words';
		LOCK TABLE assetreg.assets IN SHARE ROW EXCLUSIVE MODE;  -- until the triggers are there, too
	END IF;
	PERFORM assetreg._refresh_search();

	-- the orders of lists; those by numbers are indexes of asset_stats
	IF to_regclass('assetreg.assets_name_idx') IS NULL THEN
		CREATE INDEX assets_name_idx ON assetreg.assets (name, version, id);
	END IF;
	IF to_regclass('assetreg.assets_registered_at_idx') IS NULL THEN
		CREATE INDEX assets_registered_at_idx ON assetreg.assets (registered_at, id);
	END IF;
	-- unknown sizes come last in both directions
	IF to_regclass('assetreg.assets_largest_idx') IS NULL THEN
		CREATE INDEX assets_largest_idx ON assetreg.assets ((coalesce(file_size, 0)), id);
	END IF;
	IF to_regclass('assetreg.assets_smallest_idx') IS NULL THEN
		CREATE INDEX assets_smallest_idx ON assetreg.assets ((coalesce(file_size, 9223372036854775807)), id);
	END IF;

	IF to_regclass('assetreg.asset_list') IS NULL THEN
		CREATE VIEW assetreg.asset_list WITH (security_invoker = true) AS
			SELECT a.id, a.type, a.name, a.version, a.type || '/' || a.name || '@' || a.version AS reference, a.status, a.integrity,
				   a.file_path, a.file_size, a.sha256, left(a.sha256, 10) AS autov2, a.preview_url,
				   CASE WHEN EXISTS (SELECT FROM assetreg.assets v WHERE v.type = a.type AND v.name = a.name AND v.version <> a.version)
						THEN a.id = assetreg._latest_version(a.type, a.name) ELSE true END AS is_latest,
				   coalesce(t.dependents, 0) + coalesce(assetreg._pending_dependents(a.id), assetreg._count_pending(a.id)) AS dependents, t.rating_average, coalesce(t.rating_count, 0) AS rating_count,
				   (SELECT count(*)
					FROM (SELECT n.id FROM assetreg.assets v JOIN assetreg.asset_notes n ON n.asset_id = v.id
						  WHERE v.type = a.type AND v.name = a.name AND (n.all_versions OR v.id = a.id) AND n.severity IN ('warning', 'blocker')
						  UNION  -- both assets of a note may be versions of this one
						  SELECT n.id FROM assetreg.assets v JOIN assetreg.asset_notes n ON n.other_asset_id = v.id
						  WHERE v.type = a.type AND v.name = a.name AND (n.all_versions OR v.id = a.id) AND n.severity IN ('warning', 'blocker')) w
				   ) AS warnings,
				   a.registered_by, a.registered_at
			FROM assetreg.assets a LEFT JOIN assetreg.asset_stats t ON t.asset_id = a.id;
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_search() IS 'makes the table, the indexes and the view of searching where they are missing';

CREATE FUNCTION assetreg._search_problems() RETURNS TABLE (asset_id bigint, problem text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT coalesce(a.id, s.asset_id), CASE WHEN s.asset_id IS NULL THEN 'has no search terms'
												WHEN a.id IS NULL THEN 'has search terms but does not exist'
												ELSE 'has outdated search terms' END
		FROM assetreg.assets a FULL JOIN assetreg.asset_search s ON s.asset_id = a.id
			 CROSS JOIN LATERAL assetreg._search_row(a.type, a.name, a.version, a.status, a.metadata) r
		WHERE (s.name, s.words, s.terms) IS DISTINCT FROM (r.name, r.words, r.terms);
END
$$;
COMMENT ON FUNCTION assetreg._search_problems() IS 'the assets that would not be found, or by what they were before';

CREATE FUNCTION assetreg._refresh_search() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM assetreg._search_problems()) THEN
		RETURN;
	END IF;
	LOCK TABLE assetreg.assets IN SHARE ROW EXCLUSIVE MODE;
	DELETE FROM assetreg.asset_search s WHERE s.asset_id IN (SELECT p.asset_id FROM assetreg._search_problems() p);
	INSERT INTO assetreg.asset_search (asset_id, name, words, terms)
		SELECT a.id, r.name, r.words, r.terms
		FROM assetreg.assets a CROSS JOIN LATERAL assetreg._search_row(a.type, a.name, a.version, a.status, a.metadata) r
		WHERE NOT EXISTS (SELECT FROM assetreg.asset_search s WHERE s.asset_id = a.id);
END
$$;
COMMENT ON FUNCTION assetreg._refresh_search() IS 'puts right what _search_problems() tells';

-- As _assets_sync_trigger(): one plan for one row and for a million.  No table is joined to a transition table: where
-- the statistics are of the time when the table was empty, the planner would go through one for each row of the other.
CREATE FUNCTION assetreg._assets_search_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	SET jit = off
	AS $$
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'assets');
	CASE TG_OP
	WHEN 'INSERT', 'UPDATE' THEN
		INSERT INTO assetreg.asset_search AS s (asset_id, name, words, terms)
			SELECT n.id, r.name, r.words, r.terms
			FROM new_rows n CROSS JOIN LATERAL assetreg._search_row(n.type, n.name, n.version, n.status, n.metadata) r
			WHERE (SELECT (o.name, o.words, o.terms) IS NOT DISTINCT FROM (r.name, r.words, r.terms)
				   FROM assetreg.asset_search o WHERE o.asset_id = n.id) IS NOT TRUE
			ON CONFLICT ON CONSTRAINT asset_search_pkey DO UPDATE SET name = excluded.name, words = excluded.words, terms = excluded.terms;
	WHEN 'DELETE' THEN
		DELETE FROM assetreg.asset_search s WHERE s.asset_id = ANY (ARRAY(SELECT o.id FROM old_rows o));
	WHEN 'TRUNCATE' THEN
		TRUNCATE assetreg.asset_search;
	END CASE;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._assets_search_trigger() IS 'keeps the search terms of assets, a statement at a time';

-- How a list is sorted: the expressions of its keys, the last of which is the id, and their types.  The index of the
-- order is one of the relation; its alias is a for assets and t for their numbers.  The same keys of a row of the list are
-- shown: its relations are a, t and l for asset_list.
CREATE FUNCTION assetreg._list_order(sort_by text, descending boolean, OUT backwards boolean, OUT relation text, OUT keys text[], OUT types text[], OUT shown text[])
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	SELECT coalesce($2, o.backwards), o.relation, o.keys, o.types, CASE o.name WHEN 'dependents' THEN '{l.dependents,l.id}' ELSE o.keys END
	INTO backwards, relation, keys, types, shown
	FROM (VALUES ('rating', true, 'assetreg.asset_stats t', '{t.rating_score,t.asset_id}'::text[], '{double precision,bigint}'::text[]),
				 ('name', false, 'assetreg.assets a', '{a.name,a.version,a.id}', '{text,text,bigint}'),
				 ('newest', true, 'assetreg.assets a', '{a.registered_at,a.id}', '{timestamptz,bigint}'),
				 ('dependents', true, NULL, '{t.dependents,t.asset_id}', '{bigint,bigint}'),
				 ('size', true, 'assetreg.assets a', ARRAY[CASE WHEN $2 IS FALSE THEN 'coalesce(a.file_size, 9223372036854775807)'
													   ELSE 'coalesce(a.file_size, 0)' END, 'a.id'], '{bigint,bigint}')
		 ) o (name, backwards, relation, keys, types)
	WHERE o.name = $1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'unrecognized sort_by: "%"', left($1, 200)
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Use rating, name, newest, dependents or size.';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._list_order(text, boolean) IS 'what the rows of a list are sorted by';

-- A cursor is the order that it belongs to and the keys of the row, with a check sum: what is none is told at once.
CREATE FUNCTION assetreg._list_cursor(sort_by text, descending boolean, keys text[]) RETURNS text
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	body text := encode(convert_to((ARRAY[$1, $2::text] || $3)::text, getdatabaseencoding()), 'hex');
BEGIN
	RETURN body || left(encode(sha256(body::bytea), 'hex'), 8);
END
$$;
COMMENT ON FUNCTION assetreg._list_cursor(text, boolean, text[]) IS 'the text that names a place in a sorted list';

CREATE FUNCTION assetreg._list_place(cursor text, sort_by text, descending boolean) RETURNS text[]
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	body text := left($1, -8);
	parts text[];
BEGIN
	IF $1 IS NULL THEN
		RETURN NULL;
	ELSIF $1 !~ '^[0-9a-f]{8,}$' OR right($1, 8) <> left(encode(sha256(body::bytea), 'hex'), 8) THEN
		RAISE EXCEPTION 'invalid cursor: "%"', left($1, 200)
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the cursor of the last row of the page before.';
	END IF;
	parts := convert_from(decode(body, 'hex'), getdatabaseencoding())::text[];
	IF parts[1:2] <> ARRAY[$2, $3::text] THEN
		RAISE EXCEPTION 'cursor belongs to another sort order'
			USING ERRCODE = 'invalid_parameter_value',
				  DETAIL = format('Its list was sorted by %s, descending %s.', parts[1], parts[2]),
				  HINT = 'Give the same sort_by and descending as for the page before, or leave the cursor out.';
	END IF;
	RETURN parts[3:];
END
$$;
COMMENT ON FUNCTION assetreg._list_place(text, text, boolean) IS 'the keys that a cursor holds; raises the error for what is none';

-- The statement that gives the ids of a page, and how many rows it looked at: the first rows of the list in its order,
-- of the whole list or of what the index of search terms gives.  It is planned for the values of its parameters, so a
-- condition that does not apply costs nothing:
-- $1 type, $2 version, $3 status, $4 only the latest; $5 the words, $6 as queries of metadata, $7 as digits of hashes, $8
-- with the algorithms; $9 what the index is asked; $10 the keys behind which the page begins; $11 how many ids, $12 rows;
-- $13 the assets of which asset_stats does not have all dependents, and $14 how many they have.
CREATE FUNCTION assetreg._list_statement(sort_by text, descending boolean, nwords int, hashes boolean, whole boolean) RETURNS text
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	o record := assetreg._list_order($1, $2);
	n int := cardinality(o.keys);
	direction text := CASE WHEN o.backwards THEN ' DESC' ELSE '' END;
	keys text := array_to_string(o.keys, direction || ', ') || direction;
	behind text := format('($10 IS NULL OR (%s) %s (%s))', array_to_string(o.keys, ', '), CASE WHEN o.backwards THEN '<' ELSE '>' END,
						  (SELECT string_agg(format('$10[%s]::%s', i, t), ', ' ORDER BY i) FROM unnest(o.types) WITH ORDINALITY u (t, i)));
	-- dependents: the first of the whole list by their index, and the others with them
	relation text := coalesce(o.relation, CASE WHEN whole THEN format('(
				(SELECT t.dependents, t.asset_id FROM assetreg.asset_stats t WHERE t.asset_id <> ALL ($13) AND %s ORDER BY %s LIMIT $12)
				UNION ALL SELECT u.dependents, u.asset_id FROM unnest($13, $14) u (asset_id, dependents)) t', behind, keys) ELSE '(
				SELECT CASE WHEN s.asset_id = ANY ($13) THEN $14[array_position($13, s.asset_id)] ELSE s.dependents END AS dependents, s.asset_id
				FROM assetreg.asset_stats s) t' END);
	words text := (SELECT string_agg(format('
			AND (strpos(s.name, $5[%1$s]) > 0 OR s.words @@ $6[%1$s]
				 OR EXISTS (SELECT FROM assetreg.assets h WHERE h.id = s.asset_id AND starts_with(h.sha256, $7[%1$s])
							AND coalesce($8[%1$s], ''sha256'') IN (''sha256'', ''autov2''))
				 OR EXISTS (SELECT FROM assetreg.asset_hashes h WHERE h.asset_id = s.asset_id AND starts_with(h.value, $7[%1$s])
							AND ($8[%1$s] IS NULL OR h.algorithm = $8[%1$s])))', i), '') FROM generate_series(1, $3) i);
	found text := CASE WHEN hashes THEN '(
			SELECT s.asset_id FROM assetreg.asset_search s WHERE s.terms @@ $9
			UNION SELECT h.id FROM unnest($7) d JOIN assetreg.assets h ON h.sha256 >= d AND h.sha256 < d || ''g''
			UNION SELECT h.asset_id FROM unnest($7) d JOIN assetreg.asset_hashes h ON h.value >= d AND h.value < d || ''g'') m
			JOIN assetreg.asset_search s ON s.asset_id = m.asset_id WHERE true' ELSE 'assetreg.asset_search s WHERE s.terms @@ $9' END;
BEGIN
	RETURN 'WITH '
		-- materialized: else the planner might go through the whole list to find as many of them as it is asked for
		|| CASE WHEN whole THEN '' ELSE format('m AS MATERIALIZED (SELECT s.asset_id FROM %s%s),', found, words) END
		|| format('
		f AS MATERIALIZED (
			SELECT %s FROM %s%s
			WHERE %s%s ORDER BY %s LIMIT $12
		), c AS MATERIALIZED (
			SELECT a.type, a.name, f.* FROM f JOIN assetreg.assets a ON a.id = f.k%s%s
			WHERE ($1 IS NULL OR a.type = $1) AND ($2 IS NULL OR a.version = $2) AND ($3 IS NULL OR a.status = $3)
		)
		SELECT ARRAY(SELECT c.k%7$s FROM c
					 WHERE NOT $4 OR c.k%7$s IN (SELECT assetreg._latest_version(v.type, v.name) FROM (SELECT DISTINCT c.type, c.name FROM c) v)
					 ORDER BY %9$s LIMIT $11), (SELECT count(*) FROM c), (SELECT count(*) FROM f)',
		(SELECT string_agg(format('%s AS k%s', k, i), ', ' ORDER BY i) FROM unnest(o.keys) WITH ORDINALITY u (k, i)),
		relation, CASE WHEN NOT whole THEN ' JOIN m ON m.asset_id = ' || o.keys[n] END,
		behind, CASE WHEN sort_by = 'name' THEN ' AND ($1 IS NULL OR a.type = $1)' END,  -- there is an index for that
		keys, n, CASE WHEN whole AND nwords > 0 THEN ' JOIN assetreg.asset_search s ON s.asset_id = a.id' || words END,
		(SELECT string_agg(format('c.k%s%s', i, direction), ', ' ORDER BY i) FROM generate_series(1, n) i));
END
$$;
COMMENT ON FUNCTION assetreg._list_statement(text, boolean, int, boolean, boolean) IS 'SQL that finds the ids of a page of a list';

-- Where many assets match, going through the whole list in its order finds a page soon; where few do, the index of search
-- terms finds them all.  Which of the two is to be expected shows in the first rows.
CREATE FUNCTION assetreg._list_page(words text[], only_type text, only_version text, only_status text, latest_only boolean,
		sort_by text, descending boolean, page_size int, place text[], budget bigint) RETURNS bigint[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off SET max_parallel_workers_per_gather = 0
	SET work_mem = '32MB'  -- so that the bitmap of a common term is exact
	AS $$
DECLARE
	words_queries tsquery[] := ARRAY(SELECT assetreg._search_words_query(w) FROM unnest($1) WITH ORDINALITY u (w, i) ORDER BY i);
	hashes text[][] := ARRAY(SELECT coalesce(regexp_match(w, '^(?:([a-z0-9]+):)?(?:0x)?([0-9a-f]{8,200})$'), '{NULL,NULL}')
							 FROM unnest($1) WITH ORDINALITY u (w, i) ORDER BY i);
	algorithms text[] := ARRAY(SELECT hashes[i][1] FROM generate_series(1, cardinality($1)) i ORDER BY i);
	digits text[] := ARRAY(SELECT hashes[i][2] FROM generate_series(1, cardinality($1)) i ORDER BY i);
	-- most assets are active: to ask the index for them would be no help
	terms tsquery := assetreg._search_query($1, $2, $3, nullif($4, 'active'));
	assets real := (SELECT c.reltuples FROM pg_class c WHERE c.oid = 'assetreg.assets'::regclass);
	whole boolean := array_remove(digits, NULL) = '{}';  -- a hash is no term, and finds few
	moved bigint[] := '{}';
	moved_dependents bigint[] := '{}';
	found_ids bigint[];
	price int := CASE WHEN $1 = '{}' THEN 2 ELSE 1 END;  -- of a row from the index; in order, words cost more to look at
	matching double precision;
	seen bigint;
BEGIN
	IF $6 = 'dependents' THEN
		SELECT array_agg(s.asset_id), array_agg(s.dependents + p.dependents) INTO moved, moved_dependents
		FROM assetreg._pending_assets() p CROSS JOIN LATERAL (SELECT * FROM assetreg.asset_stats s WHERE s.asset_id = p.asset_id OFFSET 0) s
		WHERE p.dependents <> 0
		HAVING count(*) > 0;
		moved := coalesce(moved, '{}');
		moved_dependents := coalesce(moved_dependents, '{}');
	END IF;
	LOOP
		EXECUTE assetreg._list_statement($6, $7, cardinality($1), array_remove(digits, NULL) <> '{}', whole)
			INTO found_ids, matching, seen
			USING $2, $3, $4, $5, $1, words_queries, digits, algorithms, terms, $9, $8, budget, moved, moved_dependents;
		EXIT WHEN cardinality(found_ids) = page_size OR seen < budget;
		-- so many rows of the whole list are to be expected for a page, and so many from the index
		IF whole AND terms IS NOT NULL AND budget * page_size >= cardinality(found_ids) * price * assets * matching / budget THEN
			whole := false;
		ELSE
			budget := budget * least(20, 1 + 3 * page_size / greatest(2 * cardinality(found_ids), 1));
		END IF;
	END LOOP;
	RETURN found_ids;
END
$$;
COMMENT ON FUNCTION assetreg._list_page(text[], text, text, text, boolean, text, boolean, int, text[], bigint) IS
	'the ids of a page of a list; budget: how many rows to look at first';

CREATE FUNCTION assetreg.find_assets(query text = NULL, only_type text = NULL, only_version text = NULL, only_status text = 'active',
		latest_only boolean = false, sort_by text = 'rating', descending boolean = NULL, page_size int = 50, after text = NULL)
	RETURNS TABLE (id bigint, type text, name text, version text, reference text, status text, integrity text, file_path text,
		file_size bigint, sha256 text, autov2 text, preview_url text, is_latest boolean, dependents bigint,
		rating_average double precision, rating_count bigint, warnings bigint, registered_by text, registered_at timestamptz, cursor text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 50
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
	SET extra_float_digits = 1 SET datestyle = 'ISO' SET timezone = 'UTC'  -- keys are texts in cursors
	AS $$
#variable_conflict use_column
DECLARE
	o record;
	words text[];
BEGIN
	PERFORM assetreg._require_tables();
	IF to_regclass('assetreg.asset_list') IS NULL THEN
		RAISE EXCEPTION 'view "assetreg.asset_list" does not exist'
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run assetreg.setup().';
	ELSIF latest_only IS NULL OR sort_by IS NULL OR page_size IS NULL THEN
		RAISE EXCEPTION '% must not be null', CASE WHEN latest_only IS NULL THEN 'latest_only' WHEN sort_by IS NULL THEN 'sort_by' ELSE 'page_size' END
			USING ERRCODE = 'null_value_not_allowed';
	ELSIF page_size NOT BETWEEN 1 AND 1000 THEN
		RAISE EXCEPTION 'page_size must be from 1 to 1000' USING ERRCODE = 'invalid_parameter_value';
	ELSIF only_status NOT IN ('active', 'deprecated', 'removed') THEN
		RAISE EXCEPTION 'unrecognized status: "%"', left(only_status, 200)
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Use active, deprecated or removed, or NULL for any.';
	ELSIF only_type IS NOT NULL AND NOT EXISTS (SELECT FROM assetreg.asset_types t WHERE t.name = only_type) THEN
		RAISE EXCEPTION 'asset type "%" does not exist', left(only_type, 200)
			USING ERRCODE = 'undefined_object', HINT = 'The types are in assetreg.asset_types.';
	END IF;
	o := assetreg._list_order(sort_by, descending);
	words := ARRAY(SELECT DISTINCT w FROM regexp_split_to_table(lower(query COLLATE "default"), E'\\s+') w WHERE w <> '');
	IF cardinality(words) > 100 OR octet_length(query) > 100000 THEN
		RAISE EXCEPTION 'query is too long'
			USING ERRCODE = 'program_limit_exceeded', HINT = 'Use at most 100 words.';
	END IF;
	RETURN QUERY EXECUTE format('
		SELECT l.*, assetreg._list_cursor($2, $3, ARRAY[%s])
		FROM unnest($1) WITH ORDINALITY p (id, place) JOIN assetreg.asset_list l ON l.id = p.id
			JOIN assetreg.assets a ON a.id = p.id LEFT JOIN assetreg.asset_stats t ON t.asset_id = p.id
		ORDER BY p.place', (SELECT string_agg(k || '::text', ', ' ORDER BY i) FROM unnest(o.shown) WITH ORDINALITY u (k, i)))
		USING assetreg._list_page(words, only_type, only_version, only_status, latest_only, sort_by, descending, page_size,
								  assetreg._list_place(after, sort_by, o.backwards), greatest(20 * page_size, 1000)), sort_by, o.backwards;
END
$$;
COMMENT ON FUNCTION assetreg.find_assets(text, text, text, text, boolean, text, boolean, int, text) IS
	'a page of asset_list: what matches every word of the query and all filters, sorted; after: the cursor of the last row of the page before';
