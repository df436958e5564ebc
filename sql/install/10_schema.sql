-- assetreg: the install script, put together from sql/install/ in the Makefile's order
\echo Use "CREATE EXTENSION assetreg" to load this file. \quit

-- The owner of a schema can drop it with all that is in it, so a schema that somebody else prepared is refused.
-- A superuser's is taken: a dump may come from a server where another superuser installed the extension.
DO $$
DECLARE
	owner name;
BEGIN
	SELECT r.rolname INTO owner
	FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
	WHERE n.nspname OPERATOR(pg_catalog.=) 'assetreg'
	  AND r.rolname OPERATOR(pg_catalog.<>) CURRENT_USER AND NOT r.rolsuper;
	IF FOUND THEN
		RAISE EXCEPTION 'schema "assetreg" is owned by role "%"', owner
			USING ERRCODE = 'insufficient_privilege',
				  HINT = 'Drop the schema, or change its owner to the role that creates the extension.';
	END IF;
END
$$;
