-- The studio's own tables: tracked, they keep their part of the graph by themselves.
CREATE FUNCTION assetreg._setup_tracking() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.tracked_tables') IS NULL THEN
		CREATE TABLE assetreg.tracked_tables (
			relation regclass CONSTRAINT tracked_tables_pkey PRIMARY KEY,
			kind text COLLATE "C" NOT NULL CONSTRAINT tracked_tables_kind_key UNIQUE
				CONSTRAINT tracked_tables_kind_fkey REFERENCES assetreg.entity_kinds (name) ON UPDATE CASCADE,
			key_columns text[] NOT NULL,
			label_column text,
			active_when text,
			asset_columns text[] NOT NULL,
			parent_columns jsonb NOT NULL,
			source text COLLATE "C" NOT NULL CONSTRAINT tracked_tables_source_key UNIQUE,
			assets_discovered boolean NOT NULL,
			parents_discovered boolean NOT NULL,
			column_numbers jsonb NOT NULL
		);
	END IF;
	IF to_regclass('assetreg.tracked_links') IS NULL THEN
		CREATE TABLE assetreg.tracked_links (
			relation regclass NOT NULL,
			dependent_column text NOT NULL,
			dependency_column text NOT NULL,
			dependent_kind text COLLATE "C",
			dependency_kind text COLLATE "C",
			source text COLLATE "C" NOT NULL CONSTRAINT tracked_links_source_key UNIQUE,
			column_numbers jsonb NOT NULL,
			CONSTRAINT tracked_links_pkey PRIMARY KEY (relation, dependent_column, dependency_column)
		);
	END IF;
	IF to_regclass('assetreg.unresolved_references_type_idx') IS NULL THEN
		CREATE INDEX unresolved_references_type_idx ON assetreg.unresolved_references (type);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_tracking() IS 'makes the tables of what is tracked where they are missing';

CREATE FUNCTION assetreg._row_condition(relation regclass, condition text) RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'assetreg_row_condition';
COMMENT ON FUNCTION assetreg._row_condition(regclass, text) IS
	'a boolean expression on the columns of a row, checked and with its names qualified';

CREATE FUNCTION assetreg._tracking_trigger() RETURNS trigger
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'assetreg_tracking_trigger';
COMMENT ON FUNCTION assetreg._tracking_trigger() IS 'takes over what a statement changed in a tracked table';

CREATE FUNCTION assetreg._take_table(relation regclass, source text, anew boolean) RETURNS bigint
	LANGUAGE c VOLATILE STRICT
	SET search_path = pg_catalog, pg_temp
	SET row_security = off  -- an error where the owner would not see all rows
	SET datestyle = 'ISO, YMD' SET timezone = 'UTC' SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex'
	AS 'MODULE_PATHNAME', 'assetreg_take_table';
COMMENT ON FUNCTION assetreg._take_table(regclass, text, boolean) IS 'takes in all rows of a tracked table; anew: replaces what the graph has';

-- --- what is tracked, and how its rows are read ----------------------------------------------------

CREATE FUNCTION assetreg._columns_of(relation regclass, OUT name text, OUT number int, OUT type oid, OUT is_array boolean, OUT not_null boolean)
	RETURNS SETOF record
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT a.attname::text, a.attnum::int, b.oid, b.typcategory = 'A', a.attnotnull
	FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
	WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
	$$;
COMMENT ON FUNCTION assetreg._columns_of(regclass) IS 'the columns of a table, with the types that domains stand for';

-- A key or a reference of several columns is named by the JSON array of their names.
CREATE FUNCTION assetreg._named_columns(name text) RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$ SELECT CASE WHEN left($1, 2) = '["' AND right($1, 1) = ']' THEN ARRAY(SELECT jsonb_array_elements_text($1::jsonb)) ELSE ARRAY[$1] END $$;
COMMENT ON FUNCTION assetreg._named_columns(text) IS 'the columns that a key of parent_columns names';

CREATE FUNCTION assetreg._key_expression(columns text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT CASE WHEN cardinality($1) = 1 THEN format('(t.%I)::text', $1[1])
				ELSE format('CASE WHEN %s THEN pg_catalog.jsonb_build_array(%s)::text END', string_agg(format('t.%I IS NOT NULL', c), ' AND '),
							string_agg(format('(t.%I)::text', c), ', ')) END
	FROM unnest($1) c
	$$;
COMMENT ON FUNCTION assetreg._key_expression(text[]) IS 'a key column''s text; of several, the JSON array of their texts';

-- The tables that a statement's trigger may stand on: the tracked one and, at any depth, its partitions and children.
CREATE FUNCTION assetreg._family(relation regclass) RETURNS SETOF regclass
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
	SET search_path = pg_catalog, pg_temp
	AS $$
	WITH RECURSIVE family(relid) AS (
		SELECT $1::oid
		UNION SELECT i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.relid
	)
	SELECT f.relid::regclass FROM family f JOIN pg_class c ON c.oid = f.relid AND c.relkind IN ('r', 'p')
	$$;
COMMENT ON FUNCTION assetreg._family(regclass) IS 'a table with its partitions and children';

CREATE FUNCTION assetreg._tracking_of(relation oid, OUT root regclass, OUT link boolean, OUT source text, OUT kind text, OUT fields text,
		OUT kinds text[], OUT relations text[])
	RETURNS SETOF record
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	ancestors oid[];
BEGIN
	WITH RECURSIVE up(relid) AS (
		SELECT $1
		UNION SELECT i.inhparent FROM up u JOIN pg_inherits i ON i.inhrelid = u.relid
	)
	SELECT array_agg(u.relid) INTO ancestors FROM up u;
	RETURN QUERY
		SELECT t.relation, false, t.source, t.kind,
			   concat_ws(', ', assetreg._key_expression(t.key_columns), CASE WHEN t.label_column IS NULL THEN 'NULL::text' ELSE format('(t.%I)::text', t.label_column) END,
						 CASE WHEN t.active_when IS NULL THEN 'true' ELSE format('coalesce((%s), false)', t.active_when) END, r.fields),
			   coalesce(r.kinds, '{}'), coalesce(r.relations, '{}')
		FROM assetreg.tracked_tables t CROSS JOIN LATERAL (
			SELECT string_agg(f.field, ', ' ORDER BY f.n) AS fields, array_agg(f.kind ORDER BY f.n) AS kinds,
				   array_agg(f.relation ORDER BY f.n) AS relations
			FROM (SELECT c.number AS n, format(CASE WHEN c.is_array THEN '(t.%I)::text[]' ELSE '(t.%I)::text' END, c.name) AS field,
						 NULL::text AS kind, c.name AS relation
				  FROM assetreg._columns_of(t.relation) c WHERE c.name = ANY (t.asset_columns)
				  UNION ALL
				  SELECT 10000 + row_number() OVER (ORDER BY p.key), assetreg._key_expression(assetreg._named_columns(p.key)), p.value,
						 array_to_string(assetreg._named_columns(p.key), ',')
				  FROM jsonb_each_text(t.parent_columns) p) f) r
		WHERE t.relation = ANY (ancestors)
		UNION ALL
		SELECT l.relation, true, l.source, l.dependent_kind,
			   format(CASE WHEN c.is_array THEN '(t.%I)::text, NULL::text, true, (t.%I)::text[]' ELSE '(t.%I)::text, NULL::text, true, (t.%I)::text' END,
					  l.dependent_column, l.dependency_column),
			   ARRAY[l.dependency_kind::text], ARRAY['uses']
		FROM assetreg.tracked_links l JOIN LATERAL assetreg._columns_of(l.relation) c ON c.name = l.dependency_column
		WHERE l.relation = ANY (ancestors) AND l.dependent_kind IS NOT NULL;
END
$$;
COMMENT ON FUNCTION assetreg._tracking_of(oid) IS 'what the rows of a table, or of what it is a partition of, mean, and the select list that reads it';
