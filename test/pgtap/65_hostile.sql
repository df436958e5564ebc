-- Hostile texts for every text argument of every function that a level may call, each as the lowest level that may:
-- an answer or an error of the client's making, and nothing touched that a harmless text would leave alone.
--
-- What is called comes from the catalog.  A new argument needs a harmless value in `harmless`, and a test without one fails.
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;

CREATE ROLE regress_assetreg_hostile;  -- so that a DROP that gets through succeeds
CREATE ROLE regress_assetreg_hostile_reader IN ROLE regress_assetreg_hostile;
CREATE ROLE regress_assetreg_hostile_contributor IN ROLE regress_assetreg_hostile;
CREATE ROLE regress_assetreg_hostile_service IN ROLE regress_assetreg_hostile;
CREATE ROLE regress_assetreg_hostile_admin IN ROLE regress_assetreg_hostile;
SELECT assetreg.grant_access(('regress_assetreg_hostile_' || l)::regrole, l) FROM unnest('{reader,contributor,service,admin}'::text[]) l \g /dev/null
CREATE TABLE public.canary AS SELECT 1 AS alive;
ALTER TABLE public.canary OWNER TO regress_assetreg_hostile;

CREATE TABLE hostile AS
	SELECT v.text, CASE WHEN length(v.text) > 60 THEN left(v.text, 10) || '... ' || length(v.text) ELSE v.text END AS name
	FROM unnest(ARRAY[NULL, '', ' ', '''', '''''', '"', '$$', '$1', '%', '%%', '%s', '%I', '%1$s%L%n%', '_', E'%\\', E'\\', E'\\\'', '?', '*', '(', '[', '{', '{}', '{"', '{NULL}', '[]', 'null',
		'{"a":', '<b>&amp;', '@', '/', '//@@', 'lora/', 'lora/x@', 'sha256:', 'sha256:' || repeat('g', 64), '0x', '..', '../../../etc/passwd', '/etc/passwd', '/dev/zero', '-', '--', '/*', ';',
		'NaN', '-1', '1e999', '99999999999999999999', 'infinity', 'true', 'on',
		'''; DROP TABLE public.canary; --', '''); DROP TABLE public.canary; --', '"; DROP TABLE public.canary; --', '"); DROP TABLE public.canary; --',
		'$$; DROP TABLE public.canary; $$', '; DROP TABLE public.canary', E'\\''; DROP TABLE public.canary; --', '*/ DROP TABLE public.canary /*', ''' OR true OR ''''=''', ')) DROP TABLE public.canary --',
		'x@1''; DROP TABLE public.canary; --', 'a,id); DROP TABLE public.canary; --',
		'a & (b | !c):*', '''a'':*A <-> ''b''', '!!', ':*', '<2>', '((((', '"a" or -"b', 'a:1A,2B', E'''\\', '(a*)*b', E'\\1', E'\\m', '[[:<:]]', '(?x)', '***=a', '[^', 'a{9999}',
		E'\x01', E'a\nb', E'a\rb', E'a\tb', E'\x1b[2J', E'\x7f', U&'a\0085', U&'\00A0', U&'\FEFF', U&'\FFFD', U&'\FFFE', U&'\FFFF', U&'\+10FFFF', U&'\202Eevil', U&'\2028', U&'\0130\0131', U&'\0301',
		U&'\00C3\00A9\00C2\0080', U&'\+01F468\200D\+01F469', U&'\05D0\0627', repeat(U&'\0301', 1000),
		repeat('x', 1048576), repeat('''', 1048576), repeat('(', 1048576), repeat('x ', 50000), repeat('!', 100000), repeat('-"', 50000), repeat('[', 100000), repeat('{"a":', 20000),
		repeat('%', 100000), repeat(E'\\', 100000), repeat('/', 100000), repeat('@', 100000), repeat('0', 100000), repeat(U&'\00E4', 50000)]) v (text);

-- What else the calls are given, by name or by function and name.  1 to 4 are assets, 11 and 12 are not.
CREATE TABLE harmless (argument text PRIMARY KEY, value text NOT NULL);
INSERT INTO harmless VALUES ('active', 'true'), ('active_only', 'false'), ('actor', '''ana'''), ('after', 'NULL'), ('after_id', '0'), ('all_versions', 'false'), ('architecture', '''flux'''), ('asset_id', '2'),
	('author', '''ana'''), ('autov1', '''01234567'''), ('autov3', '''0123456789ab'''), ('body', '''a text'''), ('budget', '10'), ('comment', '''good'''), ('confirm', 'false'), ('counts', '''{0,0,0}'''),
	('cursor', 'assetreg._list_cursor(''rating'', true, ''{1,1}'')'), ('dependency_id', '1'), ('dependent_id', '12'), ('descending', 'true'), ('detail', 'NULL'), ('direction', '''dependents'''),
	('directory', '''/nowhere'''), ('expected_path', 'NULL'), ('expected_sha256', 'NULL'), ('facts_part', 'NULL'), ('file_number', '1'), ('file_path', '''/nowhere/ink.safetensors'''), ('file_size', '7'),
	('format', '''json'''), ('hashes', 'true'), ('id', '1'), ('key', '''rain'''), ('keys', '''{1,1}'''), ('kind', '''template'''), ('kinds', '''{template}'''), ('label', '''Rain'''), ('latest_only', 'false'),
	('max_bytes', '100'), ('max_depth', '5'), ('max_nodes', '10'), ('max_results', '10'), ('metadata', '''{"ss_epoch": "3"}'''), ('action', '''edit'''), ('name', '''ink'''), ('note_id', '1'), ('nwords', '1'), ('older_than', 'NULL'),
	('only_asset', '2'), ('only_status', '''active'''), ('only_type', '''lora'''), ('only_version', '''1'''), ('other_asset_id', '3'), ('page_size', '10'), ('path', '''/nowhere'''), ('pattern', '''*'''),
	('place', 'NULL'), ('preview_url', '''http://nowhere/1.png'''), ('problem', 'NULL'), ('provides', '''{a}'''), ('query', '''ink'''), ('recursive', 'true'), ('reference', '''lora/ink@1'''), ('relation', '''uses'''),
	('replaced_by', '3'), ('requires', '''{a}'''), ('result', '''unreadable'''), ('severity', '''info'''), ('sha256', 'repeat(''d'', 64)'), ('sort_by', '''rating'''), ('stars', '4'), ('status', '''deprecated'''),
	('strict', 'true'), ('supersedes', 'NULL'), ('token', 'NULL'), ('total', '1'), ('type', '''lora'''), ('value', '''a text'''), ('version', '''7'''), ('what', '''a thing'''), ('whole', 'true'), ('word', '''ink'''),
	('words', '''{ink}'''), ('add_dependency.relation', '''styles'''), ('delete_asset.asset_id', '4'), ('verify_asset.sha256', 'repeat(''a'', 64)'), ('verify_asset.file_size', '5'),
	('_version_of_content.sha256', 'repeat(''a'', 64)'), ('find_assets.only_version', 'NULL'), ('_record_verification.sha256', 'repeat(''d'', 64)'), ('_record_verification.asset_id', '4'),
	('update_id', '1'), ('was', '''open'''), ('becomes', '''testing'''), ('reason', '''a reason'''), ('passed', 'true'), ('consumer', '''ready'''), ('drop_consumer.name', '''ready'''),
	('resync_consumer.name', '''ready'''), ('types', '''{asset.deleted}'''), ('from_start', 'true'), ('partitions', '1'), ('max_events', '10'), ('worker', '''one'''), ('lease_for', '''1 minute'''), ('seq', '1'), ('lease_token', '1'),
	('is_sure', 'true'), ('most', '1'), ('asset_ids', '''{2}'''), ('succeeded', 'true'), ('given', '''{2}'''), ('candidates', '''{3}'''), ('bounds', '''{1}'''), ('others', '''{3}'''), ('ids', '''{2}'''), ('users', '''{12}'''), ('places', '''{1}'''), ('rates', '''{1}'''), ('scores', '''{1}'''), ('at_least', '0'),
	('columns', '''{id}'''), ('source', '''studio.scenes'''), ('refs', '''{2}'''), ('_stated.relation', '''assetreg.entities'''), ('_stated_edges.relation', '''assetreg.entities'''),
	('workflow', '''{"1": {"class_type": "X", "inputs": {"a": "b.pt"}}}'''), ('hash', '''sha256:00112233'''), ('classes', '''{X}'''), ('names', '''{file:b}'''), ('relations', '''{uses}'''), ('ingest_workflow.kind', '''workflow'''),
	('keep', '''1 day'''), ('max_lag', 'NULL'), ('put_entity.key', '''sun'''), ('_change_asset.status', '''deprecated'''), ('_change_asset.asset_id', '4'), ('_verify_on_server.asset_id', '4'), ('_verify_on_server.sha256', 'NULL');
-- These always refuse: an error is their purpose, or there is no file to see.
CREATE TABLE refuses (name text PRIMARY KEY, code text NOT NULL);
INSERT INTO refuses VALUES ('_no_such', '42704'), ('_no_such_note', '42501'), ('_list_files', '22023'), ('_files_to_register', '22023'), ('_verify_on_server', '40001'), ('_require_autocommit', '25001'), ('fetch_events', '25001');
-- And these may refuse so, too: a deletion, a file that was changed, a version with another file.
CREATE TABLE may_refuse (name text PRIMARY KEY, code text NOT NULL);
INSERT INTO may_refuse VALUES ('_change_asset', '42501'), ('_record_verification', '40001'), ('register_asset', '42710'), ('ack_events', '55000'), ('nack_event', '55000'),
	('_check_update_state', '55000'), ('_set_update_state', '55000'), ('resolve_update', '55000'), ('dismiss_update', '55000');
-- Their callers give no more, and PostgreSQL's own functions take long for it.
CREATE TABLE at_most (name text PRIMARY KEY, bytes int NOT NULL);
INSERT INTO at_most VALUES ('_note_query', 10000);

SET assetreg.actor = 'ana';
INSERT INTO assetreg.assets (id, type, name, version, sha256, file_size) VALUES (1, 'model', 'sdxl', '1.0', repeat('b', 64), 7), (2, 'lora', 'ink', '1', repeat('a', 64), 5), (3, 'lora', 'ink', '2', repeat('c', 64), 5);
INSERT INTO assetreg.assets (id, type, name, version) VALUES (4, 'lora', 'unused', '1');
INSERT INTO assetreg.entities (id, kind, key, label) VALUES (11, 'template', 'rain', 'Rain'), (12, 'scene', '1', 'First');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (2, 1), (3, 1), (11, 2), (12, 11);
INSERT INTO assetreg.asset_notes (id, asset_id, other_asset_id, body, author) VALUES (1, 2, NULL, 'ink runs', 'ana'), (2, 2, 3, 'not together', 'ben');
INSERT INTO assetreg.asset_ratings (asset_id, stars, rater) VALUES (2, 4, 'ana'), (2, 5, 'ben');
INSERT INTO assetreg.asset_updates (id, asset_id, change, state, affected, affected_scene_types, active_scenes, stale_segments) VALUES (1, 1, 'file_changed', 'open', 4, 0, 1, 0);
-- a worker has fetched the first event
SELECT assetreg.create_consumer('ready', from_start => true) \g /dev/null
SELECT * FROM assetreg.fetch_events('ready', 10, 'one', '1 hour') \g /dev/null
UPDATE assetreg.event_partitions SET lease_token = 1;
SELECT setval('assetreg.entities_id_seq', 1000), setval('assetreg.asset_updates_id_seq', 1000), setval('assetreg.asset_notes_id_seq', 1000) \g /dev/null
-- What is written with hostile texts has to be read, too: wherever one may stand, it stands.
DO $$
DECLARE
	h record;
BEGIN
	FOR h IN SELECT left(hostile.text, 3000) AS text, row_number() OVER () AS n FROM hostile WHERE hostile.text IS NOT NULL LOOP
		BEGIN INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', h.text, '1'); EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN NULL; END;
		BEGIN INSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'ink', h.text); EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN NULL; END;
		BEGIN INSERT INTO assetreg.assets (type, name, version, metadata, provides) VALUES ('lora', 'm' || h.n, '1', jsonb_build_object(h.text, h.text), ARRAY[h.text]);
			EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded THEN NULL; END;
		BEGIN INSERT INTO assetreg.asset_notes (asset_id, body) VALUES (2, h.text); EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN NULL; END;
		BEGIN INSERT INTO assetreg.entities (kind, key, label) VALUES ('job', h.text, h.text); EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN NULL; END;
		BEGIN INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, relation, requires) SELECT e.id, 1, h.text, h.text, ARRAY[h.text] FROM assetreg.entities e WHERE e.kind = 'job' AND e.key = h.text;
			EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN NULL; END;
	END LOOP;
END $$;

-- Each row of the registry by its key, to see what changes.
SELECT format('CREATE VIEW registry_rows AS %s UNION ALL SELECT ''canary'', t.alive::text, t.alive::text FROM public.canary t', string_agg(
	format('SELECT %L AS relation, concat_ws('' '', %s) AS key, md5(t::text) AS content FROM assetreg.%I t', c.relname, k.key, c.relname), ' UNION ALL ' ORDER BY c.relname))
FROM pg_class c CROSS JOIN LATERAL (
	SELECT string_agg('t.' || quote_ident(a.attname), ', ' ORDER BY a.attnum) AS key
	FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = c.oid AND i.indisprimary) k
WHERE c.relnamespace = 'assetreg'::regnamespace AND c.relkind = 'r' \gexec
CREATE TABLE before AS SELECT * FROM registry_rows;

CREATE TABLE arguments AS
	SELECT p.oid, p.proname::text AS name, p.prokind, a.n::int AS n, p.proargnames[a.n] AS argument, format_type(a.type, NULL) AS type, l.level,
		   coalesce(o.value, g.value) AS value
	FROM pg_proc p
		 CROSS JOIN LATERAL unnest(p.proargtypes::oid[]) WITH ORDINALITY a (type, n)
		 CROSS JOIN LATERAL (SELECT min(l.n) AS n FROM unnest('{reader,contributor,service,admin}'::text[]) WITH ORDINALITY l (level, n)
							 WHERE has_function_privilege('regress_assetreg_hostile_' || l.level, p.oid, 'EXECUTE')) m
		 CROSS JOIN LATERAL (SELECT ('{reader,contributor,service,admin}'::text[])[m.n]) l (level)
		 LEFT JOIN harmless o ON o.argument = p.proname || '.' || p.proargnames[a.n]
		 LEFT JOIN harmless g ON g.argument = p.proargnames[a.n]
	WHERE p.pronamespace = 'assetreg'::regnamespace AND m.n IS NOT NULL;
CREATE VIEW texts AS SELECT * FROM arguments a WHERE a.type IN ('text', 'text[]', 'json', 'jsonb', 'name', 'character varying', 'bytea');

-- A call with one argument from $1, or with none of them.
CREATE FUNCTION call(function oid, hostile int, shape text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT format('%s assetreg.%I(%s)%s', CASE min(a.prokind) WHEN 'p' THEN 'CALL' ELSE 'SELECT count(f::text) FROM' END, min(a.name),
				  string_agg(format('%I => %s::%s', a.argument, CASE a.n WHEN $2 THEN $3 ELSE a.value END, a.type), ', ' ORDER BY a.n),
				  CASE min(a.prokind) WHEN 'p' THEN '' ELSE ' f' END)
	FROM arguments a WHERE a.oid = $1
$$;

-- How many rows this transaction has written, also those that it took back.
CREATE FUNCTION written() RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT sum(pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid))
			FROM pg_class c WHERE c.oid = 'public.canary'::regclass OR c.relnamespace = 'assetreg'::regnamespace AND c.relkind = 'r');
END $$;

-- What a call did, taken back: the error's code, or OK; and the rows that it changed or took, and the tables that it added to.
CREATE FUNCTION attempt(call text, level text, value text, OUT code text, OUT message text, OUT touched text[], OUT problem text) LANGUAGE plpgsql AS $$
DECLARE
	before_call numeric := written();
BEGIN
	BEGIN
		EXECUTE format('SET LOCAL ROLE %I', 'regress_assetreg_hostile_' || level);
		EXECUTE call USING value;
		RESET ROLE;
		touched := '{}';
		IF written() <> before_call THEN  -- most write nothing, and all rows take long to compare
			SELECT coalesce(array_agg(DISTINCT CASE WHEN b.key IS NULL THEN 'more ' || n.relation ELSE b.relation || ' ' || b.key END), '{}') INTO touched
			FROM before b FULL JOIN registry_rows n USING (relation, key) WHERE b.content IS DISTINCT FROM n.content;
		END IF;
		SET CONSTRAINTS ALL IMMEDIATE;
		SELECT string_agg(c.object || ' ' || c.problem, '; ') INTO problem FROM assetreg.check_registry() c WHERE touched <> '{}';
		RAISE SQLSTATE 'XX999';
	EXCEPTION
		WHEN SQLSTATE 'XX999' THEN code := 'OK';
		WHEN OTHERS THEN code := SQLSTATE; message := SQLERRM; touched := '{}';
	END;
END $$;

CREATE FUNCTION problems(function oid, argument int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text := '';
	expected record;
	level text := (SELECT a.level FROM arguments a WHERE a.oid = $1 AND a.n = $2);
	r record;
	answer record;
BEGIN
	expected := attempt(call($1, 0, NULL), level, NULL);
	IF expected.code <> coalesce((SELECT f.code FROM refuses f JOIN arguments a ON a.name = f.name WHERE a.oid = $1 LIMIT 1), 'OK') THEN
		RETURN format('harmless: %s %s', expected.code, expected.message);
	END IF;
	FOR r IN SELECT h.text, h.name AS label, a.name, s.shape, call($1, $2, s.shape) AS call
			 FROM arguments a
				  CROSS JOIN LATERAL unnest(CASE a.type WHEN 'text[]' THEN '{ARRAY[$1],"ARRAY[$1,$1,NULL]"}'
										WHEN 'jsonb' THEN '{to_jsonb($1)," jsonb_build_object(coalesce($1, ''''), $1, ''ss_new_sd_model_hash'', $1, ''modelspec.architecture'', $1, ''ss_sd_model_name'', $1, ''ss_output_name'', $1)"}'
										ELSE '{$1}' END::text[]) s (shape)
				  CROSS JOIN hostile h
			 WHERE a.oid = $1 AND a.n = $2 AND NOT EXISTS (SELECT FROM at_most m WHERE m.name = a.name AND octet_length(h.text) > m.bytes)
	LOOP
		answer := attempt(r.call, level, r.text);
		IF answer.code !~ '^(OK|22|23|21|54|42704)' AND answer.code NOT IN (SELECT f.code FROM (TABLE refuses UNION ALL TABLE may_refuse) f WHERE f.name = r.name)
			OR length(answer.message) > 1000 AND r.name NOT LIKE E'\\_%' THEN  -- what is internal gets what its callers have cut
			found := found || format(E'\n%s [%s]: %s %s', r.shape, r.label, answer.code, left(answer.message, 100));
		ELSIF NOT answer.touched <@ (expected.touched || CASE WHEN r.text IS NULL THEN '{more version_ordinals}'::text[] END) OR answer.problem <> '' THEN
			found := found || format(E'\n%s [%s]: touched %s, not only %s; %s', r.shape, r.label, answer.touched, expected.touched, answer.problem);
		END IF;
	END LOOP;
	RETURN found;
END $$;

SELECT plan((SELECT count(*)::int + 4 FROM texts t WHERE t.prokind = 'f'));
SELECT is((SELECT string_agg(DISTINCT a.name || '.' || a.argument, ', ') FROM arguments a JOIN texts t USING (oid) WHERE a.value IS NULL), NULL, 'each argument has a harmless value');
BEGIN;  -- act_as() wants one
SELECT is(problems(t.oid, t.n), '', format('%s(%s) by a %s', t.name, t.argument, t.level)) FROM texts t WHERE t.prokind = 'f' ORDER BY t.name, t.n;
COMMIT;

-- Procedures commit, so each call is a statement of a session of its own.
CREATE TABLE codes (call text, code text);
\set file `mktemp`
SELECT format(E'SET ROLE %I;\n%s;\n\\set code :SQLSTATE\nRESET ROLE;\nINSERT INTO codes VALUES (%L, :''code'');', 'regress_assetreg_hostile_' || t.level,
			  call(t.oid, t.n, quote_nullable(h.text)), t.name || '.' || t.argument || ' ' || coalesce(h.name, ''))
FROM texts t CROSS JOIN hostile h WHERE t.prokind = 'p' AND (h.text IS NULL OR length(h.text) < 200000) \g :file
\set said `psql -XqAt -d :'DBNAME' -f :'file' 2>&1 | tail -n 1; rm -f :'file'`
SELECT is((SELECT count(*) FROM codes), (SELECT count(*) FROM texts t CROSS JOIN hostile h WHERE t.prokind = 'p' AND (h.text IS NULL OR length(h.text) < 200000)), 'all procedures were called');
SELECT is((SELECT string_agg(DISTINCT c.call || ': ' || c.code, ', ') FROM codes c WHERE c.code !~ '^(00|22|42704|54)'), NULL, 'and refused what they could not do');
SELECT is((SELECT string_agg(b.relation || ' ' || b.key, ', ') FROM before b LEFT JOIN registry_rows n USING (relation, key) WHERE n.content IS DISTINCT FROM b.content), NULL,
		  'all that was there is still there');
SELECT * FROM finish();

SELECT assetreg.grant_access(('regress_assetreg_hostile_' || l)::regrole, 'none') FROM unnest('{reader,contributor,service,admin}'::text[]) l \g /dev/null
DROP TABLE public.canary CASCADE;
DROP ROLE regress_assetreg_hostile_reader, regress_assetreg_hostile_contributor, regress_assetreg_hostile_service, regress_assetreg_hostile_admin, regress_assetreg_hostile;
