-- Tracking: the ways in and out.

CREATE FUNCTION assetreg._check_trackable(relation regclass) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	c pg_class%ROWTYPE;
BEGIN
	PERFORM assetreg._require_tables();
	IF $1 IS NULL THEN
		RAISE EXCEPTION 'relation must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT * INTO c FROM pg_class p WHERE p.oid = $1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'relation with OID % does not exist', $1::oid USING ERRCODE = 'undefined_table';
	ELSIF c.relkind NOT IN ('r', 'p') THEN
		RAISE EXCEPTION '"%" is not a table', $1
			USING ERRCODE = 'wrong_object_type', HINT = 'Track the tables that a view reads.';
	ELSIF c.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'assetreg'::regnamespace)
		OR c.relnamespace::regnamespace::text ~ '^pg_toast' THEN
		RAISE EXCEPTION 'table "%" cannot be tracked', $1
			USING ERRCODE = 'wrong_object_type', DETAIL = 'It belongs to the system or to the registry itself.';
	ELSIF c.relpersistence <> 'p' THEN
		RAISE EXCEPTION 'table "%" cannot be tracked', $1
			USING ERRCODE = 'feature_not_supported', DETAIL = 'It is temporary or unlogged: its rows may vanish, and the graph would not know.';
	ELSIF NOT pg_has_role(c.relowner, 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of table %', $1 USING ERRCODE = 'insufficient_privilege';
	ELSIF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
		RAISE EXCEPTION 'tables cannot be tracked under isolation level %', upper(current_setting('transaction_isolation'))
			USING ERRCODE = 'feature_not_supported', DETAIL = 'Rows that others committed meanwhile would be missed.',
				  HINT = 'Use READ COMMITTED.';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._check_trackable(regclass) IS 'raises an error for what cannot be tracked, or not by the caller';

CREATE FUNCTION assetreg._check_columns(relation regclass, columns text[]) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	wrong text;
BEGIN
	IF array_position($2, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'names of columns must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT n INTO wrong FROM unnest($2) n WHERE n NOT IN (SELECT c.name FROM assetreg._columns_of($1) c);
	IF FOUND THEN
		RAISE EXCEPTION 'column "%" of table "%" does not exist', left(wrong, 200), $1 USING ERRCODE = 'undefined_column';
	END IF;
	SELECT n INTO wrong FROM unnest($2) n GROUP BY n HAVING count(*) > 1;
	IF FOUND THEN
		RAISE EXCEPTION 'column "%" is named more than once', wrong USING ERRCODE = 'duplicate_column';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._check_columns(regclass, text[]) IS 'raises an error for columns that a table does not have';

CREATE FUNCTION assetreg._check_asset_columns(relation regclass, columns text[]) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	wrong record;
BEGIN
	PERFORM assetreg._check_columns($1, $2);
	SELECT c.name, c.type INTO wrong
	FROM assetreg._columns_of($1) c JOIN pg_type t ON t.oid = c.type LEFT JOIN pg_type e ON e.oid = t.typelem AND c.is_array
	WHERE c.name = ANY ($2) AND coalesce(e.oid, t.oid) NOT IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
	  AND coalesce(e.typcategory, t.typcategory) <> 'S';
	IF FOUND THEN
		RAISE EXCEPTION 'column "%" of type % cannot name assets', wrong.name, format_type(wrong.type, NULL)
			USING ERRCODE = 'datatype_mismatch', HINT = 'It holds an id, a reference as text, or an array of either.';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._check_asset_columns(regclass, text[]) IS 'raises an error for columns that cannot hold ids or references';

CREATE FUNCTION assetreg._check_keys(relation regclass, columns text[]) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	nullable text;
BEGIN
	IF $2 IS NULL OR $2 = '{}' THEN
		RAISE EXCEPTION 'table "%" has no primary key', $1
			USING ERRCODE = 'invalid_table_definition', HINT = 'Add one, or name key_columns that are unique and not null.';
	END IF;
	PERFORM assetreg._check_columns($1, $2);
	SELECT c.name INTO nullable FROM assetreg._columns_of($1) c WHERE c.name = ANY ($2) AND NOT c.not_null;
	IF FOUND THEN
		RAISE EXCEPTION 'key column "%" of table "%" may be null', nullable, $1 USING ERRCODE = 'invalid_table_definition';
	ELSIF NOT assetreg._unique_columns($1, $2) THEN
		RAISE EXCEPTION 'key columns of table "%" are not unique', $1
			USING ERRCODE = 'invalid_table_definition', HINT = 'Add a unique index on exactly these columns.';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._check_keys(regclass, text[]) IS 'raises an error for columns that do not name one row each';

CREATE FUNCTION assetreg._check_parents(relation regclass, parents jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	parent record;
BEGIN
	IF jsonb_typeof($2) <> 'object' THEN
		RAISE EXCEPTION 'parent_columns must be an object of columns and kinds'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'For instance {"scene_id": "scene"}.';
	END IF;
	FOR parent IN SELECT p.key, p.value, jsonb_typeof($2 -> p.key) AS type FROM jsonb_each_text($2) p LOOP
		IF parent.type <> 'string' THEN
			RAISE EXCEPTION 'the kind of parent column "%" must be a string', left(parent.key, 200) USING ERRCODE = 'invalid_parameter_value';
		END IF;
		BEGIN
			PERFORM assetreg._check_columns($1, assetreg._named_columns(parent.key));
		EXCEPTION WHEN invalid_text_representation THEN
			RAISE EXCEPTION 'column "%" of table "%" does not exist', left(parent.key, 200), $1 USING ERRCODE = 'undefined_column';
		END;
		PERFORM assetreg._check_kind(parent.value);
		IF EXISTS (SELECT FROM assetreg.asset_types t WHERE t.name = parent.value COLLATE "default") THEN
			RAISE EXCEPTION 'kind "%" is a type of assets', parent.value
				USING ERRCODE = 'invalid_parameter_value', HINT = 'Name the column in asset_columns.';
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._check_parents(regclass, jsonb) IS 'raises an error for parent columns that do not exist or whose kind does not';

-- What a foreign key leads to: the registry's assets, or the key of a tracked table.
CREATE FUNCTION assetreg._foreign_keys(relation regclass, OUT columns text[], OUT kind text, OUT to_assets boolean) RETURNS SETOF record
	LANGUAGE sql STABLE ROWS 5
	SET search_path = pg_catalog, pg_temp
	AS $$
	WITH keys AS (
		SELECT c.oid, c.confrelid, array_agg(a.attname::text ORDER BY k.n) AS columns, array_agg(f.attname::text ORDER BY k.n) AS foreign_columns
		FROM pg_constraint c CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY k (column_number, foreign_number, n)
			 JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.column_number
			 JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.foreign_number
		WHERE c.conrelid = $1 AND c.contype = 'f' AND c.conparentid = 0
		GROUP BY c.oid, c.confrelid
	)
	SELECT k.columns, NULL, true FROM keys k WHERE k.confrelid = 'assetreg.assets'::regclass AND k.foreign_columns = '{id}'
	UNION
	-- in the order of the key's columns, as its text is
	SELECT ARRAY(SELECT m.c FROM unnest(k.columns, k.foreign_columns) m (c, f) ORDER BY array_position(t.key_columns, m.f)), t.kind, false
	FROM keys k JOIN assetreg.tracked_tables t ON t.relation = k.confrelid
	WHERE k.foreign_columns @> t.key_columns AND t.key_columns @> k.foreign_columns
	$$;
COMMENT ON FUNCTION assetreg._foreign_keys(regclass) IS 'the foreign keys of a table that lead to assets or to tracked tables';

CREATE FUNCTION assetreg._discover(relation regclass, OUT asset_columns text[], OUT parent_columns jsonb)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT coalesce(array_agg(f.columns[1] ORDER BY f.columns) FILTER (WHERE f.to_assets), '{}'),
		   coalesce(jsonb_object_agg(CASE WHEN cardinality(f.columns) = 1 THEN f.columns[1] ELSE to_jsonb(f.columns)::text END, f.kind)
					FILTER (WHERE NOT f.to_assets), '{}')
	FROM assetreg._foreign_keys($1) f
	$$;
COMMENT ON FUNCTION assetreg._discover(regclass) IS 'what the foreign keys of a table say that its rows need';

CREATE FUNCTION assetreg._column_numbers(relation regclass, columns text[]) RETURNS jsonb
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT jsonb_build_object('', $1::oid::bigint) || coalesce(jsonb_object_agg(c.name, c.number), '{}')
	FROM assetreg._columns_of($1) c WHERE c.name = ANY ($2)
	$$;
COMMENT ON FUNCTION assetreg._column_numbers(regclass, text[]) IS
	'the numbers of columns, by which a renamed one is found again, and the OID of the table, by which a restored one is known';

CREATE FUNCTION assetreg._tracking_triggers(relation regclass, OUT on_table regclass, OUT name text, OUT definition text, OUT made boolean, OUT fires boolean) RETURNS SETOF record
	LANGUAGE sql STABLE ROWS 4
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT f, e.name, format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %s %sFOR EACH STATEMENT EXECUTE FUNCTION assetreg._tracking_trigger()',
							 e.name, e.event, f, e.transition),
		   g.tgname IS NOT NULL, coalesce(g.tgenabled IN ('O', 'A'), false)
	FROM assetreg._family($1) f CROSS JOIN
		 (VALUES ('assetreg_insert', 'INSERT', 'REFERENCING NEW TABLE AS new_rows '),
				 ('assetreg_update', 'UPDATE', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '),
				 ('assetreg_delete', 'DELETE', 'REFERENCING OLD TABLE AS old_rows '),
				 ('assetreg_truncate', 'TRUNCATE', '')) e (name, event, transition)
		 LEFT JOIN pg_trigger g ON g.tgrelid = f AND g.tgname = e.name AND g.tgfoid = 'assetreg._tracking_trigger()'::regprocedure
	$$;
COMMENT ON FUNCTION assetreg._tracking_triggers(regclass) IS 'the triggers that a tracked table, its partitions and its children must have';

-- Creating a trigger waits for writers; later ones meet it.  And every session forgets what it knew of the table.
CREATE FUNCTION assetreg._attach_triggers(relation regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT t.definition FROM assetreg._tracking_triggers($1) t LOOP
		EXECUTE r.definition;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._attach_triggers(regclass) IS 'makes the triggers of a tracked table, its partitions and children';

CREATE FUNCTION assetreg.track_table(relation regclass, kind text, key_columns text[] = NULL, label_column text = NULL,
		active_when text = NULL, asset_columns text[] = NULL, parent_columns jsonb = NULL)
	RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	AS $$
DECLARE
	condition text;
	taken bigint;
BEGIN
	IF $5 IS NOT NULL AND $1 IS NOT NULL THEN
		condition := assetreg._row_condition($1, $5);  -- as the caller's search_path has it
	END IF;
	RETURN assetreg._track_table($1, $2, $3, $4, condition, $6, $7);
END
$$;
COMMENT ON FUNCTION assetreg.track_table(regclass, text, text[], text, text, text[], jsonb) IS
	'makes the rows of a table entities, now and from now on; what is not named is read from the foreign keys';

CREATE FUNCTION assetreg._track_table(relation regclass, kind text, key_columns text[], label_column text, condition text,
		asset_columns text[], parent_columns jsonb) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	keys text[] := $3;
	assets text[] := $6;
	parents jsonb := $7;
	other regclass;
	taken bigint;
BEGIN
	PERFORM assetreg._check_trackable($1);
	IF $2 IS NULL THEN
		RAISE EXCEPTION 'kind must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM assetreg._check_kind($2);
	IF EXISTS (SELECT FROM assetreg.asset_types t WHERE t.name = $2) THEN
		RAISE EXCEPTION 'kind "%" is a type of assets', $2
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Assets are registered; track what uses them.';
	END IF;
	LOCK TABLE assetreg.tracked_tables IN SHARE ROW EXCLUSIVE MODE;
	SELECT t.root INTO other FROM assetreg._tracking_of($1) t WHERE NOT t.link;
	IF FOUND THEN
		RAISE EXCEPTION 'table "%" is already tracked', $1
			USING ERRCODE = 'duplicate_object', DETAIL = format(CASE WHEN other = $1 THEN 'Its rows are entities of kind "%2$s".' ELSE 'It is a part of "%1$s".' END,
																other, (SELECT t.kind FROM assetreg.tracked_tables t WHERE t.relation = other)),
				  HINT = 'To track it another way, run assetreg.untrack_table() first.';
	END IF;
	SELECT t.relation INTO other FROM assetreg.tracked_tables t WHERE t.kind = $2 OR t.relation IN (SELECT assetreg._family($1));
	IF FOUND THEN
		RAISE EXCEPTION 'kind "%" is already tracked from table "%"', $2, other
			USING ERRCODE = 'duplicate_object', HINT = 'Give each table a kind of its own in assetreg.entity_kinds.';
	END IF;

	IF keys IS NULL THEN
		SELECT array_agg(a.attname::text ORDER BY k.n) INTO keys
		FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (number, n)
			 JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = k.number
		WHERE i.indrelid = $1 AND i.indisprimary AND k.n <= i.indnkeyatts;
	END IF;
	PERFORM assetreg._check_keys($1, keys);
	PERFORM assetreg._check_columns($1, CASE WHEN $4 IS NOT NULL THEN ARRAY[$4] END);

	-- its own kind may be a parent, too; so it is there before its foreign keys are read
	INSERT INTO assetreg.tracked_tables VALUES ($1, $2, keys, $4, $5, '{}', '{}', $1::text, $6 IS NULL, $7 IS NULL, '{}');
	IF assets IS NULL OR parents IS NULL THEN
		SELECT coalesce($6, d.asset_columns), coalesce($7, d.parent_columns) INTO assets, parents FROM assetreg._discover($1) d;
	END IF;
	PERFORM assetreg._check_asset_columns($1, assets), assetreg._check_parents($1, parents);
	RAISE NOTICE 'tracking %: key %, assets %, parents %', $1, array_to_string(keys, ', '),
		coalesce(nullif(array_to_string(assets, ', '), ''), '(none)'), coalesce(nullif(parents::text, '{}'), '(none)');
	UPDATE assetreg.tracked_tables t
		SET asset_columns = assets, parent_columns = parents,
			column_numbers = assetreg._column_numbers($1, keys || assets || ARRAY[$4]
				|| ARRAY(SELECT n FROM jsonb_object_keys(parents) p, unnest(assetreg._named_columns(p)) n))
		WHERE t.relation = $1;

	PERFORM assetreg._attach_triggers($1);
	taken := assetreg._take_table($1, $1::text, false);
	PERFORM assetreg._complete_tracking($1);
	PERFORM FROM assetreg.entities e WHERE e.kind = $2 OFFSET taken LIMIT 1;
	IF FOUND THEN
		RAISE NOTICE 'there are entities of kind "%" that have no row in %', $2, $1
			USING HINT = 'check_tracking() counts them, repair_tracking() deletes them.';
	END IF;
	RETURN taken;
END
$$;
COMMENT ON FUNCTION assetreg._track_table(regclass, text, text[], text, text, text[], jsonb) IS 'track_table() with a condition that was checked';

-- The order of the calls does not matter: what was tracked before may have foreign keys to what is tracked now.
CREATE FUNCTION assetreg._complete_tracking(relation regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	r record;
BEGIN
	FOR r IN
		SELECT t.relation, t.source, d.asset_columns, d.parent_columns
		FROM assetreg.tracked_tables t CROSS JOIN LATERAL assetreg._discover(t.relation) d
		WHERE t.relation <> $1 AND t.parents_discovered AND NOT t.parent_columns @> d.parent_columns
	LOOP
		RAISE NOTICE 'completing %: parents %', r.relation, r.parent_columns;
		UPDATE assetreg.tracked_tables t
			SET parent_columns = t.parent_columns || r.parent_columns,
				column_numbers = t.column_numbers || assetreg._column_numbers(t.relation,
					ARRAY(SELECT n FROM jsonb_object_keys(r.parent_columns) p, unnest(assetreg._named_columns(p)) n))
			WHERE t.relation = r.relation;
		PERFORM assetreg._attach_triggers(r.relation);
		PERFORM assetreg._take_table(r.relation, r.source, true);
	END LOOP;
	FOR r IN SELECT l.relation, l.dependent_column, l.dependency_column, l.source FROM assetreg.tracked_links l WHERE l.dependent_kind IS NULL LOOP
		PERFORM assetreg._complete_link(r.relation, r.dependent_column, r.dependency_column);
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._complete_tracking(regclass) IS 'completes what was tracked before by foreign keys that lead to a table tracked now';

CREATE FUNCTION assetreg._complete_link(relation regclass, dependent_column text, dependency_column text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	dependent record;
	dependency record;
	link_source text;
BEGIN
	SELECT f.* INTO dependent FROM assetreg._foreign_keys($1) f WHERE f.columns = ARRAY[$2];
	SELECT f.* INTO dependency FROM assetreg._foreign_keys($1) f WHERE f.columns = ARRAY[$3];
	IF dependent.columns IS NULL
	   OR dependency.columns IS NULL AND EXISTS (SELECT FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = $1 AND a.attname = $3
												 WHERE c.conrelid = $1 AND c.contype = 'f' AND c.conkey = ARRAY[a.attnum]) THEN
		RETURN NULL;
	END IF;
	UPDATE assetreg.tracked_links l SET dependent_kind = dependent.kind, dependency_kind = dependency.kind
		WHERE l.relation = $1 AND l.dependent_column = $2 AND l.dependency_column = $3
		RETURNING l.source INTO link_source;
	PERFORM assetreg._attach_triggers($1);
	RETURN assetreg._take_table($1, link_source, false);
END
$$;
COMMENT ON FUNCTION assetreg._complete_link(regclass, text, text) IS
	'takes in a join table once what its columns reference is tracked; NULL before that';

CREATE FUNCTION assetreg.track_link(relation regclass, dependent_column text, dependency_column text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	taken bigint;
	referenced text;
BEGIN
	PERFORM assetreg._check_trackable($1);
	IF $2 IS NULL OR $3 IS NULL THEN
		RAISE EXCEPTION 'names of columns must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM assetreg._check_columns($1, ARRAY[$2, $3]);
	LOCK TABLE assetreg.tracked_tables IN SHARE ROW EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM assetreg.tracked_links l WHERE (l.relation, l.dependent_column, l.dependency_column) = ($1, $2, $3)) THEN
		RAISE EXCEPTION 'table "%" is already tracked as a link of these columns', $1
			USING ERRCODE = 'duplicate_object', HINT = 'To track it another way, run assetreg.untrack_table() first.';
	END IF;
	IF EXISTS (SELECT FROM assetreg._foreign_keys($1) f WHERE f.columns = ARRAY[$2] AND f.to_assets) THEN
		RAISE EXCEPTION 'column "%" references assets and cannot be the dependent', $2
			USING ERRCODE = 'invalid_parameter_value', HINT = 'The dependent is what uses the other: a template, a scene.';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = $1 AND a.attname = $2
				   WHERE c.conrelid = $1 AND c.contype = 'f' AND c.conkey = ARRAY[a.attnum]) THEN
		RAISE EXCEPTION 'column "%" of table "%" has no foreign key', $2, $1
			USING ERRCODE = 'invalid_parameter_value', HINT = 'A foreign key to a tracked table says whose entities depend.';
	END IF;
	SELECT f.confrelid::regclass::text INTO referenced FROM pg_constraint f JOIN pg_attribute a ON a.attrelid = $1 AND a.attname = $3
		WHERE f.conrelid = $1 AND f.contype = 'f' AND f.conkey = ARRAY[a.attnum];
	IF referenced IS NULL THEN
		PERFORM assetreg._check_asset_columns($1, ARRAY[$3]);
	END IF;
	INSERT INTO assetreg.tracked_links (relation, dependent_column, dependency_column, source, column_numbers)
		VALUES ($1, $2, $3, format('%s (%s, %s)', $1, $2, $3), assetreg._column_numbers($1, ARRAY[$2, $3]));
	taken := assetreg._complete_link($1, $2, $3);
	IF taken IS NULL THEN
		RAISE NOTICE 'the tables that % references are not tracked yet; its rows are taken in when they are', $1;
		PERFORM assetreg._attach_triggers($1);
	END IF;
	RETURN coalesce(taken, 0);
END
$$;
COMMENT ON FUNCTION assetreg.track_link(regclass, text, text) IS 'makes the rows of a join table edges, now and from now on';

CREATE FUNCTION assetreg._forget_source(source text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	DELETE FROM assetreg.asset_dependencies d WHERE d.source = $1;
	DELETE FROM assetreg.unresolved_references u WHERE u.source = $1;
END
$$;
COMMENT ON FUNCTION assetreg._forget_source(text) IS 'deletes the edges that a table stated';

-- Of tables that are only not tracked any more, what somebody else still leads to or from stays.
CREATE FUNCTION assetreg._untrack(relations regclass[], dropped boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	gone record;
	kinds text[];
	kept bigint;
BEGIN
	SELECT array_agg(t.kind) INTO kinds FROM assetreg.tracked_tables t WHERE t.relation = ANY ($1);
	FOR gone IN WITH t AS (DELETE FROM assetreg.tracked_tables t WHERE t.relation = ANY ($1) RETURNING t.source),
					 l AS (DELETE FROM assetreg.tracked_links l WHERE l.relation = ANY ($1) RETURNING l.source)
				SELECT t.source FROM t UNION ALL SELECT l.source FROM l LOOP
		PERFORM assetreg._forget_source(gone.source);
	END LOOP;
	IF $2 THEN
		PERFORM assetreg._delete_entities(ARRAY(SELECT e.id FROM assetreg.entities e WHERE e.kind = ANY (kinds)));
		RETURN;
	END IF;
	DELETE FROM assetreg.entities e
		WHERE e.kind = ANY (kinds)
		  AND NOT EXISTS (SELECT FROM assetreg.asset_dependencies d WHERE d.dependent_id = e.id)
		  AND NOT EXISTS (SELECT FROM assetreg.asset_dependencies d WHERE d.dependency_id = e.id)
		  AND NOT EXISTS (SELECT FROM assetreg.unresolved_references u WHERE u.dependent_id = e.id);
	SELECT count(*) INTO kept FROM assetreg.entities e WHERE e.kind = ANY (kinds);
	IF kept > 0 THEN
		RAISE NOTICE '% entities of kind "%" stay: people or other tables state dependencies of them', kept, array_to_string(kinds, ', ');
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._untrack(regclass[], boolean) IS 'takes what tables stated out of the graph';

CREATE FUNCTION assetreg.untrack_table(relation regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	r record;
BEGIN
	PERFORM assetreg._require_tables();
	IF $1 IS NULL THEN
		RAISE EXCEPTION 'relation must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF NOT EXISTS (SELECT FROM assetreg.tracked_tables t WHERE t.relation = $1)
		AND NOT EXISTS (SELECT FROM assetreg.tracked_links l WHERE l.relation = $1) THEN
		RAISE EXCEPTION 'table "%" is not tracked', $1 USING ERRCODE = 'undefined_object';
	END IF;
	FOR r IN SELECT t.on_table, t.name FROM assetreg._tracking_triggers($1) t LOOP
		EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', r.name, r.on_table);
	END LOOP;
	PERFORM assetreg._untrack(ARRAY[$1], false);
END
$$;
COMMENT ON FUNCTION assetreg.untrack_table(regclass) IS
	'ends the tracking of a table: its edges go, and its entities unless something else is stated of them';
