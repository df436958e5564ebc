-- The tables are the studio's: setup() makes or adopts them, and no table, view or sequence is a member of the extension.
-- Tables use no function or type of the extension; only triggers do, so DROP EXTENSION ... CASCADE leaves every row.
-- Literals with a backslash are E'': they mean the same whatever standard_conforming_strings is.

CREATE FUNCTION assetreg._require_tables() RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'assetreg_require_tables';
COMMENT ON FUNCTION assetreg._require_tables() IS
	'raises 55000 with a hint where a table of setup() is missing';

-- pg_dump's scripts switch row security off, and pg_restore gives its name.
CREATE FUNCTION assetreg._restoring() RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$ SELECT current_setting('row_security') = 'off' OR current_setting('application_name') = 'pg_restore' $$;
COMMENT ON FUNCTION assetreg._restoring() IS 'is this the session of a restore';

CREATE FUNCTION assetreg._relations() RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$ SELECT '{entity_kinds,asset_types,entities,assets,asset_hashes,asset_dependencies,version_ordinals,asset_verifications,verification_runs,verification_progress,
		unresolved_references,asset_notes,asset_note_history,asset_ratings,asset_stats,asset_stat_changes,asset_dependent_changes,asset_search,asset_list,
		events,event_sequencer,event_consumers,event_partitions,event_failures,dead_events,consumer_lag,
		asset_updates,asset_update_history,open_updates,tracked_tables,tracked_links,wanted_assets,asset_outcomes,generation_records,graph_cache_status}'::text[] $$;
COMMENT ON FUNCTION assetreg._relations() IS 'the relations that setup() makes';

-- What setup() puts back and check_registry() looks for.
CREATE FUNCTION assetreg._triggers(OUT relation text, OUT name text, OUT definition text) RETURNS SETOF record
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT r, n, format('CREATE OR REPLACE TRIGGER %I %s ON assetreg.%I %s', n, timing, r, action)
	FROM (VALUES
		('asset_types', 'asset_types_insert_kind', 'BEFORE INSERT OR UPDATE OF name',
		 'FOR EACH ROW EXECUTE FUNCTION assetreg._asset_types_trigger()'),
		('asset_types', 'asset_types_delete_kind', 'AFTER DELETE OR UPDATE OF name',
		 'FOR EACH ROW EXECUTE FUNCTION assetreg._asset_types_trigger()'),
		('asset_types', 'asset_types_truncate', 'BEFORE TRUNCATE',
		 'FOR EACH STATEMENT EXECUTE FUNCTION assetreg._asset_types_trigger()'),
		('assets', 'assets_attribution', 'BEFORE INSERT OR UPDATE',
		 'FOR EACH ROW EXECUTE FUNCTION assetreg._attribution_trigger(''registered_by'', ''registered_at'', ''updated_at'')'),
		('assets', 'assets_measure', 'BEFORE INSERT OR UPDATE',
		 'FOR EACH ROW EXECUTE FUNCTION assetreg._measure_trigger()'),
		('assets', 'assets_version', 'BEFORE INSERT',  -- after assets_measure
		 'FOR EACH ROW WHEN (NEW.version IS NULL) EXECUTE FUNCTION assetreg._version_trigger()'),
		('assets', 'assets_chain_insert', 'AFTER INSERT',
		 'FOR EACH ROW WHEN (NEW.supersedes > NEW.id OR NEW.replaced_by > NEW.id) EXECUTE FUNCTION assetreg._chain_trigger()'),
		('assets', 'assets_chain_update', 'AFTER UPDATE',
		 'FOR EACH ROW WHEN (OLD.supersedes <> NEW.supersedes OR OLD.supersedes IS NULL AND NEW.supersedes IS NOT NULL '
		 'OR OLD.replaced_by <> NEW.replaced_by OR OLD.replaced_by IS NULL AND NEW.replaced_by IS NOT NULL) EXECUTE FUNCTION assetreg._chain_trigger()'),
		('assets', 'assets_status', 'BEFORE UPDATE',
		 'FOR EACH ROW WHEN (OLD.status = ''removed'' AND NEW.status <> ''removed'') EXECUTE FUNCTION assetreg._status_trigger()'),
		('assets', 'assets_insert_sync', 'AFTER INSERT',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_sync_trigger()'),
		('assets', 'assets_insert_take_facts', 'AFTER INSERT',  -- after assets_insert_sync_stats, which makes the row that counts its edges
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_facts_trigger()'),
		('assets', 'assets_update_guard', 'AFTER UPDATE',
		 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._guard_trigger()'),
		('assets', 'assets_update_sync', 'AFTER UPDATE',
		 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_sync_trigger()'),
		('assets', 'assets_update_take_facts', 'AFTER UPDATE',
		 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_facts_trigger()'),
		('asset_hashes', 'asset_hashes_insert', 'AFTER INSERT',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._hashes_trigger()'),
		('asset_hashes', 'asset_hashes_update', 'AFTER UPDATE',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._hashes_trigger()'),
		('assets', 'assets_delete_guard', 'AFTER DELETE',
		 'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._guard_trigger()'),
		('assets', 'assets_delete_references', 'AFTER DELETE',
		 'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._keep_references_trigger()'),
		('assets', 'assets_delete_sync', 'AFTER DELETE',
		 'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_sync_trigger()'),
		('assets', 'assets_truncate_guard', 'BEFORE TRUNCATE',
		 'FOR EACH STATEMENT EXECUTE FUNCTION assetreg._guard_trigger()'),
		('assets', 'assets_truncate_references', 'AFTER TRUNCATE',
		 'FOR EACH STATEMENT EXECUTE FUNCTION assetreg._keep_references_trigger()'),
		('assets', 'assets_truncate_sync', 'AFTER TRUNCATE',
		 'FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_sync_trigger()'),
		('assets', 'assets_insert_sync_search', 'AFTER INSERT',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_search_trigger()'),
		('assets', 'assets_update_sync_search', 'AFTER UPDATE',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_search_trigger()'),
		('assets', 'assets_delete_sync_search', 'AFTER DELETE',
		 'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_search_trigger()'),
		('assets', 'assets_truncate_sync_search', 'AFTER TRUNCATE',
		 'FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_search_trigger()'),
		('assets', 'assets_insert_sync_updates', 'AFTER INSERT',  -- after the edges that came with the asset
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._new_versions_trigger()'),
		('assets', 'assets_update_sync_updates', 'AFTER UPDATE',
		 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._changed_assets_trigger()'),
		('asset_updates', 'asset_updates_attribution', 'BEFORE INSERT',
		 'FOR EACH ROW EXECUTE FUNCTION assetreg._attribution_trigger(''opened_by'', ''opened_at'')'),
		('asset_updates', 'asset_updates_state', 'BEFORE UPDATE',
		 'FOR EACH ROW WHEN (OLD.state <> NEW.state OR OLD.reason IS DISTINCT FROM NEW.reason) EXECUTE FUNCTION assetreg._update_state_trigger()'),
		('asset_updates', 'asset_updates_insert_events', 'AFTER INSERT',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._updates_opened_trigger()'),
		('asset_updates', 'asset_updates_history', 'AFTER UPDATE',
		 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._update_history_trigger()'),
		('entities', 'entities_insert_check', 'AFTER INSERT',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._entities_check_trigger()'),
		('entities', 'entities_update_check', 'AFTER UPDATE',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._entities_check_trigger()'),
		('entities', 'entities_delete_check', 'AFTER DELETE',
		 'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._entities_check_trigger()'),
		('assets', 'assets_move_notes', 'BEFORE DELETE', 'FOR EACH ROW EXECUTE FUNCTION assetreg._move_notes_trigger()'),
		('asset_notes', 'asset_notes_attribution', 'BEFORE INSERT OR UPDATE',
		 'FOR EACH ROW EXECUTE FUNCTION assetreg._attribution_trigger(''author'', ''created_at'')'),
		('asset_notes', 'asset_notes_edit', 'BEFORE INSERT OR UPDATE', 'FOR EACH ROW EXECUTE FUNCTION assetreg._notes_trigger()'),
		('asset_notes', 'asset_notes_history', 'AFTER UPDATE',
		 'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._note_history_trigger()'),
		('asset_ratings', 'asset_ratings_attribution', 'BEFORE INSERT OR UPDATE',
		 'FOR EACH ROW EXECUTE FUNCTION assetreg._attribution_trigger(''rater'', ''rated_at'', ''rated_at'')'),
		('asset_dependencies', 'asset_dependencies_attribution', 'BEFORE INSERT OR UPDATE',
		 'FOR EACH ROW EXECUTE FUNCTION assetreg._attribution_trigger(''added_by'', ''added_at'')'),
		('unresolved_references', 'unresolved_references_type_key', 'BEFORE INSERT OR UPDATE',
		 'FOR EACH ROW WHEN (NEW.type_key <> coalesce(NEW.type, '''')) EXECUTE FUNCTION assetreg._type_key_trigger()'),
		-- events, after what the others do: a refused change is no fact
		('assets', 'assets_insert_sync_events', 'AFTER INSERT',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_events_trigger()'),
		('assets', 'assets_update_sync_events', 'AFTER UPDATE',
		 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_events_trigger()'),
		('assets', 'assets_delete_sync_events', 'AFTER DELETE',
		 'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_events_trigger()'),
		('assets', 'assets_truncate_events', 'BEFORE TRUNCATE',
		 'FOR EACH STATEMENT EXECUTE FUNCTION assetreg._assets_events_trigger()'),
		('asset_dependencies', 'asset_dependencies_insert_events', 'AFTER INSERT',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._dependencies_events_trigger()'),
		('asset_dependencies', 'asset_dependencies_update_events', 'AFTER UPDATE',
		 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._dependencies_events_trigger()'),
		('asset_dependencies', 'asset_dependencies_delete_events', 'AFTER DELETE',
		 'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._dependencies_events_trigger()'),
		('asset_dependencies', 'asset_dependencies_truncate_events', 'BEFORE TRUNCATE',
		 'FOR EACH STATEMENT EXECUTE FUNCTION assetreg._dependencies_events_trigger()'),
		('asset_notes', 'asset_notes_insert_events', 'AFTER INSERT',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._notes_events_trigger()'),
		('asset_ratings', 'asset_ratings_insert_events', 'AFTER INSERT',
		 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._ratings_events_trigger()'),
		('asset_ratings', 'asset_ratings_update_events', 'AFTER UPDATE',
		 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._ratings_events_trigger()'),
		('asset_ratings', 'asset_ratings_delete_events', 'AFTER DELETE',
		 'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION assetreg._ratings_events_trigger()'),
		('asset_ratings', 'asset_ratings_truncate_events', 'BEFORE TRUNCATE',
		 'FOR EACH STATEMENT EXECUTE FUNCTION assetreg._ratings_events_trigger()'),
		('events', 'events_notify', 'BEFORE INSERT', 'FOR EACH ROW EXECUTE FUNCTION assetreg._notify_trigger()')
	) AS t (r, n, timing, action)
	UNION ALL
	SELECT t.* FROM assetreg._stats_triggers() t
	UNION ALL
	VALUES ('generation_records', 'generation_records_fold',
			'CREATE CONSTRAINT TRIGGER generation_records_fold AFTER INSERT ON assetreg.generation_records DEFERRABLE INITIALLY DEFERRED '
			'FOR EACH ROW EXECUTE FUNCTION assetreg._fold_generations_trigger()')
	$$;
COMMENT ON FUNCTION assetreg._triggers() IS 'the triggers that the registry''s tables must have';

CREATE FUNCTION assetreg._disabled_constraint_triggers(OUT relation regclass, OUT name name) RETURNS SETOF record
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT g.tgrelid::regclass, g.tgname
	FROM pg_trigger g
	WHERE g.tgrelid IN (SELECT to_regclass('assetreg.' || r) FROM unnest(assetreg._relations()) r)
	  AND g.tgisinternal AND g.tgconstraint <> 0 AND g.tgenabled <> 'O'
	$$;
COMMENT ON FUNCTION assetreg._disabled_constraint_triggers() IS 'the triggers of foreign keys that somebody switched off';

CREATE FUNCTION assetreg._setup_kinds() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.entity_kinds') IS NULL THEN
		CREATE TABLE assetreg.entity_kinds (
			name text COLLATE "C" CONSTRAINT entity_kinds_pkey PRIMARY KEY
				CONSTRAINT entity_kinds_name_check CHECK (octet_length(name) BETWEEN 1 AND 100 AND name !~ E'[/@\\u0001-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]'),
			description text,
			url_template text
		);
		INSERT INTO assetreg.entity_kinds (name, description) VALUES
			('project', 'a production'),
			('scene_type', 'a kind of scene, generated by one or more templates'),
			('template', 'a generation set-up: models, LoRAs, nodes and their settings'),
			('workflow', 'a node graph as a document'),
			('scene', 'a scene of a project'),
			('segment', 'a generated piece of a scene'),
			('job', 'a generation that runs or ran');
	END IF;

	IF to_regclass('assetreg.asset_types') IS NULL THEN
		CREATE TABLE assetreg.asset_types (
			name text COLLATE "C" CONSTRAINT asset_types_pkey PRIMARY KEY
				CONSTRAINT asset_types_name_fkey REFERENCES assetreg.entity_kinds (name),
			description text
		);
		-- the trigger that does this for later rows does not exist yet
		INSERT INTO assetreg.entity_kinds (name, description) VALUES
			('model', 'a base model: checkpoint, diffusion model, VAE, encoder'),
			('lora', 'a low-rank adaptation of a base model'),
			('custom_node', 'a pack of node classes')
			ON CONFLICT DO NOTHING;
		INSERT INTO assetreg.asset_types (name, description)
			SELECT k.name, k.description FROM assetreg.entity_kinds k
			WHERE k.name = ANY ('{model,lora,custom_node}');
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_kinds() IS 'makes the tables of kinds and types where they are missing';

CREATE FUNCTION assetreg._setup_graph() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.entities_id_seq') IS NULL THEN
		-- one sequence for all entities keeps ids dense, which the walk likes; CACHE 1 keeps them in order of creation
		CREATE SEQUENCE assetreg.entities_id_seq CACHE 1;
	END IF;
	IF to_regclass('assetreg.entities') IS NULL THEN
		CREATE TABLE assetreg.entities (
			id bigint NOT NULL DEFAULT nextval('assetreg.entities_id_seq'),
			kind text COLLATE "C" NOT NULL CONSTRAINT entities_kind_fkey REFERENCES assetreg.entity_kinds (name) ON UPDATE CASCADE,
			key text NOT NULL CONSTRAINT entities_key_check CHECK (octet_length(key) BETWEEN 1 AND 2000),
			label text,
			active boolean NOT NULL DEFAULT true,
			CONSTRAINT entities_pkey PRIMARY KEY (id) INCLUDE (kind, active),  -- impact() reads no more
			CONSTRAINT entities_kind_key_key UNIQUE (kind, key)
		);
		ALTER SEQUENCE assetreg.entities_id_seq OWNED BY assetreg.entities.id;
	END IF;

	IF to_regclass('assetreg.asset_dependencies') IS NULL THEN
		CREATE TABLE assetreg.asset_dependencies (
			dependent_id bigint NOT NULL,
			dependency_id bigint NOT NULL,
			source text COLLATE "C" NOT NULL DEFAULT 'declared' CONSTRAINT asset_dependencies_source_check CHECK (octet_length(source) BETWEEN 1 AND 100),
			relation text NOT NULL DEFAULT 'uses' CONSTRAINT asset_dependencies_relation_check CHECK (relation <> ''),
			requires text[] NOT NULL DEFAULT '{}'
				CONSTRAINT asset_dependencies_requires_check CHECK (array_position(requires, NULL) IS NULL),
			added_by text NOT NULL,
			added_at timestamptz NOT NULL DEFAULT now(),
			CONSTRAINT asset_dependencies_pkey PRIMARY KEY (dependency_id, dependent_id, source),
			CONSTRAINT asset_dependencies_dependency_id_fkey FOREIGN KEY (dependency_id) REFERENCES assetreg.entities (id) ON DELETE CASCADE,
			CONSTRAINT asset_dependencies_dependent_id_fkey FOREIGN KEY (dependent_id) REFERENCES assetreg.entities (id) ON DELETE CASCADE,
			CONSTRAINT asset_dependencies_self_check CHECK (dependent_id <> dependency_id)
		);
		CREATE INDEX asset_dependencies_dependent_idx ON assetreg.asset_dependencies (dependent_id) INCLUDE (dependency_id);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_graph() IS 'makes the tables of the dependency graph where they are missing';

CREATE FUNCTION assetreg._setup_assets() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.assets') IS NULL THEN
		CREATE TABLE assetreg.assets (
			id bigint CONSTRAINT assets_pkey PRIMARY KEY DEFAULT nextval('assetreg.entities_id_seq'),
			type text COLLATE "C" NOT NULL CONSTRAINT assets_type_fkey REFERENCES assetreg.asset_types (name),
			name text NOT NULL
				CONSTRAINT assets_name_check CHECK (octet_length(name) BETWEEN 1 AND 1000 AND name !~ E'[\\u0001-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]'),
			version text NOT NULL
				CONSTRAINT assets_version_check CHECK (octet_length(version) BETWEEN 1 AND 200 AND version !~ E'[/@\\u0001-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]'),
			status text COLLATE "C" NOT NULL DEFAULT 'active'
				CONSTRAINT assets_status_check CHECK (status IN ('active', 'deprecated', 'removed')),
			replaced_by bigint,
			file_path text CONSTRAINT assets_file_path_check CHECK (file_path <> ''),
			file_size bigint CONSTRAINT assets_file_size_check CHECK (file_size > 0),
			sha256 text COLLATE "C" CONSTRAINT assets_sha256_check CHECK (
				sha256 ~ '^[0-9a-f]{64}$' AND sha256 <> 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'),  -- the hash of nothing
			integrity text COLLATE "C" NOT NULL DEFAULT 'declared'
				CONSTRAINT assets_integrity_check CHECK (integrity IN ('verified', 'declared', 'mismatch', 'missing')),
			verified_at timestamptz,
			metadata jsonb NOT NULL DEFAULT '{}' CONSTRAINT assets_metadata_check CHECK (jsonb_typeof(metadata) = 'object'),
			provides text[] NOT NULL DEFAULT '{}' CONSTRAINT assets_provides_check CHECK (array_position(provides, NULL) IS NULL),
			supersedes bigint,
			preview_url text,
			registered_by text NOT NULL,
			registered_at timestamptz NOT NULL DEFAULT now(),
			updated_at timestamptz NOT NULL DEFAULT now(),
			CONSTRAINT assets_type_name_version_key UNIQUE (type, name, version),
			CONSTRAINT assets_id_fkey FOREIGN KEY (id) REFERENCES assetreg.entities (id) DEFERRABLE INITIALLY DEFERRED,
			CONSTRAINT assets_replaced_by_fkey FOREIGN KEY (replaced_by) REFERENCES assetreg.assets (id) ON DELETE SET NULL,
			CONSTRAINT assets_supersedes_fkey FOREIGN KEY (supersedes) REFERENCES assetreg.assets (id) ON DELETE SET NULL,
			CONSTRAINT assets_replaced_by_check CHECK (replaced_by IS NULL OR replaced_by <> id AND status <> 'active'),
			CONSTRAINT assets_supersedes_check CHECK (supersedes <> id),
			CONSTRAINT assets_file_check CHECK (file_path IS NULL OR (file_size IS NOT NULL AND sha256 IS NOT NULL))
		);
		CREATE INDEX assets_sha256_idx ON assetreg.assets (sha256) WHERE sha256 IS NOT NULL;
		CREATE INDEX assets_replaced_by_idx ON assetreg.assets (replaced_by) WHERE replaced_by IS NOT NULL;
		CREATE INDEX assets_supersedes_idx ON assetreg.assets (supersedes) WHERE supersedes IS NOT NULL;
	END IF;

	IF to_regclass('assetreg.asset_hashes') IS NULL THEN
		CREATE TABLE assetreg.asset_hashes (
			asset_id bigint NOT NULL CONSTRAINT asset_hashes_asset_id_fkey REFERENCES assetreg.assets (id) ON DELETE CASCADE,
			algorithm text COLLATE "C" NOT NULL CONSTRAINT asset_hashes_algorithm_check CHECK (algorithm ~ '^[a-z0-9]+$'),
			value text COLLATE "C" NOT NULL CONSTRAINT asset_hashes_value_check CHECK (value ~ '^[0-9a-f]{1,200}$'),
			source text COLLATE "C" NOT NULL CONSTRAINT asset_hashes_source_check CHECK (source IN ('measured', 'claimed')),
			CONSTRAINT asset_hashes_pkey PRIMARY KEY (asset_id, algorithm, source, value)  -- a file's own claims may differ
		);
		CREATE INDEX asset_hashes_value_idx ON assetreg.asset_hashes (value, algorithm);
	END IF;

	IF to_regclass('assetreg.version_ordinals') IS NULL THEN
		CREATE TABLE assetreg.version_ordinals (
			type text COLLATE "C" NOT NULL CONSTRAINT version_ordinals_type_check CHECK (octet_length(type) <= 100),
			name text NOT NULL CONSTRAINT version_ordinals_name_check CHECK (octet_length(name) <= 1000),
			last bigint NOT NULL,
			CONSTRAINT version_ordinals_pkey PRIMARY KEY (type, name)
		);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_assets() IS 'makes the tables of the inventory where they are missing';

CREATE FUNCTION assetreg.setup() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	owner oid;
	r record;
BEGIN
	PERFORM assetreg._setup_kinds(), assetreg._setup_graph(), assetreg._setup_assets(), assetreg._setup_verification(),
		assetreg._setup_references(), assetreg._setup_notes(), assetreg._setup_stats(), assetreg._setup_ratings(), assetreg._setup_search(),
		assetreg._setup_events(), assetreg._setup_consumers(), assetreg._setup_updates(), assetreg._setup_tracking(),
		assetreg._setup_coverage(), assetreg._setup_recommendations(), assetreg._setup_memory();

	IF obj_description('assetreg.assets'::regclass, 'pg_class') IS NULL THEN
		PERFORM assetreg._comment_tables(), assetreg._comment_stats();
	END IF;
	IF obj_description('assetreg.asset_list'::regclass, 'pg_class') IS NULL
		OR obj_description('assetreg.verification_progress'::regclass, 'pg_class') IS NULL THEN
		PERFORM assetreg._comment_views();
	END IF;

	-- put back what is missing or switched off; a trigger that is there as it should be is not touched, so nothing is locked
	FOR r IN
		SELECT CASE WHEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = to_regclass('assetreg.' || t.relation) AND g.tgname = t.name)
					THEN format('ALTER TABLE assetreg.%I ENABLE TRIGGER %I', t.relation, t.name) ELSE t.definition END AS definition
		FROM assetreg._triggers() t
		WHERE NOT EXISTS (SELECT FROM pg_trigger g
						  WHERE g.tgrelid = to_regclass('assetreg.' || t.relation) AND g.tgname = t.name AND g.tgenabled = 'O')
	LOOP
		EXECUTE r.definition;
	END LOOP;
	-- DISABLE TRIGGER ALL, and a data-only dump's --disable-triggers, switch foreign keys off, too
	FOR r IN SELECT t.relation, t.name FROM assetreg._disabled_constraint_triggers() t
	LOOP
		EXECUTE format('ALTER TABLE %s ENABLE TRIGGER %I', r.relation, r.name);
	END LOOP;

	PERFORM assetreg._setup_policies();
	PERFORM assetreg._restore_tracking();

	-- two transactions at the same moment may have missed each other, and what was loaded with triggers off missed all
	PERFORM assetreg._resolve_references(ARRAY(SELECT DISTINCT u.reference FROM assetreg.unresolved_references u));

	SELECT e.extowner INTO owner FROM pg_extension e WHERE e.extname = 'assetreg';
	FOR r IN
		SELECT c.relname, c.relkind, c.relowner, d.objid IS NOT NULL AS member
		FROM pg_class c
			 LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
		WHERE c.relnamespace = 'assetreg'::regnamespace AND (c.relname = ANY (assetreg._relations()) OR c.relkind = 'S')
		ORDER BY c.relkind DESC  -- views, then tables, then sequences: a table takes the sequences that it owns along
	LOOP
		IF r.member THEN
			EXECUTE format('ALTER EXTENSION assetreg DROP %s assetreg.%I',
						   CASE r.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.relname);
		END IF;
		IF r.relkind <> 'S' AND r.relowner <> owner THEN
			EXECUTE format('ALTER TABLE assetreg.%I OWNER TO %I', r.relname, pg_get_userbyid(owner));
		END IF;
	END LOOP;
	IF EXISTS (SELECT FROM assetreg._stats_problems()) THEN
		PERFORM assetreg._recount_stats();
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg.setup() IS
	'makes or adopts the registry''s tables, and puts missing triggers back; may be called again at any time';
