-- Delete protection.
CREATE FUNCTION assetreg._guard_trigger() RETURNS trigger
	LANGUAGE c VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'assetreg_guard_trigger';
COMMENT ON FUNCTION assetreg._guard_trigger() IS
	'refuses to delete or remove assets that active entities depend on, unless assetreg.confirm_delete is on';

CREATE FUNCTION assetreg._has_dependents_now(id bigint) RETURNS boolean
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'assetreg_has_dependents_now';
COMMENT ON FUNCTION assetreg._has_dependents_now(bigint) IS
	'whether anything needs an entity, by what has been committed until now and not by the transaction''s snapshot';
