-- Is the registry whole?
CREATE FUNCTION assetreg.check_registry() RETURNS TABLE (object text, problem text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	owner oid;
BEGIN
	RETURN QUERY
		SELECT 'assetreg.' || r, 'is missing: run assetreg.setup()'
		FROM unnest(assetreg._relations()) r WHERE to_regclass('assetreg.' || r) IS NULL
		UNION ALL
		SELECT 'sequence assetreg.' || s, 'is missing'
		FROM unnest('{entities_id_seq,asset_dependent_changes_id_seq,events_recorded_seq,event_leases_seq}'::text[]) s WHERE to_regclass('assetreg.' || s) IS NULL;
	IF FOUND THEN
		RETURN;
	END IF;

	SELECT e.extowner INTO owner FROM pg_extension e WHERE e.extname = 'assetreg';
	RETURN QUERY
		SELECT 'assetreg.' || c.relname, format('is owned by "%s", not by the extension''s owner "%s"',
												pg_get_userbyid(c.relowner), pg_get_userbyid(owner))
		FROM unnest(assetreg._relations()) r JOIN pg_class c ON c.oid = to_regclass('assetreg.' || r)
		WHERE c.relowner <> owner;
	RETURN QUERY
		SELECT 'assetreg.' || r, 'is a member of the extension, so that no dump would hold its rows: run assetreg.setup()'
		FROM unnest(assetreg._relations()) r
			 JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = to_regclass('assetreg.' || r) AND d.deptype = 'e';
	RETURN QUERY
		SELECT format('trigger %s on assetreg.%s', t.name, t.relation),
			   CASE WHEN g.oid IS NULL THEN 'is missing' ELSE 'is disabled or fires for other roles of the session' END
			   || ': run assetreg.setup()'
		FROM assetreg._triggers() t
			 LEFT JOIN pg_trigger g ON g.tgrelid = to_regclass('assetreg.' || t.relation) AND g.tgname = t.name
		WHERE g.tgenabled IS DISTINCT FROM 'O';
	RETURN QUERY
		SELECT format('policy %s on assetreg.%s', p.name, p.relation), 'is missing: run assetreg.setup()'
		FROM assetreg._policies() p
		WHERE NOT EXISTS (SELECT FROM pg_policy o WHERE o.polrelid = to_regclass('assetreg.' || p.relation) AND o.polname = p.name)
		UNION ALL
		SELECT DISTINCT 'row security of assetreg.' || c.relname, 'is off: run assetreg.setup()'
		FROM assetreg._policies() p JOIN pg_class c ON c.oid = to_regclass('assetreg.' || p.relation) WHERE NOT c.relrowsecurity;
	RETURN QUERY
		SELECT format('foreign key %s on %s', c.conname, t.relation), 'is not enforced: run assetreg.setup()'
		FROM assetreg._disabled_constraint_triggers() t
			 JOIN pg_trigger g ON g.tgrelid = t.relation AND g.tgname = t.name
			 JOIN pg_constraint c ON c.oid = g.tgconstraint
		GROUP BY c.conname, t.relation;
	RETURN QUERY
		SELECT format('constraint %s on assetreg.%s', k.name, k.relation),
			   CASE WHEN c.oid IS NULL THEN 'is missing' ELSE 'is not valid' END
		FROM (VALUES ('entity_kinds', 'entity_kinds_pkey'), ('asset_types', 'asset_types_pkey'),
					 ('asset_types', 'asset_types_name_fkey'), ('entities', 'entities_pkey'),
					 ('entities', 'entities_kind_fkey'), ('entities', 'entities_kind_key_key'),
					 ('assets', 'assets_pkey'), ('assets', 'assets_type_fkey'), ('assets', 'assets_id_fkey'),
					 ('assets', 'assets_type_name_version_key'), ('asset_hashes', 'asset_hashes_pkey'),
					 ('asset_hashes', 'asset_hashes_asset_id_fkey'), ('asset_dependencies', 'asset_dependencies_pkey'),
					 ('asset_dependencies', 'asset_dependencies_dependent_id_fkey'),
					 ('asset_dependencies', 'asset_dependencies_dependency_id_fkey'),
					 ('asset_dependent_changes', 'asset_dependent_changes_pkey'), ('version_ordinals', 'version_ordinals_pkey'), ('events', 'events_pkey'), ('event_sequencer', 'event_sequencer_pkey'),
					 ('event_consumers', 'event_consumers_pkey'), ('event_partitions', 'event_partitions_pkey'),
					 ('event_partitions', 'event_partitions_consumer_fkey'), ('event_failures', 'event_failures_pkey'),
					 ('dead_events', 'dead_events_pkey'), ('asset_outcomes', 'asset_outcomes_pkey'), ('asset_updates', 'asset_updates_pkey'),
					 ('asset_updates', 'asset_updates_asset_id_fkey'), ('asset_update_history', 'asset_update_history_pkey'),
					 ('asset_update_history', 'asset_update_history_update_id_fkey'), ('tracked_tables', 'tracked_tables_pkey'),
					 ('tracked_tables', 'tracked_tables_kind_key'), ('tracked_links', 'tracked_links_pkey')) k (relation, name)
			 LEFT JOIN pg_constraint c ON c.conrelid = to_regclass('assetreg.' || k.relation) AND c.conname = k.name
		WHERE c.convalidated IS NOT TRUE;
	RETURN QUERY
		SELECT 'index assetreg.asset_dependencies_dependent_idx', 'is missing or not valid: walks are slow without it'
		WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = to_regclass('assetreg.asset_dependencies_dependent_idx')
						  AND i.indisvalid);

	-- what foreign keys and triggers keep true, as long as nobody switched them off
	RETURN QUERY
		SELECT 'asset ' || a.id, CASE WHEN e.id IS NULL THEN 'has no entity' ELSE 'does not agree with its entity' END
		FROM assetreg.assets a LEFT JOIN assetreg.entities e ON e.id = a.id
		WHERE (e.kind, e.key, e.active) IS DISTINCT FROM (a.type, a.name || '@' || a.version, a.status = 'active');
	RETURN QUERY
		SELECT 'entity ' || e.id, 'is of an asset type but belongs to no asset'
		FROM assetreg.entities e JOIN assetreg.asset_types t ON t.name = e.kind
		WHERE NOT EXISTS (SELECT FROM assetreg.assets a WHERE a.id = e.id);
	RETURN QUERY
		SELECT format('dependency of %s on %s', d.dependent_id, d.dependency_id), 'leads to or from an entity that does not exist'
		FROM assetreg.asset_dependencies d
		WHERE NOT EXISTS (SELECT FROM assetreg.entities e WHERE e.id = d.dependent_id)
		   OR NOT EXISTS (SELECT FROM assetreg.entities e WHERE e.id = d.dependency_id);
	RETURN QUERY
		SELECT format('reference "%s" of entity %s', u.reference, u.dependent_id), 'names one asset by now: run assetreg.setup()'
		FROM assetreg.unresolved_references u
		WHERE cardinality(array_remove(assetreg._meant_assets(u.reference, u.type, u.names), u.dependent_id)) = 1;
	RETURN QUERY
		SELECT 'sequence assetreg.entities_id_seq', format('is at %s, behind the largest id %s', s.last_value, m.id)
		FROM assetreg.entities_id_seq s, (SELECT max(e.id) AS id FROM assetreg.entities e) m
		WHERE s.last_value < m.id
		UNION ALL
		SELECT 'sequence assetreg.asset_dependent_changes_id_seq', format('is at %s, behind the largest id %s', s.last_value, m.id)
		FROM assetreg.asset_dependent_changes_id_seq s, (SELECT max(c.id) AS id FROM assetreg.asset_dependent_changes c) m
		WHERE s.last_value < m.id
		UNION ALL
		SELECT 'sequence assetreg.events_recorded_seq', format('is at %s, behind the largest number %s', s.last_value, m.recorded)
		FROM assetreg.events_recorded_seq s, (SELECT max(e.recorded) AS recorded FROM assetreg.events e) m
		WHERE s.last_value < m.recorded
		UNION ALL
		SELECT 'sequence assetreg.event_leases_seq', format('is at %s, behind the largest token %s', s.last_value, m.token)
		FROM assetreg.event_leases_seq s, (SELECT max(p.lease_token) AS token FROM assetreg.event_partitions p) m
		WHERE s.last_value < m.token;
	RETURN QUERY
		SELECT 'assetreg.event_sequencer'::text, CASE WHEN q.last_seq IS NULL THEN 'is empty: run assetreg.setup()' ELSE format('is at %s, behind the largest position %s', q.last_seq, m.seq) END
		FROM (SELECT max(e.seq) AS seq FROM assetreg.events e WHERE e.seq IS NOT NULL) m LEFT JOIN assetreg.event_sequencer q ON true
		WHERE q.last_seq IS NULL OR q.last_seq < m.seq;
	RETURN QUERY
		SELECT coalesce('asset ' || p.asset_id, 'assetreg.asset_stat_changes'), p.problem || ': run assetreg.setup()'
		FROM assetreg._stats_problems() p;
	RETURN QUERY
		SELECT 'asset ' || p.asset_id, p.problem || ': run assetreg.setup()' FROM assetreg._search_problems() p;
	RETURN QUERY
		SELECT p.object, p.problem FROM assetreg._tracking_problems() p;
	RETURN QUERY
		SELECT 'index assetreg.' || i.name, 'is missing or not valid: lists are slow without it'
		FROM unnest('{asset_search_terms_idx,assets_name_idx,assets_registered_at_idx,assets_largest_idx,assets_smallest_idx,
					  asset_stats_rating_score_idx,asset_stats_dependents_idx}'::text[]) i (name)
		WHERE NOT EXISTS (SELECT FROM pg_index x WHERE x.indexrelid = to_regclass('assetreg.' || i.name) AND x.indisvalid);
	RETURN QUERY
		SELECT 'index assetreg.' || i.name, 'is missing or not valid: updates and events are slow without it'
		FROM unnest('{asset_updates_asset_id_idx,asset_updates_open_idx,events_seq_idx,events_unpublished_idx,events_consumer_idx}'::text[]) i (name)
		WHERE NOT EXISTS (SELECT FROM pg_index x WHERE x.indexrelid = to_regclass('assetreg.' || i.name) AND x.indisvalid);
END
$$;
COMMENT ON FUNCTION assetreg.check_registry() IS 'what is wrong with the registry, for instance after a restore; no rows when it is whole';
