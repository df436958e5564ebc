-- What goes well together: what is used together, and how generations with it ended.
--
-- Recorders wait for nobody until they commit, and lose nothing: record_generation() only writes a row that nobody else ever
-- sees; a deferred trigger adds it to asset_outcomes when the transaction commits, all rows of a transaction at once and in
-- order of ids, so that two never wait for each other in a circle.  A row for each asset and pair that was ever tried: the
-- table grows with these and not with the generations.
CREATE FUNCTION assetreg._setup_recommendations() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.asset_outcomes') IS NULL THEN
		CREATE TABLE assetreg.asset_outcomes (
			asset_id bigint CONSTRAINT asset_outcomes_asset_id_fkey REFERENCES assetreg.assets (id) ON DELETE CASCADE,
			other_asset_id bigint CONSTRAINT asset_outcomes_other_asset_id_fkey REFERENCES assetreg.assets (id) ON DELETE CASCADE,
			successes bigint NOT NULL,
			tries bigint NOT NULL,
			-- Wilson's lower bound (95 %), as if there had been one success and one failure before: an asset that nobody has tried
			-- has a place, below what has worked and above what has not
			success_bound double precision GENERATED ALWAYS AS (
				((successes + 1) / (tries + 2)::double precision + 1.9207294103470625 / (tries + 2)
				 - 1.959963984540054 * sqrt(((successes + 1) / (tries + 2)::double precision * (tries - successes + 1) / (tries + 2)
											 + 0.9603647051735312 / (tries + 2)) / (tries + 2)))
				/ (1 + 3.841458820694125 / (tries + 2))) STORED,
			CONSTRAINT asset_outcomes_pkey PRIMARY KEY (asset_id, other_asset_id),
			CONSTRAINT asset_outcomes_pair_check CHECK (asset_id <= other_asset_id),
			CONSTRAINT asset_outcomes_tries_check CHECK (successes BETWEEN 0 AND tries)
		);
		CREATE INDEX asset_outcomes_other_asset_id_idx ON assetreg.asset_outcomes (other_asset_id);
		CREATE INDEX asset_outcomes_success_bound_idx ON assetreg.asset_outcomes (success_bound);
		COMMENT ON TABLE assetreg.asset_outcomes IS 'how generations with an asset, or with two of them, ended';
		COMMENT ON COLUMN assetreg.asset_outcomes.asset_id IS 'the asset';
		COMMENT ON COLUMN assetreg.asset_outcomes.other_asset_id IS 'of a pair the asset with the larger id; else the same';
		COMMENT ON COLUMN assetreg.asset_outcomes.successes IS 'how many succeeded';
		COMMENT ON COLUMN assetreg.asset_outcomes.tries IS 'how many there were';
		COMMENT ON COLUMN assetreg.asset_outcomes.success_bound IS
			'the lower bound of the share that succeeds, counting one success and one failure more';
	END IF;
	IF to_regclass('assetreg.generation_records') IS NULL THEN
		CREATE TABLE assetreg.generation_records (
			transaction bigint NOT NULL,
			id bigint GENERATED ALWAYS AS IDENTITY,
			asset_ids bigint[] NOT NULL,
			succeeded boolean NOT NULL,
			CONSTRAINT generation_records_pkey PRIMARY KEY (transaction, id)
		);
		COMMENT ON TABLE assetreg.generation_records IS 'what running transactions have yet to add to asset_outcomes; empty to everybody else';
		COMMENT ON COLUMN assetreg.generation_records.transaction IS 'pg_current_xact_id()';
		COMMENT ON COLUMN assetreg.generation_records.id IS 'tells the rows of a transaction apart';
		COMMENT ON COLUMN assetreg.generation_records.asset_ids IS 'the assets that the generation used';
		COMMENT ON COLUMN assetreg.generation_records.succeeded IS 'whether it succeeded';
		COMMENT ON SEQUENCE assetreg.generation_records_id_seq IS 'gives generation_records.id';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_recommendations() IS 'makes the tables of how generations ended where they are missing';

-- The assets are locked against deletion for as long as the commit takes; what was deleted since is left out.
CREATE FUNCTION assetreg._fold_generations_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	AS $$
DECLARE
	xact constant bigint := pg_current_xact_id()::text::bigint;
	there bigint[];
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'generation_records');
	IF NOT EXISTS (SELECT FROM assetreg.generation_records r WHERE r.transaction = xact) THEN
		RETURN NULL;  -- an earlier firing has dealt with all
	END IF;
	SELECT array_agg(l.id) INTO there
	FROM (SELECT a.id FROM assetreg.assets a
		  WHERE a.id = ANY (ARRAY(SELECT DISTINCT u.id FROM assetreg.generation_records r, unnest(r.asset_ids) u (id) WHERE r.transaction = xact))
		  ORDER BY a.id FOR KEY SHARE) l;
	INSERT INTO assetreg.asset_outcomes AS o (asset_id, other_asset_id, successes, tries)
		SELECT a.id, b.id, count(*) FILTER (WHERE r.succeeded), count(*)
		FROM assetreg.generation_records r CROSS JOIN unnest(r.asset_ids) a (id) JOIN LATERAL unnest(r.asset_ids) b (id) ON a.id <= b.id
		WHERE r.transaction = xact AND a.id = ANY (there) AND b.id = ANY (there)
		GROUP BY a.id, b.id ORDER BY a.id, b.id
		ON CONFLICT ON CONSTRAINT asset_outcomes_pkey
		DO UPDATE SET successes = o.successes + excluded.successes, tries = o.tries + excluded.tries;
	DELETE FROM assetreg.generation_records r WHERE r.transaction = xact;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._fold_generations_trigger() IS 'adds what a transaction recorded of generations to asset_outcomes';

CREATE FUNCTION assetreg._distinct_assets(asset_ids bigint[]) RETURNS bigint[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	missing bigint;
BEGIN
	IF $1 IS NULL THEN
		RAISE EXCEPTION 'asset_ids must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF array_position($1, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'asset_ids must not contain nulls' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT min(u.id) INTO missing FROM unnest($1) u (id) WHERE NOT EXISTS (SELECT FROM assetreg.assets a WHERE a.id = u.id);
	IF missing IS NOT NULL THEN
		PERFORM assetreg._no_such('asset', missing);
	END IF;
	RETURN ARRAY(SELECT DISTINCT u.id FROM unnest($1) u (id) ORDER BY u.id);
END
$$;
COMMENT ON FUNCTION assetreg._distinct_assets(bigint[]) IS 'ids that must be assets'', each once, in order';

CREATE FUNCTION assetreg.record_generation(asset_ids bigint[], succeeded boolean) RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	used bigint[];
BEGIN
	PERFORM assetreg._require_tables();
	used := assetreg._distinct_assets($1);
	IF $2 IS NULL THEN
		RAISE EXCEPTION 'succeeded must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF cardinality(used) > 100 THEN
		RAISE EXCEPTION 'a generation is recorded with at most 100 assets'
			USING ERRCODE = 'program_limit_exceeded', DETAIL = format('It has %s.', cardinality(used));
	END IF;
	IF used <> '{}' THEN
		INSERT INTO assetreg.generation_records (transaction, asset_ids, succeeded) VALUES (pg_current_xact_id()::text::bigint, used, $2);
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg.record_generation(bigint[], boolean) IS 'records how a generation with these assets ended';

-- Which of the candidates would not do: a blocker tells, or metadata names architectures that do not fit.  Where the right
-- base model is there, others may be, too: a refiner, a second stage.
CREATE FUNCTION assetreg._unfit_companions(given bigint[], candidates bigint[]) RETURNS bigint[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off SET enable_mergejoin = off SET jit = off
	AS $$
BEGIN
	RETURN ARRAY(
		WITH facts AS MATERIALIZED (
			SELECT f.asset_id AS id, f.asset_id = ANY ($1) AS given, a.type = 'model' AS base, assetreg._architecture_family(f.base_architecture) AS family
			FROM assetreg._stated_facts($1 || $2) f JOIN assetreg.assets a ON a.id = f.asset_id
			WHERE f.base_architecture IS NOT NULL
			  AND CASE a.type WHEN 'model' THEN NOT assetreg._is_part(a.name, a.file_path, f.part) ELSE a.type = 'lora' OR f.asset_type = 'lora' END
		)
		SELECT c.id FROM facts c JOIN facts g ON g.given AND g.base <> c.base AND g.family <> c.family
		WHERE NOT c.given
		  AND NOT EXISTS (SELECT FROM facts f WHERE f.given AND f.base AND f.family = CASE WHEN c.base THEN g.family ELSE c.family END)
		UNION
		SELECT u.id
		FROM assetreg._configuration_notes($1 || $2) n CROSS JOIN unnest(ARRAY[n.asset_id, n.other_asset_id]) u (id)
		WHERE n.severity = 'blocker' AND u.id = ANY ($2)
		  AND (n.other_asset_id IS NULL OR n.asset_id = ANY ($1) OR n.other_asset_id = ANY ($1)));
END
$$;
COMMENT ON FUNCTION assetreg._unfit_companions(bigint[], bigint[]) IS 'those of the candidates that do not go together with the given assets';

-- Those that are active, but for other versions of what is given, and the active versions that are newer.
CREATE FUNCTION assetreg._current_companions(given bigint[], candidates bigint[]) RETURNS TABLE (place int, newer bigint[])
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT c.place::int, ARRAY(SELECT v.id FROM assetreg.assets v
								   WHERE v.type = a.type AND v.name = a.name AND v.id > c.id AND v.status = 'active')
		FROM unnest($2) WITH ORDINALITY c (id, place)
			 CROSS JOIN LATERAL (SELECT a.type, a.name FROM assetreg.assets a WHERE a.id = c.id AND a.status = 'active' OFFSET 0) a
		WHERE NOT EXISTS (SELECT FROM assetreg.assets v WHERE v.type = a.type AND v.name = a.name AND v.id = ANY ($1) OFFSET 0);
END
$$;
COMMENT ON FUNCTION assetreg._current_companions(bigint[], bigint[]) IS
	'the places of those candidates whose state does not keep them from being recommended, with the versions that would go before them';

CREATE FUNCTION assetreg._recommend(given bigint[], kind text, max_results int, most double precision)
	RETURNS TABLE (asset_id bigint, together bigint, lift double precision, success_rate double precision, score double precision)
	LANGUAGE c STABLE PARALLEL SAFE ROWS 10 COST 10000
	AS 'MODULE_PATHNAME', 'assetreg_recommend';
COMMENT ON FUNCTION assetreg._recommend(bigint[], text, int, double precision) IS
	'what is recommended with the given assets; no outcome has a bound above most';

CREATE FUNCTION assetreg.recommend_assets(asset_ids bigint[], type text = NULL, max_results int = 10)
	RETURNS TABLE (asset_id bigint, together bigint, lift double precision, success_rate double precision, score double precision)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 COST 10000
	SET search_path = pg_catalog, pg_temp
	SET jit = off
	AS $$
#variable_conflict use_column
DECLARE
	given bigint[];
	most double precision;
BEGIN
	PERFORM assetreg._require_tables();
	given := assetreg._distinct_assets($1);
	IF $2 IS NOT NULL THEN
		PERFORM assetreg._check_type($2);
	END IF;
	IF $3 IS NULL THEN
		RAISE EXCEPTION 'max_results must not be null' USING ERRCODE = 'null_value_not_allowed';
	ELSIF $3 < 1 THEN
		RAISE EXCEPTION 'max_results must be at least 1' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT greatest(max(o.success_bound), 0.0945312057342307) INTO most FROM assetreg.asset_outcomes o;  -- the latter without a try
	RETURN QUERY SELECT r.* FROM assetreg._recommend(given, $2, $3, most) r;
END
$$;
COMMENT ON FUNCTION assetreg.recommend_assets(bigint[], text, int) IS
	'what is used together with the given assets more often than chance has it and has worked, best first; without any: what is used and has worked';
