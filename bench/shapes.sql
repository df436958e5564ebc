-- Fills an empty registry with one of three graphs on which walks go wrong.
--
--   psql -v shape=hub -f bench/shapes.sql
--
--   hub    one entity with a million dependents
--   chain  100,000 entities, each depending on the one before
--   dense  10,000 entities and about a million dependencies at random: full of cycles
--
-- All of them are segments; number i has the id "first" + i - 1.
\set ON_ERROR_STOP on

-- Right by construction: triggers and foreign keys are left out (a superuser may) to save time.
SET session_replication_role = replica;

INSERT INTO assetreg.entities (kind, key, label, active)
SELECT 'segment', 'segment-' || i, 'Segment ' || i, i % 3 > 0
FROM generate_series(1, CASE :'shape' WHEN 'hub' THEN 1000001 WHEN 'chain' THEN 100000 WHEN 'dense' THEN 10000 END) i;

SELECT min(id) AS first FROM assetreg.entities \gset

INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, relation, added_by)
SELECT dependent, dependency, 'declared', 'uses', current_user
FROM (
    SELECT :first + i, :first FROM generate_series(1, 1000000) i WHERE :'shape' = 'hub'
    UNION ALL
    SELECT :first + i, :first + i - 1 FROM generate_series(1, 99999) i WHERE :'shape' = 'chain'
    UNION ALL
    SELECT :first + (hashint8extended(i, 1) & 1073741823) % 10000, :first + (hashint8extended(i, 2) & 1073741823) % 10000
    FROM generate_series(1, 1000000) i WHERE :'shape' = 'dense'
) AS edge (dependent, dependency)
WHERE dependent <> dependency
ON CONFLICT DO NOTHING;

RESET session_replication_role;
VACUUM (ANALYZE) assetreg.entities, assetreg.asset_dependencies;
