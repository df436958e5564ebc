-- Files of the server: what is measured and what is read out of them. All of it with the rights of who calls.

CREATE FUNCTION assetreg._measure_file(path text, strict boolean = true, OUT state text, OUT detail text, OUT size bigint, OUT sha256 text,
		OUT autov1 text, OUT autov3 text, OUT format text, OUT metadata jsonb, OUT tensors jsonb, OUT files bigint) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL SAFE COST 10000 ROWS 1
	AS 'MODULE_PATHNAME', 'assetreg_measure_file';
COMMENT ON FUNCTION assetreg._measure_file(text, boolean) IS
	'size, hashes, format and metadata of a file, or of all files in a directory but those below .git and __pycache__; state: measured, missing, unreachable, outside or irregular';

CREATE FUNCTION assetreg._list_files(path text, pattern text = '*', recursive boolean = true, OUT file_path text, OUT size bigint, OUT problem text)
	RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL SAFE COST 10000 ROWS 1000
	AS 'MODULE_PATHNAME', 'assetreg_list_files';
COMMENT ON FUNCTION assetreg._list_files(text, text, boolean) IS
	'the files in a directory whose names match a pattern of * and ?; size is NULL where problem says why one cannot be registered';

-- What publishers and trainers write: modelspec.*, what kohya's scripts call ss_* and sshs_*, general.* in GGUF. All of it is somebody's claim, and much of it is the word None, so what cannot be true is not passed on.
CREATE FUNCTION assetreg._metadata_facts(metadata jsonb, OUT title text, OUT asset_type text, OUT part text, OUT base_architecture text,
		OUT base_name text, OUT base_sha256 text, OUT base_autov1 text, OUT vae_name text, OUT vae_sha256 text, OUT vae_autov1 text,
		OUT version text, OUT epoch int, OUT claimed_autov3 text[])
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
	WITH said AS (
		SELECT k.key, k.value #>> '{}' AS value
		FROM jsonb_each(CASE WHEN jsonb_typeof($1) = 'object' THEN $1 ELSE '{}' END) k
		WHERE k.key ~ E'^(modelspec\\.|general\\.|ss_|sshs_)' AND jsonb_typeof(k.value) IN ('string', 'number')
		  AND lower(btrim(k.value #>> '{}')) NOT IN ('', 'none', 'null')
	), hash AS (
		SELECT s.key, h.value
		FROM said s, LATERAL (SELECT regexp_replace(lower(btrim(s.value)), '^0x', '')) h (value)
		WHERE h.value ~ '^([0-9a-f]{64}|[0-9a-f]{8}|[0-9a-f]{12})$'
		  AND h.value !~ '^e3b0c442'  -- the hash of nothing
	), one AS (
		SELECT max(s.value) FILTER (WHERE s.key = 'modelspec.title') AS spec_title,
			   max(s.value) FILTER (WHERE s.key = 'general.name') AS general_name,
			   max(s.value) FILTER (WHERE s.key = 'modelspec.architecture') AS architecture,
			   max(s.value) FILTER (WHERE s.key = 'ss_base_model_version') AS ss_base,
			   max(s.value) FILTER (WHERE s.key = 'general.architecture') AS general_architecture,
			   max(s.value) FILTER (WHERE s.key = 'general.version') AS general_version,
			   max(s.value) FILTER (WHERE s.key = 'ss_output_name') AS output_name,
			   max(s.value) FILTER (WHERE s.key = 'ss_sd_model_name') AS sd_name,
			   max(s.value) FILTER (WHERE s.key = 'ss_vae_name') AS ss_vae_name,
			   bool_or(s.key = 'ss_network_module') AS is_network,
			   max(s.value) FILTER (WHERE s.key = 'ss_epoch' AND s.value ~ '^[0-9]{1,9}$')::int AS epoch,
			   max(s.value) FILTER (WHERE s.key = 'ss_num_epochs' AND s.value ~ '^[0-9]{1,9}$')::int AS epochs
		FROM said s
	), stated AS (
		SELECT coalesce(substring(o.output_name FROM v.pattern), substring(o.spec_title FROM v.pattern),
						substring(o.general_version FROM E'^[vV]?([0-9]+(?:\\.[0-9]+){0,2})$')) AS version
		FROM one o, (VALUES (E'(?:^|[-_. ])[vV]([0-9]+(?:\\.[0-9]+){0,2})(?![0-9A-Za-z])')) v (pattern)
	)
	SELECT coalesce(o.spec_title, o.general_name, o.output_name),
		   CASE WHEN p.part = 'lora' OR o.is_network THEN 'lora'
				WHEN coalesce(o.architecture, o.general_architecture) IS NOT NULL THEN 'model' END,
		   coalesce(p.part, CASE WHEN o.is_network THEN 'lora' END),
		   coalesce(nullif(split_part(o.architecture, '/', 1), ''), o.ss_base, o.general_architecture),
		   o.sd_name, h.base_sha256, h.base_autov1, o.ss_vae_name, h.vae_sha256, h.vae_autov1,
		   -- an epoch before the last one comes before the version itself
		   s.version || CASE WHEN o.epoch < o.epochs THEN '-epoch.' || o.epoch ELSE '' END,
		   o.epoch, h.autov3
	FROM one o
		 CROSS JOIN stated s
		 CROSS JOIN LATERAL (SELECT nullif(substr(o.architecture, strpos(o.architecture, '/') + 1), o.architecture)) p (part)
		 CROSS JOIN (SELECT max(h.value) FILTER (WHERE h.key = 'ss_new_sd_model_hash' AND length(h.value) = 64) AS base_sha256,
							max(h.value) FILTER (WHERE h.key = 'ss_sd_model_hash' AND length(h.value) = 8) AS base_autov1,
							max(h.value) FILTER (WHERE h.key = 'ss_new_vae_hash' AND length(h.value) = 64) AS vae_sha256,
							max(h.value) FILTER (WHERE h.key = 'ss_vae_hash' AND length(h.value) = 8) AS vae_autov1,
							array_agg(DISTINCT left(h.value, 12))
								FILTER (WHERE h.key IN ('sshs_model_hash', 'modelspec.hash_sha256') AND length(h.value) IN (12, 64)) AS autov3
					 FROM hash h) h
	$$;
COMMENT ON FUNCTION assetreg._metadata_facts(jsonb) IS
	'what a file''s metadata says of its title, type, part of a model, base model and VAE, version and tensor hashes';

CREATE FUNCTION assetreg._measure_trigger() RETURNS trigger
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'assetreg_measure_trigger';
COMMENT ON FUNCTION assetreg._measure_trigger() IS
	'measures the files of assets as their rows are written, with the rights of who writes';

CREATE FUNCTION assetreg._measure_ahead(asset_id bigint, file_path text, OUT file_size bigint, OUT sha256 text, OUT metadata jsonb) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE COST 10000 ROWS 1
	AS 'MODULE_PATHNAME', 'assetreg_measure_ahead';
COMMENT ON FUNCTION assetreg._measure_ahead(bigint, text) IS
	'measures a file for the row of an asset that is about to be written; no row where the server cannot read it';

CREATE FUNCTION assetreg._measurement_of(asset_id bigint, OUT file_size bigint, OUT sha256 text, OUT autov1 text, OUT autov3 text) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1
	AS 'MODULE_PATHNAME', 'assetreg_measurement_of';
COMMENT ON FUNCTION assetreg._measurement_of(bigint) IS
	'the content that this transaction found or declared as it wrote an asset''s row';
