-- How long check_configuration() takes for 200 assets, warm, and whether it finds all: after notes.sql.
--
--   psql -v rounds=7 -f bench/warnings.sql
--
-- Prints the first call of a session, the fastest and the median of the next in ms.  What it finds is held against plain
-- SQL, and a difference is an error.
\set ON_ERROR_STOP on
\pset footer off
CREATE TEMP TABLE question (n int GENERATED ALWAYS AS IDENTITY, what text, ids bigint[], ms float8[] DEFAULT '{}', found bigint, wrong bigint);
INSERT INTO question (what, ids)
SELECT q.what, ARRAY(SELECT DISTINCT i FROM unnest(q.ids) i)
FROM (SELECT max(a.id) AS last FROM assetreg.assets a) m CROSS JOIN LATERAL (VALUES
	('one', ARRAY[m.last]),
	('200 that are seldom used', ARRAY(SELECT m.last - 7 * i FROM generate_series(0, 199) i)),
	('200 of all', ARRAY(SELECT 1004 + i * ((m.last - 1004) / 200) FROM generate_series(0, 199) i)),
	('200 popular ones', ARRAY(SELECT 1004 + i FROM generate_series(1, 200) i)),
	('the hub alone', ARRAY[1]),
	('the hub and 199 others', ARRAY(SELECT CASE i WHEN 0 THEN 1 ELSE m.last - 7 * i END FROM generate_series(0, 199) i)),
	('the hub and 199 with notes on both', 1 || ARRAY(SELECT coalesce(nullif(n.asset_id, 1), n.other_asset_id) FROM assetreg.asset_notes n WHERE n.other_asset_id IS NOT NULL AND 1 IN (n.asset_id, n.other_asset_id) ORDER BY n.id DESC LIMIT 199)),
	('a hub of one version alone, the same', 2 || ARRAY(SELECT coalesce(nullif(n.asset_id, 2), n.other_asset_id) FROM assetreg.asset_notes n WHERE n.other_asset_id IS NOT NULL AND 2 IN (n.asset_id, n.other_asset_id) ORDER BY n.id DESC LIMIT 199)),
	('a model of 1001 versions and 199 others', ARRAY(SELECT CASE i WHEN 0 THEN 3 ELSE m.last - 7 * i END FROM generate_series(0, 199) i)),
	('200 versions of it', ARRAY(SELECT 4 + i FROM generate_series(1, 200) i)),
	('both hubs and 198 popular ones', '{1,2}'::bigint[] || ARRAY(SELECT 1004 + i FROM generate_series(1, 198) i)),
	('a scene', ARRAY[m.last + 2])) q (what, ids);

CREATE PROCEDURE pg_temp.measure(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	q record;
	start timestamptz;
	found_notes bigint;
BEGIN
	FOR i IN 0..rounds LOOP
		FOR q IN SELECT n, ids, what FROM question ORDER BY n LOOP
			start := clock_timestamp();
			IF q.what = 'a scene' THEN
				SELECT count(*) INTO found_notes FROM assetreg.check_entity(q.ids[1]);
			ELSE
				SELECT count(*) INTO found_notes FROM assetreg.check_configuration(q.ids);
			END IF;
			UPDATE question SET found = found_notes, ms = ms || extract(epoch FROM clock_timestamp() - start)::float8 * 1000 WHERE n = q.n;
		END LOOP;
	END LOOP;
END
$$;
CALL pg_temp.measure(:rounds);

-- The same notes by joins of whole tables; which of several versions they name is tested elsewhere.
CREATE FUNCTION pg_temp.notes_of(ids bigint[]) RETURNS SETOF bigint LANGUAGE sql SET enable_nestloop = off AS $$
	WITH RECURSIVE needed (id) AS (
		SELECT unnest(ids)
		UNION
		SELECT d.dependency_id FROM needed n JOIN assetreg.asset_dependencies d ON d.dependent_id = n.id
	), side AS MATERIALIZED (  -- what a note may name, and the first and the last of its versions that are here
		SELECT v.id AS noted_id, min(a.id) AS first, max(a.id) AS last, bool_or(a.id = v.id) AS itself
		FROM needed n JOIN assetreg.assets a USING (id) JOIN assetreg.assets v ON (v.type, v.name) = (a.type, a.name) GROUP BY v.id
	)
	SELECT n.id FROM assetreg.asset_notes n JOIN side s ON s.noted_id = n.asset_id WHERE n.other_asset_id IS NULL AND (n.all_versions OR s.itself)
	UNION ALL
	SELECT n.id FROM assetreg.asset_notes n JOIN side s ON s.noted_id = n.asset_id JOIN side o ON o.noted_id = n.other_asset_id
	WHERE CASE WHEN n.all_versions THEN (s.first, s.last) <> (o.first, o.last) OR s.first <> s.last ELSE s.itself AND o.itself END
$$;
UPDATE question q SET wrong = (
	SELECT count(*) FROM (SELECT c.note_id FROM assetreg.check_configuration(CASE q.what WHEN 'a scene' THEN '{}' ELSE q.ids END) c WHERE c.note_id IS NOT NULL
						  UNION ALL SELECT c.note_id FROM assetreg.check_entity(CASE q.what WHEN 'a scene' THEN q.ids[1] ELSE 1 END) c WHERE q.what = 'a scene' AND c.note_id IS NOT NULL) f
		 FULL JOIN pg_temp.notes_of(q.ids) s ON s = f.note_id WHERE s IS NULL OR f.note_id IS NULL);

SELECT q.what, q.found AS warnings, round(q.ms[1]::numeric, 1) AS first_ms, round(min(m)::numeric, 1) AS min_ms, round((percentile_cont(0.5) WITHIN GROUP (ORDER BY m))::numeric, 1) AS median_ms,
	   CASE WHEN percentile_cont(0.5) WITHIN GROUP (ORDER BY m) > 20 THEN 'over 20' ELSE '' END AS goal, CASE WHEN q.wrong = 0 THEN 'all' ELSE q.wrong || ' wrong' END AS complete
FROM question q, unnest(q.ms[2:]) m GROUP BY q.n, q.what, q.found, q.ms, q.wrong ORDER BY q.n;
SELECT 1 / (count(*) = 0)::int AS "division by zero: not all was found" FROM question WHERE wrong > 0 \g /dev/null
