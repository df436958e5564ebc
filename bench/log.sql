-- How long a consumer waits for 1,000 events of a log of :events, warm, and by which plans; on an empty registry.
--
--   psql -v events=10000000 -v rounds=7 -f bench/log.sql
--
-- Each fetch is given what the one before was, as nobody acks.  Prints the fastest and the median call in ms, then the
-- plans of the statements inside one call of each kind that took a millisecond or more.
\set ON_ERROR_STOP on
\pset footer off
SET client_min_messages = warning;
SET assetreg.notify = off;

-- Four of five events are of files; an asset's are spread over the whole log.  Without the triggers, which are not measured here.
SET session_replication_role = replica;
INSERT INTO assetreg.events (recorded, seq, type, subject, entity_id, actor, occurred_at, data)
SELECT i, i, CASE WHEN i % 1000000 = 0 THEN 'integrity.failed' WHEN i % 5 > 0 THEN 'asset.file_changed' ELSE 'asset.status_changed' END,
	   'lora/asset ' || a || '@1', a, 'importer', now() - (:events - i) * interval '1 second',
	   jsonb_build_object('sha256', md5(i::text) || md5(a::text), 'previous_sha256', md5((i - 1)::text) || md5(a::text))
FROM generate_series(1, :events) i, LATERAL (SELECT i::bigint * 7919 % 100003 AS a) r;
RESET session_replication_role;
SELECT setval('assetreg.events_recorded_seq', :events) \g (tuples_only=on) /dev/null
UPDATE assetreg.event_sequencer SET last_seq = :events;
VACUUM (ANALYZE) assetreg.events;
SELECT to_char(count(*), 'FM999,999,999') AS events, pg_size_pretty(pg_table_size('assetreg.events')) AS "table", pg_size_pretty(pg_indexes_size('assetreg.events')) AS indexes
FROM assetreg.events;

SELECT assetreg.create_consumer('all'), assetreg.create_consumer('one of 5', '{asset.status_changed}'), assetreg.create_consumer('partitions', partitions => 8),
	   assetreg.create_consumer('rare', '{integrity.failed}') \g /dev/null
CREATE TEMP TABLE question (n int GENERATED ALWAYS AS IDENTITY, what text, consumer text, done bigint, goal float8, ms float8[] DEFAULT '{}', found bigint);
INSERT INTO question (what, consumer, done, goal) VALUES
	('all types, from the beginning', 'all', 0, 20), ('all types, from the middle', 'all', :events / 2, 20), ('all types, the last', 'all', :events - 1000, 20),
	('one event of five, from the middle', 'one of 5', :events / 2, 20), ('one partition of eight, from the middle', 'partitions', :events / 2, 20),
	('nothing new', 'all', :events, 20), ('one event of a million, from the beginning: reads the log once', 'rare', 0, NULL);

-- A fetch stands alone, in no transaction of others: so these are statements of psql.
\set fetch 'UPDATE assetreg.event_partitions SET seq = %2$s, given_seq = %2$s, worker = NULL, lease_token = NULL, leased_until = NULL WHERE consumer = %1$L;\nSELECT clock_timestamp() AS start \\gset\nSELECT count(*) AS found FROM assetreg.fetch_events(%1$L, 1000, %3$L) \\gset\nSELECT clock_timestamp() AS stop \\gset\n'
SELECT format(:'fetch', q.consumer, q.done, 'worker') || CASE WHEN round > 0 THEN
	   format(E'UPDATE question SET found = :found, ms = ms || extract(epoch FROM :''stop''::timestamptz - :''start'')::float8 * 1000 WHERE n = %s;\n', q.n) ELSE '' END
FROM generate_series(0, :rounds) round, question q ORDER BY round, q.n \g (format=unaligned tuples_only=on) :script
\i :script
SELECT q.what, q.found AS events, round(min(m)::numeric, 1) AS min_ms, round((percentile_cont(0.5) WITHIN GROUP (ORDER BY m))::numeric, 1) AS median_ms,
	   q.goal || CASE WHEN percentile_cont(0.5) WITHIN GROUP (ORDER BY m) <= q.goal THEN ' reached' ELSE ' MISSED' END AS goal
FROM question q, unnest(q.ms) m GROUP BY q.n, q.what, q.found, q.goal ORDER BY q.n;

\echo
\echo Plans
LOAD 'auto_explain';
SET auto_explain.log_min_duration = '1ms';
SET auto_explain.log_analyze = on;
SET auto_explain.log_buffers = on;
SET auto_explain.log_nested_statements = on;
SELECT format(E'\\echo == %s\nSET client_min_messages = warning;\n', q.what) || regexp_replace(format(:'fetch', q.consumer, q.done, 'worker'), E'(;\n)', E'\\1SET client_min_messages = log;\n')
FROM question q ORDER BY q.n \g (format=unaligned tuples_only=on) :script
\i :script
