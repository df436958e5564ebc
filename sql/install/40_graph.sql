-- The dependency graph: its rules, the ways in, and the walks.

CREATE FUNCTION assetreg._forget_plans() RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'assetreg_forget_plans';
COMMENT ON FUNCTION assetreg._forget_plans() IS 'lets plans that read entities be made anew, as the table has grown';

-- For the plans of its queries see _assets_sync_trigger().
CREATE FUNCTION assetreg._entities_check_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	SET jit = off SET enable_material = off  -- cached plans must not pair all rows with all, however few there were
	AS $$
DECLARE
	wrong bigint;
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'entities');
	IF TG_OP = 'DELETE' THEN
		SELECT min(o.id) INTO wrong FROM old_rows o WHERE (SELECT true FROM assetreg.assets a WHERE a.id = o.id);
		IF wrong IS NOT NULL THEN
			RAISE EXCEPTION 'entity "%" belongs to an asset and cannot be deleted by itself',
					(SELECT o.kind || '/' || o.key FROM old_rows o WHERE o.id = wrong)
				USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Delete the asset.';
		END IF;
		RETURN NULL;
	END IF;

	SELECT min(n.id) INTO wrong
	FROM new_rows n
	WHERE (SELECT true FROM assetreg.asset_types t WHERE t.name = n.kind) AND (SELECT true FROM assetreg.assets a WHERE a.id = n.id) IS NULL;
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION 'entity "%" is of an asset type but belongs to no asset',
				(SELECT n.kind || '/' || n.key FROM new_rows n WHERE n.id = wrong)
			USING ERRCODE = 'integrity_constraint_violation', HINT = 'Register the asset; its entity comes with it.';
	END IF;

	SELECT min(n.id) INTO wrong
	FROM new_rows n CROSS JOIN LATERAL (SELECT a.type, a.name, a.version, a.status FROM assetreg.assets a WHERE a.id = n.id OFFSET 0) a
	WHERE (n.kind, n.key, n.active) IS DISTINCT FROM (a.type, a.name || '@' || a.version, a.status = 'active');
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION 'entity "%" belongs to an asset and must agree with it',
				(SELECT n.kind || '/' || n.key FROM new_rows n WHERE n.id = wrong)
			USING ERRCODE = 'integrity_constraint_violation', HINT = 'Change the asset; its entity follows.';
	END IF;
	IF TG_OP = 'INSERT' AND EXISTS (SELECT FROM new_rows OFFSET 999) THEN
		PERFORM assetreg._forget_plans();
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._entities_check_trigger() IS 'an entity of an asset type is an asset''s, and agrees with it';

CREATE FUNCTION assetreg._check_kind(kind text) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM assetreg.entity_kinds k WHERE k.name = $1) THEN
		RAISE EXCEPTION 'entity kind "%" does not exist', left($1, 200)
			USING ERRCODE = 'undefined_object', HINT = 'The kinds are in assetreg.entity_kinds; add it there, or use one of them.';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._check_kind(text) IS 'raises the error for a kind that does not exist';

CREATE FUNCTION assetreg._check_entity(id bigint) RETURNS void
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM assetreg.entities e WHERE e.id = $1) THEN
		PERFORM assetreg._no_such('entity', $1);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._check_entity(bigint) IS 'raises the error for an id that is no entity''s';

CREATE FUNCTION assetreg.entity_id(kind text, key text) RETURNS bigint
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	found_id bigint;
BEGIN
	PERFORM assetreg._require_tables();
	IF $1 IS NULL OR $2 IS NULL THEN
		RAISE EXCEPTION 'kind and key of an entity must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT e.id INTO found_id FROM assetreg.entities e WHERE e.kind = $1 AND e.key = $2;
	IF NOT FOUND THEN
		PERFORM assetreg._check_kind($1);
		RAISE EXCEPTION 'entity "%/%" does not exist', $1, left($2, 200) USING ERRCODE = 'undefined_object';
	END IF;
	RETURN found_id;
END
$$;
COMMENT ON FUNCTION assetreg.entity_id(text, text) IS 'the id of an entity';

CREATE FUNCTION assetreg.put_entity(kind text, key text, label text = NULL, active boolean = NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	put_id bigint;
BEGIN
	PERFORM assetreg._require_tables();
	IF $1 IS NULL OR $2 IS NULL THEN
		RAISE EXCEPTION 'kind and key of an entity must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM assetreg._check_kind($1);
	-- the usual case first: what is there and stays as it is costs no write and no sequence number
	SELECT e.id INTO put_id FROM assetreg.entities e
	WHERE e.kind = $1 AND e.key = $2 AND e.label IS NOT DISTINCT FROM coalesce($3, e.label) AND e.active = coalesce($4, e.active);
	IF NOT FOUND THEN
		UPDATE assetreg.entities e SET label = coalesce($3, e.label), active = coalesce($4, e.active)
			WHERE e.kind = $1 AND e.key = $2
			RETURNING e.id INTO put_id;
	END IF;
	IF NOT FOUND THEN
		INSERT INTO assetreg.entities AS e (kind, key, label, active) VALUES ($1, $2, $3, coalesce($4, true))
			ON CONFLICT ON CONSTRAINT entities_kind_key_key
			DO UPDATE SET label = coalesce($3, e.label), active = coalesce($4, e.active)
			RETURNING e.id INTO put_id;
	END IF;
	RETURN put_id;
END
$$;
COMMENT ON FUNCTION assetreg.put_entity(text, text, text, boolean) IS
	'makes or changes an entity; NULL keeps what is there, a new one is active';

CREATE FUNCTION assetreg.add_dependency(dependent_id bigint, dependency_id bigint, relation text = 'uses', requires text[] = '{}')
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	PERFORM assetreg._require_tables();
	PERFORM assetreg._check_entity($1);
	PERFORM assetreg._check_entity($2);
	IF $1 = $2 THEN
		RAISE EXCEPTION 'entity % cannot depend on itself', $1 USING ERRCODE = 'check_violation';
	END IF;
	INSERT INTO assetreg.asset_dependencies AS d (dependent_id, dependency_id, relation, requires)
		VALUES ($1, $2, coalesce($3, 'uses'), coalesce($4, '{}'))
		ON CONFLICT ON CONSTRAINT asset_dependencies_pkey
		DO UPDATE SET relation = excluded.relation, requires = excluded.requires
		WHERE (d.relation, d.requires) IS DISTINCT FROM (excluded.relation, excluded.requires);
END
$$;
COMMENT ON FUNCTION assetreg.add_dependency(bigint, bigint, text, text[]) IS
	'declares that one entity needs another; again: changes relation and requires';

CREATE FUNCTION assetreg.remove_dependency(dependent_id bigint, dependency_id bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	other_source text;
BEGIN
	PERFORM assetreg._require_tables();
	PERFORM assetreg._check_entity($1);
	PERFORM assetreg._check_entity($2);
	DELETE FROM assetreg.asset_dependencies d WHERE d.dependent_id = $1 AND d.dependency_id = $2 AND d.source = 'declared';
	IF NOT FOUND THEN
		SELECT min(d.source) INTO other_source
		FROM assetreg.asset_dependencies d WHERE d.dependent_id = $1 AND d.dependency_id = $2;
		IF other_source IS NULL THEN
			RAISE EXCEPTION 'entity % does not depend on entity %', $1, $2 USING ERRCODE = 'undefined_object';
		END IF;
		RAISE EXCEPTION 'the dependency of entity % on entity % is not a declared one', $1, $2
			USING ERRCODE = 'undefined_object', DETAIL = format('It is derived by "%s".', other_source),
				  HINT = 'Change what it is derived from.';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg.remove_dependency(bigint, bigint) IS 'takes a declared dependency back';

CREATE FUNCTION assetreg.move_dependents(from_asset_id bigint, to_asset_id bigint, dependent_ids bigint[] = NULL)
	RETURNS TABLE (dependent_id bigint, source text, moved boolean)
	LANGUAGE plpgsql VOLATILE ROWS 100
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	missing bigint;
BEGIN
	PERFORM assetreg._require_tables();
	PERFORM assetreg.asset_ref($1);
	PERFORM assetreg.asset_ref($2);
	IF $1 = $2 THEN
		RAISE EXCEPTION 'dependents cannot be moved from an asset to itself' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF array_position($3, NULL) IS NOT NULL THEN
		PERFORM assetreg._no_such('entity', NULL);
	END IF;
	SELECT u.id INTO missing FROM unnest($3) u (id)
	WHERE NOT EXISTS (SELECT FROM assetreg.entities e WHERE e.id = u.id) LIMIT 1;
	IF FOUND THEN
		PERFORM assetreg._no_such('entity', missing);
	END IF;

	-- An edge of the target itself stays: it would be an edge to itself.
	RETURN QUERY
		WITH edges AS MATERIALIZED (
			SELECT d.dependent_id, d.source, d.source = 'declared' AND d.dependent_id <> $2 AS movable, d.relation, d.requires
			FROM assetreg.asset_dependencies d
			WHERE d.dependency_id = $1 AND ($3 IS NULL OR d.dependent_id = ANY ($3))
		), gone AS (
			DELETE FROM assetreg.asset_dependencies d USING edges e
			WHERE e.movable AND d.dependency_id = $1 AND d.dependent_id = e.dependent_id AND d.source = e.source
		), come AS (
			INSERT INTO assetreg.asset_dependencies AS d (dependent_id, dependency_id, source, relation, requires)
			SELECT e.dependent_id, $2, e.source, e.relation, e.requires FROM edges e WHERE e.movable
			ON CONFLICT ON CONSTRAINT asset_dependencies_pkey
			DO UPDATE SET requires = ARRAY(SELECT DISTINCT u.r FROM unnest(d.requires || excluded.requires) u (r) ORDER BY u.r)
		)
		SELECT e.dependent_id, e.source, e.movable FROM edges e ORDER BY e.dependent_id, e.source;
END
$$;
COMMENT ON FUNCTION assetreg.move_dependents(bigint, bigint, bigint[]) IS
	'moves declared dependencies from one asset to another; derived ones come back with moved = false';

CREATE FUNCTION assetreg._estimate_rows(internal) RETURNS internal
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'assetreg_estimate_rows';
COMMENT ON FUNCTION assetreg._estimate_rows(internal) IS 'tells the planner how many rows a walk will give';

CREATE FUNCTION assetreg.where_used(id bigint, max_depth int = NULL, kinds text[] = NULL, active_only boolean = false,
		all_versions boolean = false)
	RETURNS TABLE (entity_id bigint, kind text, key text, label text, active boolean, depth int, via_id bigint, start_id bigint)
	LANGUAGE c STABLE PARALLEL SAFE ROWS 1000 COST 1000 SUPPORT assetreg._estimate_rows
	AS 'MODULE_PATHNAME', 'assetreg_where_used';
COMMENT ON FUNCTION assetreg.where_used(bigint, int, text[], boolean, boolean) IS
	'everything that needs an entity, directly or through others, each once at its smallest depth';

CREATE FUNCTION assetreg.dependencies_of(id bigint, max_depth int = NULL, kinds text[] = NULL)
	RETURNS TABLE (entity_id bigint, kind text, key text, label text, active boolean, depth int, via_id bigint, start_id bigint)
	LANGUAGE c STABLE PARALLEL SAFE ROWS 100 COST 1000 SUPPORT assetreg._estimate_rows
	AS 'MODULE_PATHNAME', 'assetreg_dependencies_of';
COMMENT ON FUNCTION assetreg.dependencies_of(bigint, int, text[]) IS
	'everything that an entity needs, directly or through others, each once at its smallest depth';

CREATE FUNCTION assetreg.dependents(ids bigint[], max_depth int = NULL) RETURNS TABLE (entity_id bigint, depth int)
	LANGUAGE c STABLE PARALLEL SAFE ROWS 1000 COST 1000 SUPPORT assetreg._estimate_rows
	AS 'MODULE_PATHNAME', 'assetreg_dependents';
COMMENT ON FUNCTION assetreg.dependents(bigint[], int) IS
	'the ids of everything that needs one of several entities, which are left out themselves';

CREATE FUNCTION assetreg.dependent_count(id bigint, transitive boolean = false, all_versions boolean = false) RETURNS bigint
	LANGUAGE c STABLE PARALLEL SAFE COST 1000
	AS 'MODULE_PATHNAME', 'assetreg_dependent_count';
COMMENT ON FUNCTION assetreg.dependent_count(bigint, boolean, boolean) IS 'how many entities need an entity';

CREATE FUNCTION assetreg.impact(id bigint, all_versions boolean = false)
	RETURNS TABLE (kind text, affected bigint, active bigint, min_depth int, max_depth int)
	LANGUAGE c STABLE PARALLEL SAFE ROWS 10 COST 1000 SUPPORT assetreg._estimate_rows
	AS 'MODULE_PATHNAME', 'assetreg_impact';
COMMENT ON FUNCTION assetreg.impact(bigint, boolean) IS 'what a change of an entity affects, counted by kind';

CREATE FUNCTION assetreg.dependency_paths(from_id bigint, to_id bigint, max_paths int = 1)
	RETURNS TABLE (path int, step int, entity_id bigint, kind text, key text, label text, complete boolean)
	LANGUAGE c STABLE PARALLEL SAFE ROWS 10 COST 1000
	AS 'MODULE_PATHNAME', 'assetreg_dependency_paths';
COMMENT ON FUNCTION assetreg.dependency_paths(bigint, bigint, int) IS
	'shortest paths from a dependency to a dependent; step is the depth, 0 for the dependency';

CREATE FUNCTION assetreg.dependency_cycles() RETURNS TABLE (cycle int, entity_id bigint)
	LANGUAGE c STABLE PARALLEL SAFE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'assetreg_dependency_cycles';
COMMENT ON FUNCTION assetreg.dependency_cycles() IS 'the groups of entities that need each other in a circle';

CREATE FUNCTION assetreg.dependency_graph(id bigint, format text = 'json', direction text = 'dependents', max_depth int = 3,
		max_nodes int = 500)
	RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE COST 1000
	AS 'MODULE_PATHNAME', 'assetreg_dependency_graph';
COMMENT ON FUNCTION assetreg.dependency_graph(bigint, text, text, int, int) IS
	'the surroundings of an entity as json, dot or mermaid; says when it was cut short';

CREATE FUNCTION assetreg.dependency_tree(id bigint, direction text = 'dependents', max_depth int = 5) RETURNS SETOF text
	LANGUAGE c STABLE PARALLEL SAFE ROWS 100 COST 1000
	AS 'MODULE_PATHNAME', 'assetreg_dependency_tree';
COMMENT ON FUNCTION assetreg.dependency_tree(bigint, text, int) IS
	'the surroundings of an entity as an indented tree, for people';
