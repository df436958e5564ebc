-- How long recommend_assets() and coverage() take: after studio.sql or together.sql.
--
--   psql -v rounds=7 -f bench/recommendations.sql
--
-- Prints the first call of a session, the fastest and the median of the next in ms, and how many rows came.
\set ON_ERROR_STOP on
\pset footer off
SET client_min_messages = warning;
CREATE TEMP TABLE question (n int GENERATED ALWAYS AS IDENTITY, what text, statement text, ms float8[] DEFAULT '{}', found bigint);
INSERT INTO question (what, statement)
SELECT q.what, q.statement
FROM (SELECT array_agg(a.id ORDER BY a.n DESC, a.id) AS used
	  FROM (SELECT d.dependency_id AS id, count(*) AS n FROM assetreg.asset_dependencies d JOIN assetreg.assets x ON x.id = d.dependency_id GROUP BY 1) a) u,
	 LATERAL (VALUES
		('with a popular asset', format('assetreg.recommend_assets(%L)', u.used[3:3])),
		('with the ten most popular', format('assetreg.recommend_assets(%L)', u.used[1:10])),
		('with two', format('assetreg.recommend_assets(%L)', u.used[20:21])),
		('with a rare asset', format('assetreg.recommend_assets(%L)', ARRAY[u.used[cardinality(u.used) / 2]])),
		('with five, popular and rare', format('assetreg.recommend_assets(%L)', u.used[10:13] || u.used[cardinality(u.used) / 2])),
		('of one type', format('assetreg.recommend_assets(%L, ''custom_node'')', u.used[3:3])),
		('with nothing', 'assetreg.recommend_assets(''{}'')'),
		('coverage', 'assetreg.coverage()')) q (what, statement);

CREATE PROCEDURE pg_temp.measure(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	q record;
	start timestamptz;
	nrows bigint;
BEGIN
	FOR i IN 0 .. rounds LOOP
		FOR q IN SELECT n, statement FROM question ORDER BY n LOOP
			start := clock_timestamp();
			EXECUTE 'SELECT count(*) FROM ' || q.statement INTO nrows;
			UPDATE question SET found = nrows, ms = ms || extract(epoch FROM clock_timestamp() - start)::float8 * 1000 WHERE n = q.n;
		END LOOP;
	END LOOP;
END
$$;
CALL pg_temp.measure(:rounds);
SELECT q.what AS recommended, round(q.ms[1]::numeric, 1) AS first, round(min(m.ms)::numeric, 1) AS fastest,
	   round((percentile_cont(0.5) WITHIN GROUP (ORDER BY m.ms))::numeric, 1) AS median,
	   CASE WHEN percentile_cont(0.5) WITHIN GROUP (ORDER BY m.ms) > 20 AND q.what <> 'coverage' THEN 'over 20' END AS goal, q.found
FROM question q CROSS JOIN LATERAL unnest(q.ms[2:]) m (ms)
GROUP BY q.n, q.what, q.ms, q.found ORDER BY q.n;
