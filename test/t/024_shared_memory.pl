# Connections share one copy of the graph: who comes later finds it, whoever builds one replaces it for all, and where
# none can be shared, each keeps its own. Nobody takes a copy for right that is not: of another run of the server, of
# another file, a damaged one. All answers are held against SQL.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $node = new_server('main', allows_streaming => 1);
$node->append_conf('postgresql.conf', "autovacuum = off\nremove_temp_files_after_crash = off\nrestart_after_crash = on\nmax_connections = 60");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION assetreg;
SET session_replication_role = replica;
INSERT INTO assetreg.entities (id, kind, key) SELECT id, 'scene', id FROM generate_series(1, 1000) id;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by)
	SELECT DISTINCT a, b, 'load' FROM (SELECT i % 997 + 1, (i::bigint * 7919 / 31) % 983 + 1 FROM generate_series(1, 40000) i) e (a, b) WHERE a > b ORDER BY 2, 1;
SELECT setval('assetreg.entities_id_seq', 1000);
CREATE FUNCTION wrong(lowest bigint) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM generate_series(lowest, 1000, 53) s, LATERAL (
		WITH RECURSIVE up AS (SELECT s AS id UNION SELECT d.dependent_id FROM up u JOIN assetreg.asset_dependencies d ON d.dependency_id = u.id)
		SELECT count(*) - 1 AS n FROM up) u
	WHERE assetreg.dependent_count(s, true) <> u.n
$$;
CREATE VIEW state AS SELECT CASE WHEN used THEN CASE WHEN shared THEN 'shared' ELSE 'its own' END ELSE refused END, builds FROM assetreg.graph_cache_status;
SQL
$node->safe_psql('postgres', 'VACUUM ANALYZE');

my $data = $node->data_dir;
my $forced = "SET assetreg.graph_source = memory;\n";
my $asks = "SELECT wrong(1);\nTABLE state;\n";
my $asks_little = "SELECT wrong(900);\nTABLE state;\n";

sub files { return join ' ', map { s/.*assetreg\.\d+\.//r } sort glob("$data/base/pgsql_tmp/*assetreg*") }

sub asks
{
	my ($expected, $test, $before) = @_;
	is($node->safe_psql('postgres', ($before // '') . ($expected =~ /pay/ ? $asks_little : $asks)), $expected, $test);
	return;
}

asks("0\nbuilding it does not pay yet|0", 'nobody has built one');
asks("0\nshared|1", 'one connection builds it', $forced);
asks("0\nshared|0", 'and the next one has it with its first question');
like(files(), qr/^edges/, 'in a temporary file');
my $first = Session->new($node);
is($first->ask($asks), "0\nshared|0", 'also one that stays');

# --- changes ------------------------------------------------------------------------------------------

my $change = "SET assetreg.notify = off; SELECT assetreg.add_dependency(1000 - i, 1) FROM generate_series(1, 300, 7) i; SELECT assetreg.remove_dependency(999, 1);\n"
	. "DELETE FROM assetreg.asset_dependencies WHERE dependency_id % 200 = 3;\n";
$node->safe_psql('postgres', $change);
is($first->ask($asks), "0\nshared|0", 'changes of others are seen');
is($first->ask("BEGIN;\nDELETE FROM assetreg.asset_dependencies WHERE dependency_id % 7 = 2;\n${asks}ROLLBACK;\n$asks"), "0\nshared|0\n0\nshared|0", 'and own ones');

# --- another one takes its place ----------------------------------------------------------------------

my $second = Session->new($node);
is($second->ask($asks), "0\nshared|0", 'another connection that stays');
$node->safe_psql('postgres', 'VACUUM assetreg.asset_dependencies');
is($first->ask($forced . $asks), "0\nshared|1", 'who has read changed pages often enough builds another');
is($second->ask("SELECT age < interval '1 min', dirty_pages > 0 FROM assetreg.graph_cache_status;\n"), 't|t', 'the older one');
is($second->ask($asks . "SELECT dirty_pages FROM assetreg.graph_cache_status;\n"), "0\nshared|0\n0", 'is left for the newer one by all');
asks("0\nshared|0", 'also by who comes now');
$first->ask("RESET assetreg.graph_source;\n");

$node->safe_psql('postgres', 'VACUUM FULL assetreg.asset_dependencies; VACUUM assetreg.asset_dependencies');
is($second->ask($asks_little), "0\nbuilding it does not pay yet|0", 'a rewritten table is another');
asks("0\nshared|1", 'that is built anew', $forced);
is($second->ask($asks), "0\nshared|0", 'for all');
is(scalar(() = files() =~ /edges/g), 1, 'in one file');

is($second->ask("BEGIN;\nSAVEPOINT s;\nCREATE TEMP TABLE kept AS TABLE assetreg.asset_dependencies;\nTRUNCATE assetreg.asset_dependencies;\nRELEASE s;\n"
		. "INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT dependent_id, dependency_id FROM kept WHERE dependency_id % 2 = 1;\n$forced$asks"),
	"0\nthe table's pages may not be read by this statement|0", 'what only one transaction sees is not taken into memory');
is($second->ask("ROLLBACK;\nRESET assetreg.graph_source;\n$asks"), "0\nshared|0", 'and that is over with it');

# --- where nothing can be shared ----------------------------------------------------------------------

asks("0\nits own|1", 'who does not want to share keeps its own', "SET assetreg.graph_cache_shared = off;\n$forced");
asks("0\nbuilding it does not pay yet|0", 'or has none', "SET assetreg.graph_cache_shared = off;\n");
asks("0\nbuilding it does not pay yet|0", 'nor one that is larger than its bound', "SET assetreg.graph_cache = '16kB';\n");
my ($path) = glob("$data/base/pgsql_tmp/*edges");
my $whole = slurp_file($path);
for my $damaged ('', 'x' x 4000, substr($whole, 0, 100), substr($whole, 0, 8192), ("\0" x 8) . substr($whole, 8), $whole . 'x')
{
	open(my $file, '>', $path) or die;
	print $file $damaged;
	close $file;
	asks("0\nbuilding it does not pay yet|0", length($damaged) . ' bytes are not a copy');
}
unlink $path;
chmod 0500, "$data/base/pgsql_tmp";
asks("0\nits own|1", 'where no file can be made each has its own', $forced);
chmod 0700, "$data/base/pgsql_tmp";
rename "$data/base/pgsql_tmp", "$data/base/other";
append_to_file("$data/base/pgsql_tmp", '');
asks("0\nits own|1", 'nor a folder', $forced);
unlink "$data/base/pgsql_tmp";
asks("0\nshared|1", 'a folder that is missing is made', $forced);

# --- many at once -------------------------------------------------------------------------------------

unlink glob("$data/base/pgsql_tmp/*edges");
$node->safe_psql('postgres', 'CREATE TABLE built (n bigint)');
my $script = PostgreSQL::Test::Utils::tempdir . '/many';
append_to_file($script, 'DO $$ BEGIN FOR i IN 1 .. 300 LOOP PERFORM assetreg.dependent_count(i, true); END LOOP; INSERT INTO built SELECT builds FROM assetreg.graph_cache_status; END $$;');
my ($out, $error);
ok(IPC::Run::run([ 'pgbench', '-n', '-C', '-c', 20, '-j', 2, '-t', 5, '-f', $script, $node->connstr('postgres') ], '>', \$out, '2>', \$error), 'a hundred connections ask at once')
	or diag($error);
is($node->safe_psql('postgres', 'SELECT sum(n), count(*) FROM built'), '1|100', 'and one of them builds');

# --- crash and restart --------------------------------------------------------------------------------

my $before = files();
my $victim = Session->new($node);
my $pid = $victim->ask("SELECT pg_backend_pid();\n");
kill 'KILL', $pid;
$node->poll_query_until('postgres', 'SELECT true');
is(files(), $before, 'a file that a crash has left');
asks("0\nbuilding it does not pay yet|0", 'is not used any more');
asks("0\nshared|1", 'and replaced', $forced);
$node->restart;
is(files(), '', 'a restart leaves none');

$node->stop;
done_testing();

# psql that stays, and answers what it is asked.
package Session;

sub new
{
	my ($class, $node) = @_;
	my $self = bless { in => '', out => '', error => '' }, $class;
	$self->{psql} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{error}, IPC::Run::timeout(180));
	return $self;
}

sub ask
{
	my ($self, $what) = @_;
	$self->{out} = '';
	$self->{in} .= "$what\\echo done\n";
	$self->{psql}->pump until $self->{out} =~ /^done\n/m;
	return $self->{out} =~ s/^done\n//mr =~ s/\n$//r;
}
