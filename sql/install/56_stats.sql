-- The numbers of each asset that lists are sorted by: its direct dependents, its ratings.
--
-- Nobody waits for another's transaction on their account, and they never drift.  Statement triggers only write down what
-- changed.
--
-- Ratings, and assets that come and go: in asset_stat_changes, rows that nobody else ever sees.  A deferred trigger folds
-- them into asset_stats when the transaction commits, under row locks in order of ids that it holds until the commit, which
-- comes next.
--
-- Direct dependents: in asset_dependent_changes, and there they stay when the transaction commits, so that the many who use
-- one popular asset have nothing to wait for.  asset_stats.dependents and what is written down there are the number together
-- (_pending_dependents()).  Who writes down every 256th change folds all there are when it commits, but for those of assets
-- that somebody else holds.
CREATE FUNCTION assetreg._setup_stats() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	-- No foreign key: the triggers keep a row for each asset, a statement at a time.
	IF to_regclass('assetreg.asset_stats') IS NULL THEN
		CREATE TABLE assetreg.asset_stats (
			asset_id bigint CONSTRAINT asset_stats_pkey PRIMARY KEY,
			predecessor_id bigint CONSTRAINT asset_stats_predecessor_id_check CHECK (predecessor_id < asset_id),
			dependents bigint NOT NULL DEFAULT 0,
			stars_1 bigint NOT NULL DEFAULT 0,
			stars_2 bigint NOT NULL DEFAULT 0,
			stars_3 bigint NOT NULL DEFAULT 0,
			stars_4 bigint NOT NULL DEFAULT 0,
			stars_5 bigint NOT NULL DEFAULT 0,
			prior double precision NOT NULL DEFAULT 3,
			rating_count bigint GENERATED ALWAYS AS (stars_1 + stars_2 + stars_3 + stars_4 + stars_5) STORED,
			rating_average double precision GENERATED ALWAYS AS (
				(stars_1 + 2 * stars_2 + 3 * stars_3 + 4 * stars_4 + 5 * stars_5)::double precision
				/ nullif(stars_1 + stars_2 + stars_3 + stars_4 + stars_5, 0)) STORED,
			-- the Bayesian average: as if five people had given the prior
			rating_score double precision GENERATED ALWAYS AS (
				(5 * prior + stars_1 + 2 * stars_2 + 3 * stars_3 + 4 * stars_4 + 5 * stars_5)
				/ (5 + stars_1 + stars_2 + stars_3 + stars_4 + stars_5)) STORED
		);
		CREATE INDEX asset_stats_rating_score_idx ON assetreg.asset_stats (rating_score, asset_id);
		CREATE INDEX asset_stats_dependents_idx ON assetreg.asset_stats (dependents, asset_id);
		CREATE INDEX asset_stats_predecessor_id_idx ON assetreg.asset_stats (predecessor_id) WHERE predecessor_id IS NOT NULL;
	END IF;
	-- What the running transactions have changed; a transaction takes its rows out again before it commits.
	IF to_regclass('assetreg.asset_stat_changes') IS NULL THEN
		CREATE TABLE assetreg.asset_stat_changes (
			transaction bigint NOT NULL,
			id bigint GENERATED ALWAYS AS IDENTITY,
			what text COLLATE "C" NOT NULL
				CONSTRAINT asset_stat_changes_what_check CHECK (what IN ('ratings', 'assets', 'everything')),
			asset_ids bigint[] NOT NULL DEFAULT '{}',
			stars bigint[] NOT NULL DEFAULT '{}',
			change int NOT NULL DEFAULT 0,
			CONSTRAINT asset_stat_changes_pkey PRIMARY KEY (transaction, id)
		);
	END IF;
	IF to_regclass('assetreg.asset_dependent_changes') IS NULL THEN
		CREATE SEQUENCE assetreg.asset_dependent_changes_id_seq CACHE 1;
		CREATE TABLE assetreg.asset_dependent_changes (
			asset_id bigint NOT NULL,
			id bigint NOT NULL DEFAULT nextval('assetreg.asset_dependent_changes_id_seq'),
			dependent_ids bigint[] NOT NULL,
			change int NOT NULL,
			CONSTRAINT asset_dependent_changes_pkey PRIMARY KEY (asset_id, id)
		);
		ALTER SEQUENCE assetreg.asset_dependent_changes_id_seq OWNED BY assetreg.asset_dependent_changes.id;
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_stats() IS 'makes the tables of numbers where they are missing';

CREATE FUNCTION assetreg._comment_stats() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	COMMENT ON TABLE assetreg.asset_stats IS 'the numbers of each asset that lists are sorted by, kept by triggers';
	COMMENT ON COLUMN assetreg.asset_stats.asset_id IS 'whose numbers';
	COMMENT ON COLUMN assetreg.asset_stats.predecessor_id IS
		'what it supersedes, else the newest version registered before it, if that has a smaller id';
	COMMENT ON COLUMN assetreg.asset_stats.dependents IS 'how many entities need it directly, less what asset_dependent_changes adds; asset_list has the sum';
	COMMENT ON COLUMN assetreg.asset_stats.stars_1 IS 'ratings with one star';
	COMMENT ON COLUMN assetreg.asset_stats.stars_2 IS 'ratings with two stars';
	COMMENT ON COLUMN assetreg.asset_stats.stars_3 IS 'ratings with three stars';
	COMMENT ON COLUMN assetreg.asset_stats.stars_4 IS 'ratings with four stars';
	COMMENT ON COLUMN assetreg.asset_stats.stars_5 IS 'ratings with five stars';
	COMMENT ON COLUMN assetreg.asset_stats.prior IS 'the average of the nearest predecessor that has ratings; 3 where none has';
	COMMENT ON COLUMN assetreg.asset_stats.rating_count IS 'how many have rated it';
	COMMENT ON COLUMN assetreg.asset_stats.rating_average IS 'the plain average; NULL where nobody has';
	COMMENT ON COLUMN assetreg.asset_stats.rating_score IS 'for sorting: the average of its ratings and five more of its prior';
	COMMENT ON TABLE assetreg.asset_stat_changes IS 'what running transactions have yet to add to asset_stats; empty to everybody else';
	COMMENT ON COLUMN assetreg.asset_stat_changes.transaction IS 'pg_current_xact_id()';
	COMMENT ON COLUMN assetreg.asset_stat_changes.id IS 'tells the rows of a transaction apart';
	COMMENT ON COLUMN assetreg.asset_stat_changes.what IS
		'ratings came or went, assets did or were renamed, or everything is to be counted anew';
	COMMENT ON COLUMN assetreg.asset_stat_changes.asset_ids IS 'the assets concerned';
	COMMENT ON COLUMN assetreg.asset_stat_changes.stars IS 'for each of them the stars';
	COMMENT ON COLUMN assetreg.asset_stat_changes.change IS 'how many of each pair came; negative: went';
	COMMENT ON SEQUENCE assetreg.asset_stat_changes_id_seq IS 'gives asset_stat_changes.id';
	COMMENT ON TABLE assetreg.asset_dependent_changes IS 'edges of assets that came or went and are not in asset_stats.dependents yet';
	COMMENT ON COLUMN assetreg.asset_dependent_changes.asset_id IS 'the asset concerned';
	COMMENT ON COLUMN assetreg.asset_dependent_changes.id IS 'tells the changes of an asset apart';
	COMMENT ON COLUMN assetreg.asset_dependent_changes.dependent_ids IS 'the dependents of the edges';
	COMMENT ON COLUMN assetreg.asset_dependent_changes.change IS 'how many edges of each came; negative: went';
	COMMENT ON SEQUENCE assetreg.asset_dependent_changes_id_seq IS 'gives asset_dependent_changes.id';
END
$$;
COMMENT ON FUNCTION assetreg._comment_stats() IS 'comments the tables of numbers, once, when setup() has made them';

CREATE FUNCTION assetreg._stats_triggers(OUT relation text, OUT name text, OUT definition text) RETURNS SETOF record
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 14
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT t.r, format(t.name_format, lower(e.event)),
		   format('CREATE TRIGGER %I AFTER %s ON assetreg.%I %sFOR EACH STATEMENT EXECUTE FUNCTION assetreg.%I()',
				  format(t.name_format, lower(e.event)), e.event, t.r, e.transition, t.f)
	FROM (VALUES ('assets', 'assets_%s_sync_stats', '_assets_stats_trigger'),  -- the names sort after those of the entities' triggers
				 ('asset_dependencies', 'asset_dependencies_%s_stats', '_dependencies_stats_trigger'),
				 ('asset_ratings', 'asset_ratings_%s_stats', '_ratings_stats_trigger')) t (r, name_format, f),
		 (VALUES ('INSERT', 'REFERENCING NEW TABLE AS new_rows '), ('DELETE', 'REFERENCING OLD TABLE AS old_rows '),
				 ('UPDATE', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '), ('TRUNCATE', '')) e (event, transition)
	UNION ALL
	VALUES ('asset_stat_changes', 'asset_stat_changes_fold',
			'CREATE CONSTRAINT TRIGGER asset_stat_changes_fold AFTER INSERT ON assetreg.asset_stat_changes DEFERRABLE INITIALLY DEFERRED '
			'FOR EACH ROW EXECUTE FUNCTION assetreg._fold_stats_trigger()'),
		   -- of the edges that are written down about every 256th
		   ('asset_dependent_changes', 'asset_dependent_changes_fold',
			'CREATE CONSTRAINT TRIGGER asset_dependent_changes_fold AFTER INSERT ON assetreg.asset_dependent_changes DEFERRABLE INITIALLY DEFERRED '
			'FOR EACH ROW WHEN (NEW.id % 256 < cardinality(NEW.dependent_ids)) EXECUTE FUNCTION assetreg._fold_dependents_trigger()')
	$$;
COMMENT ON FUNCTION assetreg._stats_triggers() IS 'the triggers that keep asset_stats';

-- What an UPDATE leaves as it was cancels out.  Edges to what is no asset, most of them, are not written down.  An asset
-- that this transaction has deleted counts as one: it may come back.
CREATE FUNCTION assetreg._dependencies_stats_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_seqscan = off
	SET jit = off
	AS $$
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'asset_dependencies');
	CASE TG_OP
	WHEN 'INSERT' THEN
		INSERT INTO assetreg.asset_dependent_changes (asset_id, dependent_ids, change)
			SELECT n.dependency_id, array_agg(n.dependent_id), 1
			FROM new_rows n WHERE (SELECT true FROM assetreg.asset_stats s WHERE s.asset_id = n.dependency_id)
			GROUP BY n.dependency_id;
	WHEN 'DELETE' THEN
		INSERT INTO assetreg.asset_dependent_changes (asset_id, dependent_ids, change)
			SELECT o.dependency_id, array_agg(o.dependent_id), -1
			FROM old_rows o WHERE (SELECT true FROM assetreg.asset_stats s WHERE s.asset_id = o.dependency_id)
			GROUP BY o.dependency_id;
	WHEN 'UPDATE' THEN
		INSERT INTO assetreg.asset_dependent_changes (asset_id, dependent_ids, change)
			SELECT d.dependency_id, array_agg(d.dependent_id), d.change
			FROM (SELECT b.dependency_id, b.dependent_id, sum(b.change)::int AS change
				  FROM (SELECT n.dependency_id, n.dependent_id, 1 AS change FROM new_rows n
						UNION ALL SELECT o.dependency_id, o.dependent_id, -1 FROM old_rows o) b
				  GROUP BY b.dependency_id, b.dependent_id HAVING sum(b.change) <> 0) d
			WHERE (SELECT true FROM assetreg.asset_stats s WHERE s.asset_id = d.dependency_id)
			GROUP BY d.dependency_id, d.change;
	WHEN 'TRUNCATE' THEN
		INSERT INTO assetreg.asset_stat_changes (transaction, what) VALUES (pg_current_xact_id()::text::bigint, 'everything');
	END CASE;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._dependencies_stats_trigger() IS 'writes down which direct dependents assets gained and lost';

CREATE FUNCTION assetreg._ratings_stats_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_seqscan = off
	SET jit = off
	AS $$
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'asset_ratings');
	CASE TG_OP
	WHEN 'INSERT' THEN
		INSERT INTO assetreg.asset_stat_changes (transaction, what, asset_ids, stars, change)
			SELECT pg_current_xact_id()::text::bigint, 'ratings', array_agg(n.asset_id), array_agg(n.stars::bigint), 1
			FROM new_rows n HAVING count(*) > 0;
	WHEN 'DELETE' THEN
		INSERT INTO assetreg.asset_stat_changes (transaction, what, asset_ids, stars, change)
			SELECT pg_current_xact_id()::text::bigint, 'ratings', array_agg(o.asset_id), array_agg(o.stars::bigint), -1
			FROM old_rows o HAVING count(*) > 0;
	WHEN 'UPDATE' THEN
		INSERT INTO assetreg.asset_stat_changes (transaction, what, asset_ids, stars, change)
			SELECT pg_current_xact_id()::text::bigint, 'ratings', array_agg(d.asset_id), array_agg(d.stars::bigint), d.change
			FROM (SELECT b.asset_id, b.stars, sum(b.change)::int AS change
				  FROM (SELECT n.asset_id, n.stars, 1 AS change FROM new_rows n
						UNION ALL SELECT o.asset_id, o.stars, -1 FROM old_rows o) b
				  GROUP BY b.asset_id, b.stars HAVING sum(b.change) <> 0) d
			GROUP BY d.change;
	WHEN 'TRUNCATE' THEN
		INSERT INTO assetreg.asset_stat_changes (transaction, what) VALUES (pg_current_xact_id()::text::bigint, 'everything');
	END CASE;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._ratings_stats_trigger() IS 'writes down which ratings assets gained and lost';

-- A new asset's row is there at once; that of a deleted one goes with the fold, so that who rates its predecessor need not
-- wait for the transaction that deletes.
CREATE FUNCTION assetreg._assets_stats_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off SET enable_seqscan = off
	SET jit = off
	AS $$
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'assets');
	CASE TG_OP
	WHEN 'INSERT' THEN
		INSERT INTO assetreg.asset_stats (asset_id, predecessor_id)
			SELECT n.id, p.id FROM new_rows n CROSS JOIN LATERAL assetreg._predecessor(n.id, n.type, n.name, n.supersedes) p
			ON CONFLICT DO NOTHING;  -- deleted by this transaction, and here again
		INSERT INTO assetreg.asset_stat_changes (transaction, what, asset_ids)
			SELECT pg_current_xact_id()::text::bigint, 'assets', array_agg(n.id) FROM new_rows n HAVING count(*) > 0;
	WHEN 'UPDATE' THEN
		INSERT INTO assetreg.asset_stat_changes (transaction, what, asset_ids)
			SELECT pg_current_xact_id()::text::bigint, 'assets', array_agg(c.id)
			FROM (SELECT n.id, n.type, n.name, n.supersedes FROM new_rows n
				  EXCEPT SELECT o.id, o.type, o.name, o.supersedes FROM old_rows o) c
			HAVING count(*) > 0;
	WHEN 'DELETE' THEN
		INSERT INTO assetreg.asset_stat_changes (transaction, what, asset_ids)
			SELECT pg_current_xact_id()::text::bigint, 'assets', array_agg(o.id) FROM old_rows o HAVING count(*) > 0;
	WHEN 'TRUNCATE' THEN
		INSERT INTO assetreg.asset_stat_changes (transaction, what) VALUES (pg_current_xact_id()::text::bigint, 'everything');
	END CASE;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._assets_stats_trigger() IS
	'gives new assets a row in asset_stats, and writes down which assets came, went or were renamed';

-- What an asset inherits its prior from; always of a smaller id, so that there is no circle.  Without a search_path of its
-- own it becomes part of the statements that ask for 100,000 assets; all of them have pinned theirs.
CREATE FUNCTION assetreg._predecessor(asset_id bigint, type text, name text, supersedes bigint) RETURNS TABLE (id bigint)
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
	AS $$
	-- The filter by id is kept from the planner, who would go through the primary key's index for it: all earlier assets.
	SELECT CASE WHEN $4 OPERATOR(pg_catalog.<) $1 THEN $4
				ELSE (SELECT pg_catalog.max(v.id)
					  FROM (SELECT a.id FROM assetreg.assets a
							WHERE a.type OPERATOR(pg_catalog.=) $2 AND a.name OPERATOR(pg_catalog.=) $3 COLLATE "default" OFFSET 0) v
					  WHERE v.id OPERATOR(pg_catalog.<) $1) END
	$$;
COMMENT ON FUNCTION assetreg._predecessor(bigint, text, text, bigint) IS
	'what an asset supersedes, else the newest version registered before it; a row always';

-- Edges and what is written down of them are seen together or not at all, so of each pair what is there now, less what was
-- written down, is what asset_stats has.  Whoever may see the number sees it whole, whatever row security shows of the edges.
CREATE FUNCTION assetreg._pending_dependents(asset_id bigint) RETURNS bigint
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10
	AS 'MODULE_PATHNAME', 'assetreg_pending_dependents';
COMMENT ON FUNCTION assetreg._pending_dependents(bigint) IS
	'what is to be added to asset_stats.dependents of an asset; NULL where _count_pending() has to tell';

CREATE FUNCTION assetreg._count_pending(asset_id bigint) RETURNS bigint
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RETURN (SELECT coalesce(sum((p.edges > 0)::int - (p.edges - p.change > 0)::int), 0)
			FROM (SELECT sum(c.change) AS change, (SELECT count(*) FROM assetreg.asset_dependencies d
												   WHERE d.dependency_id = $1 AND d.dependent_id = u.dependent_id) AS edges
				  FROM assetreg.asset_dependent_changes c, unnest(c.dependent_ids) u (dependent_id)
				  WHERE c.asset_id = $1
				  GROUP BY u.dependent_id HAVING sum(c.change) <> 0) p);
END
$$;
COMMENT ON FUNCTION assetreg._count_pending(bigint) IS 'as _pending_dependents(), of whatever tables';

CREATE FUNCTION assetreg._pending_assets() RETURNS TABLE (asset_id bigint, dependents bigint)
	LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER ROWS 100
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT c.asset_id, coalesce(assetreg._pending_dependents(c.asset_id), assetreg._count_pending(c.asset_id))
		FROM (SELECT DISTINCT c.asset_id FROM assetreg.asset_dependent_changes c OFFSET 0) c;
END
$$;
COMMENT ON FUNCTION assetreg._pending_assets() IS 'the assets of which something is written down, and what is to be added to their dependents';

CREATE FUNCTION assetreg._fold_dependents_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'asset_dependent_changes');
	IF EXISTS (SELECT FROM assetreg.asset_dependent_changes c WHERE c.asset_id = NEW.asset_id AND c.id = NEW.id) THEN  -- else an earlier firing has folded it
		PERFORM assetreg._fold_stats();  -- waits for others: not while it holds what is locked here
		IF NOT assetreg._fold_dependents_directly() THEN
			PERFORM assetreg._fold_dependents();
		END IF;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._fold_dependents_trigger() IS 'adds to asset_stats.dependents what is written down, when the transaction commits';

-- As _fold_dependents(), without SQL; false where that is not possible.
CREATE FUNCTION assetreg._fold_dependents_directly() RETURNS boolean
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'assetreg_fold_dependents';
COMMENT ON FUNCTION assetreg._fold_dependents_directly() IS
	'adds to asset_stats.dependents what is written down, but for assets that somebody else holds; false: did nothing';

CREATE FUNCTION assetreg._fold_dependents() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
	AS $$
DECLARE
	held bigint[];
BEGIN
	held := ARRAY(SELECT s.asset_id
				  FROM (SELECT DISTINCT c.asset_id FROM assetreg.asset_dependent_changes c ORDER BY c.asset_id) c
					   CROSS JOIN LATERAL (SELECT s.asset_id FROM assetreg.asset_stats s WHERE s.asset_id = c.asset_id FOR UPDATE SKIP LOCKED) s);
	WITH folded AS (
		DELETE FROM assetreg.asset_dependent_changes c WHERE c.asset_id = ANY (held) RETURNING c.asset_id, c.dependent_ids, c.change
	), pair AS (
		SELECT f.asset_id, u.dependent_id, sum(f.change) AS change
		FROM folded f, unnest(f.dependent_ids) u (dependent_id)
		GROUP BY f.asset_id, u.dependent_id HAVING sum(f.change) <> 0
	), counted AS MATERIALIZED (
		SELECT p.asset_id, p.change, (SELECT count(*) FROM assetreg.asset_dependencies d
									  WHERE d.dependency_id = p.asset_id AND d.dependent_id = p.dependent_id) AS edges
		FROM pair p
	), asset AS (
		-- all that are held: a row that stayed as it was would tell nobody that its changes are gone
		SELECT c.asset_id, sum(c.change) AS change
		FROM (SELECT c.asset_id, (c.edges > 0)::int - (c.edges - c.change > 0)::int AS change FROM counted c
			  UNION ALL SELECT h.id, 0 FROM unnest(held) h (id)) c
		GROUP BY c.asset_id
	)
	UPDATE assetreg.asset_stats s SET dependents = s.dependents + a.change
		FROM (SELECT a.change, (SELECT o.ctid FROM assetreg.asset_stats o WHERE o.asset_id = a.asset_id) AS row FROM asset a OFFSET 0) a
		WHERE s.ctid = a.row;
	-- who deleted the asset under an older snapshot did not see these
	DELETE FROM assetreg.asset_dependent_changes c WHERE (SELECT true FROM assetreg.asset_stats s WHERE s.asset_id = c.asset_id) IS NULL;
EXCEPTION WHEN serialization_failure THEN
	NULL;  -- somebody has folded since the transaction's snapshot; what is written down is for who comes next
END
$$;
COMMENT ON FUNCTION assetreg._fold_dependents() IS 'adds to asset_stats.dependents what is written down, but for assets that somebody else holds';

-- Who holds the row of an asset in asset_stats, from here to the end of the transaction, folds alone: all others have either
-- committed, so that a fresh snapshot shows what they did and their numbers are in, or not begun.  A transaction with a
-- snapshot of its own fails (40001) where the row was changed since; that is why a row is written even where its numbers stay.
--
-- What the functions below do to many rows they do by look-ups in an index for each, in subqueries that the planner cannot
-- turn into other joins, and by places of rows (ctid), which stay as they are locked: plans are made when tables are small,
-- and kept.
CREATE FUNCTION assetreg._fold_stats_trigger() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	PERFORM assetreg._check_trigger_table(TG_RELID, 'asset_stat_changes');
	PERFORM assetreg._fold_stats();
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION assetreg._fold_stats_trigger() IS
	'adds to asset_stats what the transaction has changed in ratings and assets, when it commits';

CREATE FUNCTION assetreg._fold_stats() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off SET jit = off SET plan_cache_mode = auto
	AS $$
DECLARE
	xact constant bigint := pg_current_xact_id()::text::bigint;
	kinds text[];
	changed bigint;
BEGIN
	SELECT array_agg(DISTINCT c.what), sum(cardinality(c.asset_ids)) INTO kinds, changed FROM assetreg.asset_stat_changes c WHERE c.transaction = xact;
	IF kinds IS NULL THEN
		RETURN;  -- an earlier firing has dealt with all
	END IF;
	-- while the tables were small any index did; a plan from then would read all of one for each of many rows
	IF changed > 1000 THEN
		PERFORM set_config('plan_cache_mode', 'force_custom_plan', true);
	END IF;
	IF 'everything' = ANY (kinds) THEN
		PERFORM assetreg._recount_stats();
	ELSE
		PERFORM assetreg._fold_assets(xact);
	END IF;
	DELETE FROM assetreg.asset_stat_changes c WHERE c.transaction = xact;
END
$$;
COMMENT ON FUNCTION assetreg._fold_stats() IS 'adds what the transaction has changed to asset_stats, whatever it is';

CREATE FUNCTION assetreg._lock_stats(ids bigint[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	-- nobody else sees the rows that are new
	PERFORM FROM unnest($1) u (id)
		 CROSS JOIN LATERAL (SELECT FROM assetreg.asset_stats s WHERE s.asset_id = u.id AND s.xmin <> pg_current_xact_id()::xid FOR UPDATE) s;
END
$$;
COMMENT ON FUNCTION assetreg._lock_stats(bigint[]) IS 'locks rows of asset_stats, in the order of the ids';

-- Of assets that are new, renamed or gone, and of rated ones: their own numbers, and the priors of those that inherit from
-- them, which are locked with them, in one go and in order of ids; should there be others by then, again.
CREATE FUNCTION assetreg._fold_assets(xact bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	moved bigint[];  -- whose predecessor may be another one
	needed bigint[];
	locked bigint[];
BEGIN
	-- most new assets inherit from nobody, and nobody from them
	SELECT array_agg(DISTINCT u.id) INTO moved
	FROM assetreg.asset_stat_changes c, unnest(c.asset_ids) u (id)
	WHERE c.transaction = $1 AND c.what = 'assets'
	  AND (SELECT true
		   FROM (SELECT s.prior FROM assetreg.asset_stats s WHERE s.asset_id = u.id AND s.predecessor_id IS NULL OFFSET 0) s
				CROSS JOIN LATERAL (SELECT a.id, a.type, a.name, a.supersedes FROM assetreg.assets a WHERE a.id = u.id OFFSET 0) a
				CROSS JOIN LATERAL assetreg._predecessor(a.id, a.type, a.name, a.supersedes) p
		   WHERE s.prior = 3 AND p.id IS NULL AND NOT EXISTS (SELECT FROM assetreg.asset_stats h WHERE h.predecessor_id = u.id)) IS NULL;
	LOOP
		WITH RECURSIVE below (id, heir) AS (
			SELECT b.id, false
			FROM (SELECT u.id FROM assetreg.asset_stat_changes c, unnest(c.asset_ids) u (id) WHERE c.transaction = $1 AND c.what = 'ratings'
				  UNION ALL SELECT m.id FROM unnest(moved) m (id)) b
			UNION
			SELECT s.asset_id, true
			FROM below b
				 CROSS JOIN LATERAL (SELECT p.rating_count FROM assetreg.asset_stats p WHERE p.asset_id = b.id OFFSET 0) p
				 CROSS JOIN LATERAL (SELECT s.asset_id FROM assetreg.asset_stats s WHERE s.predecessor_id = b.id OFFSET 0) s
			WHERE NOT b.heir OR p.rating_count = 0
		)
		SELECT array_agg(DISTINCT n.id ORDER BY n.id) INTO needed
		FROM (SELECT b.id FROM below b
			  UNION ALL
			  SELECT s.predecessor_id
			  FROM unnest(moved) m (id) CROSS JOIN LATERAL (SELECT s.predecessor_id FROM assetreg.asset_stats s WHERE s.asset_id = m.id OFFSET 0) s) n;
		EXIT WHEN needed IS NOT DISTINCT FROM locked;
		PERFORM assetreg._lock_stats(needed);
		locked := needed;
		IF moved IS NOT NULL THEN
			moved := moved || assetreg._point_to_predecessors(moved);
		END IF;
	END LOOP;

	UPDATE assetreg.asset_stats s
		SET stars_1 = s.stars_1 + r.stars_1, stars_2 = s.stars_2 + r.stars_2, stars_3 = s.stars_3 + r.stars_3,
			stars_4 = s.stars_4 + r.stars_4, stars_5 = s.stars_5 + r.stars_5
		FROM (SELECT (SELECT o.ctid FROM assetreg.asset_stats o WHERE o.asset_id = u.asset_id) AS row,
					 sum(CASE u.stars WHEN 1 THEN c.change ELSE 0 END) AS stars_1, sum(CASE u.stars WHEN 2 THEN c.change ELSE 0 END) AS stars_2,
					 sum(CASE u.stars WHEN 3 THEN c.change ELSE 0 END) AS stars_3, sum(CASE u.stars WHEN 4 THEN c.change ELSE 0 END) AS stars_4,
					 sum(CASE u.stars WHEN 5 THEN c.change ELSE 0 END) AS stars_5
			  FROM assetreg.asset_stat_changes c, unnest(c.asset_ids, c.stars) u (asset_id, stars)
			  WHERE c.transaction = $1 AND c.what = 'ratings'
			  GROUP BY u.asset_id OFFSET 0) r
		WHERE s.ctid = r.row;
	IF moved IS NOT NULL THEN
		-- a rater with an older snapshot must not miss the new successor
		UPDATE assetreg.asset_stats p SET prior = p.prior
			WHERE p.asset_id = ANY (ARRAY(SELECT (SELECT s.predecessor_id FROM assetreg.asset_stats s WHERE s.asset_id = m.id) FROM unnest(moved) m (id)))
			  AND p.xmin <> pg_current_xact_id()::xid;
		DELETE FROM assetreg.asset_stats s
			WHERE s.asset_id = ANY (moved) AND (SELECT true FROM assetreg.assets a WHERE a.id = s.asset_id) IS NULL;
		-- nobody else can have brought or taken an edge and not committed yet: the entity was locked
		DELETE FROM assetreg.asset_dependent_changes c
			WHERE c.asset_id = ANY (moved) AND (SELECT true FROM assetreg.asset_stats s WHERE s.asset_id = c.asset_id) IS NULL;
	END IF;
	PERFORM assetreg._inherit_priors(locked);
END
$$;
COMMENT ON FUNCTION assetreg._fold_assets(bigint) IS
	'adds to asset_stats what a transaction has changed in assets and ratings';

CREATE FUNCTION assetreg._point_to_predecessors(ids bigint[]) RETURNS bigint[]
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	pointed bigint[];
BEGIN
	WITH heir AS (
		UPDATE assetreg.asset_stats s SET predecessor_id = h.predecessor_id
			FROM (SELECT s.ctid AS row, p.id AS predecessor_id
				  FROM (SELECT u.id FROM unnest($1) u (id)
						UNION
						SELECT c.asset_id
						FROM unnest($1) u (id) CROSS JOIN LATERAL (SELECT c.asset_id FROM assetreg.asset_stats c WHERE c.predecessor_id = u.id OFFSET 0) c) u
					   CROSS JOIN LATERAL (SELECT s.ctid, s.predecessor_id FROM assetreg.asset_stats s WHERE s.asset_id = u.id OFFSET 0) s
					   CROSS JOIN LATERAL (SELECT a.id, a.type, a.name, a.supersedes FROM assetreg.assets a WHERE a.id = u.id OFFSET 0) a
					   CROSS JOIN LATERAL assetreg._predecessor(a.id, a.type, a.name, a.supersedes) p
				  -- a version before that came later is no better than the one that was there
				  WHERE CASE WHEN a.supersedes < a.id THEN s.predecessor_id IS DISTINCT FROM a.supersedes
							 ELSE (SELECT p.type = a.type AND p.name = a.name FROM assetreg.assets p WHERE p.id = s.predecessor_id) IS NOT TRUE END
					AND s.predecessor_id IS DISTINCT FROM p.id OFFSET 0) h
			WHERE s.ctid = h.row
			RETURNING s.asset_id
	)
	SELECT array_agg(h.asset_id) INTO pointed FROM heir h;
	RETURN pointed;
END
$$;
COMMENT ON FUNCTION assetreg._point_to_predecessors(bigint[]) IS
	'gives assets, and those that these precede, another predecessor where the one they have does not fit; the ids of those that got one';

CREATE FUNCTION assetreg._inherit_priors(ids bigint[]) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	WHILE cardinality(ids) > 0 LOOP
		WITH inherited AS (
			UPDATE assetreg.asset_stats s SET prior = r.prior
				FROM (SELECT o.ctid AS row, coalesce(p.rating_average, p.prior, 3) AS prior
					  FROM unnest(ids) u (id)
						   CROSS JOIN LATERAL (SELECT o.ctid, o.predecessor_id, o.prior FROM assetreg.asset_stats o WHERE o.asset_id = u.id OFFSET 0) o
						   LEFT JOIN LATERAL (SELECT p.rating_average, p.prior FROM assetreg.asset_stats p WHERE p.asset_id = o.predecessor_id OFFSET 0) p ON true
					  WHERE o.prior <> coalesce(p.rating_average, p.prior, 3) OFFSET 0) r
				WHERE s.ctid = r.row
				RETURNING s.asset_id, s.rating_count
		)
		SELECT array_agg(s.asset_id) INTO ids
		FROM inherited i
			 CROSS JOIN LATERAL (SELECT s.asset_id FROM assetreg.asset_stats s WHERE s.predecessor_id = i.asset_id OFFSET 0) s
		WHERE i.rating_count = 0;
	END LOOP;
END
$$;
COMMENT ON FUNCTION assetreg._inherit_priors(bigint[]) IS
	'gives assets, and those that inherit from them, the prior that their predecessors'' ratings make';

-- Under one snapshot all ratings and assets that others have committed are folded; of this transaction's own what is yet to be
-- folded is left out.
CREATE FUNCTION assetreg._stats_problems() RETURNS TABLE (asset_id bigint, problem text)
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	own bigint[] := '{}';
	xact bigint := pg_current_xact_id_if_assigned()::text::bigint;
BEGIN
	RETURN QUERY SELECT NULL::bigint, 'holds changes of transactions that are over'
		WHERE EXISTS (SELECT FROM assetreg.asset_stat_changes c WHERE c.transaction IS DISTINCT FROM xact);
	IF xact IS NOT NULL THEN
		IF EXISTS (SELECT FROM assetreg.asset_stat_changes c WHERE c.transaction = xact AND c.what = 'everything') THEN
			RETURN;
		END IF;
		own := ARRAY(SELECT DISTINCT u.id FROM assetreg.asset_stat_changes c, unnest(c.asset_ids) u (id) WHERE c.transaction = xact);
	END IF;

	RETURN QUERY
		SELECT coalesce(s.asset_id, a.id),
			   CASE WHEN s.asset_id IS NULL THEN 'has no row in asset_stats' WHEN a.id IS NULL THEN 'is gone and has a row in asset_stats'
					ELSE 'has the wrong predecessor in asset_stats' END
		FROM assetreg.assets a
			 FULL JOIN assetreg.asset_stats s ON s.asset_id = a.id
			 LEFT JOIN assetreg.assets p ON p.id = s.predecessor_id
		WHERE (a.id IS NULL OR s.asset_id IS NULL OR a.supersedes < a.id AND s.predecessor_id IS DISTINCT FROM a.supersedes
			   OR (a.supersedes < a.id) IS NOT TRUE AND s.predecessor_id IS NOT NULL AND (p.type, p.name) IS DISTINCT FROM (a.type, a.name))
		  AND coalesce(s.asset_id, a.id) <> ALL (own) AND coalesce(s.predecessor_id, s.asset_id, a.id) <> ALL (own);
	RETURN QUERY
		SELECT s.asset_id, format('has %s direct dependents, not the %s of asset_stats', coalesce(d.dependents, 0), s.dependents + coalesce(p.dependents, 0))
		FROM assetreg.asset_stats s
			 LEFT JOIN (SELECT d.dependency_id, count(DISTINCT d.dependent_id) AS dependents
						FROM assetreg.asset_dependencies d GROUP BY d.dependency_id) d ON d.dependency_id = s.asset_id
			 LEFT JOIN assetreg._pending_assets() p ON p.asset_id = s.asset_id
		WHERE s.dependents + coalesce(p.dependents, 0) <> coalesce(d.dependents, 0);
	RETURN QUERY
		SELECT s.asset_id, 'has other ratings than asset_stats counts'
		FROM assetreg.asset_stats s LEFT JOIN assetreg._count_ratings() r ON r.asset_id = s.asset_id
		WHERE ARRAY[s.stars_1, s.stars_2, s.stars_3, s.stars_4, s.stars_5] <> coalesce(r.stars, '{0,0,0,0,0}') AND s.asset_id <> ALL (own);
	RETURN QUERY
		SELECT s.asset_id, format('has the prior %s in asset_stats, not %s', s.prior, coalesce(p.rating_average, p.prior, 3))
		FROM assetreg.asset_stats s LEFT JOIN assetreg.asset_stats p ON p.asset_id = s.predecessor_id
		WHERE s.prior <> coalesce(p.rating_average, p.prior, 3) AND s.asset_id <> ALL (own);
END
$$;
COMMENT ON FUNCTION assetreg._stats_problems() IS 'where asset_stats does not say the truth';

CREATE FUNCTION assetreg._count_ratings() RETURNS TABLE (asset_id bigint, stars bigint[])
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100000
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
		SELECT r.asset_id, ARRAY[count(*) FILTER (WHERE r.stars = 1), count(*) FILTER (WHERE r.stars = 2), count(*) FILTER (WHERE r.stars = 3),
								 count(*) FILTER (WHERE r.stars = 4), count(*) FILTER (WHERE r.stars = 5)]
		FROM assetreg.asset_ratings r GROUP BY r.asset_id;
END
$$;
COMMENT ON FUNCTION assetreg._count_ratings() IS 'how often each asset was given one star, two and so on';

-- Waits for those who are just committing, and lets nobody else fold meanwhile.
CREATE FUNCTION assetreg._recount_stats() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET enable_hashjoin = on SET enable_mergejoin = on SET enable_seqscan = on
	AS $$
BEGIN
	LOCK TABLE assetreg.asset_stats IN SHARE ROW EXCLUSIVE MODE;
	DELETE FROM assetreg.asset_stat_changes;  -- all there are are counted
	DELETE FROM assetreg.asset_stats s WHERE NOT EXISTS (SELECT FROM assetreg.assets a WHERE a.id = s.asset_id);
	INSERT INTO assetreg.asset_stats (asset_id)
		SELECT a.id FROM assetreg.assets a WHERE NOT EXISTS (SELECT FROM assetreg.asset_stats s WHERE s.asset_id = a.id);
	PERFORM assetreg._point_to_predecessors(ARRAY(SELECT s.asset_id FROM assetreg.asset_stats s));
	-- in one statement: what is counted and what is not are those of one snapshot
	WITH counted AS (DELETE FROM assetreg.asset_dependent_changes)
	UPDATE assetreg.asset_stats s SET dependents = t.dependents
		FROM (SELECT o.asset_id, count(DISTINCT d.dependent_id) AS dependents
			  FROM assetreg.asset_stats o LEFT JOIN assetreg.asset_dependencies d ON d.dependency_id = o.asset_id GROUP BY o.asset_id) t
		WHERE s.asset_id = t.asset_id AND s.dependents <> t.dependents;
	UPDATE assetreg.asset_stats s
		SET stars_1 = t.stars[1], stars_2 = t.stars[2], stars_3 = t.stars[3], stars_4 = t.stars[4], stars_5 = t.stars[5]
		FROM (SELECT o.asset_id, coalesce(r.stars, '{0,0,0,0,0}') AS stars
			  FROM assetreg.asset_stats o LEFT JOIN assetreg._count_ratings() r ON r.asset_id = o.asset_id) t
		WHERE s.asset_id = t.asset_id AND ARRAY[s.stars_1, s.stars_2, s.stars_3, s.stars_4, s.stars_5] <> t.stars;
	PERFORM assetreg._inherit_priors(ARRAY(SELECT s.asset_id FROM assetreg.asset_stats s ORDER BY s.asset_id));
END
$$;
COMMENT ON FUNCTION assetreg._recount_stats() IS 'makes asset_stats what the other tables say';
