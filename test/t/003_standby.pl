# A hot standby gives the primary's answers: while the primary writes, after VACUUM and rewrites there, in a
# snapshot that is held meanwhile, and after promotion. Index entries that the primary has marked dead are
# not dead to older snapshots of a standby. Functions that write say clearly that a standby cannot.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Torture;
use Test::More;

my $primary = new_server('primary', allows_streaming => 1);
$primary->append_conf('postgresql.conf', 'autovacuum = off');
$primary->start;
fill($primary, 'postgres');
$primary->safe_psql('postgres', 'CREATE EXTENSION pageinspect');
# pages with room in them: reading does not prune these, which would have to wait for the standby's snapshots
for my $table ('asset_dependencies', 'asset_stats')
{
	$primary->safe_psql('postgres', "ALTER TABLE assetreg.$table SET (fillfactor = 10)");
	$primary->safe_psql('postgres', "VACUUM FULL assetreg.$table");
	$primary->safe_psql('postgres', "ALTER TABLE assetreg.$table RESET (fillfactor)");
}
$primary->backup('start');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'start', has_streaming => 1);
# replay waits for queries, not the other way round
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = -1\nwal_receiver_status_interval = 1");
$standby->start;

# A standby's sequences run up to 32 numbers ahead, as after a crash.
sub replicated
{
	my ($node) = @_;
	return contents($node, 'postgres') =~ s/^sequence.*\n//mr;
}

sub same_on_standby
{
	my ($test) = @_;
	$primary->wait_for_catchup($standby);
	same_lines(replicated($standby), replicated($primary), "$test: the same contents");
	same_lines(answers($standby, 'postgres'), answers($primary, 'postgres'), "$test: the same answers");
	agrees_with_sql($standby, 'postgres', "$test: walks agree with SQL");
	return;
}

same_on_standby('at the beginning');

my $walk = q{SELECT count(*) || ' ' || md5(string_agg(w::text, ',' ORDER BY e.id, w.entity_id)) FROM assetreg.entities e, assetreg.where_used(e.id) w};
my $held = $standby->background_psql('postgres');
$held->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $seen = $held->query_safe($walk);

# What readers of the primary find dead, they mark in the index; a full page image takes the marks along.
$primary->safe_psql('postgres', 'DELETE FROM assetreg.asset_dependencies WHERE dependency_id % 3 = 0');
$primary->safe_psql('postgres', q{
	SET enable_seqscan = off;
	SET enable_bitmapscan = off;
	SELECT count(*) FROM (SELECT dependent_id FROM assetreg.asset_dependencies ORDER BY dependent_id OFFSET 0) e;
	SELECT count(*) FROM (SELECT dependency_id FROM assetreg.asset_dependencies ORDER BY dependency_id OFFSET 0) e;
	CHECKPOINT;
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source)
		SELECT 400 - i, i, 'again' FROM generate_series(10, 150, 20) i;
});
same_on_standby('with dead index entries');
for my $index ('asset_dependencies_pkey', 'asset_dependencies_dependent_idx')
{
	my $dead = $standby->safe_psql('postgres', qq{
		SELECT count(*) FROM generate_series(1, pg_relation_size('assetreg.$index') / 8192 - 1) page,
			   bt_page_stats('assetreg.$index', page) s, bt_page_items('assetreg.$index', page) i WHERE s.type = 'l' AND i.dead});
	cmp_ok($dead, '>', 50, "the standby's $index has dead entries");
}
is($held->query_safe($walk), $seen, 'a snapshot of the standby sees what the primary has marked dead');
$held->query_safe('COMMIT');
isnt($held->query_safe($walk), $seen, 'and the next one does not');

# Rounds of writing and VACUUM, which now spares what the standby's snapshots see.
$standby->append_conf('postgresql.conf', 'hot_standby_feedback = on');
$standby->reload;
$primary->poll_query_until('postgres', 'SELECT backend_xmin IS NOT NULL FROM pg_stat_replication')
	or die 'no feedback of the standby';
$held->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$seen = $held->query_safe($walk);
my $round = 0;
# VACUUM would cut empty pages off under a lock that has to wait for the reader: TRUNCATE off
for my $options ('TRUNCATE off', 'TRUNCATE off, FREEZE', 'TRUNCATE off, INDEX_CLEANUP on')
{
	$round++;
	$primary->safe_psql('postgres', qq{
		DELETE FROM assetreg.asset_dependencies WHERE dependent_id % 7 = $round;
		INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source)
			SELECT 100 + i, 1 + i * $round % 97, 'round $round' FROM generate_series(1, 20) i;
		DELETE FROM assetreg.entities WHERE kind = 'job' AND id % 5 = $round;
		UPDATE assetreg.entities SET active = NOT active WHERE kind = 'scene' AND id % 3 = 0;
	});
	$primary->safe_psql('postgres', "VACUUM ($options)");
	same_on_standby("round $round");
	is($held->query_safe($walk), $seen, "round $round: a snapshot goes on seeing what it saw");
}
$held->query_safe('COMMIT');
isnt($held->query_safe($walk), $seen, 'until it ends');

# With no reader left, what takes exclusive locks.
$primary->safe_psql('postgres', $_)
	for 'VACUUM', 'VACUUM FULL assetreg.asset_dependencies', 'REINDEX TABLE CONCURRENTLY assetreg.asset_dependencies',
	'CLUSTER assetreg.entities USING entities_kind_key_key', 'VACUUM';
same_on_standby('rewritten');

# While the primary writes and vacuums: walks against plain SQL, in one statement of the standby.
prepare_torture($primary, 'postgres');
$primary->wait_for_catchup($standby);
my $compare = "\\set start random(1, 420)\n" . compare_sql(':start');
torture($ENV{TORTURE_SECONDS} // 10,
	[ 'writers', $primary->connstr('postgres'), [qw(-c 2)], 'SELECT change_edges();', 'SELECT change_entities();', 'SELECT copy_edges();' ],
	[ 'vacuum', $primary->connstr('postgres'), [], "VACUUM (TRUNCATE off) assetreg.asset_dependencies, assetreg.entities;\n\\sleep 100 ms\n" ],
	[ 'readers of the standby', $standby->connstr('postgres'), [], $compare ],
	[ 'a held snapshot there', $standby->connstr('postgres'), [], "BEGIN ISOLATION LEVEL REPEATABLE READ;\n" . "$compare\\sleep 50 ms\n" x 4 . "COMMIT;\n" ]);
same_on_standby('after writes');

for my $write (
	q{assetreg.register_asset('lora', 'new', '1')}, q{assetreg.put_entity('scene', 'new')},
	q{assetreg.put_entity(kind, key, 'new') FROM assetreg.entities WHERE kind = 'scene'}, 'assetreg.add_dependency(2, 1)',
	'assetreg.remove_dependency(dependent_id, dependency_id) FROM assetreg.asset_dependencies', 'assetreg.move_dependents(1, 2)')
{
	my ($status, $out, $error) = $standby->psql('postgres', "\\set VERBOSITY verbose\nSELECT $write");
	like($error, qr/ERROR:  25006: cannot execute [\w()]+( \w+)* in a read-only transaction/, "$write on a standby");
}

# Promotion while a transaction is open: it began in recovery, the next ones do not.
$held->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$seen = $held->query_safe($walk);
my $contents = replicated($primary);
my $answers = answers($primary, 'postgres');
$primary->wait_for_catchup($standby);
$primary->stop;
$standby->promote;
is($held->query_safe($walk), $seen, 'a transaction that began before promotion sees what it saw');
same_lines(replicated($standby), $contents, 'promoted: the same contents');
same_lines(answers($standby, 'postgres'), $answers, 'promoted: the same answers');
$standby->safe_psql('postgres', 'DELETE FROM assetreg.asset_dependencies WHERE dependency_id % 2 = 0');
is($held->query_safe($walk), $seen, 'and goes on after a write');
$held->query_safe('COMMIT');
isnt($held->query_safe($walk), $seen, 'until it ends');
$held->quit;
works_on($standby, 'postgres', 'promoted');
agrees_with_sql($standby, 'postgres', 'promoted: walks agree with SQL after a write');

$standby->stop;
done_testing();
