-- Loading 250,000 dependencies: the registry's table, with its triggers, against a bare one with the
-- same indexes and foreign keys, by INSERT ... SELECT and by COPY.
-- Needs a studio of more than 250,000 dependencies and the psql variables rounds and file (one that we
-- can write and the server can read).  bench/run uses it.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE SCHEMA bench;

CREATE TABLE bench.staged AS SELECT * FROM assetreg.asset_dependencies LIMIT 250000;
COPY bench.staged TO STDOUT \g :file

TRUNCATE assetreg.asset_dependencies;
CREATE TABLE bench.bare (LIKE assetreg.asset_dependencies INCLUDING DEFAULTS INCLUDING INDEXES);
SELECT format('ALTER TABLE bench.bare ADD %s', pg_get_constraintdef(oid))
FROM pg_constraint WHERE conrelid = 'assetreg.asset_dependencies'::regclass AND contype = 'f' \gexec

CREATE TABLE bench.results (way text, target text, round int, ms float8);

-- Loads, takes the time with all that is deferred, and takes the rows back.
CREATE FUNCTION bench.load(target regclass, way text, file text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
    ms float8;
BEGIN
    EXECUTE CASE way WHEN 'COPY' THEN format('COPY %s FROM %L', target, file)
                     ELSE format('INSERT INTO %s SELECT * FROM bench.staged', target) END;
    SET CONSTRAINTS ALL IMMEDIATE;
    ms := 1000 * extract(epoch FROM clock_timestamp() - began);
    RAISE SQLSTATE 'BENCH';
EXCEPTION
    WHEN SQLSTATE 'BENCH' THEN
        RETURN ms;
END $$;

VACUUM (ANALYZE) bench.staged;
SELECT line
FROM generate_series(0, :rounds) AS round,
     unnest(ARRAY['INSERT ... SELECT', 'COPY']) WITH ORDINALITY AS way (name, position),
     unnest(ARRAY['assetreg.asset_dependencies', 'bench.bare']) WITH ORDINALITY AS target (name, position),
     LATERAL (VALUES (1, format('INSERT INTO bench.results VALUES (%L, %L, %s, bench.load(%L, %L, %L))',
                                way.name, target.name, round, target.name, way.name, :'file')),
                     (2, format('VACUUM %s', target.name))) AS step (position, line)
ORDER BY round, way.position, target.position, step.position \gexec

\pset footer off
SELECT format('load, %s', way) AS question,
       round(registry::numeric) AS "assetreg ms", round(bare::numeric) AS "bare table ms",
       round((registry / bare)::numeric, 2) AS "times as long",
       CASE WHEN registry <= 2 * bare THEN '2 reached' ELSE '2 MISSED' END AS goal
FROM (SELECT way,
             percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE target LIKE 'assetreg.%') AS registry,
             percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE target LIKE 'bench.%') AS bare
      FROM bench.results WHERE round > 0 GROUP BY way) AS medians
ORDER BY way DESC;
