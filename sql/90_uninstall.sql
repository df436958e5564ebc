-- The end: the extension goes, the rows stay until their owner drops them.
\set SHOW_CONTEXT never
SELECT assetreg.put_entity('scene', '7') > 0 AS made;
SET client_min_messages = warning;  -- the notice lists what goes
DROP EXTENSION assetreg CASCADE;
SELECT count(*) FROM pg_proc WHERE pronamespace = 'assetreg'::regnamespace;
SELECT kind, key FROM assetreg.entities;
INSERT INTO assetreg.entities (kind, key) VALUES ('scene', '8');
DROP SCHEMA assetreg CASCADE;
DROP VIEW registry_catalog, registry_functions, registry_relations;
DROP FUNCTION error(text), empty_registry();
SELECT count(*) FROM pg_settings WHERE name LIKE 'assetreg.%' AND source <> 'default';
