-- Tracked rows: what a statement changed in them, written to the graph.
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
	INSERT INTO assetreg.asset_dependent_changes (asset_id, dependent_ids, change)
		SELECT u.dependency_id, array_agg(u.dependent_id), $3
		FROM unnest($1, $2) u (dependency_id, dependent_id)
		WHERE (SELECT true FROM assetreg.asset_stats s WHERE s.asset_id = u.dependency_id)
		GROUP BY u.dependency_id;
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
DECLARE
	others boolean;
BEGIN
	LOOP
		WITH waiting AS MATERIALIZED (
			SELECT r.ctid
			FROM unnest($2) u (key)
				 CROSS JOIN LATERAL (SELECT r.ctid FROM assetreg.unresolved_references r
									 WHERE r.reference = $1 || '/' || u.key AND r.type = $1 OFFSET 0) r
				 CROSS JOIN LATERAL (SELECT FROM assetreg.entities e WHERE e.kind = $1 AND e.key = u.key OFFSET 0) e
		), gone AS (
			DELETE FROM assetreg.unresolved_references r WHERE r.ctid = ANY (ARRAY(SELECT w.ctid FROM waiting w))
				RETURNING r.dependent_id, r.reference, r.source, r.relation, r.requires
		), made AS (
			INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, relation, requires)
				SELECT g.dependent_id, e.id, g.source, g.relation, g.requires
				FROM gone g CROSS JOIN LATERAL (SELECT e.id FROM assetreg.entities e
												WHERE e.kind = $1 AND e.key = substr(g.reference, length($1) + 2) OFFSET 0) e
				WHERE g.dependent_id <> e.id
				ORDER BY e.id, g.dependent_id
				ON CONFLICT DO NOTHING
		)
		SELECT (SELECT count(*) FROM gone) < (SELECT count(*) FROM waiting) INTO others;
		EXIT WHEN NOT others;
		-- others took some away meanwhile: their rows state it no more, or they put it there anew
	END LOOP;
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

CREATE FUNCTION assetreg._note_waiting(source text, ids bigint[], edge_rows int[], edge_targets int[], relations text[], target_ids bigint[],
		kinds text[], refs text[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	AS $$
DECLARE
	come record;
BEGIN
	INSERT INTO assetreg.unresolved_references (dependent_id, reference, type, type_key, candidates, source, relation)  -- triggers may be left out
		SELECT $2[u.r], m.reference, m.type, coalesce(m.type, ''), coalesce(m.candidates, '{}'), $1, u.relation
		FROM (SELECT k.n, assetreg._waiting_reference(k.kind, k.ref) AS reference,
					 coalesce(k.kind, (SELECT t.name FROM assetreg.asset_types t WHERE t.name = split_part(k.ref, '/', 1))) AS type,
					 CASE WHEN k.kind IS NULL AND k.ref !~ '^[0-9]+$' THEN assetreg._candidates(k.ref) END AS candidates
			  FROM unnest($7, $8, $6) WITH ORDINALITY k (kind, ref, id, n) WHERE k.id = 0) m
			 JOIN unnest($3, $4, $5) u (r, t, relation) ON u.t = m.n
		WHERE $2[u.r] > 0
		ON CONFLICT DO NOTHING;
	-- what has come since it was looked for
	FOR come IN SELECT k.kind, array_agg(k.ref) AS refs
				FROM unnest($7, $8, $6) k (kind, ref, id)
					 CROSS JOIN LATERAL (SELECT FROM assetreg.entities e WHERE e.kind = k.kind AND e.key = k.ref OFFSET 0) e
				WHERE k.id = 0 GROUP BY k.kind ORDER BY k.kind LOOP
		PERFORM assetreg._resolve_keys(come.kind, come.refs);
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._note_waiting(text, bigint[], int[], int[], text[], bigint[], text[], text[]) IS
	'notes what the rows'' references wait for that mean nothing yet';

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
		PERFORM assetreg._note_waiting($1, $2, $3, $4, $5, $6, $7, $8);
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
		-- first: whoever makes edges of these is waited for, so that they are seen
		DELETE FROM assetreg.unresolved_references u
			WHERE u.dependent_id = ANY (ARRAY(SELECT ids[r.row] FROM unnest($8) r (row))) AND u.source = $1;
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

	-- where several rows may state one edge, who takes one away has to see those that others bring, and the other way round
	IF gone IS NOT NULL OR (SELECT NOT assetreg._unique_columns(l.relation, ARRAY[l.dependent_column, l.dependency_column])
							FROM assetreg.tracked_links l WHERE l.source = $1) THEN
		PERFORM FROM assetreg.entities e WHERE e.id = ANY (ids) ORDER BY e.id FOR NO KEY UPDATE;
	END IF;
	IF gone IS NOT NULL THEN
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
