# The graph in memory knows its bounds: where it is too large, where ids lie far apart or at the ends of bigint, where
# nothing was ever vacuumed and where entities are gone it is slower, never wrong. A build ends when it is cancelled,
# and neither walks nor builds nor errors leave memory behind.
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
$node->append_conf('postgresql.conf', "autovacuum = off\nmax_wal_size = 4GB\nwork_mem = 64MB");
$node->start;

sub make_graph
{
	my ($database, $edges) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, <<"SQL");
CREATE EXTENSION assetreg;
SET session_replication_role = replica;
CREATE TEMP TABLE edges AS $edges;
INSERT INTO assetreg.entities (id, kind, key) SELECT id, 'scene', id FROM (SELECT a FROM edges UNION SELECT b FROM edges) u (id);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by) SELECT DISTINCT a, b, 'load' FROM edges WHERE a <> b;
SQL
	return;
}

# Walks from the first ids of the graph and the last, by memory and in SQL; and why memory did not answer, if it did not.
sub compare
{
	my ($database, $test, $why, $before) = @_;
	my $out = $node->safe_psql($database, <<"SQL" . <<'SQL');
SET assetreg.graph_source = memory;
@{[$before // '']}
SQL
CREATE FUNCTION pg_temp.by_sql(start bigint) RETURNS bigint LANGUAGE sql AS $$
	WITH RECURSIVE up AS (SELECT start AS id UNION SELECT d.dependent_id FROM up u JOIN assetreg.asset_dependencies d ON d.dependency_id = u.id)
	SELECT coalesce(sum(hashint8(id)), 0) FROM up WHERE id <> start $$;
SELECT count(*) FILTER (WHERE d.sum IS DISTINCT FROM pg_temp.by_sql(e.id) OR d.n <> assetreg.dependent_count(e.id, true))
	FROM ((SELECT id FROM assetreg.entities ORDER BY id LIMIT 20) UNION (SELECT id FROM assetreg.entities ORDER BY id DESC LIMIT 20)) e,
		 LATERAL (SELECT coalesce(sum(hashint8(entity_id)), 0) AS sum, count(*) AS n FROM assetreg.dependents(ARRAY[e.id])) d;
SELECT coalesce(refused, 'used') FROM assetreg.graph_cache_status;
SQL
	my ($wrong, $used) = (split /\n/, $out)[-2, -1];
	is($wrong, 0, "$test: as SQL has it");
	is($used, $why, "$test: $why");
	return;
}

my $random = 'SELECT i % 997 + 1 AS a, (i::bigint * 7919 / 31) % 983 + 1 AS b FROM generate_series(1, 5000) i';
make_graph('plain', $random);
compare('plain', 'never vacuumed', 'used');
$node->safe_psql('plain', 'VACUUM');
compare('plain', 'vacuumed', 'used');
my ($rc, $counts_of, $messages) = $node->psql('plain', "SET client_min_messages = debug1;\nSET assetreg.graph_source = memory;\nSELECT affected > 100 FROM assetreg.impact(5);");
is($counts_of, 't', 'impact() counts');
like($messages, qr/dependency walk uses memory/, 'in memory');
unlike($messages, qr/kinds are not read from memory/, 'kinds as well');
compare('plain', 'a bound of zero', 'assetreg.graph_cache is off', "SET assetreg.graph_cache = '0';");
compare('plain', 'off', 'assetreg.graph_cache is off', 'SET assetreg.graph_cache = off;');
compare('plain', 'a graph larger than the bound', 'the graph is larger than assetreg.graph_cache', "SET assetreg.graph_cache = '64kB';");
compare('plain', 'a bound that is lowered later', 'the graph is larger than assetreg.graph_cache',
	"SELECT assetreg.dependent_count(5, true);\nSET assetreg.graph_cache = '64kB';");
# it would be mapped anew for every question
compare('plain', 'a bound without room for what questions keep', 'the graph is larger than assetreg.graph_cache',
	"SELECT assetreg.dependent_count(5, true);\nSELECT set_config('assetreg.graph_cache', bytes / 1024 || 'kB', false) FROM assetreg.graph_cache_status;");
# as no page of the table has to be looked at by the index, who looks at them is who tries to copy it
my $tries = $node->safe_psql('plain', <<'SQL');
SET assetreg.graph_cache = '64kB';
CREATE TEMP TABLE before AS SELECT heap_blks_read + heap_blks_hit AS blocks FROM pg_statio_all_tables WHERE relid = 'assetreg.asset_dependencies'::regclass;
DO $$ BEGIN FOR i IN 1 .. 60 LOOP PERFORM assetreg.dependent_count(5, true); END LOOP; END $$;
SELECT pg_stat_force_next_flush();
SELECT round((heap_blks_read + heap_blks_hit - blocks)::numeric / (pg_relation_size(relid) / 8192), 1) || ' ' || (SELECT refused FROM assetreg.graph_cache_status)
FROM before, pg_statio_all_tables WHERE relid = 'assetreg.asset_dependencies'::regclass;
SQL
like($tries, qr/^([2-9]|1\d)\.\d the graph is larger than/m, 'a graph that is too large is copied less and less often');
my ($status, $out, $error) = $node->psql('plain', "SELECT assetreg.dependent_count(5); SET assetreg.graph_cache = 'plenty'");
like($error, qr/invalid value for parameter "assetreg.graph_cache": "plenty"\nDETAIL:  .*"off", "auto" or a size/, 'a bound that is none');
compare('plain', 'entities that vanish meanwhile', 'used',
	"SELECT assetreg.dependent_count(5, true);\nSET session_replication_role = replica;\nDELETE FROM assetreg.entities WHERE id % 5 = 0;\nRESET session_replication_role;");
compare('plain', 'edges that come and go meanwhile', 'used', <<'SQL');
SELECT assetreg.dependent_count(6, true);
SET session_replication_role = replica;
DELETE FROM assetreg.asset_dependencies WHERE dependency_id % 7 = 0;
INSERT INTO assetreg.entities (id, kind, key) VALUES (9223372036854775807, 'scene', 'last'), (-9223372036854775808, 'scene', 'first');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by) VALUES (9223372036854775807, 6, 'load'), (-9223372036854775808, 9223372036854775807, 'load'), (7, -9223372036854775808, 'load');
RESET session_replication_role;
SQL

make_graph('last_ids', "SELECT 9223372036854775807 - a AS a, 9223372036854775807 - b AS b FROM ($random) r UNION ALL VALUES (9223372036854775807, 9223372036854775806)");
compare('last_ids', 'the last ids of bigint', 'used', 'VACUUM;');
make_graph('first_ids', "SELECT a - 9223372036854775808 AS a, b - 9223372036854775808 AS b FROM (SELECT a::numeric, b::numeric FROM ($random) r) r UNION ALL VALUES (-9223372036854775808, -9223372036854775807)");
compare('first_ids', 'the first ids of bigint', 'used', 'VACUUM;');
make_graph('both_ends', "SELECT CASE WHEN a % 2 = 0 THEN a ELSE 9223372036854775807 - a END AS a, CASE WHEN b % 3 = 0 THEN b ELSE -9223372036854775807 + b END AS b FROM ($random) r");
compare('both_ends', 'ids at both ends', 'the ids lie too far apart', 'VACUUM;');
make_graph('sparse', "SELECT a::bigint * 10000000 AS a, b * 10000000 AS b FROM ($random) r");
compare('sparse', 'sparse ids', 'the ids lie too far apart', 'VACUUM;');
compare('sparse', 'sparse ids and much room', 'the ids lie too far apart', "SET assetreg.graph_cache = '10GB';");
make_graph('none', 'SELECT 1::bigint AS a, 1::bigint AS b');
compare('none', 'no edge', 'used');

# --- cancelled ----------------------------------------------------------------------------------------

make_graph('large', 'SELECT i / 8 + 1 AS a, i::bigint * 7919 % (i / 8 + 1) + 1 AS b FROM generate_series(1, 1000000) i');
$node->safe_psql('large', 'VACUUM');
my $worst = 0;
my $cancelled = 0;
for my $timeout (map { 5 * $_ } 1 .. 30)
{
	my $began = time;
	my ($s, $o, $e) = $node->psql('large', <<"SQL");
SET assetreg.graph_source = memory;
SET statement_timeout = $timeout;
SELECT assetreg.dependent_count(1, true);
SET statement_timeout = 0;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'assetreg graph%' HAVING (SELECT edges FROM assetreg.graph_cache_status) = 0;
SQL
	my $took = time - $began - $timeout / 1000;
	$worst = $took if $took > $worst;
	next if $e !~ /canceling statement/;
	$cancelled++;
	fail("after $timeout ms something is left: $o") if $o =~ /[1-9]/ && $o !~ /^0?\n?$/;
}
cmp_ok($cancelled, '>', 1, "$cancelled builds or walks were cancelled");
cmp_ok($worst, '<', 1, sprintf('within %.2f s', $worst));

# --- the planner waits for nobody ----------------------------------------------------------------------

my $locker = $node->background_psql('plain');
my $plan = q{SET statement_timeout = '10s'; EXPLAIN SELECT * FROM assetreg.where_used(6)};
unlike($node->safe_psql('plain', $plan), qr/rows=1000 /, 'the planner looks at the graph');
$locker->query_safe('BEGIN; LOCK TABLE assetreg.asset_dependencies IN ACCESS EXCLUSIVE MODE');
like($node->safe_psql('plain', $plan), qr/rows=1000 /, 'but does not wait for it');
$locker->query_safe('COMMIT');
$locker->quit;

# --- memory is given back -----------------------------------------------------------------------------

my $memory = q{SELECT sum(total_bytes) FROM pg_backend_memory_contexts};
my @sizes = split /\n/, $node->safe_psql('plain', <<"SQL");
SET assetreg.graph_source = memory;
SET assetreg.graph_cache_shared = off;
CREATE PROCEDURE pg_temp.walk(times int) LANGUAGE plpgsql AS 'BEGIN FOR i IN 1 .. times LOOP PERFORM assetreg.dependent_count(6), count(*) FROM assetreg.dependents(ARRAY[7], 1); END LOOP; END';
CREATE PROCEDURE pg_temp.build(times int) LANGUAGE plpgsql AS \$\$
BEGIN
	FOR i IN 1 .. times LOOP
		SET assetreg.graph_cache = off;
		PERFORM assetreg.dependent_count(6, true);
		SET assetreg.graph_cache = auto;
		PERFORM assetreg.dependent_count(6, true);
		BEGIN
			PERFORM assetreg.dependent_count(6, true), 1 / (i % 2);
		EXCEPTION WHEN division_by_zero THEN
		END;
	END LOOP;
END \$\$;
CALL pg_temp.walk(100);
CALL pg_temp.build(100);
$memory;
CALL pg_temp.walk(50000);
$memory;
CALL pg_temp.build(1000);
$memory;
SELECT builds, walks FROM assetreg.graph_cache_status;
SQL
my ($start, $walked, $built, $counts) = @sizes;
cmp_ok($walked - $start, '<', 100_000, 'no memory is lost by 100,000 walks');
cmp_ok($built - $walked, '<', 100_000, 'nor by 1,000 builds');
my ($builds, $walks) = split /\|/, $counts;
cmp_ok($builds, '>', 1000, "$builds builds");
cmp_ok($walks, '>', 100_000, "$walks walks");

# COPY FREEZE into a file that its own transaction made adds rows to pages that are all-visible already, and stay so.
my $dir = PostgreSQL::Test::Utils::tempdir;
my %copied = (
	edges => [ map { my $from = $_; join '', map { "$_\t1\tload\n" } $from .. $from + 199 } 2, 202 ],
	entities => [ map { my $from = $_; join '', map { "$_\tscene\t$_\n" } $from .. $from + 199 } 5001, 5201 ]);
for my $what (keys %copied) { append_to_file("$dir/$what$_", $copied{$what}[$_]) for 0, 1 }
make_graph('frozen', 'SELECT i AS a, 1 AS b FROM generate_series(2, 500) i');
sub both
{
	return join "\n", map { "SET LOCAL assetreg.graph_source = $_; SELECT sum(affected) FROM assetreg.impact(1);" } qw(memory index);
}
sub copy_edges
{
	return "COPY assetreg.asset_dependencies (dependent_id, dependency_id, added_by) FROM '$dir/edges$_[0]' (FREEZE);\n";
}
# the edges come with a trigger before each row, which keeps COPY from making pages all-visible
my $right = $node->safe_psql('frozen', join "\n", 'BEGIN;', 'DROP TRIGGER asset_dependencies_attribution ON assetreg.asset_dependencies;',
	'TRUNCATE assetreg.asset_dependencies;', copy_edges(0), both(), copy_edges(1), both(), 'ROLLBACK;');
is($right, "200\n200\n400\n400", 'edges that COPY FREEZE adds');
sub copy_entities
{
	my ($n) = @_;
	my $from = 5001 + 200 * $n;
	return "COPY assetreg.entities (id, kind, key) FROM '$dir/entities$n' (FREEZE);\n"
		. "INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT i, 1 FROM generate_series($from, $from + 199) i;\n";
}
$right = $node->safe_psql('frozen', join "\n", 'VACUUM;', 'BEGIN;', 'CLUSTER assetreg.entities USING entities_pkey;', copy_entities(0), both(), copy_entities(1), both(), 'ROLLBACK;');
is($right, "699\n699\n899\n899", 'entities that COPY FREEZE adds');

$node->stop;
done_testing();
