-- Tracked tables as a whole: what their rows say against what the graph has.

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
	SET enable_nestloop = on
	AS $$
	WITH s AS MATERIALIZED (SELECT s.key, s.kind, s.ref FROM assetreg._stated($1, $2) s WHERE s.ref IS NOT NULL),
		 -- first, and apart: of the few rows that are expected of the rest each would be looked up by itself
		 n AS MATERIALIZED (SELECT d.id, s.kind, s.ref FROM s JOIN assetreg.entities d ON d.kind = $3 AND d.key = s.key)
	SELECT n.id, x.id, CASE WHEN n.kind IS NULL AND n.ref ~ '^[^/@]+/[^@]+$' THEN n.ref END
	FROM (SELECT array_agg(u.kind) AS kinds, array_agg(u.ref) AS refs FROM (SELECT DISTINCT s.kind, s.ref FROM s) u) r
		 CROSS JOIN LATERAL unnest(r.kinds, r.refs, assetreg._targets(r.kinds, r.refs)) x (kind, ref, id)
		 JOIN n ON n.ref = x.ref AND coalesce(n.kind, '') = coalesce(x.kind, '')
	WHERE x.id > 0 AND x.id <> n.id
	$$;
COMMENT ON FUNCTION assetreg._stated_edges(regclass, text, text) IS
	'the edges that the rows of a tracked table state; what a row states twice comes twice';

CREATE FUNCTION assetreg._derived_edges(source text, OUT place tid, OUT dependent_id bigint, OUT dependency_id bigint, OUT name text)
	RETURNS SETOF record
	LANGUAGE sql STABLE ROWS 100000
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = on
	AS $$
	SELECT d.ctid, d.dependent_id, d.dependency_id, a.type || '/' || a.name
	FROM assetreg.asset_dependencies d LEFT JOIN assetreg.assets a ON a.id = d.dependency_id WHERE d.source = $1
	$$;
COMMENT ON FUNCTION assetreg._derived_edges(text) IS 'the edges of one source, and where their rows are';

-- Statistics know nothing of a table that was just taken in: of 100,000 stated edges and what is taken for a few that are there
-- a nested loop would compare each with each.
CREATE FUNCTION assetreg._surplus_edges(relation regclass, source text, kind text) RETURNS tid[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET enable_mergejoin = off
	AS $$
BEGIN
	RETURN ARRAY(
		WITH s AS MATERIALIZED (SELECT s.* FROM assetreg._stated_edges($1, $2, $3) s), e AS MATERIALIZED (SELECT e.* FROM assetreg._derived_edges($2) e)
		SELECT e.place FROM e
		WHERE NOT EXISTS (SELECT FROM s WHERE e.dependent_id = s.dependent_id AND e.dependency_id = s.dependency_id)
		  AND NOT EXISTS (SELECT FROM s WHERE e.dependent_id = s.dependent_id AND e.name = s.name));
END
$$;
COMMENT ON FUNCTION assetreg._surplus_edges(regclass, text, text) IS 'the places of edges that the rows of a tracked table do not state';

CREATE FUNCTION assetreg._compare_table(root regclass, OUT missing bigint, OUT surplus bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET enable_mergejoin = off
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
		WITH s AS MATERIALIZED (SELECT s.* FROM assetreg._stated_edges($1, r.source, r.kind) s),
			 e AS MATERIALIZED (SELECT e.* FROM assetreg._derived_edges(r.source) e),
			 -- most of them agree, and only what is left is looked at again
			 d AS MATERIALIZED (SELECT s.dependent_id AS stated_of, s.dependency_id AS stated, s.name AS stated_name, e.dependent_id AS there_of, e.name AS there_name
								FROM s FULL JOIN e ON e.dependent_id = s.dependent_id AND e.dependency_id = s.dependency_id
								WHERE s.dependent_id IS NULL OR e.dependent_id IS NULL)
		SELECT ARRAY[(SELECT count(DISTINCT (d.stated_of, d.stated)) FROM d
					  WHERE d.stated_of IS NOT NULL AND NOT EXISTS (SELECT FROM e WHERE e.dependent_id = d.stated_of AND e.name = d.stated_name)),
					 (SELECT count(*) FROM d
					  WHERE d.there_of IS NOT NULL AND NOT EXISTS (SELECT FROM s WHERE s.dependent_id = d.there_of AND s.name = d.there_name))] INTO counts;
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
	surplus tid[];
BEGIN
	FOR r IN SELECT t.link, t.source, t.kind FROM assetreg._tracking_of($1) t WHERE t.root = $1 LOOP
		IF NOT r.link THEN
			PERFORM assetreg._delete_entities(ARRAY(
				SELECT e.id FROM assetreg.entities e
				WHERE e.kind = r.kind AND e.key NOT IN (SELECT s.key FROM assetreg._stated($1, r.source) s WHERE s.ref IS NULL)));
		END IF;
		surplus := assetreg._surplus_edges($1, r.source, r.kind);
		DELETE FROM assetreg.asset_dependencies d WHERE d.ctid = ANY (surplus);
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
