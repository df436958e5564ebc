-- Ratings, and the numbers kept per asset: always what the other tables say, whatever comes and goes in between.
\set SHOW_CONTEXT never
SELECT empty_registry();
CREATE VIEW stats AS
	SELECT asset_id AS id, predecessor_id AS before, dependents + assetreg._pending_dependents(s.asset_id) AS dependents, ARRAY[stars_1, stars_2, stars_3, stars_4, stars_5] AS stars, rating_count AS count, rating_average AS average,
		   prior, round(rating_score::numeric, 3) AS score
	FROM assetreg.asset_stats s ORDER BY asset_id;
CREATE VIEW wrong AS SELECT p.asset_id, p.problem FROM assetreg._stats_problems() p ORDER BY 1, 2;
INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'model', 'wan', '1'), (2, 'lora', 'ink', '1'), (3, 'lora', 'ink', '2'), (4, 'lora', 'ink', '3'), (5, 'lora', 'grain', '1'), (6, 'lora', 'ink', '4');
INSERT INTO assetreg.entities (id, kind, key) VALUES (101, 'scene', '1'), (102, 'scene', '2'), (103, 'scene', '3');
TABLE stats;

-- Rating: once by each actor; again changes it.
SET assetreg.actor = 'ana';
SELECT assetreg.rate_asset(2, 5, 'sharp');
SET assetreg.actor = 'ben';
SELECT assetreg.rate_asset(2, 3);
SELECT assetreg.rate_asset(2, 4, 'on a second look');
SELECT assetreg.rate_asset(2, 4, 'on a second look');
SELECT asset_id, rater, stars, comment FROM assetreg.asset_ratings ORDER BY rater;
TABLE stats;
SELECT assetreg.rate_asset(2, 2);
SELECT asset_id, rater, stars, comment FROM assetreg.asset_ratings ORDER BY rater;
SELECT assetreg.unrate_asset(2);
TABLE stats;
SELECT s.call, e.code, e.message, e.hint
FROM (VALUES (1, 'rate_asset(2, 0)'), (2, 'rate_asset(2, 6)'), (3, 'rate_asset(2, NULL)'), (4, 'rate_asset(77, 3)'), (5, 'rate_asset(101, 3)'), (6, 'rate_asset(NULL, 3)'),
			 (7, 'rate_asset(2, 3, '''')'), (8, 'rate_asset(2, 3, E''a\rb'')'), (9, 'rate_asset(2, 3, repeat(''x'', 10001))'), (10, 'unrate_asset(2)'), (11, 'unrate_asset(77)'),
			 (12, 'unrate_asset(NULL)')) s (n, call), error('SELECT assetreg.' || s.call) e
ORDER BY s.n;
SELECT s.row, e.code, e.message
FROM (VALUES (1, '(2, 0, NULL)'), (2, '(2, 6, NULL)'), (3, '(2, NULL, NULL)'), (4, '(77, 3, NULL)'), (5, '(2, 3, '' '')'), (6, '(NULL, 3, NULL)')) s (n, row),
	 error('INSERT INTO assetreg.asset_ratings (asset_id, stars, comment) VALUES ' || s.row) e
ORDER BY s.n;

-- The order: few votes weigh less than many; a version without any inherits what its predecessor has.
INSERT INTO assetreg.asset_ratings (asset_id, rater, stars) SELECT 5, 'rater ' || i, 4 + (i % 2) FROM generate_series(1, 40) i;
TABLE stats;
-- down the chain, until one that has ratings of its own
INSERT INTO assetreg.asset_ratings (asset_id, rater, stars) VALUES (4, 'cal', 1);
TABLE stats;
UPDATE assetreg.asset_ratings SET stars = 4 WHERE asset_id = 2;
DELETE FROM assetreg.asset_ratings WHERE asset_id = 4;
TABLE stats;
TABLE wrong;

-- Direct dependents: whoever states it, however often.
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (2, 1, 'declared'), (2, 1, 'scan'), (101, 2, 'declared'), (102, 2, 'scan'), (102, 101, 'scan');
SELECT id, dependents FROM stats WHERE dependents > 0;
DELETE FROM assetreg.asset_dependencies WHERE source = 'scan' AND dependency_id = 1;
UPDATE assetreg.asset_dependencies SET relation = 'needs', requires = '{x}';
SELECT id, dependents FROM stats WHERE dependents > 0;
UPDATE assetreg.asset_dependencies SET dependent_id = 102 WHERE dependent_id = 101;
SELECT id, dependents FROM stats WHERE dependents > 0;
UPDATE assetreg.asset_dependencies SET dependency_id = 3, source = 'moved' WHERE dependency_id = 2 AND source = 'scan';
SELECT id, dependents FROM stats WHERE dependents > 0;
SELECT assetreg.add_dependency(102, 2), assetreg.add_dependency(103, 2), assetreg.add_dependency(103, 2, 'needs');
SELECT moved FROM assetreg.move_dependents(2, 3) ORDER BY 1;
SELECT id, dependents FROM stats WHERE dependents > 0;
DELETE FROM assetreg.entities WHERE id = 102;
SELECT id, dependents FROM stats WHERE dependents > 0;
TABLE wrong;
-- in one transaction, with parts of it rolled back
BEGIN;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (101, 1), (101, 3);
DELETE FROM assetreg.asset_dependencies WHERE dependent_id = 101 AND dependency_id = 1;
SAVEPOINT a;
DELETE FROM assetreg.asset_dependencies;
DELETE FROM assetreg.asset_ratings;
TABLE wrong;
ROLLBACK TO a;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (101, 3, 'scan'), (101, 5, 'scan');
TABLE wrong;
SELECT count(*) > 0 AS yet_to_be_added FROM assetreg.asset_dependent_changes;
COMMIT;
SELECT id, dependents FROM stats WHERE dependents > 0;
TABLE wrong;
BEGIN;
DELETE FROM assetreg.asset_dependencies;
ROLLBACK;
-- at once, and again
BEGIN;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (103, 1);
SET CONSTRAINTS ALL IMMEDIATE;
TABLE wrong;
SELECT id, dependents FROM stats WHERE id = 1;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (103, 1, 'scan'), (101, 1, 'scan');
SAVEPOINT a;
DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 1;
SELECT assetreg.rate_asset(1, 5);
ROLLBACK TO a;
SELECT id, dependents FROM stats WHERE id = 1;
SET CONSTRAINTS ALL DEFERRED;
DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 1;
COMMIT;
SELECT id, dependents FROM stats WHERE id = 1;
TABLE wrong;
TABLE assetreg.asset_stat_changes;
-- what is written down is added by whoever writes down every 256th change, for all; with it or without the numbers are the same
CREATE PROCEDURE next_change(id bigint) LANGUAGE sql AS $$ SELECT setval('assetreg.asset_dependent_changes_id_seq', id, false) $$;
CREATE VIEW written_down AS SELECT c.asset_id, c.dependent_ids, c.change, s.dependents FROM assetreg.asset_dependent_changes c LEFT JOIN assetreg.asset_stats s USING (asset_id) ORDER BY c.asset_id, c.id;
CALL next_change(1);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (101, 4), (103, 4);
CALL next_change(253);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (101, 4, 'scan');
DELETE FROM assetreg.asset_dependencies WHERE dependent_id = 103 AND dependency_id = 4;
TABLE written_down;
SELECT id, dependents FROM stats WHERE dependents > 0;
TABLE wrong;
BEGIN;
SAVEPOINT a;
DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 4;
TABLE written_down;
SELECT id, dependents FROM stats WHERE dependents > 0;
ROLLBACK TO a;
TABLE written_down;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (103, 3, 'more');
TABLE written_down;
COMMIT;
TABLE written_down;
CALL next_change(256);
BEGIN;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (103, 2);
TABLE written_down;
COMMIT;
TABLE written_down;
SELECT id, dependents FROM stats WHERE dependents > 0;
TABLE wrong;
-- by who has rated it, too
CALL next_change(256);
BEGIN;
SELECT assetreg.rate_asset(2, 3);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (101, 2, 'more');
COMMIT;
TABLE written_down;
TABLE wrong;
CALL next_change(256);
DELETE FROM assetreg.asset_dependencies WHERE dependent_id = 101 AND dependency_id = 2;
-- a statement with many is folded at once, however many rows it writes down
INSERT INTO assetreg.assets (id, type, name, version) SELECT i, 'lora', 'many ' || i, '1' FROM generate_series(1001, 1600) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT 101, i FROM generate_series(1001, 1600) i;
SELECT count(*) FROM written_down;
DELETE FROM assetreg.assets WHERE id > 1000;
SET assetreg.confirm_delete = on;
DELETE FROM assetreg.assets WHERE id > 1000;
RESET assetreg.confirm_delete;
TABLE wrong;
-- without the functions in C: tables that are not quite those of setup(), and snapshots of the transaction
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER own AFTER UPDATE ON assetreg.asset_stats EXECUTE FUNCTION nothing();
CALL next_change(1);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (101, 2, 'more'), (101, 3, 'more'), (103, 2, 'more');
CALL next_change(256);
DELETE FROM assetreg.asset_dependencies WHERE source = 'more' AND dependency_id = 2;
TABLE written_down;
SELECT id, dependents FROM stats WHERE dependents > 0;
CALL next_change(2);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (103, 5, 'more');
CREATE TABLE child () INHERITS (assetreg.asset_dependent_changes);
INSERT INTO child (asset_id, id, dependent_ids, change) SELECT asset_id, id, dependent_ids, change FROM assetreg.asset_dependent_changes;
DELETE FROM ONLY assetreg.asset_dependent_changes;
SELECT assetreg._pending_dependents(5), assetreg._count_pending(5), dependents FROM assetreg.asset_list WHERE id = 5;
TABLE wrong;
WITH gone AS (DELETE FROM child RETURNING *) INSERT INTO assetreg.asset_dependent_changes SELECT * FROM gone;
DROP TABLE child;
DELETE FROM assetreg.asset_dependencies WHERE source = 'more' AND dependency_id = 5;
ANALYZE assetreg.asset_dependent_changes;  -- forgets that there was one
DROP TRIGGER own ON assetreg.asset_stats;
DROP FUNCTION nothing();
CALL next_change(1);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (101, 2, 'scan'), (103, 4, 'scan');
CALL next_change(256);
BEGIN ISOLATION LEVEL REPEATABLE READ;
DELETE FROM assetreg.asset_dependencies WHERE source = 'scan';
COMMIT;
TABLE written_down;
SELECT id, dependents FROM stats WHERE dependents > 0;
TABLE wrong;
-- the row of an asset is written even where its number stays: who folds under an older snapshot goes by that
CALL next_change(1);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (103, 4, 'scan');
SELECT ctid AS place FROM assetreg.asset_stats WHERE asset_id = 4 \gset
CALL next_change(256);
BEGIN ISOLATION LEVEL REPEATABLE READ;
DELETE FROM assetreg.asset_dependencies WHERE source = 'scan';
COMMIT;
SELECT count(*) AS written_down, (SELECT s.ctid <> :'place' FROM assetreg.asset_stats s WHERE s.asset_id = 4) AS written FROM assetreg.asset_dependent_changes;
TABLE wrong;
-- an asset that is gone takes with it what is written down; who comes with its id begins anew
CALL next_change(1);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (101, 2), (101, 6);
TABLE written_down;
SET assetreg.confirm_delete = on;
DELETE FROM assetreg.assets WHERE id = 6;
RESET assetreg.confirm_delete;
TABLE written_down;
INSERT INTO assetreg.assets (id, type, name, version) VALUES (6, 'lora', 'ink', '4');
SELECT id, dependents FROM stats WHERE id = 6;
TABLE wrong;
DELETE FROM assetreg.asset_dependencies WHERE dependency_id > 1;
-- all of it
BEGIN;
TRUNCATE assetreg.asset_dependencies;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (101, 1);
TABLE wrong;
COMMIT;
SELECT id, dependents FROM stats WHERE dependents > 0;
BEGIN;
TRUNCATE assetreg.asset_ratings;
COMMIT;
TABLE stats;
TABLE wrong;

-- Assets come, go, change their names and what they supersede.
INSERT INTO assetreg.asset_ratings (asset_id, rater, stars) VALUES (1, 'a', 1), (2, 'a', 2), (3, 'a', 3), (4, 'a', 4), (5, 'a', 5);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (101, 4), (103, 4), (4, 1);
SELECT id, before, prior FROM stats;
SET assetreg.confirm_delete = on;
BEGIN;
DELETE FROM assetreg.assets WHERE id = 4;
TABLE wrong;
COMMIT;
SELECT id, before, dependents, prior FROM stats;
BEGIN;
DELETE FROM assetreg.assets WHERE id = 3;
INSERT INTO assetreg.assets (id, type, name, version) VALUES (3, 'lora', 'grain', '0.9'), (7, 'lora', 'grain', '2');
INSERT INTO assetreg.asset_ratings (asset_id, rater, stars) VALUES (3, 'b', 5);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (101, 3);
COMMIT;
SELECT id, before, dependents, count, prior FROM stats;
UPDATE assetreg.assets SET supersedes = 5 WHERE id = 6;
SELECT id, before, prior FROM stats;
UPDATE assetreg.assets SET supersedes = NULL, name = 'grain', version = '1.5' WHERE id = 6;
SELECT id, before, prior FROM stats;
-- an older version that is registered later comes after it: what counts is the order of registration
UPDATE assetreg.assets SET supersedes = 7 WHERE id = 5;
SELECT id, before, prior FROM stats;
DELETE FROM assetreg.assets WHERE id = 5;
SELECT id, before, prior FROM stats;
TABLE wrong;
DELETE FROM assetreg.assets WHERE name = 'grain';
SELECT id, before, prior FROM stats;
TABLE wrong;
TRUNCATE assetreg.assets CASCADE;
TABLE stats;
TABLE wrong;
RESET assetreg.confirm_delete;

-- One row first, then very many, in the same session.
SELECT empty_registry();
INSERT INTO assetreg.assets (id, type, name, version) SELECT i, 'lora', 'name ' || i / 7, i::text FROM generate_series(1, 2000) i;
INSERT INTO assetreg.entities (id, kind, key) SELECT i, 'scene', i::text FROM generate_series(2001, 12000) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (2001, 1);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT i, i::bigint * 7919 % 2000 + 1 FROM generate_series(2002, 12000) i;
INSERT INTO assetreg.asset_ratings (asset_id, rater, stars) SELECT i % 1900 + 1, 'r' || i, i % 5 + 1 FROM generate_series(1, 10000) i;
UPDATE assetreg.asset_ratings SET stars = 6 - stars WHERE asset_id % 3 = 0;
TABLE wrong;
SELECT sum(dependents) AS dependents, sum(rating_count) AS ratings, count(predecessor_id) AS with_predecessor FROM assetreg.asset_stats;
-- the order is an index
SET enable_seqscan = off;
EXPLAIN (COSTS off) SELECT asset_id FROM assetreg.asset_stats ORDER BY rating_score DESC, asset_id DESC LIMIT 50;
RESET enable_seqscan;

-- Numbers that somebody spoilt are found and put right.
ALTER TABLE assetreg.asset_stat_changes DISABLE TRIGGER asset_stat_changes_fold;
UPDATE assetreg.asset_ratings SET stars = 6 - stars WHERE asset_id = 4;
ALTER TABLE assetreg.asset_dependencies DISABLE TRIGGER asset_dependencies_insert_stats;
ALTER TABLE assetreg.asset_ratings DISABLE TRIGGER USER;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (2001, 2);
UPDATE assetreg.asset_ratings SET stars = 1 WHERE asset_id = 3;
UPDATE assetreg.asset_stats SET prior = 5 WHERE asset_id = 1;
UPDATE assetreg.asset_stats SET predecessor_id = 1 WHERE asset_id = 20;
DELETE FROM assetreg.asset_stats WHERE asset_id = 30;
INSERT INTO assetreg.asset_stats (asset_id) VALUES (999999);
SELECT * FROM assetreg.check_registry() WHERE object !~ 'sequence' ORDER BY 1, 2;
SELECT assetreg.setup();
SELECT * FROM assetreg.check_registry() WHERE object !~ 'sequence';
SELECT empty_registry();
TABLE wrong;

-- Who may do what, by plain SQL as by functions.
INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'model', 'wan', '1'), (2, 'lora', 'ink', '1');
INSERT INTO assetreg.asset_ratings (asset_id, rater, stars, rated_at) VALUES (1, 'imported', 3, '2020-01-01');
SELECT rater, rated_at < '2021-01-01' AS as_stated FROM assetreg.asset_ratings;
CREATE ROLE regress_assetreg_ann;
CREATE ROLE regress_assetreg_reads;
SELECT assetreg.grant_access('regress_assetreg_ann', 'contributor'), assetreg.grant_access('regress_assetreg_reads', 'reader');
RESET assetreg.actor;
SET SESSION AUTHORIZATION regress_assetreg_ann;
SELECT assetreg.rate_asset(1, 5), assetreg.rate_asset(1, 4);
INSERT INTO assetreg.asset_ratings (asset_id, rater, stars, rated_at) VALUES (2, 'imported', 1, '2020-01-01') RETURNING rater, rated_at > '2021-01-01' AS now;
UPDATE assetreg.asset_ratings SET stars = 2 RETURNING asset_id, rater;
UPDATE assetreg.asset_ratings SET rater = 'imported', rated_at = '2020-01-01' RETURNING asset_id, rater, rated_at > '2021-01-01' AS now;
DELETE FROM assetreg.asset_ratings WHERE rater = 'imported';
SELECT asset_id, rater, stars FROM assetreg.asset_ratings ORDER BY 1, 2;
SELECT e.code, e.message FROM (VALUES (1, 'TRUNCATE assetreg.asset_ratings'), (2, 'UPDATE assetreg.asset_stats SET prior = 5'), (3, 'DELETE FROM assetreg.asset_stat_changes'), (6, 'DELETE FROM assetreg.asset_dependent_changes'), (7, 'SELECT assetreg._fold_dependents()'),
	(4, 'INSERT INTO assetreg.asset_stat_changes (transaction, what) VALUES (1, ''everything'')'), (5, 'SELECT assetreg._recount_stats()')) s (n, statement), error(s.statement) e ORDER BY s.n;
SELECT assetreg.unrate_asset(2);
\copy assetreg.asset_ratings (asset_id, stars) FROM /dev/null
SET SESSION AUTHORIZATION regress_assetreg_reads;
SELECT count(*) FROM assetreg.asset_ratings;
SELECT e.code, e.message FROM (VALUES (1, 'SELECT assetreg.rate_asset(1, 1)'), (2, 'SELECT assetreg.unrate_asset(1)'), (3, 'INSERT INTO assetreg.asset_ratings (asset_id, stars) VALUES (2, 1)')) s (n, statement),
	error(s.statement) e ORDER BY s.n;
RESET SESSION AUTHORIZATION;
COPY assetreg.asset_ratings (asset_id, stars) FROM STDIN;
2	5
\.
SELECT id, stars, count, average FROM stats;
TABLE wrong;

-- The trigger functions serve their own tables only.
CREATE TABLE other (asset_id bigint, stars int);
CREATE TRIGGER a AFTER INSERT ON other REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._ratings_stats_trigger();
CREATE TRIGGER b AFTER UPDATE ON other REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._dependencies_stats_trigger();
CREATE TRIGGER c AFTER DELETE ON other REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_stats_trigger();
CREATE TRIGGER d BEFORE TRUNCATE ON other FOR EACH STATEMENT EXECUTE FUNCTION assetreg._fold_stats_trigger();
CREATE TRIGGER e BEFORE INSERT ON other FOR EACH ROW WHEN (NEW.stars = 4) EXECUTE FUNCTION assetreg._fold_dependents_trigger();
SELECT e.code, e.message FROM (VALUES (1, 'INSERT INTO other VALUES (1, 5)'), (2, 'UPDATE other SET stars = 1'), (3, 'DELETE FROM other'), (4, 'TRUNCATE other'), (5, 'INSERT INTO other VALUES (1, 4)')) s (n, statement), error(s.statement) e ORDER BY s.n;
DROP TABLE other;

SELECT assetreg.grant_access('regress_assetreg_ann', 'none'), assetreg.grant_access('regress_assetreg_reads', 'none');
DROP ROLE regress_assetreg_ann, regress_assetreg_reads;
DROP VIEW stats, wrong, written_down;
DROP PROCEDURE next_change(bigint);
SELECT empty_registry();
