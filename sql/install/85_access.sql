-- Who may do what, and on whose behalf.
CREATE FUNCTION assetreg.act_as(actor text) RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'assetreg_act_as';
COMMENT ON FUNCTION assetreg.act_as(text) IS 'says on whose behalf the statements of this transaction run';

-- A line for each table, view, sequence and function: what each level has of it, in the letters of an access privilege
-- list: r SELECT, a INSERT, w UPDATE, d DELETE, x REFERENCES, U USAGE, X EXECUTE, s SET.  '' is a decision, too: for the
-- owner alone.  TRUNCATE passes row security by, a trigger runs as whoever fires it: neither is for a level.
--
-- What a function does as its caller, the caller needs rights for: a function that starts with an underscore has the
-- levels of those that call it.  A trigger function needs none to be fired.
CREATE FUNCTION assetreg._access(OUT kind text, OUT object text, OUT reader text, OUT contributor text, OUT service text, OUT admin text)
	RETURNS SETOF record
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 100
	SET search_path = pg_catalog, pg_temp
	AS $$
	VALUES
	('schema',   'assetreg',                      'U', 'U',    'U',    'U'),
	('setting',  'assetreg.actor',                '',  '',     's',    ''),
	('column',   'assets.id',                     '',  '',     'x',    'x'),
	('column',   'asset_updates.reason',          '',  'w',    'w',    'w'),
	('column',   'asset_updates.state',           '',  'w',    'w',    'w'),
	('sequence', 'asset_dependent_changes_id_seq', '', '',   '',     'r'),
	('sequence', 'entities_id_seq',               '',  'U',    'U',    'rU'),
	('sequence', 'event_leases_seq',              '',  '',     '',     'r'),
	('sequence', 'events_recorded_seq',           '',  '',     '',     'r'),
	('table',    'asset_dependencies',            'r', 'rawd', 'rawd', 'rawd'),
	('table',    'asset_dependent_changes',       '',  '',     '',     'r'),
	('table',    'asset_hashes',                  'r', 'rawd', 'rawd', 'rawd'),
	('table',    'asset_list',                    'r', 'r',    'r',    'r'),
	('table',    'asset_note_history',            'r', 'r',    'r',    'r'),
	('table',    'asset_notes',                   'r', 'rawd', 'rawd', 'rawd'),
	('table',    'asset_outcomes',                'r', 'r',    'r',    'r'),
	('table',    'asset_ratings',                 'r', 'rawd', 'rawd', 'rawd'),
	('table',    'asset_search',                  'r', 'r',    'r',    'r'),
	('table',    'asset_stat_changes',            '',  '',     '',     'r'),
	('table',    'asset_stats',                   'r', 'r',    'r',    'r'),
	('table',    'asset_types',                   'r', 'r',    'r',    'rawd'),
	('table',    'asset_update_history',          'r', 'r',    'r',    'r'),
	('table',    'asset_updates',                 'r', 'r',    'r',    'rd'),
	('table',    'asset_verifications',           'r', 'r',    'r',    'r'),
	('table',    'assets',                        'r', 'raw',  'raw',  'rawd'),
	('table',    'consumer_lag',                  '',  '',     'r',    'r'),
	('table',    'dead_events',                   '',  '',     'r',    'rd'),
	('table',    'entities',                      'r', 'r',    'rawd', 'rawd'),
	('table',    'entity_kinds',                  'r', 'r',    'r',    'rawd'),
	('table',    'event_consumers',               '',  '',     'r',    'r'),
	('table',    'event_failures',                '',  '',     'r',    'r'),
	('table',    'event_partitions',              '',  '',     'r',    'r'),
	('table',    'event_sequencer',               '',  '',     'r',    'r'),
	('table',    'events',                        'r', 'r',    'r',    'r'),
	('table',    'generation_records',            '',  '',     '',     'r'),
	('table',    'graph_cache_status',            'r', 'r',    'r',    'r'),
	('table',    'open_updates',                  'r', 'r',    'r',    'r'),
	('table',    'tracked_links',               'r',  'r',    'r',    'r'),
	('table',    'tracked_tables',              'r',  'r',    'r',    'r'),
	('table',    'unresolved_references',         'r', 'r',    'rawd', 'rawd'),
	('table',    'verification_progress',         'r', 'r',    'r',    'r'),
	('table',    'verification_runs',             'r', 'r',    'r',    'rd'),
	('table',    'version_ordinals',              'r', 'r',    'r',    'r'),
	('table',    'wanted_assets',                 'r', 'r',    'r',    'r'),
	('function', 'ack_events',                    '',  '',     'X',    'X'),
	('function', 'act_as',                        '',  '',     'X',    ''),
	('function', 'add_dependency',                '',  'X',    'X',    'X'),
	('function', 'add_note',                      '',  'X',    'X',    'X'),
	('function', 'asset_id',                      'X', 'X',    'X',    'X'),
	('function', 'asset_ref',                     'X', 'X',    'X',    'X'),
	('function', 'check_configuration',           'X', 'X',    'X',    'X'),
	('function', 'check_entity',                  'X', 'X',    'X',    'X'),
	('function', 'check_registry',                '',  '',     '',     'X'),
	('function', 'check_tracking',              '',   '',     'X',    'X'),
	('function', 'coverage',                      'X', 'X',    'X',    'X'),
	('function', 'create_consumer',               '',  '',     'X',    'X'),
	('function', 'delete_asset',                  '',  '',     '',     'X'),
	('function', 'delete_note',                   '',  'X',    'X',    'X'),
	('function', 'delete_preview',                'X', 'X',    'X',    'X'),
	('function', 'dependencies_of',               'X', 'X',    'X',    'X'),
	('function', 'dependency_cycles',             'X', 'X',    'X',    'X'),
	('function', 'dependency_graph',              'X', 'X',    'X',    'X'),
	('function', 'dependency_paths',              'X', 'X',    'X',    'X'),
	('function', 'dependency_tree',               'X', 'X',    'X',    'X'),
	('function', 'dependent_count',               'X', 'X',    'X',    'X'),
	('function', 'dependents',                    'X', 'X',    'X',    'X'),
	('function', 'dismiss_update',                '',  'X',    'X',    'X'),
	('function', 'drop_consumer',                 '',  '',     'X',    'X'),
	('function', 'edit_note',                     '',  'X',    'X',    'X'),
	('function', 'entity_id',                     'X', 'X',    'X',    'X'),
	('function', 'fetch_events',                  '',  '',     'X',    'X'),
	('function', 'find_assets',                   'X', 'X',    'X',    'X'),
	('function', 'grant_access',                  '',  '',     '',     ''),
	('function', 'ingest_workflow',               '',  '',     'X',    'X'),
	('function', 'impact',                        'X', 'X',    'X',    'X'),
	('function', 'move_dependents',               '',  'X',    'X',    'X'),
	('function', 'nack_event',                    '',  '',     'X',    'X'),
	('function', 'notify_queue_usage',            '',  '',     'X',    'X'),
	('function', 'purge_events',                  '',  '',     'X',    'X'),
	('function', 'put_entity',                    '',  '',     'X',    'X'),
	('function', 'rate_asset',                    '',  'X',    'X',    'X'),
	('function', 'recommend_assets',              'X', 'X',    'X',    'X'),
	('function', 'record_generation',             '',  'X',    'X',    'X'),
	('function', 'register_asset',                '',  'X',    'X',    'X'),
	('function', 'register_directory',            '',  'X',    'X',    'X'),
	('function', 'remove_dependency',             '',  'X',    'X',    'X'),
	('function', 'repair_tracking',             '',   '',     '',     ''),
	('function', 'replace_file',                  '',  'X',    'X',    'X'),
	('function', 'resolve_update',                '',  'X',    'X',    'X'),
	('function', 'resync_consumer',               '',  '',     'X',    'X'),
	('function', 'run_regression_tests',          '',  'X',    'X',    'X'),
	('function', 'search_notes',                  'X', 'X',    'X',    'X'),
	('function', 'set_asset_status',              '',  'X',    'X',    'X'),
	('function', 'setup',                         '',  '',     '',     ''),
	('function', 'track_link',                  '',   '',     '',     ''),
	('function', 'track_table',                 '',   '',     '',     ''),
	('function', 'unrate_asset',                  '',  'X',    'X',    'X'),
	('function', 'untrack_table',               '',   '',     '',     ''),
	('function', 'update_impact',                 'X', 'X',    'X',    'X'),
	('function', 'verify_asset',                  '',  'X',    'X',    'X'),
	('function', 'verify_assets',                 '',  'X',    'X',    'X'),
	('function', 'versions',                      'X', 'X',    'X',    'X'),
	('function', 'where_used',                    'X', 'X',    'X',    'X'),
	('function', 'workflow_nodes',                'X', 'X',    'X',    'X'),
	('function', 'workflow_references',           'X', 'X',    'X',    'X'),
	('function', '_access',                       '',  '',     '',     ''),
	('function', '_actor',                        'X', 'X',    'X',    'X'),
	('function', '_add_edges',                    '',  '',     '',    ''),
	('function', '_apply_entities',               '',  '',     '',    ''),
	('function', '_apply_links',                  '',  '',     '',    ''),
	('function', '_architecture_family',          'X', 'X',    'X',    'X'),
	('function', '_asset_types_trigger',          '',  '',     '',     ''),
	('function', '_assets_events_trigger',        '',  '',    '',    ''),
	('function', '_assets_facts_trigger',         '',  '',     '',     ''),
	('function', '_assets_of_file',               'X', 'X',    'X',    'X'),
	('function', '_assets_search_trigger',        '',  '',     '',     ''),
	('function', '_assets_stats_trigger',         '',  '',     '',     ''),
	('function', '_assets_sync_trigger',          '',  '',     '',     ''),
	('function', '_attach_triggers',              '',  '',     '',    ''),
	('function', '_attribution_trigger',          '',  '',     '',     ''),
	('function', '_autov1',                       'X', 'X',    'X',    'X'),
	('function', '_base_mismatches',              'X', 'X',    'X',    'X'),
	('function', '_candidates',                   'X', 'X',    'X',    'X'),
	('function', '_chain_trigger',                '',  '',     '',     ''),
	('function', '_change_asset',                 '',  'X',    'X',    'X'),
	('function', '_changed_assets_trigger',       '',  '',     '',     ''),
	('function', '_check_asset',                  'X', 'X',    'X',    'X'),
	('function', '_check_asset_columns',          '',  '',     '',    ''),
	('function', '_check_chain',                  '',  '',     '',     ''),
	('function', '_check_columns',                '',  '',     '',    ''),
	('function', '_check_condition_still',        '',  '',     '',    ''),
	('function', '_check_consumer',               '',  '',    '',    ''),
	('function', '_check_entity',                 'X', 'X',    'X',    'X'),
	('function', '_check_keys',                   '',  '',     '',    ''),
	('function', '_check_kind',                   'X', 'X',    'X',    'X'),
	('function', '_check_needed',                 'X', 'X',    'X',    'X'),
	('function', '_check_not_purged',             '',  '',    '',    ''),
	('function', '_check_parents',                '',  '',     '',    ''),
	('function', '_check_severity',               '',  'X',    'X',    'X'),
	('function', '_check_text',                   '',  'X',    'X',    'X'),
	('function', '_check_trackable',              '',  '',     '',    ''),
	('function', '_check_trigger_table',          '',  '',     '',     ''),
	('function', '_check_stated',                 '',  'X',    'X',    'X'),
	('function', '_check_type',                   'X', 'X',    'X',    'X'),
	('function', '_check_update_state',           '',  'X',    'X',    'X'),
	('function', '_column_numbers',               '',  '',     '',    ''),
	('function', '_columns_of',                   '',  '',     'X',   'X'),
	('function', '_comment_stats',                '',  '',     '',     ''),
	('function', '_comment_tables',               '',  '',     '',     ''),
	('function', '_comment_views',                '',  '',     '',     ''),
	('function', '_commit_durably',               '',  '',    '',    ''),
	('function', '_compare_table',                '',  '',     'X',   'X'),
	('function', '_complete_link',                '',  '',     '',    ''),
	('function', '_complete_tracking',            '',  '',     '',    ''),
	('function', '_configuration_notes',          'X', 'X',    'X',    'X'),
	('function', '_count_affected',               'X', 'X',    'X',    'X'),
	('function', '_count_pending',                'X', 'X',    'X',    'X'),
	('function', '_count_ratings',                '',  '',     '',     'X'),
	('function', '_count_verified',               '',  'X',    'X',    'X'),
	('function', '_current_companions',           'X', 'X',    'X',    'X'),
	('function', '_ddl_trigger',                  '',  '',     '',    ''),
	('function', '_count_edges',                  '',  '',     '',    ''),
	('function', '_delete_entities',              '',  '',     '',    ''),
	('function', '_delete_preview',               'X', 'X',    'X',    'X'),
	('function', '_dependencies_events_trigger',  '',  '',    '',    ''),
	('function', '_dependencies_stats_trigger',   '',  '',     '',     ''),
	('function', '_derived_edges',                '',  '',     'X',   'X'),
	('function', '_disabled_constraint_triggers', '',  '',     '',     'X'),
	('function', '_discover',                     '',  '',     '',    ''),
	('function', '_distinct_assets',              'X', 'X',    'X',    'X'),
	('function', '_earlier_versions',             'X', 'X',    'X',    'X'),
	('function', '_emit',                         '',  '',    '',    ''),
	('function', '_entities_check_trigger',       '',  '',     '',     ''),
	('function', '_estimate_rows',                '',  '',     '',     ''),
	('function', '_escape_html',                  'X', 'X',    'X',    'X'),
	('function', '_event_partition',              '',  '',     'X',    'X'),
	('function', '_event_types',                  '',  '',    '',    ''),
	('function', '_everyone_edits_notes',         'X', 'X',    'X',    'X'),
	('function', '_family',                       '',  '',     'X',   'X'),
	('function', '_file_stem',                    'X', 'X',    'X',    'X'),
	('function', '_files_to_register',            '',  'X',    'X',    'X'),
	('function', '_finish_verification',          '',  'X',    'X',    'X'),
	('function', '_fold_assets',                  '',  '',     '',     ''),
	('function', '_fold_dependents',              '',  '',     '',     ''),
	('function', '_fold_dependents_directly',     '',  '',     '',     ''),
	('function', '_fold_dependents_trigger',      '',  '',     '',     ''),
	('function', '_fold_generations_trigger',     '',  '',     '',     ''),
	('function', '_fold_stats',                   '',  '',     '',     ''),
	('function', '_fold_stats_trigger',           '',  '',     '',     ''),
	('function', '_follow_columns',               '',  '',     '',    ''),
	('function', '_foreign_keys',                 '',  '',     '',    ''),
	('function', '_forget_plans',                 '',  '',     '',    ''),
	('function', '_forget_source',                '',  '',     '',    ''),
	('function', '_former_subject',               '',  '',    '',    ''),
	('function', '_guard_trigger',                '',  '',     '',     ''),
	('function', '_graph_cache_status',           'X', 'X',    'X',    'X'),
	('function', '_has_dependents_now',           '',  '',     '',     ''),
	('function', '_hashes_trigger',               '',  '',     '',     ''),
	('function', '_impact_rows',                  'X', 'X',    'X',    'X'),
	('function', '_inherit_priors',               '',  '',     '',     ''),
	('function', '_is_part',                      'X', 'X',    'X',    'X'),
	('function', '_keep_references_trigger',      '',  '',     '',     ''),
	('function', '_key_expression',               '',  '',     'X',   'X'),
	('function', '_latest_version',               'X', 'X',    'X',    'X'),
	('function', '_lease_partition',              '',  '',    '',    ''),
	('function', '_link_metadata',                '',  '',     '',     ''),
	('function', '_list_cursor',                  'X', 'X',    'X',    'X'),
	('function', '_list_files',                   '',  'X',    'X',    'X'),
	('function', '_list_order',                   'X', 'X',    'X',    'X'),
	('function', '_list_page',                    'X', 'X',    'X',    'X'),
	('function', '_list_place',                   'X', 'X',    'X',    'X'),
	('function', '_list_statement',               'X', 'X',    'X',    'X'),
	('function', '_lock_lease',                   '',  '',    '',    ''),
	('function', '_lock_stats',                   '',  '',     '',     ''),
	('function', '_locked',                       '',  '',     '',    ''),
	('function', '_may_administer',               'X', 'X',    'X',    'X'),
	('function', '_may_edit_note',                'X', 'X',    'X',    'X'),
	('function', '_meant_assets',                 'X', 'X',    'X',    'X'),
	('function', '_measure_ahead',                '',  'X',    'X',    'X'),
	('function', '_measure_file',                 '',  'X',    'X',    'X'),  -- the right to read files below assetreg.asset_roots
	('function', '_measure_trigger',              '',  '',     '',     ''),
	('function', '_measurement_of',               '',  'X',    'X',    'X'),
	('function', '_metadata_facts',               'X', 'X',    'X',    'X'),
	('function', '_move_keys',                    '',  '',     '',    ''),
	('function', '_move_notes_trigger',           '',  '',     '',     ''),
	('function', '_name_of_file',                 '',  'X',    'X',    'X'),
	('function', '_named_columns',                '',  '',     'X',   'X'),
	('function', '_needed',                       'X', 'X',    'X',    'X'),
	('function', '_new_versions_trigger',         '',  '',     '',     ''),
	('function', '_newest_versions',              'X', 'X',    'X',    'X'),
	('function', '_next_events',                  '',  '',    '',    ''),
	('function', '_next_ordinal',                 '',  '',     '',     ''),
	('function', '_no_such',                      'X', 'X',    'X',    'X'),
	('function', '_no_such_note',                 '',  'X',    'X',    'X'),
	('function', '_note_history_trigger',         '',  '',     '',     ''),
	('function', '_note_query',                   'X', 'X',    'X',    'X'),
	('function', '_note_waiting',                 '',  '',     '',    ''),
	('function', '_notes_events_trigger',         '',  '',    '',    ''),
	('function', '_notes_of',                     'X', 'X',    'X',    'X'),
	('function', '_notes_trigger',                '',  '',     '',     ''),
	('function', '_notify_trigger',               '',  '',    '',    ''),
	('function', '_open_new_versions',            '',  '',     '',     ''),
	('function', '_pending_assets',               'X', 'X',    'X',    'X'),
	('function', '_pending_dependents',           'X', 'X',    'X',    'X'),
	('function', '_point_to_predecessors',        '',  '',     '',     ''),
	('function', '_policies',                     '',  '',     '',     'X'),
	('function', '_predecessor',                  '',  '',     '',     ''),
	('function', '_propose',                      '',  'X',    'X',    'X'),
	('function', '_publish_events',               '',  '',    '',    ''),
	('function', '_put_entities',                 '',  '',     '',    ''),
	('function', '_ratings_events_trigger',       '',  '',    '',    ''),
	('function', '_ratings_stats_trigger',        '',  '',     '',     ''),
	('function', '_recommend',                    'X', 'X',    'X',    'X'),
	('function', '_record_verification',          '',  'X',    'X',    'X'),
	('function', '_recount_stats',                '',  '',     '',     ''),
	('function', '_quiet',                        '',  '',     '',    ''),
	('function', '_reconsider_candidates',        '',  '',     '',     ''),
	('function', '_reference_names',              'X', 'X',    'X',    'X'),
	('function', '_refresh_search',               '',  '',     '',     ''),
	('function', '_register_file',                '',  'X',    'X',    'X'),
	('function', '_relations',                    '',  '',     '',     'X'),
	('function', '_remaining',                    'X', 'X',    'X',    'X'),
	('function', '_remove_links',                 '',  '',     '',    ''),
	('function', '_remove_surplus',               '',  '',     '',    ''),
	('function', '_rename_columns',               '',  '',     '',    ''),
	('function', '_require_autocommit',           '',  'X',    'X',    'X'),
	('function', '_require_own_transaction',      '',  '',    '',    ''),
	('function', '_require_tables',               'X', 'X',    'X',    'X'),
	('function', '_resolve_keys',                 '',  '',     '',    ''),
	('function', '_resolve_references',           '',  '',     '',     ''),
	('function', '_restoring',                    '',  '',     '',     ''),
	('function', '_restore_tracking',             '',  '',     '',    ''),
	('function', '_row_condition',                '',  '',     '',    ''),
	('function', '_search_problems',              '',  '',     '',     'X'),
	('function', '_search_query',                 'X', 'X',    'X',    'X'),
	('function', '_search_row',                   '',  '',     '',     'X'),
	('function', '_search_words_query',           'X', 'X',    'X',    'X'),
	('function', '_set_update_state',             '',  'X',    'X',    'X'),
	('function', '_setup_assets',                 '',  '',     '',     ''),
	('function', '_setup_consumers',              '',  '',    '',    ''),
	('function', '_setup_coverage',               '',  '',     '',     ''),
	('function', '_setup_events',                 '',  '',    '',    ''),
	('function', '_setup_graph',                  '',  '',     '',     ''),
	('function', '_setup_kinds',                  '',  '',     '',     ''),
	('function', '_setup_memory',                 '',  '',     '',     ''),
	('function', '_setup_notes',                  '',  '',     '',     ''),
	('function', '_setup_policies',               '',  '',     '',     ''),
	('function', '_setup_ratings',                '',  '',     '',     ''),
	('function', '_setup_recommendations',        '',  '',     '',     ''),
	('function', '_setup_references',             '',  '',     '',     ''),
	('function', '_setup_search',                 '',  '',     '',     ''),
	('function', '_setup_stats',                  '',  '',     '',     ''),
	('function', '_setup_tracking',               '',  '',     '',    ''),
	('function', '_setup_updates',                '',  '',     '',     ''),
	('function', '_setup_verification',           '',  '',     '',     ''),
	('function', '_start_verification',           '',  'X',    'X',    'X'),
	('function', '_stated',                       '',  '',     'X',   'X'),
	('function', '_stated_facts',                 'X', 'X',    'X',    'X'),
	('function', '_stated_edges',                 '',  '',     'X',   'X'),
	('function', '_stated_references',            '',  '',     '',     ''),
	('function', '_stated_version',               '',  'X',    'X',    'X'),
	('function', '_stats_problems',               '',  '',     '',     'X'),
	('function', '_stats_triggers',               '',  '',     '',     'X'),
	('function', '_status_trigger',               '',  '',     '',     ''),
	('function', '_still_to_verify',              '',  'X',    'X',    'X'),
	('function', '_supersede_updates',            '',  '',     '',     ''),
	('function', '_surest_relation',              'X', 'X',    'X',    'X'),
	('function', '_surplus_edges',                '',  '',     '',    ''),
	('function', '_take_table',                   '',  '',     '',    ''),
	('function', '_targets',                      '',  '',     'X',   'X'),
	('function', '_track_table',                  '',  '',     '',    ''),
	('function', '_tracking_of',                  '',  '',     'X',   'X'),
	('function', '_tracking_problems',            '',  '',     'X',   'X'),
	('function', '_tracking_trigger',             '',  '',     '',    ''),
	('function', '_tracking_triggers',            '',  '',     'X',   'X'),
	('function', '_unique_columns',               '',  '',     '',    ''),
	('function', '_untrack',                      '',  '',     '',    ''),
	('function', '_update_events',                '',  '',     '',     ''),
	('function', '_take_facts',                   '',  '',     '',     ''),
	('function', '_triggers',                     '',  '',     '',     'X'),
	('function', '_type_key_trigger',             '',  '',     '',     ''),
	('function', '_unfit_companions',             'X', 'X',    'X',    'X'),
	('function', '_update_history_trigger',       '',  '',     '',     ''),
	('function', '_update_starts',                'X', 'X',    'X',    'X'),
	('function', '_update_state_trigger',         '',  '',     '',     ''),
	('function', '_updates_opened_trigger',       '',  '',     '',     ''),
	('function', '_verify_next',                  '',  'X',    'X',    'X'),
	('function', '_verify_on_server',             '',  'X',    'X',    'X'),
	('function', '_version_key',                  'X', 'X',    'X',    'X'),
	('function', '_version_of_content',           '',  'X',    'X',    'X'),
	('function', '_version_trigger',              '',  '',     '',     ''),
	('function', '_versions_before',              'X', 'X',    'X',    'X'),
	('function', '_waiting_reference',            '',  '',     '',    ''),
	('function', '_workflow_edges',               '',  '',     'X',    'X'),
	('function', '_workflow_needs',               'X', 'X',    'X',    'X')
	$$;
COMMENT ON FUNCTION assetreg._access() IS 'what each level of grant_access() may do with each object';

CREATE FUNCTION assetreg.grant_access(role regrole, level text) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	owner oid := (SELECT e.extowner FROM pg_extension e WHERE e.extname = 'assetreg');
	grantee name := (SELECT r.rolname FROM pg_roles r WHERE r.oid = $1);
	r record;
BEGIN
	PERFORM assetreg._require_tables();
	IF NOT pg_has_role(owner, 'USAGE') THEN
		RAISE EXCEPTION 'permission denied to grant access to the registry'
			USING ERRCODE = 'insufficient_privilege', DETAIL = 'Only the owner of the extension and superusers may do that.';
	ELSIF $1 IS NULL OR $2 IS NULL THEN
		RAISE EXCEPTION 'role and level must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF grantee IS NULL THEN
		RAISE EXCEPTION 'role % does not exist', $1::oid USING ERRCODE = 'undefined_object';
	ELSIF $2 NOT IN ('reader', 'contributor', 'service', 'admin', 'none') THEN
		RAISE EXCEPTION 'unrecognized access level: "%"', left($2, 200)
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Use "reader", "contributor", "service", "admin" or "none".';
	ELSIF $1 = owner THEN
		RAISE EXCEPTION 'role "%" owns the registry and has no level', grantee USING ERRCODE = 'invalid_parameter_value';
	END IF;
	-- two sessions that grant the same would meet in the catalog
	LOCK TABLE assetreg.entity_kinds IN SHARE UPDATE EXCLUSIVE MODE;

	-- a table's line first: it takes the rights on columns back, too
	FOR r IN
		SELECT o.target, o.revoked, o.suffix,
			   (SELECT string_agg(w.word || o.suffix, ', ')
				FROM (VALUES ('r', 'SELECT'), ('a', 'INSERT'), ('w', 'UPDATE'), ('d', 'DELETE'), ('x', 'REFERENCES'), ('U', 'USAGE'), ('X', 'EXECUTE'),
							 ('s', 'SET')) w (letter, word)
				WHERE strpos(to_jsonb(a) ->> $2, w.letter) > 0) AS granted
		FROM assetreg._access() a CROSS JOIN LATERAL (
			SELECT 'SCHEMA assetreg', true, '' WHERE a.kind = 'schema'
			UNION ALL
			SELECT format('%s assetreg.%I', a.kind, a.object), true, '' WHERE a.kind IN ('table', 'sequence')
			UNION ALL
			SELECT format('TABLE assetreg.%I', split_part(a.object, '.', 1)), false, format(' (%I)', split_part(a.object, '.', 2)) WHERE a.kind = 'column'
			UNION ALL
			SELECT 'ROUTINE ' || p.oid::regprocedure, true, '' FROM pg_proc p
			WHERE a.kind = 'function' AND p.pronamespace = 'assetreg'::regnamespace AND p.proname = a.object
			UNION ALL
			SELECT 'PARAMETER ' || a.object,
				   EXISTS (SELECT FROM pg_parameter_acl p, aclexplode(p.paracl) x WHERE p.parname = a.object AND x.grantee = $1), '' WHERE a.kind = 'setting'
		) o (target, revoked, suffix)
		ORDER BY a.kind = 'column'
	LOOP
		IF r.revoked THEN
			EXECUTE format('REVOKE ALL ON %s FROM %I', r.target, grantee);
		END IF;
		IF r.granted IS NOT NULL THEN
			EXECUTE format('GRANT %s ON %s TO %I', r.granted, r.target, grantee);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg.grant_access(regrole, text) IS
	'gives a role the rights of a level on the registry and takes all others back: reader, contributor, service, admin or none';

-- The mark of the level admin.  In a policy or a function that runs as its caller; a SECURITY DEFINER function would ask about its owner.
CREATE FUNCTION assetreg._may_administer() RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$ SELECT has_table_privilege('assetreg.entity_kinds', 'UPDATE') $$;
COMMENT ON FUNCTION assetreg._may_administer() IS 'whether the current user has the level admin, or more';
