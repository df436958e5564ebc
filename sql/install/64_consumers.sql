-- Consumers: each is given every event that it wants, once or more often, an entity's in order.
--
-- Events get their position after their transactions have committed, in the order in which they were recorded, by
-- whoever fetches: the sequencer.  Who publishes holds the one row of event_sequencer, and what he does not see yet
-- comes later: no transaction is waited for and none is missed.  Two events of one entity are in the right order, as the
-- second was recorded when the first had committed, so that nobody sees the second without the first.
CREATE FUNCTION assetreg._event_partition(entity_id bigint, partitions int) RETURNS int
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'assetreg_event_partition';
COMMENT ON FUNCTION assetreg._event_partition(bigint, int) IS 'the partition that has the events of an entity';

CREATE FUNCTION assetreg._setup_consumers() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.event_sequencer') IS NULL THEN
		CREATE TABLE assetreg.event_sequencer (
			one boolean CONSTRAINT event_sequencer_pkey PRIMARY KEY DEFAULT true CONSTRAINT event_sequencer_one_check CHECK (one),
			last_seq bigint NOT NULL DEFAULT 0,
			purged_seq bigint NOT NULL DEFAULT 0
		) WITH (fillfactor = 20);
		COMMENT ON TABLE assetreg.event_sequencer IS 'where the log of events begins and ends: one row';
		COMMENT ON COLUMN assetreg.event_sequencer.one IS 'there is no second row';
		COMMENT ON COLUMN assetreg.event_sequencer.last_seq IS 'the position that was given last';
		COMMENT ON COLUMN assetreg.event_sequencer.purged_seq IS 'what stood up to here is no longer kept';
	END IF;
	IF to_regclass('assetreg.event_leases_seq') IS NULL THEN
		CREATE SEQUENCE assetreg.event_leases_seq CACHE 1;
		COMMENT ON SEQUENCE assetreg.event_leases_seq IS 'gives event_partitions.lease_token';
	END IF;
	IF to_regclass('assetreg.event_consumers') IS NULL THEN
		CREATE TABLE assetreg.event_consumers (
			name text COLLATE "C" CONSTRAINT event_consumers_pkey PRIMARY KEY
				CONSTRAINT event_consumers_name_check CHECK (octet_length(name) BETWEEN 1 AND 100 AND name !~ E'[\\u0001-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]'),
			types text[],
			partitions int NOT NULL CONSTRAINT event_consumers_partitions_check CHECK (partitions BETWEEN 1 AND 1000),
			created_by text NOT NULL,
			created_at timestamptz NOT NULL DEFAULT now()
		);
		COMMENT ON TABLE assetreg.event_consumers IS 'who is given events';
		COMMENT ON COLUMN assetreg.event_consumers.name IS 'names it';
		COMMENT ON COLUMN assetreg.event_consumers.types IS 'the types of events that it wants; NULL: all';
		COMMENT ON COLUMN assetreg.event_consumers.partitions IS 'how many of its workers can work side by side';
		COMMENT ON COLUMN assetreg.event_consumers.created_by IS 'the actor';
		COMMENT ON COLUMN assetreg.event_consumers.created_at IS 'when it was made';
	END IF;
	IF to_regclass('assetreg.event_partitions') IS NULL THEN
		CREATE TABLE assetreg.event_partitions (
			consumer text COLLATE "C" NOT NULL CONSTRAINT event_partitions_consumer_fkey REFERENCES assetreg.event_consumers (name) ON DELETE CASCADE,
			partition int NOT NULL,
			seq bigint NOT NULL,
			given_seq bigint NOT NULL,
			worker text,
			lease_token bigint,
			lease_for interval,
			leased_until timestamptz,
			served_at timestamptz,
			CONSTRAINT event_partitions_pkey PRIMARY KEY (consumer, partition),
			CONSTRAINT event_partitions_given_seq_check CHECK (given_seq >= seq)
		) WITH (fillfactor = 50);
		ALTER SEQUENCE assetreg.event_leases_seq OWNED BY assetreg.event_partitions.lease_token;
		COMMENT ON TABLE assetreg.event_partitions IS 'how far each partition of a consumer is, and who works on it';
		COMMENT ON COLUMN assetreg.event_partitions.consumer IS 'whose';
		COMMENT ON COLUMN assetreg.event_partitions.partition IS 'from 0; an entity''s events are all in one';
		COMMENT ON COLUMN assetreg.event_partitions.seq IS 'done up to here';
		COMMENT ON COLUMN assetreg.event_partitions.given_seq IS 'given out up to here';
		COMMENT ON COLUMN assetreg.event_partitions.worker IS 'who was given events last';
		COMMENT ON COLUMN assetreg.event_partitions.lease_token IS 'of the last lease; no earlier one counts any more';
		COMMENT ON COLUMN assetreg.event_partitions.lease_for IS 'how long the worker asked for; acking prolongs the lease';
		COMMENT ON COLUMN assetreg.event_partitions.leased_until IS 'until then it is the worker''s alone';
		COMMENT ON COLUMN assetreg.event_partitions.served_at IS 'when events of it were given out last';
	END IF;
	INSERT INTO assetreg.event_sequencer (last_seq, purged_seq)
		SELECT coalesce(l.seq, 0), coalesce((SELECT min(e.seq) - 1 FROM assetreg.events e WHERE e.seq IS NOT NULL), l.seq, 0)
		FROM (SELECT greatest((SELECT max(e.seq) FROM assetreg.events e WHERE e.seq IS NOT NULL),
							  (SELECT max(p.given_seq) FROM assetreg.event_partitions p)) AS seq) l
		WHERE NOT EXISTS (SELECT FROM assetreg.event_sequencer);
	IF to_regclass('assetreg.event_failures') IS NULL THEN
		CREATE TABLE assetreg.event_failures (
			consumer text COLLATE "C" NOT NULL CONSTRAINT event_failures_consumer_fkey REFERENCES assetreg.event_consumers (name) ON DELETE CASCADE,
			seq bigint NOT NULL,
			partition int NOT NULL,
			tries int NOT NULL,
			reason text,
			failed_at timestamptz NOT NULL,
			CONSTRAINT event_failures_pkey PRIMARY KEY (consumer, seq)
		);
		COMMENT ON TABLE assetreg.event_failures IS 'events that failed and are tried again';
		COMMENT ON COLUMN assetreg.event_failures.consumer IS 'with whom';
		COMMENT ON COLUMN assetreg.event_failures.seq IS 'events.seq';
		COMMENT ON COLUMN assetreg.event_failures.partition IS 'of the consumer';
		COMMENT ON COLUMN assetreg.event_failures.tries IS 'how often';
		COMMENT ON COLUMN assetreg.event_failures.reason IS 'why, the last time';
		COMMENT ON COLUMN assetreg.event_failures.failed_at IS 'the last time';
	END IF;
	IF to_regclass('assetreg.dead_events') IS NULL THEN
		CREATE TABLE assetreg.dead_events (
			consumer text COLLATE "C" NOT NULL CONSTRAINT dead_events_consumer_fkey REFERENCES assetreg.event_consumers (name) ON DELETE CASCADE,
			seq bigint NOT NULL,
			event_id uuid NOT NULL,
			reason text,
			tries int NOT NULL,
			failed_at timestamptz NOT NULL,
			CONSTRAINT dead_events_pkey PRIMARY KEY (consumer, seq)
		);
		COMMENT ON TABLE assetreg.dead_events IS 'events that failed too often and stand aside';
		COMMENT ON COLUMN assetreg.dead_events.consumer IS 'with whom';
		COMMENT ON COLUMN assetreg.dead_events.seq IS 'events.seq';
		COMMENT ON COLUMN assetreg.dead_events.event_id IS 'events.event_id';
		COMMENT ON COLUMN assetreg.dead_events.reason IS 'why, the last time';
		COMMENT ON COLUMN assetreg.dead_events.tries IS 'how often';
		COMMENT ON COLUMN assetreg.dead_events.failed_at IS 'the last time';
	END IF;
	IF to_regclass('assetreg.consumer_lag') IS NULL THEN
		CREATE VIEW assetreg.consumer_lag WITH (security_invoker = true) AS
			SELECT p.consumer AS name, p.partition, w.pending, w.oldest, p.worker, p.leased_until,
				   (SELECT f.reason FROM (SELECT f.reason, f.failed_at FROM assetreg.event_failures f WHERE f.consumer = p.consumer AND f.partition = p.partition
										  UNION ALL
										  SELECT d.reason, d.failed_at FROM assetreg.dead_events d JOIN assetreg.events e ON e.seq = d.seq
										  WHERE d.consumer = p.consumer AND assetreg._event_partition(e.entity_id, c.partitions) = p.partition) f
					ORDER BY f.failed_at DESC LIMIT 1) AS last_error
			FROM assetreg.event_consumers c JOIN assetreg.event_partitions p ON p.consumer = c.name CROSS JOIN LATERAL (
				SELECT count(*) AS pending, min(e.occurred_at) AS oldest
				FROM (SELECT u.* FROM assetreg.events u WHERE u.seq IS NULL
					  UNION ALL
					  SELECT u.* FROM assetreg.events u WHERE u.seq > p.seq) e
				WHERE (e.consumer = c.name OR e.consumer IS NULL AND (c.types IS NULL OR e.type = ANY (c.types)))
				  AND assetreg._event_partition(e.entity_id, c.partitions) = p.partition
				  AND NOT EXISTS (SELECT FROM assetreg.dead_events d WHERE d.consumer = c.name AND d.seq = e.seq)) w;
		COMMENT ON VIEW assetreg.consumer_lag IS 'what each consumer has still to do, and who holds it';
		COMMENT ON COLUMN assetreg.consumer_lag.name IS 'the consumer';
		COMMENT ON COLUMN assetreg.consumer_lag.partition IS 'which of its partitions';
		COMMENT ON COLUMN assetreg.consumer_lag.pending IS 'how many events are not done, published or not';
		COMMENT ON COLUMN assetreg.consumer_lag.oldest IS 'when the oldest of these was written';
		COMMENT ON COLUMN assetreg.consumer_lag.worker IS 'who was given events last';
		COMMENT ON COLUMN assetreg.consumer_lag.leased_until IS 'until then the partition is the worker''s alone';
		COMMENT ON COLUMN assetreg.consumer_lag.last_error IS 'the reason of the last event that failed';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_consumers() IS 'makes the tables of consumers where they are missing';

-- Commits that are not on disk yet may be lost, and then what was given out never happened.  The log is written in order,
-- so this commit takes those before it along.
CREATE FUNCTION assetreg._commit_durably() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF current_setting('synchronous_commit') <> ALL ('{on,remote_apply}') THEN
		PERFORM set_config('synchronous_commit', 'on', true);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._commit_durably() IS 'makes this transaction wait for the disk when it commits';

-- A worker acts upon what it was given, which must not be rolled back, and one snapshot must not hide what is new.
CREATE FUNCTION assetreg._require_own_transaction(what text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM assetreg._require_autocommit($1);
	IF current_setting('transaction_isolation') <> ALL ('{read committed,read uncommitted}') THEN
		RAISE EXCEPTION '%() cannot run at isolation level %', $1, current_setting('transaction_isolation')
			USING ERRCODE = 'active_sql_transaction', HINT = 'Call it in autocommit mode at READ COMMITTED.';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._require_own_transaction(text) IS
	'raises 25001 inside a transaction block and above READ COMMITTED';

CREATE FUNCTION assetreg._check_consumer(name text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF $1 IS NULL THEN
		RAISE EXCEPTION 'consumer must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF NOT EXISTS (SELECT FROM assetreg.event_consumers c WHERE c.name = $1) THEN
		RAISE EXCEPTION 'event consumer "%" does not exist', left($1, 200)
			USING ERRCODE = 'undefined_object', HINT = 'Make it by assetreg.create_consumer().';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._check_consumer(text) IS 'raises the error for a consumer that does not exist';

-- Gives up to so many committed events their positions; false when none was left.  Where nothing is to be done it locks nothing.
CREATE FUNCTION assetreg._publish_events(max_events bigint) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
	AS $$
DECLARE
	last bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM assetreg.events e WHERE e.seq IS NULL) THEN
		RETURN false;
	END IF;
	SELECT s.last_seq INTO STRICT last FROM assetreg.event_sequencer s FOR NO KEY UPDATE;
	-- a new statement, so it sees all that was published before the lock was given
	WITH published AS (
		UPDATE assetreg.events e SET seq = last + u.n
			FROM (SELECT d.recorded, row_number() OVER (ORDER BY d.recorded) AS n
				  FROM (SELECT e.recorded FROM assetreg.events e WHERE e.seq IS NULL ORDER BY e.recorded LIMIT $1) d) u
			WHERE e.recorded = u.recorded
			RETURNING e.seq
	)
	SELECT max(p.seq) INTO last FROM published p;
	UPDATE assetreg.event_sequencer s SET last_seq = last WHERE last IS NOT NULL;
	RETURN last IS NOT NULL;
END
$$;
COMMENT ON FUNCTION assetreg._publish_events(bigint) IS 'gives committed events their positions in the log; false when none was left';

CREATE FUNCTION assetreg.create_consumer(name text, types text[] = NULL, from_start boolean = false, partitions int = 1) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	unknown text;
BEGIN
	PERFORM assetreg._require_tables();
	IF $1 IS NULL OR $3 IS NULL OR $4 IS NULL OR array_position($2, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'name, from_start, partitions and each of the types must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF $4 NOT BETWEEN 1 AND 1000 THEN
		RAISE EXCEPTION 'partitions must be between 1 and 1000' USING ERRCODE = 'invalid_parameter_value';
	ELSIF $2 = '{}' THEN
		RAISE EXCEPTION 'a consumer wants at least one type of event'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave types out for all.';
	END IF;
	SELECT min(t.type) INTO unknown FROM unnest($2) t (type) WHERE t.type <> ALL (assetreg._event_types());
	IF unknown IS NOT NULL THEN
		RAISE EXCEPTION 'event type "%" does not exist', left(unknown, 200)
			USING ERRCODE = 'undefined_object', HINT = 'The types are ' || array_to_string(assetreg._event_types(), ', ') || '.';
	END IF;
	INSERT INTO assetreg.event_consumers (name, types, partitions, created_by) VALUES ($1, $2, $4, assetreg._actor())
		ON CONFLICT ON CONSTRAINT event_consumers_pkey DO NOTHING;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'event consumer "%" already exists', $1 USING ERRCODE = 'duplicate_object';
	END IF;

	-- a purge keeps others from adding consumers, so what stands at the beginning now stays there
	IF NOT $3 THEN
		WHILE assetreg._publish_events(10000) LOOP
		END LOOP;
	END IF;
	INSERT INTO assetreg.event_partitions (consumer, partition, seq, given_seq)
		SELECT $1, p, b.seq, b.seq
		FROM generate_series(0, $4 - 1) p, (SELECT CASE WHEN $3 THEN s.purged_seq ELSE s.last_seq END AS seq FROM assetreg.event_sequencer s) b;
END
$$;
COMMENT ON FUNCTION assetreg.create_consumer(text, text[], boolean, int) IS
	'makes a consumer of events: of some types or all, of what commits from now on or all that is kept, for so many workers side by side';

CREATE FUNCTION assetreg.drop_consumer(name text) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM assetreg._require_tables(), assetreg._check_consumer($1);
	DELETE FROM assetreg.event_consumers c WHERE c.name = $1;
	DELETE FROM assetreg.events e WHERE e.consumer = $1;
END
$$;
COMMENT ON FUNCTION assetreg.drop_consumer(text) IS 'forgets a consumer, and what it has still to do';

-- The next events of a partition after a position.
CREATE FUNCTION assetreg._next_events(consumer text, partition int, after_seq bigint, last_seq bigint, max_events int) RETURNS SETOF bigint
	LANGUAGE plpgsql VOLATILE ROWS 100
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
	AS $$
#variable_conflict use_column
DECLARE
	types text[];
	partitions int;
BEGIN
	SELECT c.types, c.partitions INTO types, partitions FROM assetreg.event_consumers c WHERE c.name = $1;
	RETURN QUERY
		SELECT e.seq FROM assetreg.events e
		WHERE e.seq > $3 AND e.seq <= $4
		  AND (e.consumer = $1 OR e.consumer IS NULL AND (types IS NULL OR e.type = ANY (types)))
		  AND (partitions = 1 OR assetreg._event_partition(e.entity_id, partitions) = $2)
		  AND NOT EXISTS (SELECT FROM assetreg.dead_events d WHERE d.consumer = $1 AND d.seq = e.seq)
		ORDER BY e.seq LIMIT $5;
END
$$;
COMMENT ON FUNCTION assetreg._next_events(text, int, bigint, bigint, int) IS 'the positions of what a partition is to be given next';

-- Never a silent gap.
CREATE FUNCTION assetreg._check_not_purged(consumer text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF EXISTS (SELECT FROM assetreg.event_partitions p, assetreg.event_sequencer s WHERE p.consumer = $1 AND p.seq < s.purged_seq) THEN
		RAISE EXCEPTION 'event consumer "%" was too slow: events that it has not been given are gone', $1
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'Call assetreg.resync_consumer(): it is given an event for each existing asset, and continues.';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._check_not_purged(text) IS 'raises 55000 for a consumer that purge_events() did not wait for';

CREATE FUNCTION assetreg._lease_partition(consumer text, worker text, lease_for interval, max_events int,
		OUT leased int, OUT seqs bigint[], OUT token bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	now timestamptz := clock_timestamp();
	last bigint := (SELECT s.last_seq FROM assetreg.event_sequencer s);
	candidate int;
	part record;
BEGIN
	-- what this worker has not acked first, then the partition that has waited longest
	FOREACH candidate IN ARRAY ARRAY(SELECT p.partition FROM assetreg.event_partitions p
									 WHERE p.consumer = $1 AND (p.leased_until IS NULL OR p.leased_until <= now OR p.worker = $2)
									 ORDER BY p.leased_until > now DESC NULLS LAST, p.served_at NULLS FIRST, p.partition)
	LOOP
		-- another worker may have taken it by now, or be about to
		SELECT p.seq, p.worker = $2 AND p.leased_until > now AS mine INTO part FROM assetreg.event_partitions p
			WHERE p.consumer = $1 AND p.partition = candidate AND (p.leased_until IS NULL OR p.leased_until <= now OR p.worker = $2)
			FOR NO KEY UPDATE SKIP LOCKED;
		CONTINUE WHEN NOT FOUND;
		PERFORM assetreg._check_not_purged($1);  -- now that a purge would wait for us
		seqs := ARRAY(SELECT n FROM assetreg._next_events($1, candidate, part.seq, last, $4) n);
		IF seqs = '{}' THEN
			UPDATE assetreg.event_partitions p SET seq = last, given_seq = last, worker = NULL, leased_until = NULL
				WHERE p.consumer = $1 AND p.partition = candidate AND p.seq < last;
			CONTINUE;
		END IF;
		UPDATE assetreg.event_partitions p
			SET worker = $2, lease_for = $3, leased_until = now + $3, served_at = now,
				given_seq = CASE WHEN part.mine THEN greatest(p.given_seq, seqs[cardinality(seqs)]) ELSE seqs[cardinality(seqs)] END,
				lease_token = CASE WHEN part.mine THEN p.lease_token ELSE nextval('assetreg.event_leases_seq') END
			WHERE p.consumer = $1 AND p.partition = candidate
			RETURNING p.lease_token INTO token;
		leased := candidate;
		RETURN;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._lease_partition(text, text, interval, int) IS
	'gives a worker a partition that has events for it, and moves past what nobody wants; NULL where there is nothing';

CREATE FUNCTION assetreg.fetch_events(consumer text, max_events int = 100, worker text = NULL, lease_for interval = '30 seconds')
	RETURNS TABLE (partition int, seq bigint, event_id uuid, type text, subject text, entity_id bigint, update_id bigint, actor text,
				   occurred_at timestamptz, data jsonb, lease_token bigint)
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	AS $$
#variable_conflict use_column
DECLARE
	more boolean := true;
	lease record;
BEGIN
	PERFORM assetreg._require_tables(), assetreg._require_own_transaction('fetch_events'), assetreg._check_consumer($1);
	IF $2 IS NULL OR $4 IS NULL THEN
		RAISE EXCEPTION 'max_events and lease_for must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF $2 NOT BETWEEN 1 AND 10000 THEN
		RAISE EXCEPTION 'max_events must be between 1 and 10000' USING ERRCODE = 'invalid_parameter_value';
	ELSIF $4 <= interval '0' OR $4 > interval '1 day' THEN
		RAISE EXCEPTION 'lease_for must be more than nothing and at most a day' USING ERRCODE = 'invalid_parameter_value';
	ELSIF octet_length($3) > 200 THEN
		RAISE EXCEPTION 'worker must have at most 200 bytes' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM assetreg._commit_durably(), assetreg._check_not_purged($1);
	WHILE more LOOP
		more := assetreg._publish_events(10000);
		lease := assetreg._lease_partition($1, coalesce($3, 'backend ' || pg_backend_pid()), $4, $2);
		IF lease.leased IS NOT NULL THEN
			RETURN QUERY
				SELECT lease.leased, e.seq, e.event_id, e.type, e.subject, e.entity_id, e.update_id, e.actor, e.occurred_at, e.data, lease.token
				FROM assetreg.events e WHERE e.seq = ANY (lease.seqs) ORDER BY e.seq;
			RETURN;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg.fetch_events(text, int, text, interval) IS
	'gives a worker the next events of one partition of a consumer, and that partition for a while; the same events again until they are acked';

-- A lease that has run out counts until somebody else has taken the partition.
CREATE FUNCTION assetreg._lock_lease(consumer text, seq bigint, lease_token bigint, OUT leased int, OUT done_seq bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	given bigint;
BEGIN
	PERFORM assetreg._require_tables(), assetreg._check_consumer($1);
	IF $2 IS NULL OR $3 IS NULL THEN
		RAISE EXCEPTION 'seq and lease_token must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM assetreg._commit_durably();
	SELECT p.partition, p.seq, p.given_seq INTO leased, done_seq, given
		FROM assetreg.event_partitions p WHERE p.consumer = $1 AND p.lease_token = $3 FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'lease % of event consumer "%" was lost', $3, $1
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  DETAIL = 'It ran out and another worker has the events now, or it was never given.', HINT = 'Fetch again.';
	ELSIF $2 > given THEN
		RAISE EXCEPTION 'event % was not fetched with lease % of event consumer "%"', $2, $3, $1
			USING ERRCODE = 'invalid_parameter_value', DETAIL = format('The last that was given is %s.', given);
	ELSIF $2 < done_seq THEN
		RAISE EXCEPTION 'event % of event consumer "%" is acked already', $2, $1
			USING ERRCODE = 'invalid_parameter_value', DETAIL = format('The last that was acked is %s.', done_seq);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._lock_lease(text, bigint, bigint) IS 'the partition that a worker still has, locked';

CREATE FUNCTION assetreg.ack_events(consumer text, seq bigint, lease_token bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	lease record := assetreg._lock_lease($1, $2, $3);
BEGIN
	IF $2 = lease.done_seq THEN
		RETURN;  -- again, as an answer may get lost
	END IF;
	-- with nothing in flight the partition is free
	UPDATE assetreg.event_partitions p
		SET seq = $2, worker = CASE WHEN p.given_seq > $2 THEN p.worker END,
			leased_until = CASE WHEN p.given_seq > $2 THEN clock_timestamp() + p.lease_for END
		WHERE p.consumer = $1 AND p.partition = lease.leased;
	DELETE FROM assetreg.event_failures f WHERE f.consumer = $1 AND f.partition = lease.leased AND f.seq <= $2;
END
$$;
COMMENT ON FUNCTION assetreg.ack_events(text, bigint, bigint) IS 'says that the events of a lease are done, up to and with this one';

CREATE FUNCTION assetreg.nack_event(consumer text, seq bigint, lease_token bigint, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	lease record := assetreg._lock_lease($1, $2, $3);
	failed int;
BEGIN
	IF $2 = lease.done_seq OR NOT EXISTS (SELECT FROM assetreg._next_events($1, lease.leased, $2 - 1, $2, 1)) THEN
		RAISE EXCEPTION 'event % is not in flight with lease % of event consumer "%"', $2, $3, $1
			USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It was acked, stands aside already, or is not for this partition.';
	END IF;
	INSERT INTO assetreg.event_failures AS f (consumer, seq, partition, tries, reason, failed_at)
		VALUES ($1, $2, lease.leased, 1, left($4, 2000), clock_timestamp())
		ON CONFLICT ON CONSTRAINT event_failures_pkey
		DO UPDATE SET tries = f.tries + 1, reason = excluded.reason, failed_at = excluded.failed_at
		RETURNING f.tries INTO failed;
	IF failed >= 5 THEN
		INSERT INTO assetreg.dead_events (consumer, seq, event_id, reason, tries, failed_at)
			SELECT f.consumer, f.seq, e.event_id, f.reason, f.tries, f.failed_at
			FROM assetreg.event_failures f JOIN assetreg.events e ON e.seq = f.seq WHERE f.consumer = $1 AND f.seq = $2;
		DELETE FROM assetreg.event_failures f WHERE f.consumer = $1 AND f.seq = $2;
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg.nack_event(text, bigint, bigint, text) IS
	'says that an event of a lease failed, and why (2,000 characters); it is given again, and after the fifth time stands aside in dead_events';

-- A fetch that has begun is waited for, where its consumer is passed: so its events are there until it ends.
CREATE FUNCTION assetreg.purge_events(keep interval = '30 days', max_lag bigint = NULL) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	AS $$
#variable_conflict use_column
DECLARE
	log record;
	cut bigint;
	purged bigint;
BEGIN
	PERFORM assetreg._require_tables();
	IF $1 IS NULL THEN
		RAISE EXCEPTION 'keep must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF $1 < interval '0' OR $2 < 0 THEN
		RAISE EXCEPTION 'keep and max_lag must not be negative' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	-- no other purge and no new consumer meanwhile; workers go on
	LOCK TABLE assetreg.event_consumers IN SHARE ROW EXCLUSIVE MODE;
	-- consumers that are alive have published what they are to be given
	IF $2 IS NOT NULL OR NOT EXISTS (SELECT FROM assetreg.event_consumers c) THEN
		WHILE assetreg._publish_events(10000) LOOP
		END LOOP;
	END IF;
	SELECT s.last_seq, s.purged_seq INTO STRICT log FROM assetreg.event_sequencer s;
	-- all before the first that is young enough: a sequence without holes
	cut := coalesce((SELECT e.seq - 1 FROM assetreg.events e WHERE e.seq > log.purged_seq AND e.seq <= log.last_seq AND e.occurred_at >= now() - $1
					 ORDER BY e.seq LIMIT 1), log.last_seq);
	SELECT least(cut, min(p.seq)) INTO cut FROM assetreg.event_partitions p
		WHERE p.seq >= log.purged_seq AND ($2 IS NULL OR log.last_seq - p.seq <= $2);
	PERFORM FROM assetreg.event_partitions p WHERE p.seq < cut ORDER BY p.consumer, p.partition FOR NO KEY UPDATE;
	DELETE FROM assetreg.events e WHERE e.seq <= cut;
	GET DIAGNOSTICS purged = ROW_COUNT;
	UPDATE assetreg.event_sequencer s SET purged_seq = cut WHERE s.purged_seq < cut;
	RETURN purged;
END
$$;
COMMENT ON FUNCTION assetreg.purge_events(interval, bigint) IS
	'removes old events that every consumer has done, or, where it is more than max_lag behind, will have to do without; how many';

-- Assets are locked, so that what somebody is changing comes before or after, but not before in truth and after in the log.
CREATE FUNCTION assetreg.resync_consumer(name text) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM assetreg._require_tables(), assetreg._check_consumer($1);
	PERFORM FROM assetreg.event_partitions p WHERE p.consumer = $1 ORDER BY p.partition FOR NO KEY UPDATE;
	UPDATE assetreg.event_partitions p
		SET seq = s.purged_seq, given_seq = greatest(p.given_seq, s.purged_seq), worker = NULL, lease_token = NULL, leased_until = NULL
		FROM assetreg.event_sequencer s WHERE p.consumer = $1 AND p.seq < s.purged_seq;
	DELETE FROM assetreg.events e WHERE e.consumer = $1;
	INSERT INTO assetreg.events (consumer, type, subject, entity_id, actor, data)
		SELECT $1, 'asset.registered', a.type || '/' || a.name || '@' || a.version, a.id, w.actor,
			   jsonb_strip_nulls(jsonb_build_object('resync', true, 'status', a.status, 'sha256', a.sha256, 'supersedes', a.supersedes))
		FROM assetreg.assets a, assetreg._actor() w (actor) ORDER BY a.id FOR SHARE OF a;
END
$$;
COMMENT ON FUNCTION assetreg.resync_consumer(text) IS
	'gives a consumer, for itself alone, an asset.registered event for each existing asset, and lets one continue that a purge has passed';
