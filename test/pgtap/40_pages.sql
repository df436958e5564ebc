-- The index's pages in every state: keys over several leaves, thin pages, deleted pages, posting lists, dead items, other indexes, other tables.
\ir oracle.psql

SELECT plan(65);

-- Four layers of 500, each node needs a few of the layer below; ids 1000, 1002, 1004 and so on.
CREATE PROCEDURE load_layers() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(0.25);
	TRUNCATE assetreg.entities CASCADE;
	SET LOCAL session_replication_role = replica;  -- foreign keys would take most of the time
	INSERT INTO assetreg.entities (id, kind, key) SELECT 1000 + 2 * n, 'scene', n::text FROM generate_series(0, 1999) n ORDER BY random();
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by)
		SELECT DISTINCT 1000 + 2 * n, 1000 + 2 * ((n / 500 - 1) * 500 + (random() ^ 2 * 499)::int), 'test' FROM generate_series(500, 1999) n, generate_series(1, 6) k;
	SET LOCAL session_replication_role = origin;
	PERFORM setval('assetreg.entities_id_seq', 1000000);
	ANALYZE assetreg.entities, assetreg.asset_dependencies;
END
$$;

CREATE FUNCTION closure(start bigint, up boolean) RETURNS SETOF bigint LANGUAGE sql VOLATILE AS $$
	WITH RECURSIVE edges AS MATERIALIZED (
		SELECT * FROM sql_edges(up)
	), walk (id) AS (
		SELECT start UNION SELECT e.there FROM walk w JOIN edges e ON e.here = w.id
	)
	SELECT w.id FROM walk w WHERE w.id <> start
$$;

-- Closures from the lowest, some middle and the highest node, their neighbours, and all circles, against WITH RECURSIVE.
CREATE FUNCTION pages_agree(state text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	found text := '';
	start bigint;
	n int;
BEGIN
	FOR start IN SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS i, count(*) OVER () AS total FROM assetreg.entities) e
				 WHERE i IN (1, 2, total / 3, total / 2, total - 1, total) LOOP
		SELECT count(*) INTO n FROM ((SELECT entity_id, key, label FROM assetreg.where_used(start)
									  EXCEPT ALL SELECT e.id, e.key, e.label FROM assetreg.entities e WHERE e.id IN (SELECT closure(start, true)))
									 UNION ALL
									 (SELECT e.id, e.key, e.label FROM assetreg.entities e WHERE e.id IN (SELECT closure(start, true))
									  EXCEPT ALL SELECT entity_id, key, label FROM assetreg.where_used(start))) d;
		IF n > 0 THEN found := found || format(' where_used(%s): %s', start, n); END IF;
		SELECT count(*) INTO n FROM ((SELECT entity_id FROM assetreg.dependencies_of(start) EXCEPT ALL SELECT closure(start, false))
									 UNION ALL (SELECT closure(start, false) EXCEPT ALL SELECT entity_id FROM assetreg.dependencies_of(start))) d;
		IF n > 0 THEN found := found || format(' dependencies_of(%s): %s', start, n); END IF;
		IF assetreg.dependent_count(start) <> (SELECT count(*) FROM sql_edges(true) e WHERE e.here = start) THEN found := found || format(' dependent_count(%s)', start); END IF;
	END LOOP;
	-- all keys at once, and many that are not there
	IF (SELECT count(*) FROM assetreg.dependents((SELECT array_agg(id) FROM assetreg.entities WHERE id % 4 = 0)))
		<> (SELECT count(*) FROM (SELECT there FROM (WITH RECURSIVE walk (id) AS (
				SELECT id FROM assetreg.entities WHERE id % 4 = 0 UNION SELECT d.dependent_id FROM walk w JOIN assetreg.asset_dependencies d ON d.dependency_id = w.id)
			SELECT id AS there FROM walk) x WHERE there % 4 <> 0) y)
	THEN
		found := found || ' dependents';
	END IF;
	IF (SELECT count(*) FROM assetreg.dependency_cycles()) <> (SELECT count(*) FROM assetreg.dependency_cycles() WHERE entity_id IN (SELECT closure(entity_id, true) FROM assetreg.entities e WHERE e.id = entity_id))
	THEN
		found := found || ' dependency_cycles';
	END IF;
	RETURN is(found, '', state);
END
$$;

-- As it comes, and after VACUUM.
CALL load_layers();
SELECT pages_agree('loaded');
VACUUM assetreg.entities, assetreg.asset_dependencies;
SELECT pages_agree('vacuumed');

-- Own changes, also while the pages are all-visible before them; rolled back, in subtransactions too.
BEGIN;
DELETE FROM assetreg.asset_dependencies WHERE dependency_id % 6 = 0;
SELECT pages_agree('deleted a part, uncommitted');
SAVEPOINT a;
UPDATE assetreg.asset_dependencies SET relation = 'loads';
SELECT pages_agree('updated all, uncommitted');
SAVEPOINT b;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT id, id + 2 FROM assetreg.entities WHERE id < 4900 AND id % 8 = 0;
SELECT pages_agree('inserted, uncommitted');
ROLLBACK TO b;
SELECT pages_agree('the insert rolled back');
ROLLBACK TO a;
SELECT pages_agree('the update rolled back');
COMMIT;
SELECT pages_agree('committed');

-- Dead items: an index scan marks what it found dead, so that the next leaves it out; the heap is not vacuumed.
DELETE FROM assetreg.asset_dependencies WHERE dependency_id % 10 = 4;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
DO $$ BEGIN PERFORM dependency_id FROM assetreg.asset_dependencies WHERE dependency_id > 0; PERFORM dependent_id FROM assetreg.asset_dependencies WHERE dependent_id > 0; END $$;
DO $$ BEGIN PERFORM dependency_id FROM assetreg.asset_dependencies WHERE dependency_id > 0; PERFORM dependent_id FROM assetreg.asset_dependencies WHERE dependent_id > 0; END $$;
RESET enable_seqscan;
RESET enable_bitmapscan;
SELECT pages_agree('dead items');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT id, id - 200 FROM assetreg.entities WHERE id >= 1200 AND (id - 200) % 10 = 4;
SELECT pages_agree('and new ones of the same keys');
BEGIN;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT id, id - 100 FROM assetreg.entities WHERE id >= 1200 ON CONFLICT DO NOTHING;
ROLLBACK;
SELECT pages_agree('an insert that was rolled back');

-- Thin pages: many leaves, several levels.
CALL load_layers();
ALTER INDEX assetreg.asset_dependencies_pkey SET (fillfactor = 10);
ALTER INDEX assetreg.asset_dependencies_dependent_idx SET (fillfactor = 10);
ALTER INDEX assetreg.entities_pkey SET (fillfactor = 10);
REINDEX TABLE assetreg.asset_dependencies;
REINDEX TABLE assetreg.entities;
SELECT pages_agree('fillfactor 10');
VACUUM assetreg.entities, assetreg.asset_dependencies;
SELECT pages_agree('fillfactor 10, vacuumed');
-- a middle range goes, and its pages with it
DELETE FROM assetreg.asset_dependencies WHERE dependency_id BETWEEN 1500 AND 3500 AND dependency_id % 50 <> 0;
SELECT pages_agree('a range deleted');
VACUUM assetreg.asset_dependencies;
SELECT pages_agree('a range vacuumed away');
VACUUM assetreg.asset_dependencies;
SELECT pages_agree('and vacuumed again');
-- it comes back on recycled pages, and splits others
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT a.id, b.id
	FROM assetreg.entities a, assetreg.entities b WHERE b.id BETWEEN 1500 AND 3500 AND b.id % 50 <> 0 AND a.id IN (b.id + 1000, b.id + 1002, b.id + 1004);
SELECT pages_agree('a range filled again');
DELETE FROM assetreg.asset_dependencies;
SELECT pages_agree('no edge left');
VACUUM assetreg.asset_dependencies;
SELECT pages_agree('no page left');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (1002, 1000), (4998, 1002);
SELECT pages_agree('two edges');
ALTER INDEX assetreg.asset_dependencies_pkey RESET (fillfactor);
ALTER INDEX assetreg.asset_dependencies_dependent_idx RESET (fillfactor);
ALTER INDEX assetreg.entities_pkey RESET (fillfactor);
TRUNCATE assetreg.asset_dependencies;
SELECT pages_agree('truncated');
REINDEX TABLE assetreg.asset_dependencies;
SELECT pages_agree('an index without a root');

-- One key on several leaves, neighbours on the first and the last of them.
CALL load_layers();
INSERT INTO assetreg.entities (id, kind, key) SELECT 100000 + i, 'job', i::text FROM generate_series(1, 5000) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source)
	SELECT e.id, 2400, s FROM assetreg.entities e, unnest('{declared,scan}'::text[]) s WHERE e.kind = 'job' ORDER BY md5(e.id::text);
INSERT INTO assetreg.entities (id, kind, key) VALUES (2399, 'job', 'just before'), (2401, 'job', 'just after');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (100001, 2399), (100002, 2401), (2399, 1000), (2400, 2399), (2401, 2400);
SELECT pages_agree('a key of 5,000 dependents');
SELECT is(assetreg.dependent_count(2400), 5001 + (SELECT count(DISTINCT dependent_id) FROM assetreg.asset_dependencies WHERE dependency_id = 2400 AND dependent_id < 100000) - 1,
		  'each dependent counts once');
VACUUM assetreg.entities, assetreg.asset_dependencies;
SELECT pages_agree('a key of 5,000 dependents, vacuumed');
-- the other way round
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT 2401, e.id FROM assetreg.entities e WHERE e.id BETWEEN 100003 AND 105000;
SELECT pages_agree('a key of 5,000 dependencies');
DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 2400 AND dependent_id BETWEEN 101000 AND 104000;
VACUUM assetreg.asset_dependencies;
SELECT pages_agree('its middle leaves deleted');

-- Posting lists: versions of one key that cannot be removed yet, as an index of the user's keeps updates from being HOT.
CALL load_layers();
CREATE INDEX users_relation_idx ON assetreg.asset_dependencies (relation, requires);
CREATE INDEX users_label_idx ON assetreg.entities (label);
BEGIN;
UPDATE assetreg.asset_dependencies SET relation = 'a';
UPDATE assetreg.asset_dependencies SET relation = 'b';
UPDATE assetreg.asset_dependencies SET relation = 'c' WHERE dependency_id % 4 = 0;
UPDATE assetreg.asset_dependencies SET relation = 'd' WHERE dependency_id % 6 = 0;
UPDATE assetreg.entities SET label = 'a';
UPDATE assetreg.entities SET label = 'b';
UPDATE assetreg.entities SET label = 'c' WHERE id % 4 = 0;
SAVEPOINT a;
UPDATE assetreg.asset_dependencies SET relation = 'e';
UPDATE assetreg.entities SET label = 'd';
ROLLBACK TO a;
SELECT pages_agree('many versions of a key, uncommitted');
COMMIT;
SELECT pages_agree('many versions of a key');
VACUUM assetreg.entities, assetreg.asset_dependencies;
SELECT pages_agree('many versions of a key, vacuumed');

-- HOT updates, and those that are not, of rows on all-visible pages.
DROP INDEX assetreg.users_label_idx;
ALTER TABLE assetreg.entities SET (fillfactor = 50);
VACUUM FULL assetreg.entities;
VACUUM assetreg.entities;
UPDATE assetreg.entities SET label = 'hot' WHERE id % 6 = 0;
SELECT pages_agree('HOT');
UPDATE assetreg.entities SET label = 'hotter' WHERE id % 12 = 0;
SELECT pages_agree('HOT twice');
VACUUM assetreg.entities;
SELECT pages_agree('HOT, pruned: line pointers redirect');
UPDATE assetreg.entities SET key = 'k' || key WHERE id % 10 = 0;
SELECT pages_agree('not HOT');
VACUUM assetreg.entities;
SELECT pages_agree('not HOT, vacuumed');
BEGIN;
UPDATE assetreg.entities SET label = repeat('long ', 10000) || id WHERE id % 100 = 0;
SELECT pages_agree('labels that are stored elsewhere, uncommitted');
ROLLBACK;
SELECT pages_agree('and rolled back');
UPDATE assetreg.entities SET label = (SELECT string_agg(md5(i::text || id), '') FROM generate_series(1, 300) i) WHERE id % 500 = 0;
VACUUM assetreg.entities;
SELECT pages_agree('labels that are stored elsewhere');
DELETE FROM assetreg.entities WHERE id % 14 = 0;
SELECT pages_agree('entities deleted, their edges with them');

-- Columns and indexes of the user's.
ALTER TABLE assetreg.asset_dependencies ADD COLUMN weight numeric;
ALTER TABLE assetreg.asset_dependencies ADD COLUMN colour text DEFAULT 'red';
ALTER TABLE assetreg.entities ADD COLUMN colour text NOT NULL DEFAULT 'red';
ALTER TABLE assetreg.entities ADD COLUMN gone int;
ALTER TABLE assetreg.entities DROP COLUMN gone;
SELECT pages_agree('more columns');
CREATE INDEX users_desc_idx ON assetreg.asset_dependencies (dependency_id DESC, dependent_id);
CREATE INDEX users_desc_dependent_idx ON assetreg.asset_dependencies (dependent_id DESC, dependency_id DESC);
CREATE INDEX users_partial_idx ON assetreg.asset_dependencies (dependency_id, dependent_id) WHERE dependency_id > 2000;
CREATE INDEX users_partial_dependent_idx ON assetreg.asset_dependencies (dependent_id, dependency_id) WHERE source = 'scan';
CREATE INDEX users_expression_idx ON assetreg.asset_dependencies ((dependency_id + 0), dependent_id);
CREATE INDEX users_hash_idx ON assetreg.asset_dependencies USING hash (dependency_id);
CREATE INDEX users_brin_idx ON assetreg.asset_dependencies USING brin (dependency_id, dependent_id);
SELECT pages_agree('more indexes');
ALTER TABLE assetreg.asset_dependencies DROP CONSTRAINT asset_dependencies_pkey;
DROP INDEX assetreg.asset_dependencies_dependent_idx;
SELECT pages_agree('no index that serves');
CREATE INDEX users_null_idx ON assetreg.asset_dependencies (dependency_id, dependent_id, weight, colour);
CREATE INDEX users_null_dependent_idx ON assetreg.asset_dependencies (dependent_id, dependency_id, weight);
UPDATE assetreg.asset_dependencies SET weight = dependency_id, colour = NULL WHERE dependency_id % 4 = 0;
SELECT pages_agree('the user''s index, with NULLs in it');
DROP INDEX assetreg.users_null_dependent_idx;
CREATE INDEX users_only_idx ON assetreg.asset_dependencies (dependent_id);
SELECT pages_agree('an index without the other end');
DROP INDEX assetreg.users_null_idx;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) SELECT dependent_id, dependency_id, 'scan' FROM assetreg.asset_dependencies WHERE dependency_id % 4 = 0;
-- it fails, as two sources state some edges, and leaves an index that misses rows
\set ON_ERROR_STOP off
CREATE UNIQUE INDEX CONCURRENTLY users_invalid_idx ON assetreg.asset_dependencies (dependency_id, dependent_id);
\set ON_ERROR_STOP on
SELECT is((SELECT indisvalid FROM pg_index WHERE indexrelid = 'assetreg.users_invalid_idx'::regclass), false, 'an index that was not finished');
SELECT pages_agree('is not read');
DROP TABLE assetreg.asset_dependencies;
DO $$ BEGIN PERFORM assetreg.setup(); END $$;
SELECT is_empty('SELECT * FROM assetreg.check_registry()', 'as setup() makes it again');

-- A table of another kind: children, unlogged, rewritten, replaced.
CALL load_layers();
CREATE TABLE child () INHERITS (assetreg.asset_dependencies);
SELECT pages_agree('a child table without rows');
INSERT INTO child (dependent_id, dependency_id, added_by) SELECT id, 1000, 'me' FROM assetreg.entities WHERE id % 100 = 2;
SELECT pages_agree('a child table with rows');
DROP TABLE child;
CREATE TABLE child () INHERITS (assetreg.entities);
INSERT INTO child (id, kind, key) VALUES (5000, 'job', 'child');
SELECT lives_ok('SELECT * FROM assetreg.where_used(5000)', 'a child table of entities');
DROP TABLE child;
ALTER TABLE assetreg.asset_dependencies SET UNLOGGED;
SELECT pages_agree('unlogged');
ALTER TABLE assetreg.asset_dependencies SET LOGGED;
SELECT pages_agree('logged again');
VACUUM FULL assetreg.asset_dependencies;
SELECT pages_agree('VACUUM FULL');
CLUSTER assetreg.asset_dependencies USING asset_dependencies_dependent_idx;
SELECT pages_agree('CLUSTER');
BEGIN;
CREATE TEMP TABLE kept AS SELECT * FROM assetreg.asset_dependencies;
TRUNCATE assetreg.asset_dependencies;
INSERT INTO assetreg.asset_dependencies SELECT * FROM kept WHERE dependency_id % 4 = 0;
SELECT pages_agree('truncated and loaded in one transaction');
REINDEX TABLE assetreg.asset_dependencies;
SELECT pages_agree('and indexed');
ROLLBACK;
SELECT pages_agree('and rolled back');
REINDEX INDEX CONCURRENTLY assetreg.asset_dependencies_pkey;
REINDEX INDEX CONCURRENTLY assetreg.entities_pkey;
SELECT pages_agree('REINDEX CONCURRENTLY');

-- Isolation levels, and cursors over changes.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pages_agree('repeatable read');
DELETE FROM assetreg.asset_dependencies WHERE dependency_id % 6 = 2;
SELECT pages_agree('repeatable read, own changes');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT pages_agree('serializable');
DELETE FROM assetreg.asset_dependencies WHERE dependency_id % 6 = 4;
SELECT pages_agree('serializable, own changes');
COMMIT;
BEGIN;
DECLARE c CURSOR FOR SELECT count(*) FROM assetreg.where_used(1000);
SELECT count(*) AS before FROM assetreg.where_used(1000) \gset
DELETE FROM assetreg.asset_dependencies;
DELETE FROM assetreg.entities WHERE id > 1000;
FETCH c \gset
SELECT is(:count::bigint, :before::bigint, 'a cursor that was opened before');
SELECT is((SELECT count(*) FROM assetreg.where_used(1000)), 0::bigint, 'a query after');
ROLLBACK;
SELECT pages_agree('and rolled back');

SELECT * FROM finish();
