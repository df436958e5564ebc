-- Events: one row for each fact, written in the transaction of the change, whichever way the change is made.
CREATE FUNCTION assetreg._setup_events() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.events_recorded_seq') IS NULL THEN
		-- CACHE 1: the numbers of one asset's events are in the order in which its row was locked
		CREATE SEQUENCE assetreg.events_recorded_seq CACHE 1;
		COMMENT ON SEQUENCE assetreg.events_recorded_seq IS 'gives events.recorded';
		IF to_regclass('assetreg.events') IS NOT NULL THEN  -- somebody has dropped it, and the default with it
			PERFORM setval('assetreg.events_recorded_seq', 1 + coalesce((SELECT max(e.recorded) FROM assetreg.events e), 0), false);
			ALTER TABLE assetreg.events ALTER recorded SET DEFAULT nextval('assetreg.events_recorded_seq');
			ALTER SEQUENCE assetreg.events_recorded_seq OWNED BY assetreg.events.recorded;
		END IF;
	END IF;
	-- No foreign keys: an event outlives what it is about.
	IF to_regclass('assetreg.events') IS NULL THEN
		CREATE TABLE assetreg.events (
			event_id uuid NOT NULL DEFAULT gen_random_uuid(),
			recorded bigint CONSTRAINT events_pkey PRIMARY KEY DEFAULT nextval('assetreg.events_recorded_seq'),
			seq bigint,
			consumer text COLLATE "C",
			type text COLLATE "C" NOT NULL CONSTRAINT events_type_check CHECK (octet_length(type) BETWEEN 1 AND 100),
			subject text,
			entity_id bigint,
			update_id bigint,
			actor text NOT NULL,
			occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
			data jsonb NOT NULL DEFAULT '{}'
		) WITH (autovacuum_vacuum_scale_factor = 0.02);
		ALTER SEQUENCE assetreg.events_recorded_seq OWNED BY assetreg.events.recorded;
		CREATE UNIQUE INDEX events_seq_idx ON assetreg.events (seq) WHERE seq IS NOT NULL;
		CREATE INDEX events_unpublished_idx ON assetreg.events (recorded) WHERE seq IS NULL;
		CREATE INDEX events_consumer_idx ON assetreg.events (consumer) WHERE consumer IS NOT NULL;
		COMMENT ON TABLE assetreg.events IS 'what happened: a row for each fact, kept until purge_events()';
		COMMENT ON COLUMN assetreg.events.event_id IS 'by which a consumer knows an event that it is given again';
		COMMENT ON COLUMN assetreg.events.recorded IS 'in the order of writing, not of commits';
		COMMENT ON COLUMN assetreg.events.seq IS 'the position in the log, given after the commit; NULL until then';
		COMMENT ON COLUMN assetreg.events.consumer IS 'for this one alone; NULL: for all';
		COMMENT ON COLUMN assetreg.events.type IS 'asset.registered, dependency.added and so on';
		COMMENT ON COLUMN assetreg.events.subject IS 'type/name@version of an asset, kind/key of another entity, as it was then';
		COMMENT ON COLUMN assetreg.events.entity_id IS 'the asset, or of a dependency the entity that is needed';
		COMMENT ON COLUMN assetreg.events.update_id IS 'of update.* events';
		COMMENT ON COLUMN assetreg.events.actor IS 'who did it';
		COMMENT ON COLUMN assetreg.events.occurred_at IS 'when the row was written';
		COMMENT ON COLUMN assetreg.events.data IS 'what else the type says';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_events() IS 'makes the table of events where it is missing';

CREATE FUNCTION assetreg._event_types() RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$ SELECT '{asset.registered,asset.version_released,asset.file_changed,asset.status_changed,asset.deleted,dependency.added,dependency.removed,
		note.added,rating.changed,update.opened,update.testing,update.resolved,update.dismissed,integrity.failed}'::text[] $$;
COMMENT ON FUNCTION assetreg._event_types() IS 'the types of events that are written';

-- Looks at each row and not at a transition table, which would hold every event of a statement once more.
CREATE FUNCTION assetreg._notify_trigger() RETURNS trigger
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'assetreg_notify_trigger';
COMMENT ON FUNCTION assetreg._notify_trigger() IS 'wakes who listens: at most once for each channel and statement';

CREATE FUNCTION assetreg.notify_queue_usage() RETURNS double precision
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$ SELECT pg_notification_queue_usage() $$;
COMMENT ON FUNCTION assetreg.notify_queue_usage() IS
	'how full the server''s queue of notifications is, from 0 to 1; asking frees what every listener has read, so a health check asks each minute';

CREATE FUNCTION assetreg._former_subject(id bigint) RETURNS text
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'assetreg_former_subject';
COMMENT ON FUNCTION assetreg._former_subject(bigint) IS
	'kind/key of an entity as it was when this transaction began; NULL where it was not there';

CREATE FUNCTION assetreg._emit(type text, entity_ids bigint[], update_ids bigint[], data jsonb[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	AS $$
BEGIN
	INSERT INTO assetreg.events (type, subject, entity_id, update_id, actor, data)
		SELECT $1, e.kind || '/' || e.key, u.entity_id, u.update_id, a.actor, coalesce(u.data, '{}')
		FROM assetreg._actor() a (actor), unnest($2, $3, $4) WITH ORDINALITY u (entity_id, update_id, data, n)
			 LEFT JOIN assetreg.entities e ON e.id = u.entity_id
		ORDER BY u.n;
END
$$;
COMMENT ON FUNCTION assetreg._emit(text, bigint[], bigint[], jsonb[]) IS
	'writes an event of a type for each element; the arrays run side by side, and the rows they are about are locked already';

-- Each new row is one fact: the first version of a name is registered, a further one is released.  Of several versions
-- in one statement the first is that with the smallest id.
--
-- This one function joins two transition tables, by hashing, which is right for one row and for 100,000.
CREATE FUNCTION assetreg._assets_events_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off SET enable_mergejoin = off SET enable_seqscan = off
	SET jit = off
	AS $$
DECLARE
	actor text := assetreg._actor();
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'assets');
	CASE TG_OP
	WHEN 'INSERT' THEN
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT CASE WHEN n.nth > 1
						  OR (SELECT count(*) FROM (SELECT FROM assetreg.assets a WHERE a.type = n.type AND a.name = n.name LIMIT n.here + 1) known) > n.here
						THEN 'asset.version_released' ELSE 'asset.registered' END,
				   n.type || '/' || n.name || '@' || n.version, n.id, actor,
				   jsonb_strip_nulls(jsonb_build_object('status', n.status, 'sha256', n.sha256, 'supersedes', n.supersedes))
			FROM (SELECT r.id, r.type, r.name, r.version, r.status, r.sha256, r.supersedes,
						 row_number() OVER (PARTITION BY r.type, r.name COLLATE "C" ORDER BY r.id) AS nth,
						 count(*) OVER (PARTITION BY r.type, r.name COLLATE "C") AS here
				  FROM new_rows r) n
			ORDER BY n.id;
	WHEN 'UPDATE' THEN
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT f.type, n.type || '/' || n.name || '@' || n.version, n.id, actor, jsonb_strip_nulls(f.data)
			FROM old_rows o JOIN new_rows n ON n.id = o.id CROSS JOIN LATERAL (
				SELECT 'asset.file_changed', jsonb_build_object('sha256', n.sha256, 'previous_sha256', o.sha256)
				WHERE o.sha256 IS DISTINCT FROM n.sha256
				UNION ALL
				SELECT 'asset.status_changed', jsonb_build_object('status', n.status, 'previous_status', o.status, 'replaced_by', n.replaced_by)
				WHERE o.status <> n.status
				UNION ALL
				SELECT 'integrity.failed', jsonb_build_object('integrity', n.integrity, 'previous_integrity', o.integrity)
				WHERE o.integrity <> n.integrity AND n.integrity IN ('mismatch', 'missing')) f (type, data)
			ORDER BY n.id, f.type;
	WHEN 'DELETE' THEN
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT 'asset.deleted', o.type || '/' || o.name || '@' || o.version, o.id, actor,
				   jsonb_strip_nulls(jsonb_build_object('status', o.status, 'sha256', o.sha256))
			FROM old_rows o;
	WHEN 'TRUNCATE' THEN
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT 'asset.deleted', a.type || '/' || a.name || '@' || a.version, a.id, actor,
				   jsonb_strip_nulls(jsonb_build_object('status', a.status, 'sha256', a.sha256))
			FROM assetreg.assets a ORDER BY a.id;
	END CASE;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._assets_events_trigger() IS 'writes the events of assets';

-- What people state; derived edges write no event.  An edge that moves is gone here and new there.
CREATE FUNCTION assetreg._dependencies_events_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	SET jit = off SET enable_material = off  -- cached plans must not pair all rows with all, however few there were
	AS $$
DECLARE
	actor text := assetreg._actor();
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'asset_dependencies');
	CASE TG_OP
	WHEN 'INSERT' THEN
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT 'dependency.added', e.kind || '/' || e.key, n.dependency_id, actor,
				   jsonb_build_object('dependent_id', n.dependent_id, 'relation', n.relation, 'requires', n.requires)
			FROM new_rows n LEFT JOIN assetreg.entities e ON e.id = n.dependency_id
			WHERE n.source = 'declared';
	WHEN 'UPDATE' THEN
		-- what is in one of both tables only: a sum, as neither has an index for a join
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT CASE WHEN m.side < 0 THEN 'dependency.removed' ELSE 'dependency.added' END,
				   coalesce(e.kind || '/' || e.key, assetreg._former_subject(m.dependency_id)), m.dependency_id, actor, m.data
			FROM (SELECT b.dependency_id, sum(b.side) AS side,
						 (array_agg(jsonb_build_object('dependent_id', b.dependent_id, 'relation', b.relation, 'requires', b.requires)))[1] AS data
				  FROM (SELECT -1 AS side, o.dependency_id, o.dependent_id, o.relation, o.requires FROM old_rows o WHERE o.source = 'declared'
						UNION ALL
						SELECT 1, n.dependency_id, n.dependent_id, n.relation, n.requires FROM new_rows n WHERE n.source = 'declared') b
				  GROUP BY b.dependency_id, b.dependent_id HAVING sum(b.side) <> 0) m
				 LEFT JOIN assetreg.entities e ON e.id = m.dependency_id
			ORDER BY m.side, m.dependency_id, m.data;
	WHEN 'DELETE' THEN
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT 'dependency.removed', coalesce(e.kind || '/' || e.key, assetreg._former_subject(o.dependency_id)), o.dependency_id, actor,
				   jsonb_build_object('dependent_id', o.dependent_id, 'relation', o.relation, 'requires', o.requires)
			FROM old_rows o LEFT JOIN assetreg.entities e ON e.id = o.dependency_id
			WHERE o.source = 'declared';
	WHEN 'TRUNCATE' THEN
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT 'dependency.removed', e.kind || '/' || e.key, d.dependency_id, actor,
				   jsonb_build_object('dependent_id', d.dependent_id, 'relation', d.relation, 'requires', d.requires)
			FROM assetreg.asset_dependencies d LEFT JOIN assetreg.entities e ON e.id = d.dependency_id
			WHERE d.source = 'declared';
	END CASE;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._dependencies_events_trigger() IS 'writes the events of declared dependencies';

CREATE FUNCTION assetreg._notes_events_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	SET jit = off SET enable_material = off  -- cached plans must not pair all rows with all, however few there were
	AS $$
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'asset_notes');
	INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
		SELECT 'note.added', e.kind || '/' || e.key, n.asset_id, a.actor,
			   jsonb_strip_nulls(jsonb_build_object('note_id', n.id, 'severity', n.severity, 'other_asset_id', n.other_asset_id))
		FROM assetreg._actor() a (actor), new_rows n LEFT JOIN assetreg.entities e ON e.id = n.asset_id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._notes_events_trigger() IS 'writes the events of notes';

-- The stars before and after, in one row, by a sum over both tables as in _dependencies_events_trigger().  Ratings that
-- go with their asset are no news.
CREATE FUNCTION assetreg._ratings_events_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	SET jit = off SET enable_material = off  -- cached plans must not pair all rows with all, however few there were
	AS $$
DECLARE
	actor text := assetreg._actor();
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'asset_ratings');
	CASE TG_OP
	WHEN 'INSERT' THEN
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT 'rating.changed', e.kind || '/' || e.key, n.asset_id, actor, jsonb_build_object('rater', n.rater, 'stars', n.stars)
			FROM new_rows n CROSS JOIN LATERAL (SELECT e.kind, e.key FROM assetreg.entities e WHERE e.id = n.asset_id OFFSET 0) e;
	WHEN 'UPDATE' THEN
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT 'rating.changed', e.kind || '/' || e.key, r.asset_id, actor,
				   jsonb_build_object('rater', r.rater, 'stars', r.stars, 'previous_stars', r.previous_stars)
			FROM (SELECT b.asset_id, b.rater, sum(b.stars) AS stars, sum(b.previous_stars) AS previous_stars
				  FROM (SELECT o.asset_id, o.rater, NULL AS stars, o.stars AS previous_stars FROM old_rows o
						UNION ALL
						SELECT n.asset_id, n.rater, n.stars, NULL FROM new_rows n) b
				  GROUP BY b.asset_id, b.rater) r
				 CROSS JOIN LATERAL (SELECT e.kind, e.key FROM assetreg.entities e WHERE e.id = r.asset_id OFFSET 0) e
			WHERE r.stars IS DISTINCT FROM r.previous_stars
			ORDER BY r.asset_id, r.rater;
	WHEN 'DELETE' THEN
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT 'rating.changed', e.kind || '/' || e.key, o.asset_id, actor, jsonb_build_object('rater', o.rater, 'previous_stars', o.stars)
			FROM old_rows o CROSS JOIN LATERAL (SELECT e.kind, e.key FROM assetreg.entities e WHERE e.id = o.asset_id OFFSET 0) e;
	WHEN 'TRUNCATE' THEN
		INSERT INTO assetreg.events (type, subject, entity_id, actor, data)
			SELECT 'rating.changed', e.kind || '/' || e.key, r.asset_id, actor, jsonb_build_object('rater', r.rater, 'previous_stars', r.stars)
			FROM assetreg.asset_ratings r JOIN assetreg.entities e ON e.id = r.asset_id;
	END CASE;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._ratings_events_trigger() IS 'writes the events of ratings';
