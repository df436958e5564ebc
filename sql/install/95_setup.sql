-- Nothing is for everybody.
DO $$
DECLARE
	f regprocedure;
BEGIN
	FOR f IN
		SELECT d.objid FROM pg_catalog.pg_depend d
		WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
		  AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
		  AND d.deptype OPERATOR(pg_catalog.=) 'e'
		  AND d.refobjid OPERATOR(pg_catalog.=) (SELECT e.oid FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'assetreg')
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', f);
	END LOOP;
END
$$;

-- The tables, except where a restore is about to bring them.
DO $$
BEGIN
	IF assetreg._restoring() THEN
		RAISE NOTICE 'assetreg makes no tables during a restore'
			USING HINT = 'If the dump does not bring them, run assetreg.setup().';
	ELSE
		PERFORM assetreg.setup();
	END IF;
END
$$;
