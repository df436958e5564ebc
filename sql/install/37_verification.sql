-- Is the file still the file that was registered?
CREATE FUNCTION assetreg._setup_verification() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.asset_verifications') IS NULL THEN
		CREATE TABLE assetreg.asset_verifications (
			asset_id bigint CONSTRAINT asset_verifications_pkey PRIMARY KEY
				CONSTRAINT asset_verifications_asset_id_fkey REFERENCES assetreg.assets (id) ON DELETE CASCADE,
			result text COLLATE "C" NOT NULL CONSTRAINT asset_verifications_result_check
				CHECK (result IN ('verified', 'mismatch', 'missing', 'unreadable')),
			detail text,
			file_size bigint,
			sha256 text COLLATE "C",
			checked_at timestamptz NOT NULL,
			checked_by text NOT NULL
		);
	END IF;
	IF to_regclass('assetreg.verification_runs') IS NULL THEN
		CREATE TABLE assetreg.verification_runs (
			id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT verification_runs_pkey PRIMARY KEY,
			type text COLLATE "C",
			older_than interval,
			started_at timestamptz NOT NULL,
			finished_at timestamptz,
			total bigint NOT NULL,
			done bigint NOT NULL DEFAULT 0,
			bytes bigint NOT NULL DEFAULT 0,
			-- where it was when it was last taken up
			resumed_at timestamptz NOT NULL,
			resumed_done bigint NOT NULL DEFAULT 0,
			resumed_bytes bigint NOT NULL DEFAULT 0
		);
	END IF;
	IF to_regclass('assetreg.verification_progress') IS NULL THEN
		CREATE VIEW assetreg.verification_progress WITH (security_invoker = true) AS
			SELECT r.started_at, r.done, r.total, r.bytes,
				   (r.bytes - r.resumed_bytes) / nullif(t.seconds, 0) AS bytes_per_second,
				   CASE WHEN r.finished_at IS NULL THEN (greatest(r.total - r.done, 0) * t.seconds / nullif(r.done - r.resumed_done, 0)) * interval '1 second'
						ELSE interval '0' END AS remaining
			FROM assetreg.verification_runs r,
				 LATERAL (SELECT extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.resumed_at)::double precision) t (seconds)
			WHERE r.finished_at IS NULL OR r.id = (SELECT max(l.id) FROM assetreg.verification_runs l)
			ORDER BY r.id DESC;
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_verification() IS 'makes the tables of verification where they are missing';

-- Whoever sees a file says what was found, so this says no more than its caller does.  Nothing is locked while a file is
-- read: where the registered content has been replaced meanwhile, the finding is not about it any more and is dropped.
CREATE FUNCTION assetreg._record_verification(asset_id bigint, expected_sha256 text, expected_path text, result text, detail text,
		file_size bigint, sha256 text, autov1 text = NULL, autov3 text = NULL, metadata jsonb = NULL) RETURNS text
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	was text;
BEGIN
	SELECT a.integrity INTO was FROM assetreg.assets a
	WHERE a.id = $1 AND a.sha256 IS NOT DISTINCT FROM $2 AND a.file_path IS NOT DISTINCT FROM $3 FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'asset % was changed while its file was read', $1
			USING ERRCODE = 'serialization_failure', HINT = 'Verify it again.';
	END IF;
	INSERT INTO assetreg.asset_verifications AS v (asset_id, result, detail, file_size, sha256, checked_at, checked_by)
		VALUES ($1, $4, $5, $6, $7, clock_timestamp(), assetreg._actor())
		ON CONFLICT ON CONSTRAINT asset_verifications_pkey DO UPDATE
		SET result = excluded.result, detail = excluded.detail, file_size = excluded.file_size, sha256 = excluded.sha256,
			checked_at = excluded.checked_at, checked_by = excluded.checked_by;
	IF $4 = 'unreadable' THEN
		RETURN was;
	END IF;
	INSERT INTO assetreg.asset_hashes (asset_id, algorithm, value, source)
		SELECT $1, h.algorithm, h.value, 'measured' FROM (VALUES ('autov1', $8), ('autov3', $9)) h (algorithm, value)
		WHERE $4 = 'verified' AND h.value IS NOT NULL
		ON CONFLICT DO NOTHING;
	UPDATE assetreg.assets a
		SET integrity = $4, verified_at = clock_timestamp(),
			-- what a declared file says of itself is known from now on; what people stated goes before it
			metadata = CASE WHEN was = 'declared' AND $4 = 'verified' AND $10 IS NOT NULL THEN $10 || a.metadata ELSE a.metadata END
		WHERE a.id = $1;
	RETURN $4;
END
$$;
COMMENT ON FUNCTION assetreg._record_verification(bigint, text, text, text, text, bigint, text, text, text, jsonb) IS
	'writes down what was found of an asset''s file, and returns its integrity';

-- The file that the server sees.
CREATE FUNCTION assetreg._verify_on_server(asset_id bigint, file_path text, file_size bigint, sha256 text) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	m record;
	result text;
	why text;
BEGIN
	SELECT * INTO m FROM assetreg._measure_file($2, strict => false);
	result := CASE WHEN m.sha256 = $4 AND m.size = $3 THEN 'verified'
				   WHEN m.state IN ('measured', 'irregular') THEN 'mismatch'
				   WHEN m.state = 'missing' THEN 'missing'
				   ELSE 'unreadable' END;
	why := CASE WHEN result = 'verified' THEN NULL
				WHEN m.state = 'measured' THEN format('registered: size %s, SHA-256 %s; measured: size %s, SHA-256 %s', $3, $4, m.size, m.sha256)
				WHEN m.state = 'irregular' THEN 'it is not a regular file'
				WHEN m.state = 'missing' THEN 'the directory is there, the file is not'
				WHEN m.state = 'outside' THEN 'it is not below a directory in assetreg.asset_roots'
				ELSE m.detail END;
	RETURN assetreg._record_verification($1, $4, $2, result, why, m.size, m.sha256, m.autov1, m.autov3, m.metadata);
END
$$;
COMMENT ON FUNCTION assetreg._verify_on_server(bigint, text, bigint, text) IS 'compares a file that the server sees with what was registered';

CREATE FUNCTION assetreg.verify_asset(asset_id bigint, sha256 text = NULL, file_size bigint = NULL) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	a record;
	found_sha256 text := lower($2);
	same boolean;
BEGIN
	PERFORM assetreg._require_tables();
	SELECT r.file_path, r.file_size, r.sha256 INTO a FROM assetreg.assets r WHERE r.id = $1;
	IF NOT FOUND THEN
		PERFORM assetreg._no_such('asset', $1);
	END IF;
	IF $2 IS NULL AND $3 IS NULL THEN
		IF a.file_path IS NULL THEN
			RAISE EXCEPTION 'asset "%" has no file', assetreg.asset_ref($1)
				USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Give the sha256 that was measured.';
		END IF;
		RETURN assetreg._verify_on_server($1, a.file_path, a.file_size, a.sha256);
	END IF;
	IF found_sha256 IS NULL OR found_sha256 !~ '^[0-9a-f]{64}$' THEN
		RAISE EXCEPTION 'invalid sha256: %', coalesce('"' || left($2, 100) || '"', 'null')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the 64 hex digits that were measured; file_size alone proves nothing.';
	ELSIF a.sha256 IS NULL THEN
		RAISE EXCEPTION 'asset "%" has no registered hash to compare with', assetreg.asset_ref($1)
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Register it by assetreg.replace_file().';
	END IF;
	same := found_sha256 = a.sha256 AND coalesce($3 = a.file_size, true);  -- what nobody stated does not differ
	RETURN assetreg._record_verification($1, a.sha256, a.file_path, CASE WHEN same THEN 'verified' ELSE 'mismatch' END,
			CASE WHEN same THEN 'as measured elsewhere'
				 ELSE format('registered: size %s, SHA-256 %s; measured elsewhere: size %s, SHA-256 %s',
							 coalesce(a.file_size::text, 'unknown'), a.sha256, coalesce($3::text, 'not given'), found_sha256) END,
			$3, found_sha256);
END
$$;
COMMENT ON FUNCTION assetreg.verify_asset(bigint, text, bigint) IS
	'compares an asset''s file, or what somebody measured who sees it, with what was registered, and returns its integrity';

CREATE FUNCTION assetreg._require_autocommit(what text) RETURNS void
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'assetreg_require_autocommit';
COMMENT ON FUNCTION assetreg._require_autocommit(text) IS 'raises 25001 inside a transaction block';


-- A run that nobody finished is taken up where it was; who calls while one is running takes part in it.
CREATE FUNCTION assetreg._start_verification(type text, older_than interval) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	run record;
	new_id bigint;
BEGIN
	PERFORM assetreg._require_tables();
	IF $1 IS NOT NULL THEN
		PERFORM assetreg._check_type($1);
	END IF;
	IF $2 < interval '0' THEN
		RAISE EXCEPTION 'older_than must not be negative' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	LOCK TABLE assetreg.verification_runs IN SHARE ROW EXCLUSIVE MODE;
	UPDATE assetreg.verification_runs r
		SET resumed_at = clock_timestamp(), resumed_done = r.done, resumed_bytes = r.bytes
		WHERE r.finished_at IS NULL AND r.type IS NOT DISTINCT FROM $1 AND r.older_than IS NOT DISTINCT FROM $2
		RETURNING r.* INTO run;
	IF FOUND THEN
		RAISE NOTICE 'continuing the verification that began at %: % of % done', run.started_at, run.done, run.total;
		RETURN run.id;
	END IF;
	INSERT INTO assetreg.verification_runs (type, older_than, started_at, resumed_at, total)
		SELECT $1, $2, clock_timestamp(), clock_timestamp(), count(*) FROM assetreg.assets a
		WHERE a.file_path IS NOT NULL AND a.status <> 'removed' AND a.type = coalesce($1, a.type)
		  AND ($2 IS NULL OR a.verified_at IS NULL OR a.verified_at < clock_timestamp() - $2)
		RETURNING id INTO new_id;
	RETURN new_id;
END
$$;
COMMENT ON FUNCTION assetreg._start_verification(text, interval) IS 'makes a run of verify_assets(), or takes up one that was not finished';

-- The assets of a run that nobody has looked at since it began.  Those who call it pin search_path: so it can be inlined, and
-- gives its first row without looking for all.
CREATE FUNCTION assetreg._still_to_verify(run bigint, after_id bigint) RETURNS TABLE (asset_id bigint, file_path text, file_size bigint, sha256 text)
	LANGUAGE sql STABLE ROWS 1000
	AS $$
	SELECT a.id, a.file_path, a.file_size, a.sha256
	FROM assetreg.verification_runs r JOIN assetreg.assets a ON a.type = coalesce(r.type, a.type)
	WHERE r.id = $1 AND a.id > $2 AND a.file_path IS NOT NULL AND a.status <> 'removed'
	  AND (r.older_than IS NULL OR a.verified_at IS NULL OR a.verified_at < r.started_at - r.older_than)
	  AND NOT EXISTS (SELECT FROM assetreg.asset_verifications v WHERE v.asset_id = a.id AND v.checked_at >= r.started_at)
	ORDER BY a.id
	$$;
COMMENT ON FUNCTION assetreg._still_to_verify(bigint, bigint) IS 'what a run of verify_assets() has before it';

CREATE FUNCTION assetreg._count_verified(run bigint, bytes bigint) RETURNS void
	LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS 'UPDATE assetreg.verification_runs r SET done = r.done + 1, bytes = r.bytes + coalesce($2, 0) WHERE r.id = $1';
COMMENT ON FUNCTION assetreg._count_verified(bigint, bigint) IS 'counts an asset that a run of verify_assets() has looked at';

CREATE FUNCTION assetreg._finish_verification(run bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	r record;
BEGIN
	IF EXISTS (SELECT FROM assetreg._still_to_verify($1, 0)) THEN
		RETURN;  -- somebody else is at it
	END IF;
	UPDATE assetreg.verification_runs v SET finished_at = clock_timestamp() WHERE v.id = $1 AND v.finished_at IS NULL RETURNING v.* INTO r;
	IF FOUND THEN
		RAISE NOTICE 'verified % assets, % bytes', r.done, r.bytes;
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._finish_verification(bigint) IS 'ends a run of verify_assets() that has nothing before it any more';

-- Looks at the next asset that nobody else is looking at, and returns its id, or NULL at the end.  The advisory lock, which
-- ends with the transaction, is the claim: a session that dies leaves none behind.
CREATE FUNCTION assetreg._verify_next(run bigint, after_id bigint) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
	AS $$
DECLARE
	a record;
BEGIN
	FOR a IN SELECT s.* FROM assetreg._still_to_verify($1, $2) s LOOP
		CONTINUE WHEN NOT pg_try_advisory_xact_lock(hashtextextended('assetreg.verify_assets', a.asset_id));
		-- who held it may have been done with it just now
		CONTINUE WHEN NOT EXISTS (SELECT FROM assetreg._still_to_verify($1, a.asset_id - 1) s WHERE s.asset_id = a.asset_id);
		BEGIN
			BEGIN
				PERFORM assetreg._verify_on_server(a.asset_id, a.file_path, a.file_size, a.sha256);
			EXCEPTION
				WHEN insufficient_privilege OR transaction_rollback THEN
					RAISE;
				WHEN OTHERS THEN
					PERFORM assetreg._record_verification(a.asset_id, a.sha256, a.file_path, 'unreadable', SQLERRM, NULL, NULL);
			END;
		EXCEPTION WHEN transaction_rollback THEN
			RETURN a.asset_id - 1;  -- it was changed or deleted meanwhile: from here on once more
		END;
		PERFORM assetreg._count_verified($1, (SELECT v.file_size FROM assetreg.asset_verifications v WHERE v.asset_id = a.asset_id));
		RETURN a.asset_id;
	END LOOP;
	PERFORM assetreg._finish_verification($1);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._verify_next(bigint, bigint) IS 'verifies the next asset of a run, and returns after which to go on';

-- Procedures that commit cannot pin search_path: there are no operators in them, and every name is qualified.
CREATE PROCEDURE assetreg.verify_assets(type text = NULL, older_than interval = NULL)
	LANGUAGE plpgsql
	AS $$
DECLARE
	run bigint;
	last_id bigint := 0;
BEGIN
	PERFORM assetreg._require_autocommit('assetreg.verify_assets');
	IF NOT pg_catalog.has_function_privilege('assetreg._measure_file(pg_catalog.text, boolean)', 'EXECUTE') THEN
		RAISE EXCEPTION 'permission denied to read files of the server' USING ERRCODE = 'insufficient_privilege';
	END IF;
	run := assetreg._start_verification($1, $2);
	WHILE last_id IS NOT NULL LOOP
		COMMIT;
		last_id := assetreg._verify_next(run, last_id);
	END LOOP;
END
$$;
COMMENT ON PROCEDURE assetreg.verify_assets(text, interval) IS
	'verifies all assets whose files the server sees, one transaction each; shows itself in verification_progress, and continues after a crash';

-- A file of a directory becomes an asset that is called after it: characters/film-grain-v1.2.safetensors is version 1.2 of
-- characters/film-grain.
CREATE FUNCTION assetreg._name_of_file(file_path text, directory text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT coalesce(nullif(regexp_replace(b.base_name, E'[-_. ][vV][0-9]+(?:\\.[0-9]+){0,2}$', ''), ''), b.base_name)
	FROM (SELECT coalesce(nullif(regexp_replace(ltrim(substr($1, length(rtrim($2, '/')) + 1), '/'), E'\\.[A-Za-z][A-Za-z0-9_]*$', ''), ''), $1)) b (base_name)
	$$;
COMMENT ON FUNCTION assetreg._name_of_file(text, text) IS 'the name of the asset that a file below a directory becomes';

-- For custom nodes, what lies directly in the directory: a folder is one asset, and so is a file of Python.
CREATE FUNCTION assetreg._files_to_register(type text, path text, pattern text, recursive boolean)
	RETURNS TABLE (file_path text, problem text, file_number bigint, total bigint)
	LANGUAGE plpgsql VOLATILE ROWS 1000
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	top text := rtrim($2, '/') || '/';
	packs boolean := $1 = 'custom_node';
BEGIN
	PERFORM assetreg._require_tables(), assetreg._check_type($1);
	RETURN QUERY
		SELECT f.file_path, min(f.problem), row_number() OVER (ORDER BY f.file_path COLLATE "C"), count(*) OVER ()
		FROM assetreg._list_files($2, CASE WHEN packs THEN '*' ELSE $3 END, $4 OR packs) l
			 CROSS JOIN LATERAL (SELECT substr(l.file_path, length(top) + 1)) b (below)
			 CROSS JOIN LATERAL (SELECT split_part(b.below, '/', 1), strpos(b.below, '/') > 0) e (entry, folder)
			 CROSS JOIN LATERAL (SELECT CASE WHEN packs THEN top || e.entry ELSE l.file_path END,
										CASE WHEN NOT packs OR NOT e.folder THEN nullif(l.problem, '') END) f (file_path, problem)
		WHERE NOT packs
		   OR e.entry LIKE regexp_replace(regexp_replace(regexp_replace($3, E'([%_\\\\])', E'\\\\\\1', 'g'), E'\\*', '%', 'g'), E'\\?', '_', 'g')
			  AND (e.folder AND e.entry NOT IN ('.git', '__pycache__') OR e.entry LIKE '%.py')
		GROUP BY f.file_path ORDER BY 3;
	IF NOT FOUND THEN
		RAISE NOTICE 'no file in "%" matches "%"', $2, $3;
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._files_to_register(text, text, text, boolean) IS 'what register_directory() has before it';

-- The counts are of assets that are new, that were registered already, and of files that could not be.
CREATE FUNCTION assetreg._register_file(counts bigint[], type text, directory text, file_path text, problem text, file_number bigint, total bigint)
	RETURNS bigint[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	why text := $5;
	outcome int := 3;
	registered_id bigint;
	detail text;
BEGIN
	IF why IS NULL THEN
		BEGIN
			registered_id := assetreg.register_asset($2, assetreg._name_of_file($4, $3), file_path => $4);
			SELECT CASE WHEN a.registered_at = now() THEN 1 ELSE 2 END INTO outcome FROM assetreg.assets a WHERE a.id = registered_id;
		EXCEPTION
			WHEN insufficient_privilege THEN
				RAISE;
			WHEN check_violation THEN
				why := SQLERRM;  -- the detail is the whole row
			WHEN OTHERS THEN
				GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
				why := SQLERRM || coalesce(': ' || nullif(detail, ''), '');
		END;
	END IF;
	IF why IS NOT NULL THEN
		RAISE WARNING 'could not register file "%"', $4 USING DETAIL = why;
	END IF;
	counts[outcome] := counts[outcome] + 1;
	IF $6 = $7 OR $6 % 100 = 0 THEN
		RAISE NOTICE '% of % files: % new assets, % registered before, % not registered', $6, $7, counts[1], counts[2], counts[3];
	END IF;
	RETURN counts;
END
$$;
COMMENT ON FUNCTION assetreg._register_file(bigint[], text, text, text, text, bigint, bigint) IS 'registers a file of a directory, or says why not';

CREATE PROCEDURE assetreg.register_directory(type text, path text, pattern text = '*', recursive boolean = true)
	LANGUAGE plpgsql
	AS $$
DECLARE
	file pg_catalog.record;
	counts bigint[] := '{0,0,0}';
BEGIN
	PERFORM assetreg._require_autocommit('assetreg.register_directory');
	FOR file IN SELECT f.* FROM assetreg._files_to_register($1, $2, $3, $4) f LOOP
		counts := assetreg._register_file(counts, $1, $2, file.file_path, file.problem, file.file_number, file.total);
		COMMIT;
	END LOOP;
END
$$;
COMMENT ON PROCEDURE assetreg.register_directory(text, text, text, boolean) IS
	'registers the files of a directory as assets, one transaction each, and says what became of them; may be called again';
