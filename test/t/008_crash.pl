# A registry survives kill -9 of the server in the midst of writes, several times: it is whole afterwards, walks
# agree with SQL, and what was committed is there. A page that was torn or a visibility map that was lost with
# the crash would show in the walks, which trust both.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Torture;
use Test::More;

my $node = new_server('main');
# a few checkpoints on the way, and commits that are on disk when they are done
$node->append_conf('postgresql.conf', "fsync = on\nsynchronous_commit = on\ncheckpoint_timeout = 30s\nmax_wal_size = 32MB");
$node->start;
fill($node, 'postgres');
prepare_torture($node, 'postgres');
$node->safe_psql('postgres', 'CREATE TABLE committed (id bigint)');

# A session that does the same until the server is gone.
my $nwriters = 0;
sub writer
{
	my ($statements) = @_;
	my $file = $node->basedir . '/writer' . ++$nwriters;
	append_to_file($file, "$statements\n" x 50000);
	return IPC::Run::start([ 'psql', '-Xq', '-o', '/dev/null', '-d', $node->connstr('postgres'), '-f', $file ], '<', \undef, '>&', '/dev/null');
}

for my $round (1 .. 3)
{
	my @sessions = map { writer($_) } (
		'SELECT change_edges(); SELECT change_entities(); SELECT copy_edges();',
		"WITH new AS (SELECT assetreg.register_asset('lora', 'round $round ' || random(), '1') AS id) INSERT INTO committed SELECT id FROM new;",
		'VACUUM assetreg.asset_dependencies, assetreg.entities; VACUUM (FREEZE) assetreg.assets; SET assetreg.graph_source = memory; SELECT count(*) FROM assetreg.where_used(1);');
	my $least = 100 * $round;
	$node->poll_query_until('postgres', "SELECT count(*) > $least FROM committed") or die 'nothing was written';
	my $pid = slurp_file($node->data_dir . '/postmaster.pid') =~ s/\n.*//sr;
	$node->kill9;
	$_->finish for @sessions;
	# whoever inherits the dead process has to take note, and its backends to notice
	my $started = 0;
	for (1 .. 600)
	{
		last if !kill(0, $pid) && ($started = $node->start(fail_ok => 1));
		select undef, undef, undef, 0.1;
	}
	ok($started, "round $round: the server is up again");
	is($node->safe_psql('postgres', 'SELECT * FROM assetreg.check_registry()'), '', "round $round: the registry is whole");
	agrees_with_sql($node, 'postgres', "round $round: walks agree with SQL");
	agrees_in_memory(sub { $node->safe_psql('postgres', $_[0]) }, "round $round: and so does memory");
}
$node->stop;
done_testing();
