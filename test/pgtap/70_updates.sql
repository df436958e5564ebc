-- Random graphs, interfaces and versions: which updates open, what they count, what closes and who breaks, against SQL.
\ir oracle.psql

SELECT plan(240);

-- What an asset follows: the versions behind it, what it or one of these supersedes under another name, and so on; and what it supersedes itself.
CREATE FUNCTION sql_behind(asset bigint) RETURNS TABLE (id bigint) LANGUAGE sql STABLE AS $$
	SELECT v.id FROM assetreg.versions(asset) WITH ORDINALITY v (id, n)
	WHERE v.n > (SELECT w.n FROM assetreg.versions(asset) WITH ORDINALITY w (id, n) WHERE w.id = asset)
$$;
CREATE FUNCTION sql_earlier(asset bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
	WITH RECURSIVE bound (id) AS (  -- assets up to which a name counts
		SELECT asset
		UNION
		SELECT s.id
		FROM bound b, LATERAL (SELECT b.id UNION SELECT f.id FROM sql_behind(b.id) f) v (id), assetreg.assets a, assetreg.assets s
		WHERE a.id = v.id AND s.id = a.supersedes AND (s.type, s.name) <> (a.type, a.name)
	)
	SELECT coalesce(array_agg(e.id ORDER BY e.id), '{}')
	FROM (SELECT f.id FROM bound b, sql_behind(b.id) f UNION SELECT b.id FROM bound b UNION SELECT a.supersedes FROM assetreg.assets a WHERE a.id = asset) e
	WHERE e.id <> asset
$$;
-- An earlier version that is not in use itself may depend on one that is.
CREATE FUNCTION sql_in_use(assets bigint[]) RETURNS bigint[] LANGUAGE sql STABLE AS $$
	SELECT ARRAY(SELECT a FROM unnest(assets) a WHERE EXISTS (SELECT FROM assetreg.asset_dependencies d WHERE d.dependency_id = a))
$$;
CREATE FUNCTION sql_starts(update_id bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
	SELECT sql_in_use(CASE u.change WHEN 'new_version' THEN sql_earlier(u.asset_id) ELSE ARRAY[u.asset_id] END)
	FROM assetreg.asset_updates u WHERE u.id = $1
$$;

-- An edge by what it requires, an entity by its worst edge, and whatever depends on something that is not safe.
CREATE FUNCTION sql_impact(update_id bigint)
	RETURNS TABLE (entity_id bigint, kind text, key text, label text, active boolean, depth int, via_id bigint, start_id bigint, verdict text) LANGUAGE sql STABLE AS $$
	WITH RECURSIVE u AS (
		SELECT u.*, a.provides, a.status, sql_starts(u.id) AS starts FROM assetreg.asset_updates u JOIN assetreg.assets a ON a.id = u.asset_id WHERE u.id = $1
	), edges AS (
		SELECT d.dependent_id, d.requires, coalesce(u.previous_provides, o.provides) AS old, u.provides AS new, u.change, u.status
		FROM u, assetreg.asset_dependencies d JOIN assetreg.assets o ON o.id = d.dependency_id WHERE d.dependency_id = ANY (u.starts)
	), broken AS (
		SELECT e.dependent_id AS id FROM edges e
		WHERE e.change = 'status_changed' AND e.status = 'removed'
		   OR e.change <> 'status_changed' AND e.old <> '{}' AND e.new <> '{}' AND EXISTS (SELECT unnest(e.requires) EXCEPT SELECT unnest(e.new))
	), struck (id) AS (
		SELECT e.dependent_id FROM edges e
		WHERE e.change = 'status_changed' OR e.old = '{}' OR e.new = '{}' OR e.requires = '{}' OR e.dependent_id IN (SELECT b.id FROM broken b)
		UNION
		SELECT d.dependent_id FROM struck s JOIN assetreg.asset_dependencies d ON d.dependency_id = s.id
	)
	SELECT w.*, CASE WHEN w.entity_id IN (SELECT b.id FROM broken b) THEN 'breaks' WHEN w.entity_id IN (SELECT s.id FROM struck s) THEN 'affected' ELSE 'safe' END
	FROM sql_rows((SELECT u.starts FROM u), true) w
$$;

CREATE FUNCTION sql_counts(starts bigint[]) RETURNS bigint[] LANGUAGE sql STABLE AS $$
	SELECT ARRAY[count(*), count(*) FILTER (WHERE e.kind = 'scene_type'), count(*) FILTER (WHERE e.kind = 'scene' AND e.active), count(*) FILTER (WHERE e.kind = 'segment')]
	FROM sql_walk(starts, true) w JOIN assetreg.entities e ON e.id = w.entity_id
$$;

-- What each update says now and what SQL says: counts were frozen, so only those that were opened by the last statement are compared.
CREATE FUNCTION wrong_updates(after bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	problems text[] := '{}';
	differ bigint;
	u record;
BEGIN
	FOR u IN SELECT * FROM assetreg.asset_updates ORDER BY id LOOP
		IF u.id > after AND ARRAY[u.affected, u.affected_scene_types, u.active_scenes, u.stale_segments] <> sql_counts(sql_starts(u.id)) THEN
			problems := problems || format('counts of %s: %s', u, sql_counts(sql_starts(u.id)));
		END IF;
		IF u.state IN ('open', 'testing') AND (SELECT o.remaining FROM assetreg.open_updates o WHERE o.id = u.id) IS DISTINCT FROM (sql_counts(sql_starts(u.id)))[1] THEN
			problems := problems || format('remaining of %s', u);
		END IF;
		SELECT count(*) INTO differ FROM (
			(SELECT * FROM assetreg.update_impact(u.id) EXCEPT ALL SELECT * FROM sql_impact(u.id))
			UNION ALL (SELECT * FROM sql_impact(u.id) EXCEPT ALL SELECT * FROM assetreg.update_impact(u.id))) d;
		IF differ > 0 THEN
			problems := problems || format('impact of %s', u);
		END IF;
		INSERT INTO verdicts SELECT i.verdict, count(*) FROM assetreg.update_impact(u.id) i GROUP BY 1;
	END LOOP;
	RETURN array_to_string(problems, E'\n');
END $$;
CREATE TABLE verdicts (verdict text, entities bigint);

CREATE FUNCTION random_names() RETURNS text[] LANGUAGE sql VOLATILE AS $$
	SELECT coalesce(array_agg(n), '{}') FROM unnest('{a,b,c,d}'::text[]) n WHERE random() < 0.7
$$;

-- A file, an interface or a status changes, or several at once; which updates must that open?
CREATE FUNCTION change_assets(seed int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before bigint := coalesce((SELECT max(id) FROM assetreg.asset_updates), 0);
	missing text;
BEGIN
	PERFORM setseed(seed / 10000.0);
	CREATE TEMP TABLE old ON COMMIT DROP AS SELECT * FROM assetreg.assets;
	SET LOCAL assetreg.confirm_delete = on;
	UPDATE assetreg.assets SET
		sha256 = CASE WHEN random() < 0.3 THEN encode(sha256(random()::text::bytea), 'hex') ELSE sha256 END,
		provides = CASE WHEN random() < 0.6 THEN random_names() ELSE provides END,
		status = CASE WHEN random() < 0.5 OR status = 'removed' THEN status WHEN random() < 0.2 THEN 'removed' WHEN random() < 0.5 THEN 'active' ELSE 'deprecated' END
		WHERE random() < 0.7;
	WITH changes AS (
		SELECT n.id, c, CASE WHEN c <> 'status_changed' THEN o.provides END AS provided
		FROM assetreg.assets n JOIN old o USING (id),
			 unnest(ARRAY[CASE WHEN n.sha256 IS DISTINCT FROM o.sha256 THEN 'file_changed'
							   WHEN ARRAY(SELECT unnest(n.provides) ORDER BY 1) <> ARRAY(SELECT unnest(o.provides) ORDER BY 1) THEN 'interface_changed' END,
						  CASE WHEN n.status <> o.status THEN 'status_changed' END]) c
		WHERE c IS NOT NULL AND (sql_counts(ARRAY[n.id]))[1] > 0
	), opened AS (
		SELECT u.asset_id, u.change, u.previous_provides FROM assetreg.asset_updates u WHERE u.id > before
	)
	SELECT string_agg(x::text, ', ') INTO missing FROM ((TABLE changes EXCEPT ALL TABLE opened) UNION ALL (TABLE opened EXCEPT ALL TABLE changes)) x;
	DROP TABLE old;
	RETURN concat_ws(E'\n', missing, nullif(wrong_updates(before), ''));
END $$;

-- Several versions come at once, some older than what is there, some of which supersede something else.
CREATE FUNCTION release_versions(seed int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before bigint := coalesce((SELECT max(id) FROM assetreg.asset_updates), 0);
	wrong text;
BEGIN
	PERFORM setseed(seed / 10000.0);
	CREATE TEMP TABLE waiting ON COMMIT DROP AS SELECT id, asset_id FROM assetreg.asset_updates WHERE state IN ('open', 'testing') AND change <> 'status_changed';
	CREATE TEMP TABLE old ON COMMIT DROP AS SELECT id FROM assetreg.assets;
	INSERT INTO assetreg.assets (type, name, version, provides, status, supersedes)
		SELECT 'lora', 'name ' || (random() * 3)::int, (ARRAY[(random() * 50)::int || '.5', 'fp' || seed, '100.' || seed])[1 + (random() * 2)::int], random_names(),
			   CASE WHEN random() < 0.9 THEN 'active' ELSE 'removed' END, CASE WHEN random() < 0.4 THEN (SELECT o.id FROM old o WHERE i > 0 ORDER BY random() LIMIT 1) END
		FROM generate_series(1, 6) i
		ON CONFLICT DO NOTHING;

	WITH due AS (
		SELECT a.id, coalesce(a.supersedes, (SELECT f.id FROM sql_behind(a.id) f LIMIT 1)) AS previous
		FROM assetreg.assets a
		WHERE a.id NOT IN (SELECT o.id FROM old o) AND a.status <> 'removed' AND (sql_counts(sql_in_use(sql_earlier(a.id))))[1] > 0
	), opened AS (
		SELECT u.asset_id, u.previous_id FROM assetreg.asset_updates u WHERE u.id > before AND u.change = 'new_version'
	)
	SELECT string_agg(x::text, ', ') INTO wrong FROM ((TABLE due EXCEPT ALL TABLE opened) UNION ALL (TABLE opened EXCEPT ALL TABLE due)) x;

	-- what waited is closed by the first that follows it, and what was opened with others by the next of its name
	WITH new AS (
		SELECT u.id, u.asset_id FROM assetreg.asset_updates u WHERE u.id > before
	), due AS (
		SELECT w.id, 'superseded by update ' || (SELECT min(n.id) FROM new n WHERE w.asset_id = ANY (sql_earlier(n.asset_id))) AS reason FROM waiting w
		UNION ALL
		SELECT w.id, 'superseded by update ' || (SELECT min(n.id) FROM new n WHERE w.asset_id IN (SELECT f.id FROM sql_behind(n.asset_id) f)) FROM new w
	), closed AS (
		SELECT u.id, u.reason FROM assetreg.asset_updates u WHERE u.id IN (SELECT d.id FROM due d) AND (u.state = 'resolved' OR u.reason IS NULL)
	)
	SELECT concat_ws(E'\n', wrong, string_agg(x::text, ', ')) INTO wrong FROM ((TABLE due EXCEPT ALL TABLE closed) UNION ALL (TABLE closed EXCEPT ALL TABLE due)) x;
	DROP TABLE waiting, old;
	RETURN concat_ws(E'\n', nullif(wrong, ''), nullif(wrong_updates(before), ''));
END $$;

CREATE PROCEDURE make_updates(seed int) LANGUAGE plpgsql AS $$
BEGIN
	CALL make_graph(seed);
	PERFORM setval('assetreg.entities_id_seq', 1000000000 + seed * 1000);
	UPDATE assetreg.asset_dependencies SET requires = random_names() WHERE random() < 0.7;
	INSERT INTO assetreg.entities (kind, key) SELECT 'scene_type', 'type ' || i FROM generate_series(1, 5) i;
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id)
		SELECT t.id, e.id FROM assetreg.entities t, assetreg.entities e WHERE t.kind = 'scene_type' AND e.kind <> 'scene_type' AND random() < 0.1;
	-- these changes open updates, too
	UPDATE assetreg.assets SET provides = random_names() WHERE random() < 0.8;
END $$;

SELECT s.statement
FROM generate_series(1, 60) seed,
	 LATERAL (VALUES
		(1, format('CALL make_updates(%s)', seed)),
		(2, format('SELECT is(change_assets(%s), %L, %L)', seed, '', format('seed %s: assets change, %s', seed, shape_name(seed)))),
		(3, format('SELECT is(release_versions(%s), %L, %L)', seed, '', format('seed %s: versions come', seed))),
		(4, format('CALL change_graph(%s)', seed)),
		(5, format('SELECT is(release_versions(%s), %L, %L)', seed + 1000, '', format('seed %s: and others after them', seed))),
		(6, format('SELECT is(change_assets(%s), %L, %L)', seed + 1000, '', format('seed %s: and change', seed)))) s (n, statement)
ORDER BY seed, s.n
\gexec

-- the test has seen all there is to see
SELECT diag(format('%s updates: %s, verdicts: %s', count(*), (SELECT string_agg(DISTINCT change || ' ' || state, ', ') FROM assetreg.asset_updates),
	(SELECT string_agg(format('%s %s', verdict, n), ', ') FROM (SELECT verdict, sum(entities) AS n FROM verdicts GROUP BY 1) v))) FROM assetreg.asset_updates;
SELECT * FROM finish();
