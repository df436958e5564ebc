-- What was measured on one graph: a line for each question and start.  Fails where ways disagree.
-- Needs the psql variable graph.  bench/run uses it.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

CREATE FUNCTION pg_temp.show(number float8) RETURNS text LANGUAGE sql IMMUTABLE
RETURN to_char(number, CASE WHEN number >= 100 THEN 'FM999,999,990' WHEN number >= 1 THEN 'FM990.0' ELSE 'FM0.0000' END);

-- Round 0 warms up; it counts only where a way is so slow that its time was used up by then.
CREATE TEMP VIEW medians AS
SELECT question, start, method,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS ms,
       count(*) AS rounds,
       max(why) AS why
FROM (SELECT *, max(round) OVER (PARTITION BY question, start, method) AS last FROM bench.results) AS r
WHERE round > 0 OR last = 0
GROUP BY question, start, method;

CREATE TEMP VIEW compared AS
SELECT m.question, s.position, s.name AS start, s.closure,
       max(d.ms) FILTER (WHERE m.method = 'assetreg') AS assetreg,
       min(d.ms) FILTER (WHERE m.rival) AS best,
       max(d.ms) FILTER (WHERE m.method = 'C') AS c,
       max(d.ms) FILTER (WHERE m.method = 'index') AS by_index,
       max(d.why) FILTER (WHERE m.method = 'assetreg') AS assetreg_why,
       max(d.why) FILTER (WHERE m.rival) AS best_why,
       string_agg(m.method || ' ' || coalesce(pg_temp.show(d.ms), d.why), '; ' ORDER BY m.position)
           FILTER (WHERE m.method <> 'assetreg') AS all_others,
       CASE
           WHEN m.question NOT IN ('count', 'impact', 'rows, depth', 'dependents') THEN NULL
           WHEN m.question = 'dependents' THEN CASE WHEN s.name = 'cold' THEN 5 ELSE 20 END
           WHEN m.question = 'rows, depth' THEN CASE WHEN s.name = 'cold' THEN 5 ELSE 10 END
           WHEN s.name = 'cold' THEN 5
           WHEN :'graph' = 'hub' OR s.name = 'hot' THEN 300
           ELSE 100
       END AS goal
FROM bench.methods m CROSS JOIN bench.starts s
JOIN medians d ON (d.question, d.start, d.method) = (m.question, s.name, m.method)
GROUP BY m.question, s.position, s.name, s.closure;

\pset footer off
SELECT question, start, to_char(closure, 'FM999,999,990') AS closure,
       coalesce(pg_temp.show(assetreg), assetreg_why) AS "assetreg ms",
       coalesce(pg_temp.show(best), best_why) AS "best SQL ms",
       to_char(best / assetreg, 'FM999,990.00') AS ratio,
       CASE
           WHEN goal IS NULL THEN ''
           -- where all SQL was given up there is no ratio to miss
           WHEN assetreg IS NULL OR best < goal * assetreg THEN goal || ' MISSED'
           ELSE goal || ' reached'
       END AS goal,
       to_char(best / by_index, 'FM999,990.0') AS "ratio by the index",
       to_char(assetreg / c, 'FM999,990.00') AS "times C",
       all_others AS "each way, ms"
FROM compared ORDER BY question, position;

SELECT question || ' of ' || start || ': the ways disagree' AS problem, method, answer
FROM (SELECT DISTINCT question, start, method, answer, min(answer) OVER w <> max(answer) OVER w AS differ
      FROM bench.results WHERE ms IS NOT NULL WINDOW w AS (PARTITION BY question, start)) AS r
WHERE differ
ORDER BY question, start, method \g (tuples_only=on)
SELECT :ROW_COUNT > 0 AS disagree \gset
\if :disagree
DO $$ BEGIN RAISE EXCEPTION 'the answers above disagree'; END $$;
\endif
