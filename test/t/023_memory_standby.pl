# The graph in memory is exact on a hot standby, too. While the primary changes everything, and vacuums all the time,
# sessions of a standby, and of a standby of that, hold memory against the index and WITH RECURSIVE under one snapshot:
# of a statement, held long, in old cursors. Replay waits for them, or throws them out; it pauses and goes on; with
# feedback and without; with and without hint bits in the log. At last the standby is promoted, and its sessions go on
# with the memory that they have.
#
# Exported snapshots are left out: of one that has lost sight of subtransactions PostgreSQL 15.18 exports no running transactions in
# recovery (ExportSnapshot), and who imports it marks rows as dead for all sessions (doc/internals.md).
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

my $seconds = $ENV{STANDBY_SECONDS} // 10;
my $primary = new_server('primary', allows_streaming => 1);
$primary->append_conf('postgresql.conf', "max_connections = 50\ndeadlock_timeout = 100ms\nsession_preload_libraries = 'assetreg'\nhot_standby_feedback = on\nmax_standby_streaming_delay = -1");
$primary->append_conf('postgresql.conf', "assetreg.break = $ENV{ASSETREG_BREAK}") if $ENV{ASSETREG_BREAK};
$primary->start;
fill($primary, 'postgres');
prepare_torture($primary, 'postgres');
prepare_comparisons($primary, 'postgres');
$primary->safe_psql('postgres', 'VACUUM assetreg.asset_dependencies, assetreg.entities');
$primary->backup('start');

sub standby_of
{
	my ($name, $upstream) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$standby->init_from_backup($primary, 'start', has_streaming => 1);
	$standby->enable_streaming($upstream);
	$standby->append_conf('postgresql.conf', 'wal_receiver_status_interval = 1');
	$standby->start;
	return $standby;
}
my $standby = standby_of('standby', $primary);
my $second = standby_of('second', $standby);

my $compare = "SELECT compare((random() * 420)::bigint) FROM generate_series(1, 3);\n";
my $sleep = "SELECT FROM pg_sleep(0.03);\n";
my $held = "BEGIN ISOLATION LEVEL REPEATABLE READ;\n" . "$compare$sleep" x 4 . "COMMIT;\n";
my $cursor = "BEGIN;\nDECLARE c CURSOR FOR SELECT compare(i * 40) FROM generate_series(1, 10) i;\nFETCH 2 FROM c;\n$sleep$compare$sleep"
	. "FETCH 2 FROM c;\n$sleep${compare}FETCH 6 FROM c;\nCOMMIT;\n";
sub readers
{
	my ($time) = @_;
	my @readers = start_readers($time, [ 'standby', $standby->connstr('postgres'), $compare ], [ 'a held snapshot', $standby->connstr('postgres'), $held ],
		[ 'an old cursor', $standby->connstr('postgres'), $cursor ],
		[ 'a standby of the standby', $second->connstr('postgres'), "$compare$held" ]);
	return @readers;
}

# What writers do to a primary; some of it takes locks that wait for readers of a standby.
sub write_to
{
	my ($node, $time) = @_;
	my $connstr = $node->connstr('postgres');
	torture($time,
		[ 'writers', $connstr, [qw(-c 2)], 'SELECT change_edges();', 'SELECT change_entities();', 'SELECT copy_edges();', 'SELECT without_triggers();',
			# standbys lose sight of so many subtransactions
			"BEGIN;\nSELECT many_subtransactions();\n\\sleep 20 ms\nSELECT many_subtransactions();\nCOMMIT;", "BEGIN;\nSELECT change_edges();\n\\sleep 20 ms\nROLLBACK;" ],
		[ 'prepared transactions', $connstr, [], map { "BEGIN;\nSET LOCAL assetreg.notify = off;\nSELECT change_edges();\nPREPARE TRANSACTION 'p';\n\\sleep 40 ms\n$_ PREPARED 'p';\n\\sleep 100 ms\n" }
			qw(COMMIT ROLLBACK) ],
		[ 'vacuum', $connstr, [], "VACUUM assetreg.asset_dependencies, assetreg.entities;\n\\sleep 20 ms\n", "VACUUM (FREEZE) assetreg.asset_dependencies;\n\\sleep 20 ms\n",
			"CHECKPOINT;\n" ],
		[ 'rewrites', $connstr, [],
			map { "$_\n\\sleep 400 ms\n" } "SELECT rewrite('TRUNCATE assetreg.asset_dependencies');\nSELECT refill();\n", "SELECT rewrite('CLUSTER assetreg.entities USING entities_pkey');",
			"SELECT rewrite('SELECT pg_truncate_visibility_map(\$\$assetreg.asset_dependencies\$\$)');", 'VACUUM (FULL, SKIP_LOCKED) assetreg.asset_dependencies;',
			"SELECT cut_off();\nVACUUM assetreg.asset_dependencies;\nSELECT refill();\n" ]);
	return;
}

# One session keeps its memory through all of this.
my $ask = 'SELECT bool_and(compare(i * 20)), (SELECT builds || $$ $$ || pg_backend_pid() FROM assetreg.graph_cache_status) FROM generate_series(0, 20) i';
my $one = $standby->background_psql('postgres', on_error_stop => 0);
my $edges = 'assetreg.asset_dependencies';
my @wrong;
for my $step ('SELECT 1', "DELETE FROM $edges WHERE dependency_id % 7 = 3", "DELETE FROM $edges WHERE dependency_id % 7 = 4; VACUUM $edges",
	"UPDATE $edges SET relation = 'other' WHERE dependency_id % 9 = 1; VACUUM $edges; DELETE FROM $edges WHERE dependency_id % 9 = 2", "VACUUM (FREEZE) $edges",
	'SELECT refill()', "VACUUM $edges", "DELETE FROM $edges WHERE ctid > '(12,0)'; VACUUM $edges", 'SELECT refill()', "VACUUM $edges",
	'UPDATE assetreg.entities SET active = NOT active WHERE id > 200 AND id % 3 = 0 AND kind NOT IN (SELECT name FROM assetreg.asset_types); VACUUM assetreg.entities',
	"SELECT pg_truncate_visibility_map('$edges'); DELETE FROM $edges WHERE dependency_id % 9 = 5; VACUUM $edges", "CLUSTER $edges USING asset_dependencies_pkey", "VACUUM $edges")
{
	$primary->safe_psql('postgres', $step);
	$primary->wait_for_catchup($standby);
	my $out = $one->query($ask);
	push @wrong, "$step: $out" if $out !~ /^t\|/;
}
is("@wrong", '', 'one session through all kinds of change');
$one->quit;

my @readers = readers($seconds);
write_to($primary, $seconds - 1);
my ($used) = finish_readers(@readers);
cmp_ok($used, '>', 10 * $seconds, "replay waits: $used comparisons");
is(differences($_), undef, $_->name . ': no walk differs') for $standby, $second;

# Replay throws readers out, and stops and goes on.
$_->append_conf('postgresql.conf', "hot_standby_feedback = off\nmax_standby_streaming_delay = 50ms\nmax_standby_archive_delay = 50ms") for $standby, $second;
$_->reload for $standby, $second;
$primary->append_conf('postgresql.conf', 'wal_log_hints = on');
$primary->restart;
my $cancelled = 0;
# whether a reader is in the way when a vacuum is replayed is chance
for (my $try = 0; $cancelled == 0 && $try < 6; $try++)
{
	@readers = readers($seconds);
	my @pauses = start_readers($seconds, [ 'pauses', $standby->connstr('postgres'), "SELECT true FROM (SELECT pg_wal_replay_pause()) p, pg_sleep(0.2);\n"
		. "SELECT true FROM (SELECT pg_wal_replay_resume()) p, pg_sleep(0.2);\n" ]);
	write_to($primary, $seconds - 1);
	finish_readers(@pauses);
	# the last statement of who was sent away may still pause; recovery may cancel these, too
	$standby->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE query ~ 'replay_pause' AND pid <> pg_backend_pid()})
		or die 'somebody is still there to pause recovery';
	$standby->poll_query_until('postgres', 'SELECT true FROM (SELECT pg_wal_replay_resume()) r') or die 'recovery stays paused';
	($used, my $thrown_out) = finish_readers(@readers);
	cmp_ok($used, '>', 2 * $seconds, "readers are thrown out: $used comparisons");
	$cancelled += $thrown_out;
}
cmp_ok($cancelled, '>', 0, "$cancelled times");
is(differences($_), undef, $_->name . ': no walk differs') for $standby, $second;

# Promotion. Sessions stay, with a snapshot of before and with the memory of before.
$_->append_conf('postgresql.conf', "max_standby_streaming_delay = -1\nhot_standby_feedback = on") for $standby, $second;
$_->reload for $standby, $second;
my @sessions = map { $_->background_psql('postgres') } $standby, $standby, $second;
my ($fresh, $old, $cascaded) = @sessions;
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $rows = 'SELECT count(*), md5(string_agg((d.dependency_id, d.dependent_id)::text, $$ $$ ORDER BY d.dependency_id, d.dependent_id, d.source)) FROM assetreg.asset_dependencies d';
my $seen = $old->query_safe($rows);
my @before = map { $_->query_safe($ask) } @sessions;
like($_, qr/^t\|/, 'a session has memory') for @before;
@readers = readers($seconds);
$primary->stop;
$standby->promote;
is($fresh->query_safe($ask), $before[0], 'promoted: a session goes on with the memory it has');
write_to($standby, $seconds - 2);
is($old->query_safe($rows), $seen, 'a snapshot of before sees what it saw');
like($old->query_safe($ask), qr{^t\|}, 'and memory answers for it');
$old->query_safe('COMMIT');
finish_readers(@readers);
like($_->query_safe($ask), qr/^t\|/, 'a session goes on after writes') for @sessions;
$_->quit for @sessions;

$_->stop for $second, $standby;
is(differences($_), undef, $_->name . ': no walk differs') for $standby, $second, $primary;
done_testing();
