-- ComfyUI workflows: what they need, and the edges that follow from it.

CREATE FUNCTION assetreg.workflow_references(workflow jsonb) RETURNS TABLE (type text, reference text, node_class text, node_id text)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 20
	AS 'MODULE_PATHNAME', 'assetreg_workflow_references';
COMMENT ON FUNCTION assetreg.workflow_references(jsonb) IS
	'model files, LoRAs and custom nodes that the nodes of a ComfyUI workflow (UI or API format) need';

CREATE FUNCTION assetreg._workflow_needs(workflow jsonb)
	RETURNS TABLE (type text, reference text, node_class text, node_id text, relation text, hash text)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 20
	AS 'MODULE_PATHNAME', 'assetreg_workflow_references';
COMMENT ON FUNCTION assetreg._workflow_needs(jsonb) IS 'workflow_references() with what becomes of the node and the hash that the workflow states';

CREATE FUNCTION assetreg.workflow_nodes(workflow jsonb) RETURNS TABLE (node_id text, node_class text, mode text, pack text, version text)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 20
	AS 'MODULE_PATHNAME', 'assetreg_workflow_nodes';
COMMENT ON FUNCTION assetreg.workflow_nodes(jsonb) IS
	'the nodes of a ComfyUI workflow, those of subgraphs included: class, mode (active, bypassed, muted) and the custom node pack they state';

-- The name of a file without directories and without what all files of models end with.
CREATE FUNCTION assetreg._file_stem(path text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$ SELECT regexp_replace($1, E'^.*[/\\\\]|\\.(safetensors|ckpt|pt|pth|bin|gguf|onnx|sft)$', '', 'gi') $$;
COMMENT ON FUNCTION assetreg._file_stem(text) IS 'what assets_file_stem_idx finds a file by';

-- By what an asset would be known that is meant, the surest first.
CREATE FUNCTION assetreg._reference_names(type text, reference text, hash text, classes text[]) RETURNS text[]
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT array_agg(n.name ORDER BY n.nr)
	FROM (SELECT DISTINCT ON (v.name) v.nr, v.name
		  FROM (SELECT 1, $3
				UNION ALL SELECT v.nr, v.name
					FROM (VALUES (2, $2), (3, regexp_replace($2, '@[^@/]*$', '')),
								 (4, 'custom_node/' || regexp_replace(regexp_replace($2, '@[^@/]*$', ''), '^.*/', ''))) v (nr, name)
					WHERE $1 = 'custom_node' AND $2 LIKE 'custom_node/%'
				UNION ALL SELECT 5, 'class:' || c FROM unnest($4) c WHERE $1 = 'custom_node'
				UNION ALL SELECT 6, 'file:' || assetreg._file_stem($2) WHERE $1 <> 'custom_node'
				-- a prompt names a LoRA, not its file
				UNION ALL SELECT 7, 'lora/' || $2 WHERE $1 = 'lora' AND assetreg._file_stem($2) = regexp_replace($2, '^.*/', '')) v (nr, name)
		  WHERE v.name IS NOT NULL
		  ORDER BY v.name, v.nr) n
	$$;
COMMENT ON FUNCTION assetreg._reference_names(text, text, text, text[]) IS 'the names under which what a workflow needs may be registered';

-- Files whose path ends as the reference says, those with the fewest directories above; where there is none, those of the name.
-- What the reference does not end with need not be there either: prompts leave .safetensors out.
CREATE FUNCTION assetreg._assets_of_file(type text, reference text, is_sure boolean) RETURNS bigint[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	path_end text := '/' || $2;
	base_name text := regexp_replace($2, '^.*/', '');
	found_ids bigint[];
BEGIN
	SELECT array_agg(f.id) INTO found_ids
	FROM (SELECT a.id, rank() OVER (ORDER BY CASE WHEN path_end IN (right('/' || p.whole, length(path_end)), right('/' || p.stem, length(path_end)))
											  THEN length(p.whole) - length(replace(p.whole, '/', '')) END) AS nr,
				 base_name IN (regexp_replace(p.whole, '^.*/', ''), regexp_replace(p.stem, '^.*/', '')) AS by_name
		  FROM assetreg.assets a
			   CROSS JOIN LATERAL (SELECT replace(coalesce(a.file_path, a.name), E'\\', '/') AS whole) w
			   CROSS JOIN LATERAL (SELECT w.whole, regexp_replace(w.whole, E'\\.(safetensors|ckpt|pt|pth|bin|gguf|onnx|sft)$', '', 'i') AS stem) p
		  WHERE regexp_replace(coalesce(a.file_path, a.name), E'^.*[/\\\\]|\\.(safetensors|ckpt|pt|pth|bin|gguf|onnx|sft)$', '', 'gi')
				= assetreg._file_stem($2) COLLATE "default"
			AND a.type <> 'custom_node' AND a.status <> 'removed' AND (NOT $3 OR (a.type = 'lora') = ($1 = 'lora'))) f
	WHERE f.nr = 1 AND f.by_name;
	-- a checkpoint and a LoRA may have one name
	RETURN coalesce((SELECT array_agg(a.id) FROM assetreg.assets a WHERE a.id = ANY (found_ids) AND a.type = $1), found_ids);
END
$$;
COMMENT ON FUNCTION assetreg._assets_of_file(text, text, boolean) IS
	'the assets whose file a workflow may mean; where it is sure whether that is a LoRA, no others';

-- Of each asset the newest version, one that is not deprecated where there is one.
CREATE FUNCTION assetreg._newest_versions(asset_ids bigint[]) RETURNS bigint[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	newest bigint[];
BEGIN
	SELECT array_agg(v.id ORDER BY v.id) INTO newest
	FROM (SELECT array_agg(a.id) AS ids, array_agg(a.id) FILTER (WHERE a.status = 'active') AS active
		  FROM assetreg.assets a WHERE a.id = ANY ($1) AND a.status <> 'removed'
		  GROUP BY a.type, a.name) one
		 CROSS JOIN LATERAL (SELECT v.id FROM assetreg.versions(one.ids[1]) WITH ORDINALITY v (id, nr)
							 WHERE v.id = ANY (coalesce(one.active, one.ids)) ORDER BY v.nr LIMIT 1) v;
	RETURN newest;
END
$$;
COMMENT ON FUNCTION assetreg._newest_versions(bigint[]) IS 'the newest version of each of these assets, removed ones left out; NULL for none';

-- The first of the names that anything is known by decides.
CREATE FUNCTION assetreg._meant_assets(reference text, type text, names text[]) RETURNS bigint[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	known_as text;
	found_ids bigint[];
BEGIN
	IF $3 = '{}' THEN
		RETURN assetreg._candidates($1);
	END IF;
	FOREACH known_as IN ARRAY $3 LOOP
		CONTINUE WHEN known_as = 'sure';
		IF known_as LIKE 'class:%' THEN
			SELECT assetreg._newest_versions(array_agg(a.id)) INTO found_ids
			FROM assetreg.assets a WHERE a.provides @> ARRAY[substr(known_as, 7) COLLATE "default"] AND a.provides <> '{}' AND a.type = 'custom_node';
		ELSIF known_as LIKE 'file:%' THEN
			found_ids := assetreg._newest_versions(assetreg._assets_of_file($2, $1, 'sure' = ANY ($3)));
		ELSIF known_as LIKE '%/%' AND known_as !~ '@[^@/]*$' THEN
			SELECT assetreg._newest_versions(array_agg(a.id)) INTO found_ids
			FROM assetreg.assets a
			WHERE a.type = split_part(known_as, '/', 1) AND a.name = substr(known_as, strpos(known_as, '/') + 1) COLLATE "default";
		ELSE
			SELECT array_agg(a.id) INTO found_ids
			FROM assetreg.assets a WHERE a.id = ANY (assetreg._candidates(known_as)) AND a.status <> 'removed';
		END IF;
		EXIT WHEN found_ids IS NOT NULL;
	END LOOP;
	RETURN found_ids;
END
$$;
COMMENT ON FUNCTION assetreg._meant_assets(text, text, text[]) IS
	'the assets that a reference may mean, by the names of a workflow where there are any; NULL for none';

CREATE FUNCTION assetreg._surest_relation(relations text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$ SELECT r FROM unnest($1) r ORDER BY array_position('{muted,bypassed}', r) DESC NULLS FIRST, r DESC LIMIT 1 $$;
COMMENT ON FUNCTION assetreg._surest_relation(text[]) IS 'of several relations of one edge the one of a node that runs';

-- One row for each thing that the workflow needs.  Of the nodes that need it, the one that most surely runs tells the relation.
CREATE FUNCTION assetreg._workflow_edges(workflow jsonb, dependent_id bigint)
	RETURNS TABLE (type text, reference text, relation text, requires text[], names text[], ids bigint[])
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		WITH needs AS MATERIALIZED (
			SELECT w.type, w.reference,
				   assetreg._surest_relation(array_agg(w.relation)) AS relation,
				   coalesce(array_agg(DISTINCT w.node_class ORDER BY w.node_class) FILTER (WHERE w.type = 'custom_node'), '{}') AS classes,
				   min(w.hash) AS hash
			FROM assetreg._workflow_needs($1) w
			GROUP BY w.type, w.reference
		), named AS MATERIALIZED (
			SELECT n.type, n.reference, n.relation, n.classes,
				   assetreg._reference_names(n.type, n.reference, n.hash, n.classes)
				   -- what is named as a LoRA and as another model is two files
				   || CASE WHEN n.type <> 'custom_node' AND count(*) FILTER (WHERE n.type <> 'custom_node') OVER (PARTITION BY n.reference) > 1
						   THEN '{sure}'::text[] ELSE '{}' END AS names
			FROM needs n
		)
		SELECT n.type, n.reference, n.relation, n.classes, n.names,
			   array_remove(coalesce(assetreg._meant_assets(n.reference, n.type, n.names), '{}'), $2)
		FROM named n;
END
$$;
COMMENT ON FUNCTION assetreg._workflow_edges(jsonb, bigint) IS 'what a workflow needs and which assets it may mean';

CREATE FUNCTION assetreg.ingest_workflow(kind text, key text, workflow jsonb, label text = NULL)
	RETURNS TABLE (type text, reference text, resolution text, asset_id bigint)
	LANGUAGE plpgsql VOLATILE ROWS 20
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	entity bigint;
	needs jsonb;
BEGIN
	PERFORM assetreg._require_tables();
	IF $3 IS NULL THEN
		RAISE EXCEPTION 'workflow must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	entity := assetreg.put_entity($1, $2, $4);
	PERFORM FROM assetreg.entities e WHERE e.id = entity FOR NO KEY UPDATE;  -- one at a time
	SELECT coalesce(jsonb_agg(w), '[]') INTO needs FROM assetreg._workflow_edges($3, entity) w;

	DELETE FROM assetreg.asset_dependencies d
		WHERE d.dependent_id = entity AND d.source = 'workflow'
		  AND d.dependency_id NOT IN (SELECT n.ids[1] FROM jsonb_to_recordset(needs) n (ids bigint[]) WHERE cardinality(n.ids) = 1);
	INSERT INTO assetreg.asset_dependencies AS d (dependent_id, dependency_id, source, relation, requires)
		SELECT entity, n.ids[1], 'workflow', assetreg._surest_relation(array_agg(n.relation)),
			   coalesce(array_agg(DISTINCT r ORDER BY r) FILTER (WHERE r IS NOT NULL), '{}')
		FROM jsonb_to_recordset(needs) n (ids bigint[], relation text, requires text[]) LEFT JOIN LATERAL unnest(n.requires) r ON true
		WHERE cardinality(n.ids) = 1
		GROUP BY n.ids[1]
		ORDER BY n.ids[1]
		ON CONFLICT ON CONSTRAINT asset_dependencies_pkey DO UPDATE SET relation = excluded.relation, requires = excluded.requires
			WHERE (d.relation, d.requires) IS DISTINCT FROM (excluded.relation, excluded.requires);

	DELETE FROM assetreg.unresolved_references u
		WHERE u.dependent_id = entity AND u.source = 'workflow'
		  AND (u.reference, u.relation, u.type_key) NOT IN (SELECT n.reference, n.relation, n.type
				FROM jsonb_to_recordset(needs) n (type text, reference text, relation text, ids bigint[]) WHERE cardinality(n.ids) <> 1);
	INSERT INTO assetreg.unresolved_references AS u (dependent_id, reference, type, candidates, source, relation, requires, names)
		SELECT entity, n.reference, n.type, n.ids, 'workflow', n.relation, n.requires, n.names
		FROM jsonb_to_recordset(needs) n (type text, reference text, relation text, requires text[], names text[], ids bigint[])
		WHERE cardinality(n.ids) <> 1
		ORDER BY n.reference, n.relation, n.type
		ON CONFLICT ON CONSTRAINT unresolved_references_pkey
		DO UPDATE SET candidates = excluded.candidates, requires = excluded.requires, names = excluded.names
			WHERE (u.candidates, u.requires, u.names) IS DISTINCT FROM (excluded.candidates, excluded.requires, excluded.names);

	RETURN QUERY
		SELECT n.type, n.reference, CASE cardinality(n.ids) WHEN 0 THEN 'unregistered' WHEN 1 THEN 'resolved' ELSE 'ambiguous' END,
			   CASE WHEN cardinality(n.ids) = 1 THEN n.ids[1] END
		FROM jsonb_to_recordset(needs) n (type text, reference text, ids bigint[])
		ORDER BY n.type, n.reference;
END
$$;
COMMENT ON FUNCTION assetreg.ingest_workflow(text, text, jsonb, text) IS
	'makes the dependencies of an entity exactly what its ComfyUI workflow needs, and tells what became of each reference';
