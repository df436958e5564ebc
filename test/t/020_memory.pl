# The graph in memory is exact for the statement's snapshot whatever happens: for MEMORY_SECONDS (45) sessions
# change the edges in every way there is, others vacuum, rewrite and truncate the table, and readers hold walks
# through memory against walks by the index and WITH RECURSIVE, all three under one snapshot: of a statement, of
# a transaction held long, exported, in old cursors, amid changes of their own. Then a table of more than one
# page of the visibility map, the settings, errors and memory.
#
# In a library compiled with -DASSETREG_BREAK, ASSETREG_BREAK (1 to 8) breaks a rule, and this test must fail.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Torture;
use Test::More;

my $seconds = $ENV{MEMORY_SECONDS} // 45;
my $node = new_server('main');
$node->append_conf('postgresql.conf', "deadlock_timeout = 100ms\nsession_preload_libraries = 'assetreg'");
$node->append_conf('postgresql.conf', "assetreg.break = $ENV{ASSETREG_BREAK}") if $ENV{ASSETREG_BREAK};
$node->start;
fill($node, 'postgres');
prepare_torture($node, 'postgres');

# All in one function that is STABLE, so under the caller's snapshot. A difference is an error.
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_visibility;
CREATE FUNCTION walks(source text, start bigint) RETURNS bigint[] LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM set_config('assetreg.graph_source', source, true);
	RETURN ARRAY(SELECT w.entity_id * 1000 + w.depth FROM assetreg.dependents(ARRAY[start]) w ORDER BY 1)
		|| ARRAY(SELECT -w.entity_id FROM assetreg.dependencies_of(start) w ORDER BY 1)
		|| assetreg.dependent_count(start);
END $$;
CREATE FUNCTION walks_by_sql(start bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
	WITH RECURSIVE up AS (
		SELECT start AS id UNION SELECT d.dependent_id FROM up u JOIN assetreg.asset_dependencies d ON d.dependency_id = u.id
	), down AS (
		SELECT start AS id UNION SELECT d.dependency_id FROM down u JOIN assetreg.asset_dependencies d ON d.dependent_id = u.id
	)
	SELECT ARRAY(SELECT id FROM up WHERE id <> start ORDER BY 1) || ARRAY(SELECT -id FROM down WHERE id <> start ORDER BY 1)
		|| (SELECT count(DISTINCT d.dependent_id) FROM assetreg.asset_dependencies d WHERE d.dependency_id = start)
$$;
CREATE FUNCTION impact_by(source text, start bigint, depths boolean = false) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM set_config('assetreg.graph_source', source, true);
	RETURN (SELECT string_agg(concat_ws(' ', kind, affected, active, CASE WHEN depths THEN min_depth END, CASE WHEN depths THEN max_depth END), ', ' ORDER BY kind COLLATE "C")
			FROM assetreg.impact(start));
END $$;
CREATE FUNCTION impact_by_sql(start bigint) RETURNS text LANGUAGE sql STABLE AS $$
	WITH RECURSIVE up AS (
		SELECT start AS id UNION SELECT d.dependent_id FROM up u JOIN assetreg.asset_dependencies d ON d.dependency_id = u.id
	)
	SELECT string_agg(concat_ws(' ', kind, affected, active), ', ' ORDER BY kind COLLATE "C")
	FROM (SELECT kind, count(*) AS affected, count(*) FILTER (WHERE active) AS active FROM up JOIN assetreg.entities USING (id) WHERE id <> start GROUP BY kind) k
$$;
-- each row in full, in the order of ids within a depth; of one start, of several, and filtered
CREATE FUNCTION rows_by(source text, start bigint) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
	starts bigint[] := ARRAY(SELECT id FROM assetreg.entities WHERE id IN (start, start + 3, start + 50));
BEGIN
	PERFORM set_config('assetreg.graph_source', source, true);
	RETURN ARRAY(SELECT w::text FROM assetreg.where_used(start) w ORDER BY depth, entity_id)
		|| ARRAY(SELECT w::text FROM assetreg.dependencies_of(start, 3) w ORDER BY depth, entity_id)
		|| ARRAY(SELECT w::text FROM assetreg.where_used(start, kinds => '{scene}', active_only => true) w ORDER BY depth, entity_id)
		|| ARRAY(SELECT w::text FROM assetreg._impact_rows(starts, '{}', ARRAY[start]) w ORDER BY depth, entity_id)
		|| ARRAY(SELECT w::text FROM assetreg.dependents(starts) w ORDER BY depth, entity_id);
END $$;
CREATE FUNCTION rows_unlike_sql(start bigint) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT string_agg(w::text, ' ') FROM assetreg.where_used(start) w
	WHERE NOT EXISTS (SELECT FROM assetreg.entities e WHERE (e.id, e.kind, e.key, e.active) = (w.entity_id, w.kind, w.key, w.active)
					  AND e.label IS NOT DISTINCT FROM w.label)
$$;
CREATE FUNCTION compare(nearby bigint) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
	start bigint := (SELECT min(id) FROM assetreg.entities WHERE id >= nearby);
	was text := current_setting('assetreg.graph_source');
	memory bigint[];
	index bigint[];
	by_sql bigint[];
BEGIN
	IF start IS NULL THEN
		RETURN;
	END IF;
	memory := walks('memory', start);
	index := walks('index', start);
	by_sql := walks_by_sql(start);
	IF impact_by('memory', start, true) IS DISTINCT FROM impact_by('index', start, true) OR impact_by('memory', start) IS DISTINCT FROM impact_by_sql(start) THEN
		RAISE EXCEPTION 'impact walks from % differ: memory %, index %, SQL %', start, impact_by('memory', start, true), impact_by('index', start, true),
			impact_by_sql(start) USING ERRCODE = 'XX000';
	END IF;
	-- rows are the dearer ones
	IF start % 5 = 0 AND (rows_by('memory', start) IS DISTINCT FROM rows_by('index', start) OR rows_unlike_sql(start) IS NOT NULL) THEN
		RAISE EXCEPTION 'rows of walks from % differ: memory %, index %, SQL has not %', start, left(rows_by('memory', start)::text, 2000),
			left(rows_by('index', start)::text, 2000), left(rows_unlike_sql(start), 2000) USING ERRCODE = 'XX000';
	END IF;
	PERFORM set_config('assetreg.graph_source', was, true);
	IF memory <> index OR by_sql <> ARRAY(SELECT CASE WHEN i = cardinality(memory) OR m < 0 THEN m ELSE m / 1000 END
										  FROM unnest(memory) WITH ORDINALITY u (m, i) ORDER BY i) THEN
		RAISE EXCEPTION 'walks from % differ: memory %, index %, SQL %', start, memory, index, by_sql USING ERRCODE = 'XX000';
	END IF;
END $$;
CREATE FUNCTION rewrite(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('lock_timeout', '200ms', true);
	EXECUTE what;
	PERFORM set_config('lock_timeout', '0', true);
EXCEPTION WHEN lock_not_available THEN
	NULL;
END $$;
CREATE FUNCTION refill() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by)
		SELECT greatest(a, b), least(a, b), 'somebody' FROM (SELECT DISTINCT any_entity(), any_entity() FROM generate_series(1, 700)) e (a, b) WHERE a <> b
		ON CONFLICT DO NOTHING;
EXCEPTION WHEN foreign_key_violation THEN
	NULL;
END $$;
CREATE FUNCTION many_subtransactions() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 80 LOOP
		BEGIN
			UPDATE assetreg.asset_dependencies SET relation = 'r' || i WHERE (dependency_id, dependent_id, source) =
				(SELECT dependency_id, dependent_id, source FROM assetreg.asset_dependencies WHERE dependency_id >= i ORDER BY 1, 2, 3 LIMIT 1);
			IF i % 7 = 0 THEN
				RAISE division_by_zero;
			END IF;
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
END $$;
SQL

my $connstr = $node->connstr('postgres');
my $compare = "\\set start random(1, 420)\nSELECT compare(:start) FROM generate_series(1, 5);\nSELECT nextval('compared');\n";
my $own = "BEGIN;\nSELECT change_edges();\n${compare}SAVEPOINT s;\nSELECT change_edges();\n${compare}ROLLBACK TO s;\n$compare"
	. "DELETE FROM assetreg.asset_dependencies WHERE dependency_id = :start;\n${compare}SELECT many_subtransactions();\n$compare";
my @rewrites = map { "SELECT rewrite('$_');\n\\sleep 60 ms\n" }
	'CLUSTER assetreg.asset_dependencies USING asset_dependencies_dependent_idx',
	'ALTER TABLE assetreg.asset_dependencies ALTER relation TYPE text USING relation || $$$$, ALTER relation SET DEFAULT $$uses$$',
	'SELECT pg_truncate_visibility_map($$assetreg.asset_dependencies$$)', 'SELECT pg_truncate_visibility_map($$assetreg.entities$$)',
	'CLUSTER assetreg.entities USING entities_pkey',
	'ALTER TABLE assetreg.asset_dependencies SET (fillfactor = 30)',
	'ALTER TABLE assetreg.asset_dependencies RESET (fillfactor)';

my $began = time;
torture($seconds,
	[ 'writers', $connstr, [qw(-c 2 -j 1)], 'SELECT change_edges();', 'SELECT change_entities();', 'SELECT copy_edges();', 'SELECT many_subtransactions();',
		"BEGIN;\nSELECT copy_edges();\nSELECT change_entities();\nROLLBACK;",
		"BEGIN;\nSAVEPOINT a;\nSELECT change_edges();\nROLLBACK TO a;\nSELECT change_edges();\n\\sleep 20 ms\nSAVEPOINT b;\nSELECT change_edges();\nCOMMIT;",
		"BEGIN;\nSET LOCAL session_replication_role = replica;\nDELETE FROM assetreg.asset_dependencies WHERE dependency_id = (SELECT any_entity());\n"
		. "UPDATE assetreg.asset_dependencies SET relation = 'replica' WHERE dependency_id = (SELECT any_entity());\nCOMMIT;" ],
	[ 'prepared transactions', $connstr, [], map { "BEGIN;\nSET LOCAL assetreg.notify = off;\nSELECT change_edges();\nPREPARE TRANSACTION 'p';\n\\sleep 40 ms\n$_ PREPARED 'p';\n\\sleep 100 ms\n" }
		qw(COMMIT ROLLBACK) ],
	[ 'truncating', $connstr, [], "SELECT rewrite('TRUNCATE assetreg.asset_dependencies');\nSELECT refill();\n\\sleep 900 ms\n",
		"BEGIN;\nSELECT rewrite('TRUNCATE assetreg.asset_dependencies');\nSELECT refill();\n${compare}ROLLBACK;\n\\sleep 400 ms\n",
		# deletes the end of the table, so that VACUUM cuts it off
		"DELETE FROM assetreg.asset_dependencies WHERE ctid > '(4,0)';\nVACUUM assetreg.asset_dependencies;\n${compare}SELECT refill();\n\\sleep 500 ms\n" ],
	[ 'vacuum', $connstr, [], "VACUUM assetreg.asset_dependencies, assetreg.entities;\n\\sleep 20 ms\n",
		"VACUUM (FREEZE) assetreg.asset_dependencies;\n\\sleep 20 ms\n", "VACUUM (INDEX_CLEANUP off) assetreg.asset_dependencies;\n\\sleep 20 ms\n" ],
	[ 'rewrites', $connstr, [], @rewrites, "VACUUM (FULL, SKIP_LOCKED) assetreg.asset_dependencies;\n\\sleep 200 ms\n" ],
	[ 'read committed', $connstr, [qw(-c 3)], $compare ],
	[ 'prepared', $connstr, [qw(-M prepared)], $compare ],
	[ 'repeatable read', $connstr, [qw(-c 2)], "BEGIN ISOLATION LEVEL REPEATABLE READ;\n" . "$compare\\sleep 40 ms\n" x 5 . "COMMIT;\n" ],
	[ 'old cursors', $connstr, [], "BEGIN;\nDECLARE c CURSOR FOR SELECT compare(i * 40) FROM generate_series(1, 10) i;\n"
		. "FETCH 2 FROM c;\nSELECT change_edges();\n\\sleep 40 ms\nFETCH 2 FROM c;\n$compare\\sleep 40 ms\nFETCH 6 FROM c;\nCOMMIT;\n" ],
	[ 'among own changes', $connstr, [], "${own}ROLLBACK;\n", "${own}COMMIT;\n" ]);

my $compared = $node->safe_psql('postgres', 'SELECT last_value FROM compared');
cmp_ok($compared, '>', 5 * $seconds, "$compared times five starts compared");

# A table of more than one page of the visibility map: changes in the first, the last and the middle page, beyond
# what memory has, and where a vacuum has set bits again. One session keeps its memory through all of it.
$node->safe_psql('postgres', <<'SQL');
CREATE DATABASE large;
\c large
CREATE EXTENSION assetreg;
ALTER TABLE assetreg.asset_dependencies DISABLE TRIGGER ALL;
ALTER TABLE assetreg.asset_dependencies SET (fillfactor = 10, autovacuum_enabled = off);
INSERT INTO assetreg.entities (kind, key) SELECT 'scene', i FROM generate_series(1, 10000) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, added_by)
	SELECT greatest(a, b), least(a, b), i, 'import' FROM (SELECT i, i % 9973 + 1, i::bigint * 7919 / 31 % 9999 + 1 FROM generate_series(1, 330000) i) e (i, a, b) WHERE a <> b;
VACUUM assetreg.asset_dependencies;
SQL
my $pages = $node->safe_psql('large', q(SELECT pg_relation_size('assetreg.asset_dependencies') / 8192));
cmp_ok($pages, '>', 33000, "a table of $pages pages");
my $answers = <<'SQL';
SELECT string_agg(md5(walks('memory', s)::text) || (SELECT used FROM assetreg.graph_cache_status), ' ') FROM unnest('{3,500,9000,9990}'::bigint[]) s
UNION ALL SELECT string_agg(md5(walks('index', s)::text) || true, ' ') FROM unnest('{3,500,9000,9990}'::bigint[]) s;
SQL
$node->safe_psql('postgres', 'CREATE TABLE functions AS SELECT pg_get_functiondef(oid) AS f FROM pg_proc WHERE proname = $$walks$$');
$node->safe_psql('large', $node->safe_psql('postgres', 'SELECT f FROM functions'));
my @steps = ('SELECT 1',
	(map { "DELETE FROM assetreg.asset_dependencies WHERE ctid BETWEEN '($_,0)' AND '($_,99)'" } 0, 16000, 32671, 32672, $pages - 1),
	'VACUUM assetreg.asset_dependencies',
	q(INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, added_by) SELECT 10000, i, 'new', 'import' FROM generate_series(1, 9900, 3) i),
	q(UPDATE assetreg.asset_dependencies SET dependent_id = 9999 WHERE dependency_id = 3), 'VACUUM assetreg.asset_dependencies',
	"DELETE FROM assetreg.asset_dependencies WHERE ctid > '(32600,0)'", 'VACUUM assetreg.asset_dependencies',
	q(INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, added_by) SELECT 9998, i, 'newer', 'import' FROM generate_series(1, 9900, 5) i));
my ($out, @wrong) = ('');
{
	my ($in, $error) = ('', '');
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('large') ], '<', \$in, '>', \$out, '2>', \$error, my $timer = IPC::Run::timeout(180));
	for my $step (@steps)
	{
		$node->safe_psql('large', $step);
		$out = '';
		$in .= "$answers\\echo done\n";
		$psql->pump until $out =~ /done\n/;
		my ($memory, $index) = split /\n/, $out;
		push @wrong, "$step: $out" if $memory ne $index;
	}
	$in .= "SELECT builds FROM assetreg.graph_cache_status;\n\\echo done\n";
	$out = '';
	$psql->pump until $out =~ /done\n/;
	$psql->finish;
}
is("@wrong", '', 'is walked right through ' . @steps . ' changes');
like($out, qr/^[1-4]\n/, 'by one copy or a few');

# Without WAL a new file's pages have no LSN, and neither has its map: only the file's number tells one from the next.
$node->append_conf('postgresql.conf', "wal_level = minimal\nmax_wal_senders = 0\nwal_skip_threshold = 0");
$node->restart;
my @edges = map { my $i = $_; join '', map { "$_\t" . ($_ - $i) . "\tloaded\timport\n" } 7 .. 300 } 1 .. 5;
my $file = PostgreSQL::Test::Utils::tempdir . '/frozen';
my $load = "BEGIN;\nTRUNCATE assetreg.asset_dependencies;\nCOPY assetreg.asset_dependencies (dependent_id, dependency_id, source, added_by) FROM '$file' (FREEZE);\n";
my $walks = "SELECT walks('memory', 3) = walks('index', 3) AND walks('memory', 200) = walks('index', 200);\n";
# COPY makes pages all-visible where no trigger is called before a row, disabled or not
$node->safe_psql('large', $node->safe_psql('large', q(SELECT string_agg(format('DROP TRIGGER %I ON assetreg.asset_dependencies;', tgname), '')
	FROM pg_trigger WHERE tgrelid = 'assetreg.asset_dependencies'::regclass AND NOT tgisinternal AND tgtype & 3 = 3)));
my $right = '';
{
	my ($in, $error, $out) = ('', '', '');
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('large') ], '<', \$in, '>', \$out, '2>', \$error, IPC::Run::timeout(60));
	for my $edges (@edges)
	{
		unlink $file;
		append_to_file($file, $edges);
		$node->safe_psql('large', "${load}COMMIT;");
		# then one that is taken back, seen from inside; and one with changes of its own
		$in .= "$walks$load${walks}SAVEPOINT s;\nDELETE FROM assetreg.asset_dependencies WHERE dependent_id % 2 = 0;\n${walks}ROLLBACK TO s;\n${walks}ROLLBACK;\n$walks\\echo done\n";
		$psql->pump until $out =~ /done\n/;
		$right .= $out =~ s/done\n//r;
		$out = '';
	}
	$in .= "SELECT walks > 40 FROM assetreg.graph_cache_status;\n";
	$psql->finish or diag($error);
	$right .= $out;
}
is($right, "t\n" x (5 * @edges + 1), 'a file without LSNs is told from the next');

$node->stop;
my ($difference) = slurp_file($node->logfile) =~ /^(.*(?:walks from|PANIC|was terminated).*)$/m;
is($difference, undef, 'no walk differs') or diag('torture began at ' . localtime $began);
done_testing();
