-- Delete protection.
CREATE FUNCTION assetreg._guard_trigger() RETURNS trigger
	LANGUAGE c VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'assetreg_guard_trigger';
COMMENT ON FUNCTION assetreg._guard_trigger() IS
	'refuses to delete or remove assets that active entities depend on, unless that is confirmed';

CREATE FUNCTION assetreg._has_dependents_now(id bigint) RETURNS boolean
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'assetreg_has_dependents_now';
COMMENT ON FUNCTION assetreg._has_dependents_now(bigint) IS
	'whether anything needs an entity, by what has been committed until now and not by the transaction''s snapshot';

-- What a deletion leaves dangling is kept.  For the plans of its queries see _assets_sync_trigger().
CREATE FUNCTION assetreg._keep_references_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
	SET jit = off SET enable_material = off  -- cached plans must not pair all rows with all, however few there were
	AS $$
DECLARE
	gone bigint[];
	stated text[];
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'assets');
	IF TG_OP = 'DELETE' THEN
		gone := ARRAY(SELECT o.id FROM old_rows o);
	ELSE
		gone := ARRAY(SELECT e.id FROM assetreg.entities e WHERE e.kind IN (SELECT t.name FROM assetreg.asset_types t));
	END IF;
	-- who is about to depend on them holds a share of this lock
	PERFORM FROM assetreg.entities e WHERE e.id = ANY (gone) ORDER BY e.id FOR UPDATE;
	-- A dependent of an asset type without its asset goes, too: what it needed is nobody's any more.  A dependent is locked before
	-- its edges, as by who deletes it.  Each is looked up: after an ANALYZE while it was empty the planner takes any table for
	-- one of a single row, and would pair all with all.
	WITH kept AS (
		INSERT INTO assetreg.unresolved_references AS u (dependent_id, reference, type, source, relation, requires)
			SELECT d.dependent_id, coalesce(s.reference, e.kind || '/' || e.key), e.kind, d.source, d.relation, d.requires
			FROM (SELECT u.id FROM unnest(gone) u (id) ORDER BY u.id) g
				 CROSS JOIN LATERAL (SELECT e.kind, e.key FROM assetreg.entities e WHERE e.id = g.id OFFSET 0) e
				 CROSS JOIN LATERAL (SELECT d.dependent_id, d.source FROM assetreg.asset_dependencies d
									 WHERE d.dependency_id = g.id ORDER BY d.dependent_id, d.source OFFSET 0) k
				 CROSS JOIN LATERAL (SELECT x.id FROM assetreg.entities x
									 WHERE x.id = k.dependent_id
									   AND (EXISTS (SELECT FROM assetreg.assets a WHERE a.id = x.id)
											OR NOT EXISTS (SELECT FROM assetreg.asset_types t WHERE t.name = x.kind))
									 FOR KEY SHARE) dependent
				 CROSS JOIN LATERAL (SELECT d.* FROM assetreg.asset_dependencies d
									 WHERE d.dependency_id = g.id AND d.dependent_id = dependent.id AND d.source = k.source FOR UPDATE) d
				 LEFT JOIN LATERAL (SELECT min(r.reference) AS reference
									FROM assetreg.assets a CROSS JOIN LATERAL assetreg._stated_references(a.metadata) r
									WHERE d.source = 'metadata' AND a.id = d.dependent_id AND r.relation = d.relation) s ON true
			ON CONFLICT ON CONSTRAINT unresolved_references_pkey
			DO UPDATE SET seen_at = excluded.seen_at, requires = ARRAY(SELECT DISTINCT r FROM unnest(u.requires || excluded.requires) r ORDER BY r)
			RETURNING u.reference, u.source
	)
	SELECT array_agg(DISTINCT k.reference) INTO stated FROM kept k WHERE k.source = 'metadata';
	IF stated IS NOT NULL THEN
		PERFORM assetreg._resolve_references(stated);  -- another asset may have the same content
	END IF;
	PERFORM assetreg._reconsider_candidates(gone);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._keep_references_trigger() IS
	'makes unresolved references of the dependencies on assets that are deleted';

CREATE FUNCTION assetreg._delete_preview(asset_id bigint, OUT token text, OUT active_dependents bigint, OUT dependents bigint)
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 1000
	AS 'MODULE_PATHNAME', 'assetreg_delete_preview';
COMMENT ON FUNCTION assetreg._delete_preview(bigint) IS 'delete_preview() for an id that is an asset''s';

CREATE FUNCTION assetreg.delete_preview(asset_id bigint)
	RETURNS TABLE (token text, active_dependents bigint, dependents bigint)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 COST 1000
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	PERFORM assetreg._require_tables();
	PERFORM assetreg.asset_ref($1);
	RETURN QUERY SELECT p.token, p.active_dependents, p.dependents FROM assetreg._delete_preview($1) p;
END
$$;
COMMENT ON FUNCTION assetreg.delete_preview(bigint) IS
	'how many entities a deletion would strike, and a token that confirms it as long as no active one comes to these';

CREATE FUNCTION assetreg._change_asset(asset_id bigint, status text, replaced_by bigint, confirm boolean, token text) RETURNS boolean
	LANGUAGE c VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'assetreg_change_asset';
COMMENT ON FUNCTION assetreg._change_asset(bigint, text, bigint, boolean, text) IS
	'deletes an asset, where status is NULL, or sets its status, confirmed or not; false where there was nothing to change';

CREATE FUNCTION assetreg.delete_asset(asset_id bigint, confirm boolean = false, token text = NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM assetreg._require_tables();
	PERFORM assetreg.asset_ref($1);
	IF NOT assetreg._change_asset($1, NULL, NULL, $2, $3) THEN
		PERFORM assetreg.asset_ref($1);  -- somebody else was faster
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg.delete_asset(bigint, boolean, text) IS
	'deletes an asset; where active entities depend on it, only if that is confirmed';

CREATE FUNCTION assetreg.set_asset_status(asset_id bigint, status text, replaced_by bigint = NULL, confirm boolean = false, token text = NULL)
	RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	kept bigint;
BEGIN
	PERFORM assetreg._require_tables();
	PERFORM assetreg.asset_ref($1);
	IF $2 IS NULL THEN
		RAISE EXCEPTION 'status must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF $2 NOT IN ('active', 'deprecated', 'removed') THEN
		RAISE EXCEPTION 'unrecognized status: "%"', left($2, 200)
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Use "active", "deprecated" or "removed".';
	END IF;
	IF $3 IS NOT NULL THEN
		PERFORM assetreg.asset_ref($3);
		IF $2 = 'active' THEN
			RAISE EXCEPTION 'an active asset is not replaced by another'
				USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave replaced_by out, or use status "deprecated" or "removed".';
		ELSIF $3 = $1 THEN
			RAISE EXCEPTION 'an asset cannot be replaced by itself' USING ERRCODE = 'invalid_parameter_value';
		END IF;
	END IF;

	SELECT a.replaced_by INTO kept FROM assetreg.assets a WHERE a.id = $1 FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		PERFORM assetreg._no_such('asset', $1);
	END IF;
	PERFORM assetreg._change_asset($1, $2, CASE WHEN $2 <> 'active' THEN coalesce($3, kept) END, $4, $5);
END
$$;
COMMENT ON FUNCTION assetreg.set_asset_status(bigint, text, bigint, boolean, text) IS
	'sets the status of an asset, and what replaces it; removal, where active entities depend on it, only if that is confirmed';
