# The graph in memory is exact for the statement's snapshot whatever happens: for MEMORY_SECONDS (60) sessions
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
use Comparison;
use Registry;
use Torture;
use Test::More;

my $seconds = $ENV{MEMORY_SECONDS} // 60;
my $walkers = $ENV{MEMORY_WALKERS} // 1;	# sessions that compare the whole graph
my $node = new_server('main');
$node->append_conf('postgresql.conf', "deadlock_timeout = 100ms\nsession_preload_libraries = 'assetreg'");
$node->append_conf('postgresql.conf', "assetreg.break = $ENV{ASSETREG_BREAK}") if $ENV{ASSETREG_BREAK};
$node->start;
fill($node, 'postgres');
prepare_torture($node, 'postgres');
prepare_comparisons($node, 'postgres');
# many pages, so that some of them stay as they are for a while, and few rows, so that SQL is quick
$node->safe_psql('postgres', $_) for 'ALTER TABLE assetreg.asset_dependencies SET (fillfactor = 30)', 'ALTER TABLE assetreg.entities SET (fillfactor = 30)',
	'VACUUM FULL assetreg.asset_dependencies, assetreg.entities', 'VACUUM assetreg.asset_dependencies, assetreg.entities';

my $connstr = $node->connstr('postgres');
my $compare = "\\set start random(1, 420)\nSELECT nextval(CASE WHEN compare((:start + i * 83) % 420) THEN 'compared' ELSE 'refused' END) FROM generate_series(1, 5) i;\n";
my $few = $compare =~ s/1, 5/1, 2/r;
my $own = "BEGIN;\nSELECT change_edges();\n${few}SAVEPOINT s;\nSELECT change_edges();\n${few}ROLLBACK TO s;\n$few"
	. "DELETE FROM assetreg.asset_dependencies WHERE dependency_id = :start;\n${few}SELECT many_subtransactions();\n$few";
my @rewrites = map { "SELECT rewrite('$_');\n\\sleep 60 ms\n" }
	'CLUSTER assetreg.asset_dependencies USING asset_dependencies_dependent_idx',
	'ALTER TABLE assetreg.asset_dependencies ALTER relation TYPE text USING relation || $$$$, ALTER relation SET DEFAULT $$uses$$',
	'SELECT pg_truncate_visibility_map($$assetreg.asset_dependencies$$)', 'SELECT pg_truncate_visibility_map($$assetreg.entities$$)',
	'CLUSTER assetreg.entities USING entities_pkey', 'REINDEX TABLE assetreg.asset_dependencies', 'REINDEX TABLE assetreg.entities',
	'ALTER TABLE assetreg.asset_dependencies SET (fillfactor = 50)',
	'ALTER TABLE assetreg.asset_dependencies SET (fillfactor = 30)';

my $parallel = $node->safe_psql('postgres', q{SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')});
$node->safe_psql('postgres', 'CREATE SEQUENCE imported; CREATE SEQUENCE parallel; CREATE SEQUENCE walked; CREATE SEQUENCE copied');
my $began = time;
torture($seconds,
	[ 'pauses', $connstr, [], pause() ],
	[ 'writers', $connstr, [qw(-c 2 -j 1)], gated('SELECT change_edges();', 'SELECT change_entities();', 'SELECT copy_edges();', 'SELECT many_subtransactions();',
		'SELECT without_triggers();', "BEGIN;\nSELECT many_subtransactions();\n\\sleep 20 ms\nSELECT many_subtransactions();\nROLLBACK;",
		"BEGIN;\nSELECT copy_edges();\nSELECT change_entities();\nROLLBACK;",
		"BEGIN;\nSAVEPOINT a;\nSELECT change_edges();\nROLLBACK TO a;\nSELECT change_edges();\n\\sleep 20 ms\nSAVEPOINT b;\nSELECT change_edges();\nCOMMIT;",
		"BEGIN;\nSET LOCAL session_replication_role = replica;\nDELETE FROM assetreg.asset_dependencies WHERE dependency_id = (SELECT any_entity());\n"
		. "UPDATE assetreg.asset_dependencies SET relation = 'replica' WHERE dependency_id = (SELECT any_entity());\nCOMMIT;") ],
	[ 'prepared transactions', $connstr, [], map { "BEGIN;\nSET LOCAL assetreg.notify = off;\nSELECT change_edges();\nPREPARE TRANSACTION 'p';\n\\sleep 40 ms\n$_ PREPARED 'p';\n\\sleep 100 ms\n" }
		qw(COMMIT ROLLBACK) ],
	[ 'truncating', $connstr, [], "SELECT rewrite('TRUNCATE assetreg.asset_dependencies');\nSELECT refill();\n\\sleep 900 ms\n",
		"BEGIN;\nSELECT rewrite('TRUNCATE assetreg.asset_dependencies');\nSELECT refill();\n${compare}ROLLBACK;\n\\sleep 400 ms\n",
		# deletes the end of the table, so that VACUUM cuts it off
		"SELECT cut_off();\nVACUUM assetreg.asset_dependencies;\n${compare}SELECT refill();\n\\sleep 500 ms\n" ],
	[ 'vacuum', $connstr, [], "VACUUM assetreg.asset_dependencies, assetreg.entities;\n\\sleep 20 ms\n",
		"VACUUM (FREEZE) assetreg.asset_dependencies;\n\\sleep 20 ms\n", "VACUUM (INDEX_CLEANUP off) assetreg.asset_dependencies;\n\\sleep 20 ms\n" ],
	[ 'rewrites', $connstr, [], @rewrites, "VACUUM (FULL, SKIP_LOCKED) assetreg.asset_dependencies;\n\\sleep 200 ms\n" ],
	[ 'read committed', $connstr, [qw(-c 3)],
		gated("${compare}SELECT nextval('copied') FROM assetreg.graph_cache_status WHERE edges > 0 AND dirty_pages < pages;\n") ],
	[ 'the whole graph', $connstr, [ '-c', $walkers ], gated("SELECT count(nextval('walked')) FROM generate_series(1, compare_all());\n") ],
	[ 'prepared, memory of their own', "$connstr options='-c assetreg.graph_cache_shared=off'", [qw(-M prepared)], gated($compare) ],
	[ 'repeatable read', $connstr, [qw(-c 2)], gated("BEGIN ISOLATION LEVEL REPEATABLE READ;\n" . "$compare\\sleep 40 ms\n" x 5 . "COMMIT;\n") ],
	# memory leaves these to SQL, but they hold rows back, and write
	[ 'serializable', $connstr, [], gated("\\set start random(1, 400)\nBEGIN ISOLATION LEVEL SERIALIZABLE;\n"
		. "SELECT compare_as_set(min(id)) FROM assetreg.entities WHERE id >= :start;\n\\sleep 40 ms\nSELECT change_edges();\n"
		. "SELECT compare_as_set(min(id)) FROM assetreg.entities WHERE id >= :start;\nCOMMIT;\n") ],
	# the lock keeps a snapshot exported until it is imported
	[ 'exporting', $connstr, [], gated("BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT pg_export_snapshot();\n\\sleep 100 ms\n"
		. "SELECT pg_advisory_lock(7);\n${compare}COMMIT;\nSELECT pg_advisory_unlock(7);\n") ],
	[ 'importing', $connstr, [], "SELECT pg_advisory_lock_shared(7);\nSELECT count(*) AS found, min(name) AS snapshot FROM pg_ls_dir('pg_snapshots') name WHERE name !~ 'tmp' \\gset\n\\if :found\n"
		. "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSET TRANSACTION SNAPSHOT ':snapshot';\nSELECT pg_advisory_unlock_shared(7), nextval('imported');\n"
		. "$compare\\sleep 100 ms\n${compare}COMMIT;\n\\else\nSELECT pg_advisory_unlock_shared(7);\n\\sleep 10 ms\n\\endif\n" ],
	[ 'in parallel workers', $connstr, [], gated("BEGIN;\nSET LOCAL assetreg.graph_source = memory;\nSET LOCAL $parallel = on;\n"
		. "\\set start random(1, 400)\nSELECT compare_as_set(id) FROM assetreg.entities WHERE id BETWEEN :start AND :start + 20 LIMIT 3;\nSELECT nextval('parallel');\nCOMMIT;\n") ],
	[ 'old cursors', $connstr, [], gated("BEGIN;\nDECLARE c CURSOR FOR SELECT compare(i * 40) FROM generate_series(1, 10) i;\n"
		. "FETCH 2 FROM c;\nSELECT change_edges();\n\\sleep 40 ms\nFETCH 2 FROM c;\n$compare\\sleep 40 ms\nFETCH 6 FROM c;\nCOMMIT;\n") ],
	[ 'among own changes', $connstr, [], gated("${own}ROLLBACK;\n", "${own}COMMIT;\n") ]);

my ($compared, $refused, $imported, $parallel_walks, $walked, $copied) =
	map { $node->safe_psql('postgres', "SELECT last_value FROM $_") } qw(compared refused imported parallel walked copied);
note("$compared comparisons of single walks and $walked of walks from every entity; at least $copied times the copy had a part in it");
cmp_ok($compared, '>', 5 * $seconds, "$compared comparisons of what memory answered, $refused of what it did not");
cmp_ok($copied, '>', $seconds / 10, "in $copied of them some pages were as when they were copied");
cmp_ok($walked, '>', 10 * $seconds, "$walked walks compared as part of the whole graph");
cmp_ok($imported, '>', 0, "$imported snapshots were imported");
cmp_ok($parallel_walks, '>', $seconds / 20, "$parallel_walks walks in parallel workers");

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
$node->safe_psql('postgres', 'CREATE TABLE functions AS SELECT pg_get_functiondef(oid) AS f FROM pg_proc WHERE proname = $$walks$$ ORDER BY pronargs');
$node->safe_psql('large', $node->safe_psql('postgres', q(SELECT string_agg(f, ';') FROM functions)));
my @steps = ('SELECT 1',
	(map { "DELETE FROM assetreg.asset_dependencies WHERE ctid BETWEEN '($_,0)' AND '($_,99)'" } 0, 16000, 32671, 32672, $pages - 1),
	'VACUUM assetreg.asset_dependencies',
	q(INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, added_by) SELECT 10000, i, 'new', 'import' FROM generate_series(1, 9900, 3) i),
	q(UPDATE assetreg.asset_dependencies SET dependent_id = 9999 WHERE dependency_id = 3), 'VACUUM assetreg.asset_dependencies',
	"DELETE FROM assetreg.asset_dependencies WHERE ctid > '(32600,0)'", 'VACUUM assetreg.asset_dependencies',
	# a session's memory outlives the extension
	'DROP EXTENSION assetreg CASCADE; DELETE FROM assetreg.asset_dependencies WHERE dependency_id % 1000 = 3; CREATE EXTENSION assetreg; ALTER TABLE assetreg.asset_dependencies DISABLE TRIGGER ALL',
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
is(differences($node), undef, 'no walk differs') or diag('torture began at ' . localtime $began);
done_testing();
