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

CREATE FUNCTION assetreg._used_together(users bigint[], given bigint[], kind text, OUT asset_ids bigint[], OUT together bigint[],
		OUT lifts double precision[], OUT bounds double precision[])
	LANGUAGE c STABLE PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'assetreg_used_together';
COMMENT ON FUNCTION assetreg._used_together(bigint[], bigint[], text) IS
	'what is used together with the given entities, and the lower bound of the lift, strongest first';

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

-- A candidate's success is that of its weakest pair with a given asset; where none was tried, its own.  Of several versions
-- of one name the newest stands for all.
CREATE FUNCTION assetreg._score_companions(given bigint[], candidates bigint[], bounds double precision[], others bigint[],
		at_least double precision)
	RETURNS TABLE (place int, success_rate double precision, score double precision)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT c.place::int, c.success_rate, c.score
		FROM (SELECT c.id, c.place, coalesce(p.successes, s.successes)::double precision / coalesce(p.tries, s.tries) AS success_rate,
					 c.bound * coalesce(p.success_bound, s.success_bound, 0.0945312057342307) AS score  -- the last without a try
			  FROM unnest($2, $3) WITH ORDINALITY c (id, bound, place)
				   LEFT JOIN LATERAL (SELECT s.successes, s.tries, s.success_bound FROM assetreg.asset_outcomes s
									  WHERE s.asset_id = c.id AND s.other_asset_id = c.id OFFSET 0) s ON true
				   LEFT JOIN LATERAL (SELECT p.successes, p.tries, p.success_bound
									  FROM unnest($1) g (id) CROSS JOIN LATERAL (SELECT p.* FROM assetreg.asset_outcomes p
										   WHERE p.asset_id = least(c.id, g.id) AND p.other_asset_id = greatest(c.id, g.id) OFFSET 0) p
									  WHERE s.tries > 0 ORDER BY p.success_bound, p.tries DESC LIMIT 1) p ON true
			  OFFSET 0) c
			 CROSS JOIN LATERAL (SELECT a.type, a.name FROM assetreg.assets a
								 WHERE a.id = c.id AND a.status = 'active' OFFSET 0) a
		WHERE c.score >= $5
		  AND NOT EXISTS (SELECT FROM assetreg.assets v WHERE v.type = a.type AND v.name = a.name AND v.id <> c.id
						  AND (v.id = ANY ($1) OR v.id > c.id AND v.status = 'active' AND v.id = ANY ($4)) OFFSET 0);
END
$$;
COMMENT ON FUNCTION assetreg._score_companions(bigint[], bigint[], double precision[], bigint[], double precision) IS
	'the scores, where they are not too small, of those candidates that may be recommended; others are all candidates';

CREATE FUNCTION assetreg._fit_companions(given bigint[], ids bigint[], places int[], rates double precision[], scores double precision[], max_results int)
	RETURNS TABLE (place int, rate double precision, score double precision)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	unfit bigint[];
	step int := least(greatest($6, 10), 1000);
	fit int := 0;
	n int;
BEGIN
	FOR start IN 1 .. coalesce(cardinality($3), 0) BY step LOOP
		unfit := assetreg._unfit_companions($1, ARRAY(SELECT $2[p.place] FROM unnest($3[start : start + step - 1]) p (place)));
		RETURN QUERY
			SELECT p.place, p.rate, p.score
			FROM unnest($3[start : start + step - 1], $4[start : start + step - 1], $5[start : start + step - 1]) p (place, rate, score)
			WHERE $2[p.place] <> ALL (unfit);
		GET DIAGNOSTICS n = ROW_COUNT;
		fit := fit + n;
		EXIT WHEN fit >= $6;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._fit_companions(bigint[], bigint[], int[], double precision[], double precision[], int) IS
	'the first of the candidates that go together with the given assets, at least so many where there are so many';

-- The candidates come in the order of the most that their scores could be, so only those are looked at that may be among the
-- best: ever larger pieces, until none of the rest can reach the last of the best.
CREATE FUNCTION assetreg.recommend_assets(asset_ids bigint[], type text = NULL, max_results int = 10)
	RETURNS TABLE (asset_id bigint, together bigint, lift double precision, success_rate double precision, score double precision)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 COST 10000
	SET search_path = pg_catalog, pg_temp
	SET jit = off
	AS $$
#variable_conflict use_column
DECLARE
	given bigint[];
	ids bigint[];
	togethers bigint[];
	lifts double precision[];
	bounds double precision[];
	most double precision;
	done int := 0;
	size int := 100;
	places int[];
	rates double precision[];
	scores double precision[];
	best_places int[] := '{}';
	best_rates double precision[] := '{}';
	best_scores double precision[] := '{}';
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

	SELECT t.asset_ids, t.together, t.lifts, t.bounds INTO ids, togethers, lifts, bounds
	FROM assetreg._used_together(ARRAY(SELECT e.id FROM assetreg.entities e WHERE e.kind IN ('scene_type', 'template') AND e.active), given, $2) t;
	SELECT greatest(max(o.success_bound), 0.0945312057342307) INTO most FROM assetreg.asset_outcomes o;

	WHILE done < cardinality(ids) AND (cardinality(best_scores) < $3 OR bounds[done + 1] * most >= best_scores[$3]) LOOP
		SELECT array_agg(s.place + done ORDER BY s.score DESC, ids[s.place + done]),
			   array_agg(s.success_rate ORDER BY s.score DESC, ids[s.place + done]),
			   array_agg(s.score ORDER BY s.score DESC, ids[s.place + done])
		INTO places, rates, scores
		FROM assetreg._score_companions(given, ids[done + 1 : done + size], bounds[done + 1 : done + size], ids,
										coalesce(best_scores[$3], 0)) s;

		SELECT array_agg(b.place), array_agg(b.rate), array_agg(b.score) INTO best_places, best_rates, best_scores
		FROM (SELECT b.*
			  FROM (SELECT * FROM unnest(best_places, best_rates, best_scores) b (place, rate, score)
					UNION ALL
					SELECT * FROM assetreg._fit_companions(given, ids, places, rates, scores, $3)) b
			  ORDER BY b.score DESC, ids[b.place] LIMIT $3) b;
		best_scores := coalesce(best_scores, '{}');
		done := done + size;
		size := size * 4;
	END LOOP;

	RETURN QUERY
		SELECT ids[b.place], togethers[b.place], lifts[b.place], b.rate, b.score
		FROM unnest(best_places, best_rates, best_scores) b (place, rate, score)
		ORDER BY b.score DESC, ids[b.place];
END
$$;
COMMENT ON FUNCTION assetreg.recommend_assets(bigint[], text, int) IS
	'what is used together with the given assets more often than chance has it and has worked, best first; without any: what is used and has worked';
