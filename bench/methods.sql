-- What is asked, in which ways, and how one way is measured: schema bench of a database with a graph.
-- Needs the psql variable graph.  bench/run uses it.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE SCHEMA bench;

-- The entities that are asked about.
CREATE TABLE bench.starts (position int, name text PRIMARY KEY, id bigint NOT NULL, closure bigint NOT NULL);

-- One way to answer a question; the query has the start as $1 and gives one text, which must be the
-- same for all ways.  rival: one that a user could write in SQL; assetreg is compared to the best.
CREATE TABLE bench.methods (
    question text,
    position int,
    method text,
    rival boolean,
    query text,             -- NULL: the stand-alone search in C, which psql asks by a pipe
    PRIMARY KEY (question, method)
);

CREATE TABLE bench.results (
    question text,
    start text,
    method text,
    round int,              -- 0 warms up
    ms float8,              -- NULL: given up
    answer text,
    spent_ms float8,
    why text                -- given up: why
);

-- The walk of the best WITH RECURSIVE.  It starts from the id itself: one that starts from the first
-- level's rows is planned for millions and takes twice as long.
\set walk 'WITH RECURSIVE walk(id) AS (SELECT $1 UNION SELECT d.dependent_id FROM walk w JOIN assetreg.asset_dependencies d ON d.dependency_id = w.id) '
-- The same without the index: each level hashed against the whole table.
\set hashed 'WITH RECURSIVE walk(id) AS (SELECT $1 UNION SELECT d.dependent_id FROM walk w JOIN assetreg.asset_dependencies d ON d.dependency_id + 0 = w.id) '
-- With the smallest depth.  Without end where there is a cycle.
\set deep 'WITH RECURSIVE walk(id, depth) AS (SELECT $1, 0 UNION SELECT d.dependent_id, w.depth + 1 FROM walk w JOIN assetreg.asset_dependencies d ON d.dependency_id = w.id), nearest AS MATERIALIZED (SELECT id, min(depth) AS depth FROM walk WHERE id <> $1 GROUP BY id) '
\set levels 'WITH nearest AS MATERIALIZED (SELECT * FROM bench.levels($1)) '

-- Three ways to join the entities on: as the planner likes, by the index in order of ids, by sorting.
\set joined 'FROM walk JOIN assetreg.entities e USING (id) WHERE e.id <> $1'
\set looked_up 'FROM assetreg.entities e WHERE e.id = ANY (ARRAY(SELECT id FROM walk)) AND e.id <> $1'
\set merged 'FROM walk JOIN assetreg.entities e ON e.id + 0 = walk.id WHERE e.id <> $1'
\set nearest 'FROM nearest n JOIN assetreg.entities e USING (id)'
\set nearest_merged 'FROM nearest n JOIN assetreg.entities e ON e.id + 0 = n.id'

-- The results in one text, so that all of them are computed and can be compared.
\set impact 'SELECT string_agg(concat_ws('' '', kind, affected, active), '', '' ORDER BY kind COLLATE "C") FROM '
\set impact_depth 'SELECT string_agg(concat_ws('' '', kind, affected, active, min_depth, max_depth), '', '' ORDER BY kind COLLATE "C") FROM '
\set kinds '(SELECT e.kind, count(*) AS affected, count(*) FILTER (WHERE e.active) AS active '
\set kinds_depth '(SELECT e.kind, count(*) AS affected, count(*) FILTER (WHERE e.active) AS active, min(n.depth) AS min_depth, max(n.depth) AS max_depth '
\set by_kind ' GROUP BY e.kind) AS k'
\set rows 'SELECT concat_ws('' '', count(*), sum(length(kind)), sum(length(key)), sum(length(label))) '
\set rows_depth 'SELECT concat_ws('' '', count(*), sum(length(kind)), sum(length(key)), sum(length(label)), sum(depth)) '

\set ids_depth 'SELECT concat_ws('' '', count(*), sum(id), sum(depth)) '

-- The smallest depth level by level: what a studio would write in PL/pgSQL.
CREATE FUNCTION bench.levels(start bigint) RETURNS TABLE (id bigint, depth int) LANGUAGE plpgsql STABLE AS $$
DECLARE
    seen bigint[] := ARRAY[start];
    frontier bigint[] := seen;
BEGIN
    depth := 0;
    LOOP
        frontier := ARRAY(SELECT d.dependent_id
                          FROM unnest(frontier) AS f JOIN assetreg.asset_dependencies d ON d.dependency_id = f
                          EXCEPT SELECT unnest(seen));
        EXIT WHEN frontier = '{}';
        depth := depth + 1;
        RETURN QUERY SELECT unnest(frontier), depth;
        seen := seen || frontier;
    END LOOP;
END $$;

INSERT INTO bench.methods (question, position, method, rival, query) VALUES
('count', 1, 'assetreg', false, 'SELECT assetreg.dependent_count($1, true)'),
('count', 2, 'SQL', true, :'walk' || 'SELECT count(*) - 1 FROM walk'),
('count', 3, 'SQL, hash join', true, :'hashed' || 'SELECT count(*) - 1 FROM walk'),
('count', 4, 'C', false, NULL),
('count', 6, 'index', false, 'SELECT assetreg.dependent_count($1, true) FROM set_config(''assetreg.graph_source'', ''index'', true)'),
('impact', 5, 'index', false, :'impact' || 'set_config(''assetreg.graph_source'', ''index'', true), assetreg.impact($1)'),
('impact', 1, 'assetreg', false, :'impact' || 'assetreg.impact($1)'),
('impact', 2, 'SQL', true, :'walk' || :'impact' || :'kinds' || :'joined' || :'by_kind'),
('impact', 3, 'SQL, array', true, :'walk' || :'impact' || :'kinds' || :'looked_up' || :'by_kind'),
('impact', 4, 'SQL, merge', true, :'walk' || :'impact' || :'kinds' || :'merged' || :'by_kind'),
('impact, depths', 1, 'assetreg', false, :'impact_depth' || 'assetreg.impact($1)'),
('impact, depths', 2, 'SQL', true, :'deep' || :'impact_depth' || :'kinds_depth' || :'nearest' || :'by_kind'),
('impact, depths', 3, 'PL/pgSQL', true, :'levels' || :'impact_depth' || :'kinds_depth' || :'nearest' || :'by_kind'),
('impact, depths', 4, 'PL/pgSQL, merge', true, :'levels' || :'impact_depth' || :'kinds_depth' || :'nearest_merged' || :'by_kind'),
('dependents', 1, 'assetreg', false, :'ids_depth' || 'FROM assetreg.dependents(ARRAY[$1]) AS d (id, depth)'),
('dependents', 2, 'SQL', true, :'deep' || :'ids_depth' || 'FROM nearest'),
('dependents', 3, 'PL/pgSQL', true, :'levels' || :'ids_depth' || 'FROM nearest'),
('rows', 1, 'assetreg', false, :'rows' || 'FROM assetreg.where_used($1)'),
('rows', 2, 'SQL', true, :'walk' || :'rows' || :'joined'),
('rows', 3, 'SQL, array', true, :'walk' || :'rows' || :'looked_up'),
('rows', 4, 'SQL, merge', true, :'walk' || :'rows' || :'merged'),
('rows, depth', 1, 'assetreg', false, :'rows_depth' || 'FROM assetreg.where_used($1)'),
('rows, depth', 2, 'SQL', true, :'deep' || :'rows_depth' || :'nearest'),
('rows, depth', 3, 'PL/pgSQL', true, :'levels' || :'rows_depth' || :'nearest'),
('rows, depth', 4, 'PL/pgSQL, merge', true, :'levels' || :'rows_depth' || :'nearest_merged');

SELECT count(*) > 0 AS has_pgrouting FROM pg_available_extensions WHERE name = 'pgrouting' \gset
\if :has_pgrouting
CREATE EXTENSION pgrouting CASCADE;
INSERT INTO bench.methods (question, position, method, rival, query) VALUES
('count', 5, 'pgRouting', false,
 $$SELECT count(*) - 1 FROM pgr_breadthFirstSearch(
       'SELECT row_number() OVER () AS id, dependency_id AS source, dependent_id AS target, 1::float8 AS cost
        FROM assetreg.asset_dependencies', $1)$$);
\endif

-- The starts.  In a studio: the base model that half of everything uses, and of a sample of the others
-- those with the closures nearest to 1/50 of the edges, to 10,000 and to 100.  In a shape: the first.
CREATE FUNCTION bench.closure(start bigint, most bigint) RETURNS bigint LANGUAGE sql
RETURN (
    WITH RECURSIVE walk(id) AS (
        SELECT start UNION
        SELECT d.dependent_id FROM walk w JOIN assetreg.asset_dependencies d ON d.dependency_id = w.id)
    SELECT count(*) - 1 FROM (SELECT FROM walk LIMIT most) AS w);

INSERT INTO bench.starts
SELECT 1, CASE :'graph' WHEN 'studio' THEN 'hot' ELSE 'first' END, min(id), bench.closure(min(id), NULL)
FROM assetreg.entities;

WITH goal (position, name, closure) AS (
    SELECT * FROM (VALUES (2, 'warm', (SELECT count(*) / 50 FROM assetreg.asset_dependencies)), (3, 'mid', 10000), (4, 'cold', 100)) AS v
    WHERE :'graph' = 'studio'
), layer AS (
    SELECT kind, min(id) AS first, count(*) AS members FROM assetreg.entities
    WHERE kind IN ('lora', 'template', 'scene_type') GROUP BY kind
), sample AS MATERIALIZED (
    -- ranks 1 to the last in forty steps of equal proportion
    SELECT id, bench.closure(id, (SELECT max(closure) * 2 FROM goal)) AS closure
    FROM (SELECT DISTINCT first + floor(members ^ (step / 40.0))::bigint - 1 AS id
          FROM layer, generate_series(1, 40) AS step
          WHERE :'graph' = 'studio') AS candidate
)
INSERT INTO bench.starts
SELECT DISTINCT ON (goal.position) goal.position, goal.name, sample.id, sample.closure
FROM goal, sample
ORDER BY goal.position, abs(ln(sample.closure + 1) - ln(goal.closure)), sample.id;

-- One measurement: the mean of as many calls as fit into 20 ms, so that small questions are not all
-- noise.  A prepared statement, run in this backend; no plan is shown and no row leaves the server.
-- A way that was given up before, or has had its share of time, is left out.
CREATE FUNCTION bench.measure(question text, start text, method text, round int, budget_s float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    command text := format('EXECUTE %I(%s)', question || ': ' || method,
                           (SELECT s.id FROM bench.starts s WHERE s.name = start));
    began timestamptz;
    spent float8;
    calls int := 0;
    answer text;
BEGIN
    IF (SELECT count(*) FILTER (WHERE r.ms IS NULL) > 0 OR sum(r.spent_ms) > 1000 * budget_s
        FROM bench.results r
        WHERE r.question = measure.question AND r.start = measure.start AND r.method = measure.method)
    THEN
        RETURN;
    END IF;
    began := clock_timestamp();
    BEGIN
        LOOP
            EXECUTE command INTO answer;
            calls := calls + 1;
            spent := 1000 * extract(epoch FROM clock_timestamp() - began);
            EXIT WHEN spent >= 20;
        END LOOP;
        INSERT INTO bench.results VALUES (question, start, method, round, spent / calls, answer, spent);
    EXCEPTION
        WHEN query_canceled THEN
            INSERT INTO bench.results (question, start, method, round, why)
            VALUES (question, start, method, round, '> ' || current_setting('statement_timeout'));
        WHEN insufficient_resources OR program_limit_exceeded THEN
            INSERT INTO bench.results (question, start, method, round, why)
            VALUES (question, start, method, round, SQLERRM);
    END;
END $$;

-- What psql has to run for a whole graph, in one session: in each round each question of each start in
-- all ways, one right after the other.
CREATE FUNCTION bench.script(rounds int, budget_s float8) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT line FROM (
        SELECT -1, '', 0, 0, format('PREPARE %I (bigint) AS %s;', question || ': ' || method, query)
        FROM bench.methods WHERE query IS NOT NULL
        UNION ALL
        SELECT turn, '', 0, 0, format('\warn round %s of %s', turn, rounds) FROM generate_series(1, rounds) AS turn
        UNION ALL
        SELECT turn, m.question, s.position, m.position,
               CASE WHEN query IS NULL THEN
                   format($copy$\copy bench.results (question, start, method, round, ms, answer) FROM PROGRAM 'printf "%s\\t%s\\t%s\\t%s\\t%s\\n" >&3 && head -n 1 <&4'$copy$,
                          s.id, m.question, s.name, m.method, turn)
               ELSE
                   format('SELECT bench.measure(%L, %L, %L, %s, %s);', m.question, s.name, m.method, turn, budget_s)
               END
        FROM bench.methods m, bench.starts s, generate_series(0, rounds) AS turn
    ) AS script (turn, question, start, method, line)
    ORDER BY turn, question, start, method
$$;
