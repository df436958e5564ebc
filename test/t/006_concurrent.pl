# Walks are exact for the statement's snapshot whatever other sessions do meanwhile: for TORTURE_SECONDS (45)
# writers change edges, entities and assets, another session vacuums, reindexes and rewrites the tables, and
# readers compare walks with plain SQL in one statement: in every isolation level, in snapshots held over many
# statements, amid changes of their own, through each source of the graph.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Torture;
use Test::More;

my $seconds = $ENV{TORTURE_SECONDS} // 45;
my $node = new_server('main');
$node->append_conf('postgresql.conf', 'deadlock_timeout = 100ms');
$node->start;
fill($node, 'postgres');
prepare_torture($node, 'postgres');
my $connstr = $node->connstr('postgres');
my $sql = "$connstr options='-c assetreg.graph_source=sql'";
my $serializable = "$connstr options='-c default_transaction_isolation=serializable'";

my $compare = "\\set start random(1, 420)\n" . compare_sql(':start') . "SELECT nextval('compared');\n";
my $held = "BEGIN ISOLATION LEVEL REPEATABLE READ;\n" . "$compare\\sleep 30 ms\n" x 4 . "COMMIT;\n";
my $own = "BEGIN;\nSELECT change_edges();\n${compare}SAVEPOINT s;\nSELECT change_entities();\n${compare}"
	. "ROLLBACK TO s;\n${compare}DELETE FROM assetreg.asset_dependencies WHERE dependency_id = :start;\n${compare}";

torture($seconds,
	[ 'writers', $connstr, [qw(-c 3 -j 1)], 'SELECT change_edges();', 'SELECT change_entities();', 'SELECT copy_edges();',
		"BEGIN;\nSELECT copy_edges();\nSELECT change_entities();\nROLLBACK;",
		"BEGIN;\nSAVEPOINT a;\nSELECT change_edges();\nROLLBACK TO a;\nSELECT change_edges();\nSAVEPOINT b;\nSELECT change_edges();\nCOMMIT;" ],
	[ 'vacuum', $connstr, [], "VACUUM assetreg.asset_dependencies, assetreg.entities;\n\\sleep 50 ms\n" ],
	[ 'maintenance', $connstr, [], join "\\sleep 100 ms\n", map { "$_;\n" }
		'VACUUM assetreg.asset_dependencies, assetreg.entities', 'REINDEX INDEX CONCURRENTLY assetreg.asset_dependencies_pkey',
		'VACUUM (FREEZE) assetreg.asset_dependencies, assetreg.entities', 'VACUUM (INDEX_CLEANUP off) assetreg.asset_dependencies',
		'VACUUM FULL assetreg.asset_dependencies', 'REINDEX INDEX CONCURRENTLY assetreg.asset_dependencies_dependent_idx',
		'CREATE INDEX CONCURRENTLY IF NOT EXISTS other_idx ON assetreg.asset_dependencies (dependent_id, dependency_id)',
		'CLUSTER assetreg.asset_dependencies USING asset_dependencies_dependent_idx', 'VACUUM FULL assetreg.entities',
		'DROP INDEX CONCURRENTLY assetreg.other_idx', 'REINDEX TABLE CONCURRENTLY assetreg.entities' ],
	[ 'read committed', $connstr, [qw(-c 2)], $compare ],
	[ 'prepared', $connstr, [qw(-M prepared)], $compare ],
	[ 'source sql', $sql, [], $compare ],
	[ 'repeatable read', $connstr, [], $held ],
	[ 'serializable', $serializable, [], $compare, "BEGIN;\n$compare\\sleep 10 ms\n${compare}SELECT change_edges();\n${compare}COMMIT;\n" ],
	[ 'among own changes', $connstr, [], "${own}ROLLBACK;\n", "${own}COMMIT;\n" ]);

my $compared = $node->safe_psql('postgres', 'SELECT last_value FROM compared');
cmp_ok($compared, '>', 1000, "$compared comparisons");
agrees_with_sql($node, 'postgres', 'walks agree with SQL in the end');
is($node->safe_psql('postgres', 'SELECT * FROM assetreg.check_registry()'), '', 'and the registry is whole');
$node->stop;
unlike(slurp_file($node->logfile), qr/WARNING|PANIC|was terminated|division by zero/, 'the server has nothing to complain of');

done_testing();
