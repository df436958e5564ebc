-- Random graphs: every walk against WITH RECURSIVE. A seed makes the same graph again:
--   CALL make_graph(seed); SELECT differences(seed);
\ir oracle.psql

SELECT plan(400);

-- Each statement is sent by itself, so that VACUUM can be one of them; the heap is in another state each time.
SELECT s.statement
FROM generate_series(1, 200) seed,
	 LATERAL (VALUES
		(1, format('CALL make_graph(%s)', seed)),
		(2, CASE seed % 3 WHEN 0 THEN 'VACUUM ANALYZE assetreg.entities, assetreg.asset_dependencies, assetreg.assets' ELSE 'RESET work_mem' END),
		(3, format('SELECT agrees(%s, %L)', seed, CASE seed % 3 WHEN 0 THEN 'vacuumed' ELSE 'loaded' END)),
		(4, CASE seed % 2 WHEN 0 THEN 'BEGIN' ELSE 'BEGIN ISOLATION LEVEL REPEATABLE READ' END),
		(5, format('CALL change_graph(%s)', seed)),
		(6, 'SAVEPOINT before'),
		(7, format('CALL change_graph(%s)', seed + 1000)),
		(8, CASE seed % 5 WHEN 0 THEN 'RELEASE SAVEPOINT before' ELSE 'ROLLBACK TO SAVEPOINT before' END),
		(9, format('SELECT agrees(%s, %L)', seed, CASE seed % 5 WHEN 0 THEN 'changed' ELSE 'changed, and a part rolled back' END)),
		(10, CASE seed % 4 WHEN 0 THEN 'COMMIT' ELSE 'ROLLBACK' END)) s (n, statement)
ORDER BY seed, s.n
\gexec

SELECT * FROM finish();
