-- Random graphs: what a preview counts, what its token confirms after changes, and what a deletion keeps, against SQL.
\ir oracle.psql

SELECT plan(100);

CREATE FUNCTION sql_active_dependents(id bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
	SELECT coalesce(array_agg(e.id), '{}') FROM sql_walk(ARRAY[$1], true) w JOIN assetreg.entities e ON e.id = w.entity_id AND e.active AND e.kind <> 'lora'
$$;

-- What deleting says, and what it leaves, taken back: 'deleted' and the references, or the error and its detail.
CREATE FUNCTION deleting(id bigint, confirm boolean, token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	PERFORM assetreg.delete_asset(id, confirm, token);
	SELECT 'deleted ' || coalesce(string_agg(concat_ws(' ', u.dependent_id, u.reference, u.type, u.source, u.relation, u.requires), ', ' ORDER BY u.dependent_id, u.source), '')
		INTO answer FROM assetreg.unresolved_references u;
	RAISE SQLSTATE 'XX999';
EXCEPTION
	WHEN SQLSTATE 'XX999' THEN RETURN answer;
	WHEN dependent_objects_still_exist THEN
		GET STACKED DIAGNOSTICS answer := PG_EXCEPTION_DETAIL;
		RETURN 'refused ' || answer;
END $$;

CREATE FUNCTION token_differences(seed int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	problems text[] := '{}';
	outcomes int[] := '{0,0}';
	kept text;
	named text;
	answer text;
	r record;
BEGIN
	CREATE TEMP TABLE previews ON COMMIT DROP AS
		SELECT a.id, p.token, p.active_dependents, p.dependents, sql_active_dependents(a.id) AS active, (SELECT count(*) FROM sql_walk(ARRAY[a.id], true)) AS walked
		FROM assetreg.assets a, assetreg.delete_preview(a.id) p;
	SELECT problems || coalesce(array_agg(format('preview of %s', p.id)), '{}') INTO problems
		FROM previews p WHERE (p.active_dependents, p.dependents) <> (cardinality(p.active), p.walked);
	CALL change_graph(seed);
	FOR r IN
		SELECT p.id, p.token, p.active AS old, n.active AS new, ARRAY(SELECT unnest(n.active) EXCEPT SELECT unnest(p.active)) AS more,
			   (SELECT 'deleted ' || coalesce(string_agg(concat_ws(' ', d.dependent_id, assetreg.asset_ref(p.id), 'lora', d.source, d.relation, d.requires), ', ' ORDER BY d.dependent_id, d.source), '')
				FROM assetreg.asset_dependencies d WHERE d.dependency_id = p.id) AS kept
		FROM previews p, LATERAL (SELECT sql_active_dependents(p.id) AS active) n
	LOOP
		answer := deleting(r.id, false, r.token);
		IF cardinality(r.more) = 0 THEN
			outcomes[1] := outcomes[1] + 1;
			IF answer <> r.kept THEN
				problems := problems || format('token of %s: %s, not %s', r.id, answer, r.kept);
			END IF;
		ELSE
			outcomes[2] := outcomes[2] + 1;
			-- each of those that are new is named, up to ten, and no other
			SELECT string_agg(n, ', ' ORDER BY n) INTO named FROM regexp_split_to_table(substr(answer, 25, length(answer) - 25), ', ') n;
			IF answer !~ '^refused New since then: ' OR (cardinality(r.more) <= 10 AND named <>
				(SELECT string_agg(n, ', ' ORDER BY n) FROM (SELECT format('%s "%s"', e.kind, coalesce(e.label, e.key)) AS n FROM assetreg.entities e WHERE e.id = ANY (r.more)) x)) THEN
				problems := problems || format('token of %s: %s, new are %s', r.id, answer, r.more);
			END IF;
		END IF;
		IF (deleting(r.id, false, NULL) ~ '^deleted') <> (r.new = '{}') OR deleting(r.id, true, NULL) <> r.kept THEN
			problems := problems || format('asset %s without token', r.id);
		END IF;
	END LOOP;
	RETURN coalesce(nullif(array_to_string(problems, '; '), ''), CASE WHEN outcomes[1] + outcomes[2] = 0 THEN 'nothing was tried' ELSE '' END);
END $$;

SELECT s.statement
FROM generate_series(1, 100) seed,
	 LATERAL (VALUES (1, format('CALL make_graph(%s)', seed)),
					 (2, format('SELECT is(token_differences(%s), '''', %L)', seed + 1000, format('seed %s, %s', seed, shape_name(seed))))) s (n, statement)
ORDER BY seed, s.n
\gexec

SELECT * FROM finish();
