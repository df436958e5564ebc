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
	SET search_path = pg_catalog, pg_temp
	SET datestyle = 'ISO, YMD' SET timezone = 'UTC' SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex'
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

-- --- what a statement changed, written to the graph -----------------------------------------------
-- The arrays hold one row or 100,000, and a session keeps its plans: every join begins at the arrays (LEFT or LATERAL, OFFSET 0)
-- and goes on by index look-ups, and rows are changed by ON CONFLICT or by ctid, never by a join that could go the other way.  So one plan
-- does for all, and single rows need not wait for the planner each time.

-- Triggers are left out where their work is known and done for the whole set at once (src/tracking.c says when): foreign keys are
-- row locks and a look, attribution is a column, derived edges have no events, and the numbers of dependents are changed by _count_edges().
CREATE FUNCTION assetreg._quiet(quiet boolean) RETURNS boolean
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'assetreg_quiet';
COMMENT ON FUNCTION assetreg._quiet(boolean) IS 'switches triggers off and on while tracked rows are taken over; false where they must fire';

CREATE FUNCTION assetreg._count_edges(dependency_ids bigint[], dependent_ids bigint[], change int) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_seqscan = off
	AS $$
BEGIN
	INSERT INTO assetreg.asset_stat_changes (transaction, what, asset_ids, others, change)
		SELECT pg_current_xact_id()::text::bigint, 'dependents', array_agg(u.dependency_id), array_agg(u.dependent_id), $3
		FROM unnest($1, $2) u (dependency_id, dependent_id)
		WHERE (SELECT true FROM assetreg.asset_stats s WHERE s.asset_id = u.dependency_id)
		HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION assetreg._count_edges(bigint[], bigint[], int) IS 'writes down which direct dependents assets gained or lost';

-- The edges of others to what is deleted wait for it as unresolved references: their rows still name it.
CREATE FUNCTION assetreg._delete_entities(entity_ids bigint[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	AS $$
DECLARE
	needed bigint[];
	needing bigint[];
BEGIN
	-- who is about to add an edge holds a share of this lock
	PERFORM FROM assetreg.entities e WHERE e.id = ANY ($1) ORDER BY e.id FOR UPDATE;
	INSERT INTO assetreg.unresolved_references (dependent_id, reference, type, source, relation, requires)
		SELECT d.dependent_id, e.kind || '/' || e.key, e.kind, d.source, d.relation, d.requires
		FROM assetreg.entities e JOIN assetreg.asset_dependencies d ON d.dependency_id = e.id
		WHERE e.id = ANY ($1) AND d.source <> 'declared'
		ON CONFLICT DO NOTHING;
	-- these have events
	DELETE FROM assetreg.asset_dependencies d WHERE d.dependency_id = ANY ($1) AND d.source = 'declared';
	DELETE FROM assetreg.asset_dependencies d WHERE d.dependent_id = ANY ($1) AND d.source = 'declared';
	IF assetreg._quiet(true) THEN
		WITH gone AS (DELETE FROM assetreg.asset_dependencies d WHERE d.dependent_id = ANY ($1) RETURNING d.dependency_id, d.dependent_id)
		SELECT array_agg(g.dependency_id), array_agg(g.dependent_id) INTO needed, needing FROM gone g;
		DELETE FROM assetreg.asset_dependencies d WHERE d.dependency_id = ANY ($1);
		DELETE FROM assetreg.unresolved_references u WHERE u.dependent_id = ANY ($1);
	END IF;
	DELETE FROM assetreg.entities e WHERE e.id = ANY ($1);
	IF assetreg._quiet(false) THEN
		PERFORM assetreg._count_edges(needed, needing, -1);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._delete_entities(bigint[]) IS 'deletes entities whose rows are gone';

-- An entity keeps its id, and so what people declared of it, when its row gets another key.
CREATE FUNCTION assetreg._move_keys(kind text, old_keys text[], keys text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	AS $$
DECLARE
	moving bigint[];
	new_keys text[];
	taken bigint[];
BEGIN
	SELECT array_agg(e.id), array_agg(u.key) INTO moving, new_keys
	FROM unnest($2, $3) u (old_key, key) CROSS JOIN LATERAL (SELECT e.id FROM assetreg.entities e WHERE e.kind = $1 AND e.key = u.old_key OFFSET 0) e
	WHERE u.old_key <> u.key;
	UPDATE assetreg.entities e SET key = E'\u0001' || e.id WHERE e.id = ANY (moving);  -- out of each other's way
	-- where somebody made an entity of that key by hand, that one is the row's from now on
	taken := ARRAY(SELECT u.id FROM unnest(moving, new_keys) u (id, key)
				   CROSS JOIN LATERAL (SELECT FROM assetreg.entities e WHERE e.kind = $1 AND e.key = u.key OFFSET 0) e);
	IF taken <> '{}' THEN
		PERFORM assetreg._delete_entities(taken);
	END IF;
	INSERT INTO assetreg.entities (id, kind, key)
		SELECT u.id, $1, u.key FROM unnest(moving, new_keys) u (id, key) WHERE u.id <> ALL (taken)
		ON CONFLICT ON CONSTRAINT entities_pkey DO UPDATE SET key = excluded.key;
END
$$;
COMMENT ON FUNCTION assetreg._move_keys(text, text[], text[]) IS 'gives entities the new keys of their rows, which may have changed places';

CREATE FUNCTION assetreg._put_entities(kind text, keys text[], labels text[], actives text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	AS $$
DECLARE
	changed boolean;
BEGIN
	PERFORM assetreg._quiet(true);
	INSERT INTO assetreg.entities AS e (id, kind, key, label, active)
		SELECT coalesce(x.id, nextval('assetreg.entities_id_seq')), $1, u.key, u.label, u.active = 't'
		FROM unnest($2, $3, $4) u (key, label, active)
			 LEFT JOIN LATERAL (SELECT x.id, x.label, x.active FROM assetreg.entities x WHERE x.kind = $1 AND x.key = u.key OFFSET 0) x ON true
		WHERE u.key IS NOT NULL AND (x.id IS NULL OR x.label IS DISTINCT FROM u.label OR x.active IS DISTINCT FROM (u.active = 't'))
		ON CONFLICT ON CONSTRAINT entities_kind_key_key DO UPDATE SET label = excluded.label, active = excluded.active;
	changed := FOUND;
	PERFORM assetreg._quiet(false);
	IF changed AND EXISTS (SELECT FROM assetreg.unresolved_references r WHERE r.type = $1) THEN
		PERFORM assetreg._resolve_keys($1, $2);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._put_entities(text, text[], text[], text[]) IS 'makes or changes the entities of rows';

CREATE FUNCTION assetreg._resolve_keys(kind text, keys text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	AS $$
BEGIN
	WITH waiting AS MATERIALIZED (
		SELECT r.ctid, r.dependent_id, e.id, r.source, r.relation, r.requires
		FROM unnest($2) u (key)
			 CROSS JOIN LATERAL (SELECT r.ctid, r.* FROM assetreg.unresolved_references r WHERE r.reference = $1 || '/' || u.key AND r.type = $1 OFFSET 0) r
			 CROSS JOIN LATERAL (SELECT e.id FROM assetreg.entities e WHERE e.kind = $1 AND e.key = u.key OFFSET 0) e
	), gone AS (
		DELETE FROM assetreg.unresolved_references r WHERE r.ctid = ANY (ARRAY(SELECT w.ctid FROM waiting w))
	)
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, relation, requires)
		SELECT w.dependent_id, w.id, w.source, w.relation, w.requires FROM waiting w WHERE w.dependent_id <> w.id ORDER BY w.id, w.dependent_id
		ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION assetreg._resolve_keys(text, text[]) IS 'makes the edges that waited for entities';

-- A reference to an asset is an id, or a text that asset_id() understands.
CREATE FUNCTION assetreg._targets(kinds text[], refs text[]) RETURNS bigint[]
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	AS $$
BEGIN
	RETURN ARRAY(SELECT coalesce(e.id, a.id, CASE WHEN u.kind IS NULL AND u.ref !~ '^[0-9]+$' THEN
									(SELECT c.ids[1] FROM assetreg._candidates(u.ref) c (ids) WHERE cardinality(c.ids) = 1) END, 0)
				 FROM unnest($1, $2) WITH ORDINALITY u (kind, ref, n)
					  LEFT JOIN LATERAL (SELECT e.id FROM assetreg.entities e WHERE e.kind = u.kind AND e.key = u.ref OFFSET 0) e ON true
					  LEFT JOIN LATERAL (SELECT a.id FROM assetreg.assets a
										 WHERE a.id = CASE WHEN u.kind IS NULL AND u.ref ~ '^[0-9]{1,18}$' THEN u.ref::bigint END OFFSET 0) a ON true
				 ORDER BY u.n);
END
$$;
COMMENT ON FUNCTION assetreg._targets(text[], text[]) IS 'the entities that references mean; 0 for none, or not one alone';

-- As a foreign key would: nobody deletes them before this transaction ends; who was faster is none.
CREATE FUNCTION assetreg._locked(ids bigint[]) RETURNS bigint[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	AS $$
BEGIN
	PERFORM FROM assetreg.entities e WHERE e.id = ANY ($1) ORDER BY e.id FOR KEY SHARE;
	RETURN ARRAY(SELECT coalesce(e.id, 0)
				 FROM unnest($1) WITH ORDINALITY u (id, n) LEFT JOIN LATERAL (SELECT e.id FROM assetreg.entities e WHERE e.id = u.id OFFSET 0) e ON true
				 ORDER BY u.n);
END
$$;
COMMENT ON FUNCTION assetreg._locked(bigint[]) IS 'entities that stay until the end of the transaction; 0 for those that are gone';

-- What waits is found by the whole name of what it waits for.
CREATE FUNCTION assetreg._waiting_reference(kind text, ref text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	AS $$
	SELECT CASE WHEN $1 IS NOT NULL THEN $1 || '/' || $2
				WHEN $2 ~ '^[0-9]+$' AND length($2) NOT IN (8, 10, 12, 64) THEN 'id:' || $2
				WHEN $2 ~* '^([0-9a-f]{8}|[0-9a-f]{10}|[0-9a-f]{12}|[0-9a-f]{64})$'
				THEN CASE length($2) WHEN 8 THEN 'autov1:' WHEN 10 THEN 'autov2:' WHEN 12 THEN 'autov3:' ELSE 'sha256:' END || lower($2)
				ELSE left($2, 500) END
	$$;
COMMENT ON FUNCTION assetreg._waiting_reference(text, text) IS 'the name under which a reference waits for what it means';

CREATE FUNCTION assetreg._add_edges(source text, ids bigint[], edge_rows int[], edge_targets int[], relations text[], target_ids bigint[],
		kinds text[], refs text[], actor text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	quiet boolean;
	needed bigint[];
	needing bigint[];
BEGIN
	quiet := assetreg._quiet(true);
	WITH added AS (
		INSERT INTO assetreg.asset_dependencies AS d (dependent_id, dependency_id, source, relation, added_by)
			SELECT DISTINCT ON (w.dependency_id, w.dependent_id) w.dependent_id, w.dependency_id, $1, w.relation, $9
			FROM (SELECT $2[u.r] AS dependent_id, $6[u.t] AS dependency_id, u.relation, u.n
				  FROM unnest($3, $4, $5) WITH ORDINALITY u (r, t, relation, n)) w
			WHERE w.dependent_id > 0 AND w.dependency_id > 0 AND w.dependent_id <> w.dependency_id
			ORDER BY w.dependency_id, w.dependent_id, w.n
			ON CONFLICT ON CONSTRAINT asset_dependencies_pkey DO UPDATE SET relation = excluded.relation
				WHERE d.relation <> excluded.relation
			RETURNING d.dependency_id, d.dependent_id, d.xmax::text = '0' AS new  -- else it was there and is locked
	)
	SELECT array_agg(a.dependency_id), array_agg(a.dependent_id) INTO needed, needing FROM added a WHERE a.new AND quiet;
	IF assetreg._quiet(false) THEN
		PERFORM assetreg._count_edges(needed, needing, 1);
	END IF;
	IF 0 = ANY ($6) THEN
		INSERT INTO assetreg.unresolved_references (dependent_id, reference, type, candidates, source, relation)
			SELECT $2[u.r], m.reference, m.type, coalesce(m.candidates, '{}'), $1, u.relation
			FROM (SELECT k.n, assetreg._waiting_reference(k.kind, k.ref) AS reference,
						 coalesce(k.kind, (SELECT t.name FROM assetreg.asset_types t WHERE t.name = split_part(k.ref, '/', 1))) AS type,
						 CASE WHEN k.kind IS NULL AND k.ref !~ '^[0-9]+$' THEN assetreg._candidates(k.ref) END AS candidates
				  FROM unnest($7, $8, $6) WITH ORDINALITY k (kind, ref, id, n) WHERE k.id = 0) m
				 JOIN unnest($3, $4, $5) u (r, t, relation) ON u.t = m.n
			WHERE $2[u.r] > 0
			ON CONFLICT DO NOTHING;
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._add_edges(text, bigint[], int[], int[], text[], bigint[], text[], text[], text) IS
	'makes the edges of rows, or notes what they wait for';

CREATE FUNCTION assetreg._apply_entities(source text, kind text, old_keys text[], keys text[], labels text[], actives text[], moves boolean,
		relinked int[], first_edges int[], edge_rows int[], edge_targets int[], relations text[], kinds text[], refs text[])
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	SET plan_cache_mode = force_generic_plan
	AS $$
DECLARE
	gone bigint[];
	ids bigint[];
	target_ids bigint[];
	edge_ids bigint[];
	quiet boolean;
	needed bigint[];
	needing bigint[];
BEGIN
	IF $7 THEN
		PERFORM assetreg._move_keys($2, $3, $4);
	END IF;
	IF array_position($4, NULL) IS NOT NULL THEN
		gone := ARRAY(SELECT e.id
					  FROM (SELECT o.old_key FROM unnest($3, $4) o (old_key, key) WHERE o.key IS NULL EXCEPT SELECT unnest($4)) g
						   CROSS JOIN LATERAL (SELECT e.id FROM assetreg.entities e WHERE e.kind = $2 AND e.key = g.old_key OFFSET 0) e);
		PERFORM assetreg._delete_entities(gone);
	END IF;
	IF EXISTS (SELECT FROM unnest($4) k WHERE octet_length(k) NOT BETWEEN 1 AND 2000) THEN
		RAISE EXCEPTION 'the key of a row of tracked table "%" is empty or longer than 2000 bytes', $1
			USING ERRCODE = 'program_limit_exceeded', HINT = 'Track the table by other key columns.';
	END IF;
	PERFORM assetreg._put_entities($2, $4, $5, $6);
	IF $8 = '{}' THEN
		RETURN;
	END IF;

	ids := ARRAY(SELECT coalesce(e.id, 0) FROM unnest($4) WITH ORDINALITY u (key, n)
					  LEFT JOIN LATERAL (SELECT e.id FROM assetreg.entities e WHERE e.kind = $2 AND e.key = u.key OFFSET 0) e ON true
				 ORDER BY u.n);
	target_ids := assetreg._locked(assetreg._targets($13, $14));
	IF EXISTS (SELECT FROM unnest($3) o WHERE o IS NOT NULL) THEN
		ids := assetreg._locked(ids);
		edge_ids := ARRAY(SELECT target_ids[u.t] FROM unnest($11) WITH ORDINALITY u (t, n) ORDER BY u.n);
		quiet := assetreg._quiet(true);
		WITH gone AS (
			DELETE FROM assetreg.asset_dependencies d
				WHERE d.ctid = ANY (ARRAY(
					SELECT o.ctid
					FROM unnest($8) WITH ORDINALITY r (row, n)
						 CROSS JOIN LATERAL (SELECT o.ctid, o.dependency_id FROM assetreg.asset_dependencies o
											 WHERE o.dependent_id = ids[r.row] AND o.source = $1 OFFSET 0) o
					-- one by one: a slice would copy the whole array
					WHERE NOT EXISTS (SELECT FROM generate_series($9[r.n], $9[r.n + 1] - 1) e (n) WHERE edge_ids[e.n] = o.dependency_id OFFSET 0)))
				RETURNING d.dependency_id, d.dependent_id
		)
		SELECT array_agg(g.dependency_id), array_agg(g.dependent_id) INTO needed, needing FROM gone g WHERE quiet;
		IF assetreg._quiet(false) THEN
			PERFORM assetreg._count_edges(needed, needing, -1);
		END IF;
		DELETE FROM assetreg.unresolved_references u
			WHERE u.dependent_id = ANY (ARRAY(SELECT ids[r.row] FROM unnest($8) r (row))) AND u.source = $1;
	END IF;
	PERFORM assetreg._add_edges($1, ids, $10, $11, $12, target_ids, $13, $14, assetreg._actor());
END
$$;
COMMENT ON FUNCTION assetreg._apply_entities(text, text, text[], text[], text[], text[], boolean, int[], int[], int[], int[], text[], text[], text[]) IS
	'takes over what a statement changed in a tracked table';

-- Another row may state the same edge, and another session may just be deleting that one: the dependent's lock orders them.
CREATE FUNCTION assetreg._apply_links(source text, kind text, old_keys text[], keys text[], labels text[], actives text[], moves boolean,
		relinked int[], first_edges int[], edge_rows int[], edge_targets int[], relations text[], kinds text[], refs text[])
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	SET plan_cache_mode = force_generic_plan
	AS $$
DECLARE
	ids bigint[];
	target_ids bigint[];
	gone int[];
	come int[];
BEGIN
	ids := ARRAY(SELECT coalesce(e.id, 0) FROM unnest($3, $4) WITH ORDINALITY u (old_key, key, n)
					  LEFT JOIN LATERAL (SELECT e.id FROM assetreg.entities e WHERE e.kind = $2 AND e.key = coalesce(u.key, u.old_key) OFFSET 0) e ON true
				 ORDER BY u.n);
	ids := assetreg._locked(ids);
	target_ids := assetreg._locked(assetreg._targets($13, $14));
	SELECT array_agg(u.n) FILTER (WHERE u.key IS NULL), array_agg(u.n) FILTER (WHERE u.key IS NOT NULL) INTO gone, come
	FROM unnest($4) WITH ORDINALITY u (key, n);

	IF gone IS NOT NULL THEN
		PERFORM FROM assetreg.entities e WHERE e.id = ANY (ARRAY(SELECT ids[g] FROM unnest(gone) g)) ORDER BY e.id FOR NO KEY UPDATE;
		PERFORM assetreg._remove_links($1, $3, $4, ids, $10, $11, $14, target_ids);
	END IF;
	IF come IS NOT NULL THEN
		-- the dependent of a removed row counts as none here
		ids := ARRAY(SELECT CASE WHEN u.key IS NULL THEN 0 ELSE ids[u.n] END FROM unnest($4) WITH ORDINALITY u (key, n) ORDER BY u.n);
		PERFORM assetreg._add_edges($1, ids, $10, $11, $12, target_ids, $13, $14, assetreg._actor());
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._apply_links(text, text, text[], text[], text[], text[], boolean, int[], int[], int[], int[], text[], text[], text[]) IS
	'takes over what a statement changed in a tracked join table';

CREATE FUNCTION assetreg._remove_links(source text, old_keys text[], keys text[], ids bigint[], edge_rows int[], edge_targets int[], refs text[],
		target_ids bigint[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	link assetreg.tracked_links%ROWTYPE;
	removed CONSTANT text :=
		'(SELECT k.old_key, $2[e.r] AS id, f.ref, $4[e.t] AS target_id
		  FROM unnest($5, $6) e (r, t) JOIN unnest($1, $7) WITH ORDINALITY k (old_key, key, n) ON k.n = e.r AND k.key IS NULL
			   JOIN unnest($3) WITH ORDINALITY f (ref, n) ON f.n = e.t)';
	still text := 'true';
BEGIN
	SELECT * INTO link FROM assetreg.tracked_links l WHERE l.source = $1;
	IF NOT assetreg._unique_columns(link.relation, ARRAY[link.dependent_column, link.dependency_column]) THEN
		SELECT format(CASE WHEN c.is_array
						   THEN 'NOT EXISTS (SELECT FROM %s t WHERE t.%I = m.old_key::%s AND m.ref = ANY (t.%I::text[]))'
						   ELSE 'NOT EXISTS (SELECT FROM %s t WHERE t.%I = m.old_key::%s AND t.%I = m.ref::%s)' END,
					  link.relation, link.dependent_column, (SELECT format_type(d.type, NULL) FROM assetreg._columns_of(link.relation) d
															 WHERE d.name = link.dependent_column),
					  link.dependency_column, format_type(c.type, NULL)) INTO still
		FROM assetreg._columns_of(link.relation) c WHERE c.name = link.dependency_column;
	END IF;
	-- an unversioned reference may mean another version by now than when its edge was made
	EXECUTE format('DELETE FROM assetreg.asset_dependencies d USING %s m
					WHERE d.dependent_id = m.id AND d.source = $8 AND %s
					  AND (d.dependency_id = m.target_id OR m.ref ~ ''^[^/@]+/[^@]+$''
						   AND EXISTS (SELECT FROM assetreg.assets a WHERE a.id = d.dependency_id AND a.type || ''/'' || a.name = m.ref))', removed, still)
		USING $2, $4, $7, $8, $5, $6, $3, $1;
	IF 0 = ANY ($8) THEN
		EXECUTE format('DELETE FROM assetreg.unresolved_references u USING %s m
						WHERE u.dependent_id = m.id AND u.source = $8 AND m.target_id = 0 AND %s
						  AND u.reference IN (assetreg._waiting_reference(NULL, m.ref), assetreg._waiting_reference(u.type, m.ref))', removed, still)
			USING $2, $4, $7, $8, $5, $6, $3, $1;
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._remove_links(text, text[], text[], bigint[], int[], int[], text[], bigint[]) IS
	'takes away the edges of removed rows of a join table that no other row states';

CREATE FUNCTION assetreg._unique_columns(relation regclass, columns text[]) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT EXISTS (
		SELECT FROM pg_index i
		WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
		  AND ARRAY(SELECT a.attname::text FROM unnest(i.indkey[0 : i.indnkeyatts - 1]) k JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = k ORDER BY 1)
			  = ARRAY(SELECT c FROM unnest($2) c ORDER BY 1))
	$$;
COMMENT ON FUNCTION assetreg._unique_columns(regclass, text[]) IS 'is there a unique index on exactly these columns';

-- --- the ways in ----------------------------------------------------------------------------------

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

-- --- graph against tables -------------------------------------------------------------------------

CREATE FUNCTION assetreg._stated(relation regclass, source text, OUT key text, OUT label text, OUT active boolean, OUT kind text, OUT ref text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT ROWS 100000
	SET search_path = pg_catalog, pg_temp
	SET row_security = off  -- an error where the owner would not see all rows
	SET datestyle = 'ISO, YMD' SET timezone = 'UTC' SET intervalstyle = 'postgres' SET extra_float_digits = 1 SET bytea_output = 'hex'
	AS 'MODULE_PATHNAME', 'assetreg_stated';
COMMENT ON FUNCTION assetreg._stated(regclass, text) IS
	'what the rows of a tracked table say: the entity of each, and with ref each of its references';

-- An unversioned reference means the version that was the latest when its row was written, so any version agrees with it.
CREATE FUNCTION assetreg._stated_edges(relation regclass, source text, kind text, OUT dependent_id bigint, OUT dependency_id bigint, OUT name text)
	RETURNS SETOF record
	LANGUAGE sql VOLATILE ROWS 100000
	SET search_path = pg_catalog, pg_temp
	AS $$
	WITH s AS MATERIALIZED (SELECT DISTINCT s.key, s.kind, s.ref FROM assetreg._stated($1, $2) s WHERE s.ref IS NOT NULL)
	SELECT d.id, x.id, CASE WHEN s.kind IS NULL AND s.ref ~ '^[^/@]+/[^@]+$' THEN s.ref END
	FROM (SELECT array_agg(u.kind) AS kinds, array_agg(u.ref) AS refs FROM (SELECT DISTINCT s.kind, s.ref FROM s) u) r
		 CROSS JOIN LATERAL unnest(r.kinds, r.refs, assetreg._targets(r.kinds, r.refs)) x (kind, ref, id)
		 JOIN s ON s.ref = x.ref AND coalesce(s.kind, '') = coalesce(x.kind, '')
		 JOIN assetreg.entities d ON d.kind = $3 AND d.key = s.key
	WHERE x.id > 0 AND x.id <> d.id
	$$;
COMMENT ON FUNCTION assetreg._stated_edges(regclass, text, text) IS 'the edges that the rows of a tracked table state';

CREATE FUNCTION assetreg._compare_table(root regclass, OUT missing bigint, OUT surplus bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	r record;
	counts bigint[];
BEGIN
	missing := 0;
	surplus := 0;
	FOR r IN SELECT t.link, t.source, t.kind FROM assetreg._tracking_of($1) t WHERE t.root = $1 LOOP
		IF NOT r.link THEN
			SELECT ARRAY[count(*) FILTER (WHERE f.key IS NOT NULL AND (e.id IS NULL OR (e.label, e.active) IS DISTINCT FROM (f.label, f.active))),
						 count(*) FILTER (WHERE f.key IS NULL)] INTO counts
			FROM (SELECT s.* FROM assetreg._stated($1, r.source) s WHERE s.ref IS NULL) f
				 FULL JOIN (SELECT e.* FROM assetreg.entities e WHERE e.kind = r.kind) e ON e.key = f.key;
			missing := missing + counts[1];
			surplus := surplus + counts[2];
		END IF;
		WITH s AS MATERIALIZED (SELECT s.* FROM assetreg._stated_edges($1, r.source, r.kind) s), e AS MATERIALIZED (
			SELECT d.dependent_id, d.dependency_id, a.type || '/' || a.name AS name
			FROM assetreg.asset_dependencies d LEFT JOIN assetreg.assets a ON a.id = d.dependency_id WHERE d.source = r.source
		)
		SELECT ARRAY[(SELECT count(*) FROM s
					  WHERE NOT EXISTS (SELECT FROM e WHERE e.dependent_id = s.dependent_id AND e.dependency_id = s.dependency_id)
						AND NOT EXISTS (SELECT FROM e WHERE e.dependent_id = s.dependent_id AND e.name = s.name)),
					 (SELECT count(*) FROM e
					  WHERE NOT EXISTS (SELECT FROM s WHERE e.dependent_id = s.dependent_id AND e.dependency_id = s.dependency_id)
						AND NOT EXISTS (SELECT FROM s WHERE e.dependent_id = s.dependent_id AND e.name = s.name))] INTO counts;
		missing := missing + counts[1];
		surplus := surplus + counts[2];
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._compare_table(regclass) IS 'how many entities and edges of a tracked table are missing, out of date, or too many';

CREATE FUNCTION assetreg.check_tracking() RETURNS TABLE (relation text, missing bigint, surplus bigint)
	LANGUAGE plpgsql VOLATILE ROWS 10
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	root regclass;
BEGIN
	PERFORM assetreg._require_tables();
	FOR root IN SELECT t.relation FROM assetreg.tracked_tables t UNION SELECT l.relation FROM assetreg.tracked_links l ORDER BY 1 LOOP
		IF to_regclass(root::text) IS NULL THEN
			CONTINUE;  -- check_registry() says so
		END IF;
		RETURN QUERY SELECT root::text, c.missing, c.surplus FROM assetreg._compare_table(root) c WHERE c.missing > 0 OR c.surplus > 0;
		RETURN QUERY SELECT t.on_table::text, 0::bigint, 0::bigint FROM assetreg._tracking_triggers(root) t
					 WHERE NOT t.fires GROUP BY t.on_table ORDER BY 1;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg.check_tracking() IS
	'tracked tables that the graph does not agree with; with zeros: tables whose triggers are missing or off; zero rows when all is well';

CREATE FUNCTION assetreg._remove_surplus(root regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT t.link, t.source, t.kind FROM assetreg._tracking_of($1) t WHERE t.root = $1 LOOP
		IF NOT r.link THEN
			PERFORM assetreg._delete_entities(ARRAY(
				SELECT e.id FROM assetreg.entities e
				WHERE e.kind = r.kind AND e.key NOT IN (SELECT s.key FROM assetreg._stated($1, r.source) s WHERE s.ref IS NULL)));
		END IF;
		WITH s AS MATERIALIZED (SELECT s.* FROM assetreg._stated_edges($1, r.source, r.kind) s)
		DELETE FROM assetreg.asset_dependencies d
			WHERE d.source = r.source
			  AND NOT EXISTS (SELECT FROM s WHERE s.dependent_id = d.dependent_id AND s.dependency_id = d.dependency_id)
			  AND NOT EXISTS (SELECT FROM s JOIN assetreg.assets a ON a.type || '/' || a.name = s.name
							  WHERE s.dependent_id = d.dependent_id AND a.id = d.dependency_id);
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._remove_surplus(regclass) IS 'deletes the entities and edges of a tracked table that its rows do not state';

CREATE FUNCTION assetreg.repair_tracking() RETURNS TABLE (relation text, missing bigint, surplus bigint)
	LANGUAGE plpgsql VOLATILE ROWS 10
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	r record;
	role record;
BEGIN
	FOR r IN SELECT c.relation, c.missing, c.surplus FROM assetreg.check_tracking() c LOOP
		IF r.missing = 0 AND r.surplus = 0 THEN
			PERFORM assetreg._attach_triggers(r.relation::regclass);
		ELSE
			EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', r.relation);
			PERFORM assetreg._remove_surplus(r.relation::regclass);
			FOR role IN SELECT t.source FROM assetreg._tracking_of(r.relation::regclass) t WHERE t.root = r.relation::regclass LOOP
				PERFORM assetreg._take_table(r.relation::regclass, role.source, true);
			END LOOP;
		END IF;
		RETURN QUERY SELECT r.relation, r.missing, r.surplus;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg.repair_tracking() IS 'makes the graph agree with the tracked tables again; returns what check_tracking() had found';

-- --- changes of tables ----------------------------------------------------------------------------

-- A renamed column is found again by its number.  Where a dropped one named assets or entities, rows need these no more.
CREATE FUNCTION assetreg._follow_columns(relation regclass) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	now_called jsonb;
	lost text;
	restored boolean;
	tracked record;
BEGIN
	FOR tracked IN
		SELECT t.source, t.column_numbers, t.key_columns, t.active_when FROM assetreg.tracked_tables t WHERE t.relation = $1
		UNION ALL
		SELECT l.source, l.column_numbers, ARRAY[l.dependent_column, l.dependency_column], NULL FROM assetreg.tracked_links l WHERE l.relation = $1
	LOOP
		-- after a restore the numbers may be others; the names are right as long as all are there
		restored := (tracked.column_numbers ->> '')::bigint <> $1::oid::bigint;
		SELECT jsonb_object_agg(n.key, c.name) INTO now_called
		FROM jsonb_each_text(tracked.column_numbers - '') n
			 LEFT JOIN assetreg._columns_of($1) c ON CASE WHEN restored THEN c.name = n.key ELSE c.number = n.value::int END;
		IF restored AND EXISTS (SELECT FROM jsonb_each_text(now_called) n WHERE n.value IS NULL) THEN
			RAISE EXCEPTION 'columns of tracked table "%" cannot be followed yet', $1
				USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'The table was restored since it was tracked.',
					  HINT = 'Run assetreg.setup() first.';
		END IF;
		SELECT n.key INTO lost FROM jsonb_each_text(now_called) n WHERE n.value IS NULL AND n.key = ANY (tracked.key_columns);
		IF FOUND THEN
			RAISE EXCEPTION 'column "%" of tracked table "%" cannot be dropped', lost, $1
				USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Run assetreg.untrack_table() first.';
		END IF;
		IF restored OR EXISTS (SELECT FROM jsonb_each_text(now_called) n WHERE n.key IS DISTINCT FROM n.value) THEN
			PERFORM assetreg._rename_columns(tracked.source, now_called);
		END IF;
		IF EXISTS (SELECT FROM jsonb_each_text(now_called) n WHERE n.value IS NULL) THEN
			PERFORM assetreg._take_table($1, tracked.source, true);
		END IF;
		PERFORM assetreg._check_condition_still($1, tracked.active_when);
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._follow_columns(regclass) IS 'follows renamed and dropped columns of a tracked table; refuses where a key goes';

CREATE FUNCTION assetreg._rename_columns(source text, now_called jsonb) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	UPDATE assetreg.tracked_tables t SET
		key_columns = ARRAY(SELECT $2 ->> u.c FROM unnest(t.key_columns) WITH ORDINALITY u (c, n) ORDER BY u.n),
		label_column = $2 ->> t.label_column,
		asset_columns = ARRAY(SELECT $2 ->> u.c FROM unnest(t.asset_columns) WITH ORDINALITY u (c, n) WHERE $2 ->> u.c IS NOT NULL ORDER BY u.n),
		parent_columns = (SELECT coalesce(jsonb_object_agg(CASE WHEN cardinality(m.c) = 1 THEN m.c[1] ELSE to_jsonb(m.c)::text END, p.value), '{}')
						  FROM jsonb_each_text(t.parent_columns) p CROSS JOIN LATERAL (
							  SELECT ARRAY(SELECT $2 ->> u.c FROM unnest(assetreg._named_columns(p.key)) WITH ORDINALITY u (c, n) ORDER BY u.n)) m (c)
						  WHERE array_position(m.c, NULL) IS NULL),
		column_numbers = assetreg._column_numbers(t.relation, ARRAY(SELECT n.value FROM jsonb_each_text($2) n))
		WHERE t.source = $1;
	UPDATE assetreg.tracked_links l SET
		dependent_column = $2 ->> l.dependent_column, dependency_column = $2 ->> l.dependency_column,
		column_numbers = assetreg._column_numbers(l.relation, ARRAY(SELECT n.value FROM jsonb_each_text($2) n))
		WHERE l.source = $1;
END
$$;
COMMENT ON FUNCTION assetreg._rename_columns(text, jsonb) IS 'writes down what the columns of a tracked table are called now';

CREATE FUNCTION assetreg._check_condition_still(relation regclass, condition text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM assetreg._row_condition($1, $2);
EXCEPTION WHEN OTHERS THEN
	RAISE EXCEPTION 'active_when of tracked table "%" would not hold any more: %', $1, SQLERRM
		USING ERRCODE = 'dependent_objects_still_exist', DETAIL = format('It is %s.', $2),
			  HINT = 'Run assetreg.untrack_table() first, and track the table with another active_when after it.';
END
$$;
COMMENT ON FUNCTION assetreg._check_condition_still(regclass, text) IS 'refuses what takes a column away from active_when';

CREATE FUNCTION assetreg._ddl_trigger() RETURNS event_trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	top regclass;
	gone regclass[];
	part record;
BEGIN
	-- a restore makes tables in an order of its own
	IF EXISTS (SELECT FROM unnest('{tracked_tables,tracked_links,entities,asset_dependencies,unresolved_references,assets}'::text[]) n
			   WHERE to_regclass('assetreg.' || n) IS NULL) THEN
		RETURN;
	END IF;
	IF assetreg._restoring() THEN
		RETURN;  -- it brings the triggers itself
	END IF;
	IF TG_EVENT = 'sql_drop' THEN
		SELECT array_agg(d.objid::regclass) INTO gone
		FROM pg_event_trigger_dropped_objects() d
		WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0
		  AND d.objid IN (SELECT t.relation FROM assetreg.tracked_tables t UNION ALL SELECT l.relation FROM assetreg.tracked_links l);
		IF gone IS NOT NULL THEN
			PERFORM assetreg._untrack(gone, true);
		END IF;
		RETURN;
	END IF;
	FOR top IN SELECT DISTINCT t.root FROM pg_event_trigger_ddl_commands() c CROSS JOIN LATERAL assetreg._tracking_of(c.objid) t
			   WHERE c.classid = 'pg_class'::regclass AND NOT c.in_extension LOOP
		PERFORM assetreg._follow_columns(top);
		IF EXISTS (SELECT FROM assetreg._tracking_triggers(top) t WHERE NOT t.made) THEN
			-- a new partition or child, perhaps with rows
			PERFORM assetreg._attach_triggers(top);
			FOR part IN SELECT t.source FROM assetreg._tracking_of(top) t WHERE t.root = top LOOP
				PERFORM assetreg._take_table(top, part.source, true);
			END LOOP;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._ddl_trigger() IS 'follows renamed columns, new partitions and dropped tables of what is tracked';

CREATE EVENT TRIGGER assetreg_ddl ON ddl_command_end
	WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
	EXECUTE FUNCTION assetreg._ddl_trigger();
COMMENT ON EVENT TRIGGER assetreg_ddl IS 'follows renamed columns and new partitions of tracked tables';
CREATE EVENT TRIGGER assetreg_drop ON sql_drop
	EXECUTE FUNCTION assetreg._ddl_trigger();
COMMENT ON EVENT TRIGGER assetreg_drop IS 'forgets tracked tables that are dropped';

-- After DROP EXTENSION ... CASCADE, or a dump that was restored without its triggers.
CREATE FUNCTION assetreg._restore_tracking() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	root regclass;
BEGIN
	FOR root IN SELECT t.relation FROM assetreg.tracked_tables t UNION SELECT l.relation FROM assetreg.tracked_links l LOOP
		IF EXISTS (SELECT FROM pg_class c WHERE c.oid = root) THEN
			PERFORM assetreg._follow_columns(root);
			IF EXISTS (SELECT FROM assetreg._tracking_triggers(root) t WHERE NOT t.fires) THEN
				PERFORM assetreg._attach_triggers(root);
			END IF;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._restore_tracking() IS 'puts the triggers of tracked tables back';

CREATE FUNCTION assetreg._tracking_problems(OUT object text, OUT problem text) RETURNS SETOF record
	LANGUAGE plpgsql STABLE ROWS 1
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	root regclass;
BEGIN
	FOR root IN SELECT t.relation FROM assetreg.tracked_tables t UNION SELECT l.relation FROM assetreg.tracked_links l ORDER BY 1 LOOP
		IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = root) THEN
			RETURN QUERY SELECT 'tracked table ' || root::oid, 'does not exist any more: delete its row in assetreg.tracked_tables or tracked_links';
		ELSE
			RETURN QUERY SELECT 'tracked table ' || root, format('trigger %s on %s is missing or off: run assetreg.setup()', t.name, t.on_table)
						 FROM assetreg._tracking_triggers(root) t WHERE NOT t.fires;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._tracking_problems() IS 'tracked tables that are gone or whose triggers are';
