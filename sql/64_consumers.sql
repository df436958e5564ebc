-- Consumers: positions, leases, what fails, what is purged. What several sessions do is in test/isolation and test/t.
\set SHOW_CONTEXT never
SELECT empty_registry();
SET assetreg.confirm_delete = on;
-- the log begins anew
TRUNCATE assetreg.events;
UPDATE assetreg.event_sequencer SET last_seq = 0, purged_seq = 0;
SELECT setval('assetreg.event_leases_seq', 1, false);
CREATE VIEW lag AS SELECT name, partition, pending, oldest IS NOT NULL AS oldest, CASE WHEN worker LIKE 'backend %' THEN 'backend' ELSE worker END AS worker,
	leased_until > clock_timestamp() AS leased, left(last_error, 20) AS last_error FROM assetreg.consumer_lag ORDER BY name, partition;

SELECT assetreg.register_asset('lora', 'before', '1');
SELECT assetreg.create_consumer('all');
SELECT assetreg.create_consumer('history', from_start => true);
SELECT assetreg.create_consumer('stale', '{asset.version_released,asset.status_changed,asset.deleted}', partitions => 4);
SELECT name, types, partitions FROM assetreg.event_consumers ORDER BY name;

-- Nothing to do: no lease.
SELECT * FROM assetreg.fetch_events('all');
SELECT * FROM assetreg.fetch_events('stale');
SELECT * FROM lag;

INSERT INTO assetreg.assets (type, name, version) SELECT 'lora', 'x', i FROM generate_series(1, 5) i;
-- pending even before anybody published them
SELECT * FROM lag;
SELECT partition, seq, type, subject, entity_id, actor = session_user AS actor, data, lease_token FROM assetreg.fetch_events('all', 2);
-- the same again until they are acked, with more when more is asked for
SELECT seq, subject, lease_token FROM assetreg.fetch_events('all', 2);
SELECT seq, subject, lease_token FROM assetreg.fetch_events('all', 3);
-- others are given nothing
SELECT seq FROM assetreg.fetch_events('all', 2, 'other');
SELECT * FROM lag WHERE name = 'all';
SELECT assetreg.ack_events('all', 2, 1);
SELECT assetreg.ack_events('all', 2, 1);
SELECT * FROM lag WHERE name = 'all';
SELECT seq, lease_token FROM assetreg.fetch_events('all', 2);
SELECT assetreg.ack_events('all', 4, 1);
-- with nothing in flight it is anybody's
SELECT worker, leased FROM lag WHERE name = 'all';
SELECT seq, lease_token FROM assetreg.fetch_events('all', 1, 'other');
SELECT assetreg.ack_events('all', 4, 1);
SELECT assetreg.ack_events('all', 5, 2);
SELECT seq, subject FROM assetreg.fetch_events('history');

-- A lease that ran out goes to who asks next; the old one does not count any more.
SELECT seq, lease_token FROM assetreg.fetch_events('all', 10, 'slow', '1 millisecond');
SELECT pg_sleep(0.01);
SELECT seq, lease_token FROM assetreg.fetch_events('all', 10, 'quick');
SELECT assetreg.ack_events('all', 6, 3);
SELECT assetreg.ack_events('all', 6, 4);
SELECT assetreg.ack_events('all', 6, 5);
-- one that ran out and nobody took counts
UPDATE assetreg.assets SET status = 'deprecated' WHERE name = 'x';
SELECT count(*), max(lease_token) FROM assetreg.fetch_events('all', 10, 'slow', '1 millisecond');
SELECT pg_sleep(0.01);
SELECT assetreg.ack_events('all', 7, 6);

-- Partitions: an asset's events are in one, and each has a worker.
SELECT w.worker, w.partition, w.seq, w.type, w.entity_id FROM (
	SELECT 'a' AS worker, f.* FROM assetreg.fetch_events('stale', 100, 'a') f UNION ALL
	SELECT 'b', f.* FROM assetreg.fetch_events('stale', 100, 'b') f UNION ALL
	SELECT 'c', f.* FROM assetreg.fetch_events('stale', 100, 'c') f UNION ALL
	SELECT 'd', f.* FROM assetreg.fetch_events('stale', 100, 'd') f UNION ALL
	SELECT 'e', f.* FROM assetreg.fetch_events('stale', 100, 'e') f) w ORDER BY w.worker, w.seq;
SELECT * FROM lag WHERE name = 'stale';
SELECT i, assetreg._event_partition(i, 4) AS four, assetreg._event_partition(i, 1000) AS thousand FROM unnest('{NULL,0,1,2,3,-1,9223372036854775807,-9223372036854775808}'::bigint[]) i;
SELECT max(c) < 1.1 * min(c) AS even FROM (SELECT count(*) AS c FROM generate_series(1, 40000) i GROUP BY assetreg._event_partition(i, 7)) p;

-- What fails five times stands aside, and what comes after it is given.
SELECT seq, lease_token FROM assetreg.fetch_events('all', 3, 'w');
SELECT assetreg.nack_event('all', 9, 9, 'no disk');
SELECT last_error FROM lag WHERE name = 'all';
SELECT assetreg.nack_event('all', 9, 9, 'no disk') FROM generate_series(1, 3);
SELECT seq, lease_token FROM assetreg.fetch_events('all', 3, 'w');
SELECT consumer, seq FROM assetreg.dead_events;
SELECT assetreg.nack_event('all', 9, 9, repeat('x', 1000000));
SELECT d.consumer, d.seq, d.event_id = e.event_id AS event, length(d.reason), d.tries FROM assetreg.dead_events d JOIN assetreg.events e USING (seq);
SELECT seq, lease_token FROM assetreg.fetch_events('all', 3, 'w');
SELECT name, pending, last_error FROM lag WHERE name = 'all';
SELECT assetreg.nack_event('all', 10, 9, NULL), assetreg.ack_events('all', 8, 9);
SELECT count(*) FROM assetreg.event_failures;
-- the last one aside: the next fetch moves on
SELECT assetreg.ack_events('all', 10, 9);
SELECT seq, lease_token FROM assetreg.fetch_events('all', 3, 'w');
SELECT count(assetreg.nack_event('all', 11, 9, 'again')) FROM generate_series(1, 5);
SELECT seq, lease_token FROM assetreg.fetch_events('all', 3, 'w');
SELECT * FROM lag WHERE name = 'all';

-- Errors.
SELECT c.n, e.code, e.message, e.detail, e.hint
FROM (VALUES (1, $$create_consumer(NULL)$$), (2, $$create_consumer('')$$), (3, $$create_consumer('all')$$), (4, $$create_consumer('new', '{asset.registered,asset.renamed}')$$),
			 (5, $$create_consumer('new', '{}')$$), (6, $$create_consumer('new', '{asset.registered,NULL}')$$), (7, $$create_consumer('new', partitions => 0)$$),
			 (8, $$create_consumer('new', partitions => NULL)$$), (9, $$create_consumer(E'a\nb')$$), (10, $$create_consumer(repeat('x', 101))$$),
			 (11, $$drop_consumer('nobody')$$), (12, $$drop_consumer(NULL)$$), (13, $$ack_events('nobody', 1, 1)$$), (14, $$ack_events('all', NULL, 1)$$),
			 (15, $$ack_events('all', 1, NULL)$$), (16, $$ack_events('all', 12, 9)$$), (17, $$ack_events('all', 10, 9)$$), (18, $$ack_events('all', 11, 6)$$),
			 (19, $$ack_events('stale', 11, 8)$$), (20, $$ack_events('all', 11, 99)$$), (21, $$nack_event('all', 12, 9, 'x')$$), (22, $$nack_event('all', 11, 9, 'x')$$),
			 (23, $$nack_event('nobody', 11, 7, 'x')$$), (24, $$purge_events(NULL)$$), (25, $$purge_events('-1 day')$$), (26, $$purge_events('1 day', -1)$$),
			 (27, $$resync_consumer('nobody')$$), (28, $$resync_consumer(NULL)$$), (29, $$fetch_events('all')$$)) c (n, call),
	 error('SELECT assetreg.' || c.call) e ORDER BY c.n;
SELECT * FROM assetreg.fetch_events('nobody');
SELECT * FROM assetreg.fetch_events(NULL);
SELECT * FROM assetreg.fetch_events('all', 0);
SELECT * FROM assetreg.fetch_events('all', NULL);
SELECT * FROM assetreg.fetch_events('all', lease_for => '0');
SELECT * FROM assetreg.fetch_events('all', lease_for => '2 days');
SELECT * FROM assetreg.fetch_events('all', worker => repeat('x', 201));
BEGIN;
SELECT * FROM assetreg.fetch_events('all');
ROLLBACK;
SELECT 1 AS one\; SELECT * FROM assetreg.fetch_events('all');
SET default_transaction_isolation = 'repeatable read';
SELECT * FROM assetreg.fetch_events('all');
\echo :LAST_ERROR_SQLSTATE
RESET default_transaction_isolation;

-- The commit is made durable, whatever the session says, and no less durable than it says.
SET synchronous_commit = off;
SELECT count(f), current_setting('synchronous_commit') FROM assetreg.fetch_events('all') f;
SHOW synchronous_commit;
SET synchronous_commit = remote_apply;
SELECT count(f), current_setting('synchronous_commit') FROM assetreg.fetch_events('all') f;
RESET synchronous_commit;

-- Purge: not past who has something to do, and no hole.
SELECT assetreg.purge_events(), (SELECT count(*) FROM assetreg.events) AS kept;
SELECT assetreg.purge_events('0');
SELECT assetreg.ack_events('history', 6, 3), (SELECT min(p.seq) FROM assetreg.event_partitions p) AS slowest;
SELECT p.consumer, p.partition, p.seq, p.given_seq FROM assetreg.event_partitions p ORDER BY 1, 2;
DO $$ BEGIN UPDATE assetreg.events SET occurred_at = now() - interval '1 day' WHERE seq IN (1, 3); END $$;
SELECT assetreg.purge_events('1 hour', 0);
SELECT min(seq), count(*), (SELECT purged_seq FROM assetreg.event_sequencer) FROM assetreg.events;
SELECT assetreg.purge_events('0', 6);
SELECT min(seq), count(*), (SELECT purged_seq FROM assetreg.event_sequencer) FROM assetreg.events;
SELECT assetreg.purge_events('0', 0);
-- never a silent gap
SELECT * FROM assetreg.fetch_events('stale', 100, 'a');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM assetreg.fetch_events('all');
SELECT assetreg.register_asset('lora', 'later', '1') IS NOT NULL AS registered;
SELECT seq, subject FROM assetreg.fetch_events('all');
SELECT assetreg.resync_consumer('stale');
SELECT w.seq, w.type, w.subject, w.data FROM (
	SELECT f.* FROM assetreg.fetch_events('stale', 100, 'a') f UNION ALL SELECT f.* FROM assetreg.fetch_events('stale', 100, 'b') f UNION ALL
	SELECT f.* FROM assetreg.fetch_events('stale', 100, 'c') f UNION ALL SELECT f.* FROM assetreg.fetch_events('stale', 100, 'd') f) w ORDER BY w.seq;
-- for itself alone, and not twice
SELECT seq, subject FROM assetreg.fetch_events('all');
SELECT assetreg.resync_consumer('stale');
SELECT name, sum(pending) AS pending FROM lag GROUP BY 1 ORDER BY 1;
-- who is not behind loses nothing
SELECT assetreg.resync_consumer('all');
SELECT seq, subject, data -> 'resync' AS resync FROM assetreg.fetch_events('all');

-- Without consumers nothing is kept for them.
SELECT assetreg.drop_consumer(name) FROM assetreg.event_consumers;
SELECT count(*) FROM assetreg.event_partitions, assetreg.dead_events;
SELECT assetreg.register_asset('lora', 'last', '1') IS NOT NULL AS registered;
SELECT assetreg.purge_events('0') > 0 AS purged, assetreg.purge_events('0'), (SELECT count(*) FROM assetreg.events) AS before;
SELECT count(*) FROM assetreg.events;
-- from the start of what is kept
SELECT assetreg.create_consumer('late', from_start => true);
SELECT * FROM assetreg.fetch_events('late');
SELECT assetreg.drop_consumer('late');
SELECT * FROM assetreg.check_registry();

-- What is no longer whole is seen.
BEGIN;
INSERT INTO assetreg.events (recorded, seq, type, actor) VALUES (1000000000, 1000000000, 'asset.deleted', 'x');
SELECT assetreg.create_consumer('late', from_start => true);
UPDATE assetreg.event_partitions SET lease_token = 1000000000;
ALTER TABLE assetreg.events DISABLE TRIGGER events_notify;
DROP TRIGGER asset_updates_insert_events ON assetreg.asset_updates;
DROP INDEX assetreg.events_unpublished_idx;
ALTER TABLE assetreg.dead_events DROP CONSTRAINT dead_events_pkey;
SELECT c.object, regexp_replace(c.problem, 'at \d+', 'at N') AS problem FROM assetreg.check_registry() c ORDER BY c.object COLLATE "C";
DELETE FROM assetreg.event_sequencer;
SELECT * FROM assetreg.check_registry() c WHERE c.object LIKE '%sequencer';
SELECT assetreg.setup();
SELECT * FROM assetreg.event_sequencer;
ROLLBACK;
BEGIN;
SET LOCAL client_min_messages = warning;
INSERT INTO assetreg.events (recorded, type, actor) VALUES (2000000000, 'asset.deleted', 'x');
DROP SEQUENCE assetreg.events_recorded_seq CASCADE;
SELECT * FROM assetreg.check_registry();
SELECT assetreg.setup();
SELECT * FROM assetreg.check_registry();
INSERT INTO assetreg.events (type, actor) VALUES ('asset.deleted', 'x') RETURNING recorded;
ROLLBACK;
DROP VIEW lag;
RESET assetreg.confirm_delete;
SELECT empty_registry();
