-- How long pages of lists take, warm, and by which plans: after lists.sql.
--
--   psql -v rounds=7 -f bench/searches.sql
--
-- Prints the fastest and the median call of each question in ms, then the plans of the statements inside each that took
-- a millisecond or more.
\set ON_ERROR_STOP on
\pset footer off
CREATE TEMP TABLE question (n int GENERATED ALWAYS AS IDENTITY, what text, arguments text, ms float8[] DEFAULT '{}', found bigint);
INSERT INTO question (what, arguments)
SELECT 'first page by ' || s, format('sort_by => %L', s) FROM unnest('{rating,name,newest,dependents,size}'::text[]) s
UNION ALL
SELECT format('first page by %s, %s', s, f.what), format('sort_by => %L, %s', s, f.arguments)
FROM unnest('{rating,name,newest,dependents,size}'::text[]) s,
	 (VALUES ('LoRAs', 'only_type => ''lora'''), ('latest only', 'latest_only => true'), ('removed', 'only_status => ''removed''')) f (what, arguments)
UNION ALL
SELECT format('"%s" by %s', q, s), format('%L, sort_by => %L', q, s)
FROM unnest('{f,fi,film,film-grain,cyberpunk-steam,dragon robot,zzz,grain-slider-12345,dollystyle,1.3.7}'::text[]) q, unnest('{rating,name}'::text[]) s
UNION ALL
SELECT format('metadata "%s"', q), format('%L', q) FROM unnest('{openrail,artist17,hunyuan,cyberpunk77 style,nothingofthekind}'::text[]) q
UNION ALL
SELECT 'hash of ' || length(h), format('%L', h)
FROM (SELECT a.sha256 FROM assetreg.assets a WHERE a.status = 'active' ORDER BY a.id LIMIT 1 OFFSET 777) one,
	 unnest(ARRAY[left(sha256, 8), left(sha256, 10), sha256, 'sha256:' || sha256, substr(sha256, 20, 12)]) h
UNION ALL
SELECT 'page ' || p || ' by rating', format('after => %L', (SELECT min(f.cursor) FROM
	(SELECT f.cursor FROM assetreg.find_assets(page_size => p) f OFFSET p - 1) f)) FROM unnest('{500,1000}'::int[]) p;

CREATE PROCEDURE pg_temp.measure(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	q record;
	start timestamptz;
	rows_found bigint;
BEGIN
	FOR i IN 0..rounds LOOP
		FOR q IN SELECT n, arguments FROM question ORDER BY n LOOP
			start := clock_timestamp();
			EXECUTE format('SELECT count(*) FROM assetreg.find_assets(%s)', q.arguments) INTO rows_found;
			UPDATE question SET found = rows_found,
				ms = CASE WHEN i = 0 THEN ms ELSE ms || extract(epoch FROM clock_timestamp() - start)::float8 * 1000 END WHERE n = q.n;
		END LOOP;
	END LOOP;
END
$$;
CALL pg_temp.measure(:rounds);
SELECT q.what, q.found AS rows, round(min(m)::numeric, 1) AS min_ms, round((percentile_cont(0.5) WITHIN GROUP (ORDER BY m))::numeric, 1) AS median_ms,
	   CASE WHEN percentile_cont(0.5) WITHIN GROUP (ORDER BY m) > 50 THEN 'over 50' ELSE '' END AS goal
FROM question q, unnest(q.ms) m GROUP BY q.n, q.what, q.found ORDER BY q.n;

\echo
\echo Plans
LOAD 'auto_explain';
SET auto_explain.log_min_duration = '1ms';
SET auto_explain.log_analyze = on;
SET auto_explain.log_buffers = on;
SET auto_explain.log_nested_statements = on;
SET client_min_messages = log;
SELECT format('\echo == %s' || chr(10) || 'SELECT count(*) FROM assetreg.find_assets(%s);', what, arguments) FROM question ORDER BY n \g (format=unaligned tuples_only=on) :plans
\i :plans
