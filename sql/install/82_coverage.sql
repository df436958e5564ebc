-- What is used and registered nowhere.
CREATE FUNCTION assetreg._setup_coverage() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.wanted_assets') IS NULL THEN
		CREATE VIEW assetreg.wanted_assets WITH (security_invoker) AS
			SELECT u.reference, u.type, count(DISTINCT u.dependent_id) AS dependents
			FROM assetreg.unresolved_references u
			WHERE u.candidates = '{}' AND (u.type IS NULL OR u.type IN (SELECT t.name FROM assetreg.asset_types t))
			GROUP BY u.reference, u.type
			ORDER BY count(DISTINCT u.dependent_id) DESC, u.reference;
		COMMENT ON VIEW assetreg.wanted_assets IS 'what is used most and registered nowhere';
		COMMENT ON COLUMN assetreg.wanted_assets.reference IS 'what it is called where it is used';
		COMMENT ON COLUMN assetreg.wanted_assets.type IS 'the type of asset that is meant, where that is known';
		COMMENT ON COLUMN assetreg.wanted_assets.dependents IS 'how many entities need it directly';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_coverage() IS 'makes the view of wanted assets where it is missing';

-- What assets need of each other is not asked for: their metadata names files that no studio has.  Each asset is looked at
-- until one of its dependents is no asset, in most cases the first.
CREATE FUNCTION assetreg.coverage() RETURNS TABLE (type text, referenced bigint, registered bigint, percent double precision)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5
	SET search_path = pg_catalog, pg_temp
	SET enable_mergejoin = off SET jit = off
	AS $$
#variable_conflict use_column
BEGIN
	PERFORM assetreg._require_tables();
	RETURN QUERY
		WITH registered AS (
			SELECT a.type, count(*) AS assets
			FROM assetreg.assets a
			WHERE EXISTS (SELECT FROM assetreg.asset_dependencies d JOIN assetreg.entities e ON e.id = d.dependent_id
						  WHERE d.dependency_id = a.id AND e.kind NOT IN (SELECT t.name FROM assetreg.asset_types t) OFFSET 0)
			GROUP BY a.type
		), missing AS (
			SELECT w.type, count(*) AS refs
			FROM (SELECT DISTINCT u.type, u.reference
				  FROM assetreg.unresolved_references u JOIN assetreg.entities e ON e.id = u.dependent_id
				  WHERE e.kind NOT IN (SELECT t.name FROM assetreg.asset_types t)
					AND (u.type IS NULL OR u.type IN (SELECT t.name FROM assetreg.asset_types t))) w
			GROUP BY w.type
		)
		SELECT t.type, coalesce(r.assets, 0) + coalesce(m.refs, 0), coalesce(r.assets, 0),
			   coalesce(100 * coalesce(r.assets, 0)::double precision / nullif(coalesce(r.assets, 0) + coalesce(m.refs, 0), 0), 100)
		FROM (SELECT a.name AS type FROM assetreg.asset_types a UNION SELECT m.type FROM missing m) t
			 LEFT JOIN registered r ON r.type = t.type
			 LEFT JOIN missing m ON m.type IS NOT DISTINCT FROM t.type
		ORDER BY t.type NULLS LAST;
END
$$;
COMMENT ON FUNCTION assetreg.coverage() IS
	'for each asset type how many of the things that entities refer to are registered; type NULL where a reference does not tell';
