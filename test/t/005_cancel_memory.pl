# Walks of a dense graph stop when they are cancelled, stay within work_mem * hash_mem_multiplier or say so,
# and leave nothing behind: no memory and no file, call after call, error after error.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Time::HiRes qw(time);
use Test::More;

my $node = new_server('main');
$node->append_conf('postgresql.conf', "max_wal_size = 4GB\nmaintenance_work_mem = 256MB\nwork_mem = 64MB");
$node->start;

# 3,000 entities, each needs the 500 before it, and the first needs the last: all in one circle. Their ids lie
# far from each other, so that sets of them are large. Loaded without triggers and foreign keys, for speed.
my $n = 3000;
my $step = 1024;
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION assetreg;
SET session_replication_role = replica;
INSERT INTO assetreg.entities (id, kind, key) SELECT i * $step, 'scene', i FROM generate_series(1, $n) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by)
	SELECT i * $step, j * $step, 'load' FROM generate_series(1, $n) j, generate_series(j + 1, least(j + 500, $n)) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by) VALUES ($step, $n * $step, 'load');
SQL
$node->safe_psql('postgres', 'VACUUM ANALYZE');
my $last = $n * $step;
is($node->safe_psql('postgres', "SELECT count(*), max(depth) FROM assetreg.where_used($step)"), $n - 1 . '|' . 6, 'where_used() of a dense graph');
is($node->safe_psql('postgres', 'SELECT count(*), max(cycle) FROM assetreg.dependency_cycles()'), "$n|1", 'dependency_cycles() of a dense graph');
is($node->safe_psql('postgres', "SELECT count(*), max(step) FROM assetreg.dependency_paths($step * 2, $last)"), '7|6', 'dependency_paths() of a dense graph');

# --- cancelled --------------------------------------------------------------------------------------

# Each of these would run for longer: by itself, or called for every entity.
my $each = 'FROM assetreg.entities e,';
for my $call (
	"FROM assetreg.dependency_paths($step * 300, $last, 1000000000)", "$each assetreg.where_used(e.id)", "$each assetreg.dependencies_of(e.id)",
	"$each assetreg.dependents(ARRAY[e.id])", "$each assetreg.impact(e.id)", "$each assetreg.dependency_cycles()",
	"$each assetreg.dependency_paths(e.id, $last)", "$each assetreg.dependency_graph(e.id, max_nodes => 3000)", "$each assetreg.dependency_tree(e.id)",
	"$each assetreg.dependent_count(e.id, true)")
{
	for my $source ('auto', 'sql')
	{
		my $began = time;
		my ($status, $out, $error) = $node->psql('postgres', <<"SQL");
\\set VERBOSITY verbose
SET assetreg.graph_source = $source;
SET statement_timeout = 200;
SELECT count(*) $call;
SQL
		my $took = time - $began;
		like($error, qr/ERROR:  57014: canceling statement due to statement timeout/, "$source: $call is cancelled");
		cmp_ok($took, '<', 1.2, sprintf('after %.1f s', $took));
	}
}

# In the midst of one call, too: it takes less time than one that is let run; by the index, as memory is too quick
# to be caught. The best of several, as machines are busy with other things at times.
for my $call ("where_used($step)", "dependencies_of($last)", 'dependency_cycles()')
{
	my %best;
	for my $timeout ((0, 5) x 7)
	{
		my ($status, $out, $error) = $node->psql('postgres', <<"SQL");
SET assetreg.graph_source = index;
SELECT count(*) FROM assetreg.$call;
SET statement_timeout = $timeout;
DO \$\$
DECLARE
	began timestamptz := clock_timestamp();
BEGIN
	PERFORM count(*) FROM assetreg.$call;
	RAISE NOTICE 'took: %', extract(epoch FROM clock_timestamp() - began);
EXCEPTION WHEN query_canceled THEN
	RAISE NOTICE 'took: %', extract(epoch FROM clock_timestamp() - began);
END \$\$;
SQL
		# it may have been cancelled before it began
		my ($took) = $error =~ /took: ([0-9.]+)/ or next;
		$best{$timeout} = $took if !defined $best{$timeout} || $took < $best{$timeout};
	}
	# what is nearly done by then may as well end
	cmp_ok($best{5}, '<', 0.6 * $best{0} > 0.012 ? 0.6 * $best{0} : 0.012, sprintf('%s: %.0f ms, cancelled after %.0f ms', $call, 1000 * $best{0}, 1000 * $best{5}));
}

# --- out of memory ----------------------------------------------------------------------------------

for my $call ("assetreg.where_used($step)", "assetreg.dependencies_of($last)", "assetreg.dependents(ARRAY[$step])", "assetreg.impact($step)",
	"assetreg.dependent_count($step, true)", 'assetreg.dependency_cycles()', "assetreg.dependency_paths($step * 2, $last)",
	"assetreg.dependency_graph($step, max_depth => 10, max_nodes => 3000)")
{
	for my $source ('auto', 'sql')
	{
		my ($status, $out, $error) = $node->psql('postgres', <<"SQL");
\\set VERBOSITY verbose
SET assetreg.graph_source = $source;
SET work_mem = '64kB';
SELECT count(*) FROM $call;
SQL
		like($error, qr/ERROR:  53400: .*work_mem.*hash_mem_multiplier/s, "$source: $call says what to raise");
	}
}

# --- nothing left behind ----------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE small');
$node->safe_psql('small', <<'SQL');
CREATE EXTENSION assetreg;
SELECT assetreg.register_asset('lora', 'a', i::text, NULL, i, encode(sha256(i::text::bytea), 'hex')) FROM generate_series(1, 5) i;
INSERT INTO assetreg.entities (kind, key) SELECT 'scene', i FROM generate_series(1, 20) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT 5 + i, 1 + i * 3 % (5 + i - 1) FROM generate_series(1, 20) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (10, 20), (20, 10);
-- in PL/pgSQL, so that it is asked each time and not once a statement
CREATE FUNCTION used() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT sum(used_bytes) FROM pg_backend_memory_contexts); END';
SQL
my $session = $node->background_psql('small');
my $files = sub {
	return -d '/proc/self/fd' ? $session->query_safe(q{SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/fd')}) : 0;
};

# What is kept in memory between calls is there from the beginning.
$session->query_safe('SET assetreg.graph_source = memory');
$session->query_safe('SELECT count(*) FROM assetreg.impact(1), assetreg.where_used(1), assetreg.dependencies_of(20)');

# Ten thousand calls in one statement leave nothing after it, and no more while it runs than what PostgreSQL
# itself does for each call of such a function: a description of the result's columns. `one` is 1, and makes
# the executor call again for each row.
for my $call ('where_used(one)', q{where_used(i % 5 + 1, 2, ARRAY['scene'], true, true)}, 'dependencies_of(20 * one)', 'dependents(ARRAY[one, 2])',
	'dependent_count(one)', 'dependent_count(one, true)', 'dependent_count(one, true, true)', 'impact(one)', 'dependency_paths(one, 20, 5)',
	'dependency_graph(one)', q{dependency_graph(20 * one, 'dot', 'dependencies')}, q{dependency_graph(one, 'mermaid')}, 'dependency_tree(one)',
	'dependency_cycles() LIMIT one', 'asset_ref(one)', q{asset_id('lora/a@' || one)}, q{asset_id(left('lora/a', 6 * one))}, 'versions(one)',
	q{entity_id('scene', one::text)})
{
	for my $source ('auto', 'sql')
	{
		next if $source eq 'sql' && $call !~ /^(where|depend|impact)/;
		my $calls = $source eq 'auto' ? 10000 : 1000;
		my $from = $call =~ /LIMIT/ ? "LATERAL (SELECT assetreg.$call) c" : "assetreg.$call";
		$session->query_safe("SET assetreg.graph_source = $source");
		my $statement = sub {
			my ($times) = @_;
			return $session->query_safe(<<"SQL");
SELECT CASE WHEN sum(n) >= $times THEN max(bytes) - min(bytes) END
FROM (SELECT (SELECT count(*) FROM (SELECT i / i) o (one), $from) AS n, CASE WHEN i % ($times / 5) = $times / 10 THEN used() END AS bytes
	  FROM generate_series(1, $times) i) c
SQL
		};
		$statement->(10);
		my $before = $session->query_safe('SELECT used()');
		cmp_ok($statement->($calls), '<', 1000 * $calls, "$source: $call needs no more memory each time");
		cmp_ok($session->query_safe('SELECT used()') - $before, '<', 10000, "$source: and keeps none");
	}
}

# And errors, each in a subtransaction of its own, some of them in the midst of a walk that exceeds work_mem.
# What the first ones load, catalogs and plans, stays.
$session->query_safe(<<'SQL');
INSERT INTO assetreg.entities (id, kind, key) SELECT i * 1024, 'scene', 'far ' || i FROM generate_series(1, 1500) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT i * 1024, 25 FROM generate_series(1, 1500) i;
SET work_mem = '64kB';
CREATE FUNCTION fail(times int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	call text;
	failures int := 0;
BEGIN
	FOREACH call IN ARRAY ARRAY['where_used(25)', 'dependents(ARRAY[25])', 'dependent_count(25, true)',
		'impact(25)', 'dependency_cycles()', 'where_used(-1)', 'where_used(NULL)', 'where_used(1, -1)', 'where_used(1, 1, ARRAY[''no''])', 'dependencies_of(-1)',
		'dependents(ARRAY[1, -1])', 'dependents(NULL)', 'dependent_count(-1)', 'impact(-1)', 'dependency_paths(1, -1)', 'dependency_paths(1, 2, 0)',
		'dependency_graph(1, ''no'')', 'dependency_graph(-1)', 'dependency_tree(1, ''no'')', 'asset_ref(-1)', 'asset_id(''no'')', 'asset_id(NULL)',
		'versions(-1)', 'entity_id(''no'', ''no'')'] LOOP
		FOR i IN 1 .. times LOOP
			BEGIN
				EXECUTE 'SELECT count(*) FROM assetreg.' || call;
			EXCEPTION WHEN OTHERS THEN
				failures := failures + 1;
			END;
		END LOOP;
	END LOOP;
	RETURN failures;
END $$
SQL
my $memory = 'SELECT used()';
for my $source ('auto', 'sql')
{
	$session->query_safe("SET assetreg.graph_source = $source");
	$session->query_safe('SELECT fail(10)');
	$session->query_safe($memory);
	my ($files_before, $memory_before) = ($files->(), $session->query_safe($memory));
	is($session->query_safe('SELECT fail(500)'), 24 * 500, "$source: every call fails");
	cmp_ok($session->query_safe($memory) - $memory_before, '<', 20000, "$source: and keep no memory");
	cmp_ok($files->(), '<', $files_before + 20,	# the server may open a segment of its own meanwhile
		 "$source: nor files");
}
$session->quit;

$node->stop;
unlike(slurp_file($node->logfile), qr/WARNING|PANIC|was terminated/, 'the server has nothing to complain of');

done_testing();
