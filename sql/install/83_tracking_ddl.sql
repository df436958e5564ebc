-- Changes of tracked tables: renamed and dropped columns, new partitions, dropped tables.

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
