# Events on their way: notifications, transactions that stay open, dumps, standbys, pg_upgrade, and the examples of consumers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $node = new_server('main', allows_streaming => 1);
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION assetreg');
$node->safe_psql('postgres', "SELECT assetreg.create_consumer('c'), assetreg.create_consumer('p', partitions => 4)");
my $registered = 0;

# All that a consumer has still to do, fetched and acked: the subjects in the order of delivery.
sub drain
{
	my ($server, $database, $consumer) = @_;
	my @subjects;
	while ((my $rows = $server->safe_psql($database, "SELECT seq, lease_token, subject FROM assetreg.fetch_events('$consumer', 400)")) ne '')
	{
		my @rows = map { [ split /\|/ ] } split /\n/, $rows;
		push @subjects, map { $_->[2] } @rows;
		$server->safe_psql($database, "SELECT assetreg.ack_events('$consumer', $rows[-1][0], $rows[-1][1])");
	}
	return @subjects;
}

sub register
{
	my ($server, $count, %how) = @_;
	my @names = map { 'asset ' . ++$registered } 1 .. $count;
	$server->safe_psql($how{database} // 'postgres', join ';', map { "SELECT assetreg.register_asset('lora', '$_', '1')" } @names);
	return map { "lora/$_\@1" } @names;
}

# --- notifications --------------------------------------------------------------------------------

# What arrives at somebody who listens while the statements run: channel and type, and what is no stub.
sub notified
{
	my ($statements, %how) = @_;
	my $output = $node->safe_psql('postgres', "LISTEN assetreg_events; LISTEN assetreg_regression; LISTEN assetreg_staleness;\n$statements;");
	my @got;
	while ($output =~ /Asynchronous notification "(\w+)" with payload "(.*)" received/g)
	{
		my ($channel, $payload) = ($1, $2);
		my $stub = qr/^\{"specversion":"1\.0","id":"[0-9a-f-]{36}","source":"\/assetreg","type":"([a-z_.]+)","subject":"\d+"\}$/;
		push @got, $channel . ' ' . ($payload =~ $stub ? $1 : $payload);
	}
	return join ', ', @got;
}

is(notified(q{SELECT assetreg.register_asset('lora', 'n', '1')}), 'assetreg_events asset.registered', 'a first version');
is(notified(q{SELECT assetreg.register_asset('lora', 'n', '2')}), 'assetreg_events asset.version_released, assetreg_staleness asset.version_released', 'a further version');
is(notified(q{INSERT INTO assetreg.assets (type, name, version) SELECT 'lora', 'bulk ' || i / 2, i % 2 FROM generate_series(1, 3000) i}),
	'assetreg_events asset.registered, assetreg_staleness asset.version_released', 'of 3,000 rows one for each channel');
is(notified(q{SELECT assetreg._emit('update.opened', '{1,2}', '{7,8}', '{}')}), 'assetreg_events update.opened, assetreg_regression update.opened', 'an update');
is(notified(q{SELECT assetreg._emit('update.opened', '{1}', '{7}', '{}'), assetreg._emit('update.resolved', '{1}', '{7}', '{}'), assetreg._emit('update.testing', '{1}', '{7}', '{}')}),
	'assetreg_events update.opened, assetreg_regression update.opened', 'several events of one statement');
is(notified("BEGIN;\nSELECT assetreg.register_asset('lora', 'n', '3');\nUPDATE assetreg.assets SET preview_url = 'x';\nUPDATE assetreg.assets SET status = 'deprecated' WHERE name = 'n';\nCOMMIT"),
	'assetreg_events asset.version_released, assetreg_staleness asset.version_released, assetreg_events asset.status_changed, assetreg_staleness asset.status_changed',
	'each statement of a transaction');
is(notified("BEGIN;\nSELECT assetreg.register_asset('lora', 'n', '4');\nROLLBACK"), '', 'nothing after a rollback');
is(notified("BEGIN;\nSAVEPOINT s;\nSELECT assetreg.register_asset('lora', 'n', '4');\nROLLBACK TO s;\nSELECT assetreg.register_asset('lora', 'other', '1');\nCOMMIT"),
	'assetreg_events asset.registered', 'nothing of a savepoint that was rolled back');
is(notified(q{DO $$ BEGIN
	BEGIN PERFORM assetreg.register_asset('lora', 'o', '1'); RAISE EXCEPTION ''; EXCEPTION WHEN OTHERS THEN END;
	PERFORM assetreg.register_asset('lora', 'o', '2'), assetreg.register_asset('lora', 'o', '3');
	BEGIN PERFORM assetreg.register_asset('lora', 'o', '4'); RAISE EXCEPTION ''; EXCEPTION WHEN OTHERS THEN END;
	PERFORM assetreg.register_asset('lora', 'o', '5');
END $$}), 'assetreg_events asset.registered, assetreg_staleness asset.version_released', 'a block that catches errors is one statement');
is(notified("SET assetreg.notify = off;\nSELECT assetreg.register_asset('lora', 'n', '5')"), '', 'none where it is switched off');

# What everybody has read stays in the queue until somebody looks; what one has not read stays in any case.
my $listener = $node->background_psql('postgres');
my $usage = sub { return $node->safe_psql('postgres', 'SELECT assetreg.notify_queue_usage()') };
my $files = sub { return scalar(my @names = glob($node->data_dir . '/pg_notify/*')) };
is($usage->(), '0', 'the queue is empty');
$listener->query_safe('LISTEN assetreg_events');
$listener->query_safe('BEGIN');
$node->safe_psql('postgres', q{SELECT count(pg_notify('other', i || repeat('x', 7900))) FROM generate_series(1, 500) i});
my $held = $usage->();
cmp_ok($held, '>', 0, 'who listens and stays in a transaction holds the queue');
my @during = register($node, 1);
cmp_ok($usage->(), '>=', $held, 'to ask does not help then');
cmp_ok($files->(), '>', 10, 'the queue takes room');
like($listener->query_safe('COMMIT'), qr/"assetreg_events" with payload/, 'when the transaction has ended it hears of what happened meanwhile');
cmp_ok($files->(), '>', 10, 'all is read, and the queue is as long as it was');
is($usage->(), '0', 'to ask frees it');
cmp_ok($files->(), '<=', 1, 'and its room');
$listener->quit;

# --- who commits late, or not ---------------------------------------------------------------------

drain($node, 'postgres', $_) for qw(c p);
my $open = $node->background_psql('postgres');
$open->query_safe(q{BEGIN; SELECT assetreg.register_asset('lora', 'late', '1')});
my $elsewhere = $node->background_psql('template1');
$elsewhere->query_safe('BEGIN; CREATE TABLE nothing ()');
$node->safe_psql('postgres', q{SET assetreg.notify = off; BEGIN; SELECT assetreg.register_asset('lora', 'prepared', '1'); PREPARE TRANSACTION 'p'});
my @now = register($node, 20);
is_deeply([ drain($node, 'postgres', 'c') ], \@now, 'open and prepared transactions, here and in another database, delay nothing');
is_deeply([ sort(drain($node, 'postgres', 'p')) ], [ sort @now ], 'nor for a consumer of four partitions');
$open->query_safe('COMMIT');
$open->quit;
is_deeply([ drain($node, 'postgres', 'c') ], ['lora/late@1'], 'what began earlier and commits later is not skipped');
$node->safe_psql('postgres', q{COMMIT PREPARED 'p'});
is_deeply([ drain($node, 'postgres', 'c') ], ['lora/prepared@1'], 'nor what was prepared');
is_deeply([ sort(drain($node, 'postgres', 'p')) ], [ 'lora/late@1', 'lora/prepared@1' ], 'nor for the other consumer');
$elsewhere->quit;
my ($status, undef, $stderr) = $node->psql('postgres', q{BEGIN; SELECT assetreg.register_asset('lora', 'q', '1'); PREPARE TRANSACTION 'q'});
like($stderr, qr/cannot PREPARE a transaction that has executed .*NOTIFY/, 'what notifies cannot be prepared, as the server says');

# --- dump and restore, standby, pg_upgrade --------------------------------------------------------

# Exactly what was pending is given, then what is new.
sub goes_on
{
	my ($server, $database, $how, @pending) = @_;
	$server->safe_psql($database, 'UPDATE assetreg.event_partitions SET leased_until = now()');
	my @new = register($server, 5, database => $database);
	is_deeply([ drain($server, $database, 'c') ], [ @pending, @new ], "$how: exactly the pending events, then the new ones");
	is_deeply([ sort(drain($server, $database, 'p')) ], [ sort @pending, @new ], "$how: for both consumers");
	is($server->safe_psql($database, 'SELECT * FROM assetreg.check_registry()'), '', "$how: the registry is whole");
	return;
}

my @pending = register($node, 1000);
is($node->safe_psql('postgres', q{SELECT count(*) FROM assetreg.fetch_events('c', 10)}), '10', 'some are in flight');
$node->backup('base');
my $dump = $node->basedir . '/dump';
my $other = new_server('other');
$other->start;
for my $format (qw(plain custom directory))
{
	my $database = "restored_$format";
	$node->command_ok([ 'pg_dump', '-F', substr($format, 0, 1), '-f', "$dump.$format", $node->connstr('postgres') ], "dump: $format");
	$other->safe_psql('postgres', "CREATE DATABASE $database");
	$other->command_ok($format eq 'plain'
		? [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $other->connstr($database), '-f', "$dump.$format" ]
		: [ 'pg_restore', '-d', $other->connstr($database), ($format eq 'directory' ? ('-j', '2') : ()), "$dump.$format" ], "restore: $format");
	is($other->safe_psql($database, 'SELECT count(*) FROM assetreg.events'), $node->safe_psql('postgres', 'SELECT count(*) FROM assetreg.events'), "$format: no event was added");
	goes_on($other, $database, $format, @pending);
}

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
push @pending, register($node, 10);
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q{SELECT pending FROM assetreg.consumer_lag WHERE name = 'c'}), '1010', 'a standby shows what is pending');
($status, undef, $stderr) = $standby->psql('postgres', q{SELECT * FROM assetreg.fetch_events('c')});
like($stderr, qr/cannot .* (during recovery|in a read-only transaction)/, 'and gives nothing out');
$node->stop('immediate');
$standby->promote;
goes_on($standby, 'postgres', 'promoted', @pending);

# what the old primary has is the same; pg_upgrade wants it to have ended in order
$node->start;
$node->stop;
my $upgraded = new_server('upgraded');
my $bin = $node->config_data('--bindir');
chdir $upgraded->basedir or die 'could not change to ' . $upgraded->basedir . ": $!";	# where it writes its logs
command_ok([ 'pg_upgrade', '--no-sync', '-b', $bin, '-B', $bin, '-d', $node->data_dir, '-D', $upgraded->data_dir,
		'-s', $upgraded->host, '-p', $node->port, '-P', $upgraded->port ], 'pg_upgrade');
$upgraded->start;
is($upgraded->safe_psql('postgres', q{SELECT sum(pending) FROM assetreg.consumer_lag WHERE name IN ('c', 'p')}), '2020', 'upgraded: all is pending');
goes_on($upgraded, 'postgres', 'upgraded', @pending);
$upgraded->stop;

# --- the examples ---------------------------------------------------------------------------------

# An example works off what is there, is woken by a notification and not by its clock, and survives the loss of its connection.
sub example
{
	my ($table, $emit, @command) = @_;
	my $done = sub {
		my ($count) = @_;
		return $standby->poll_query_until('postgres', "SELECT count(*) >= $count FROM public.$table");
	};
	my %environment = (PGHOST => $standby->host, PGPORT => $standby->port, PGDATABASE => 'postgres', PGUSER => scalar getpwuid($<));	# pg does not ask who it is
	local @ENV{keys %environment} = values %environment;
	my $output = '';
	ok(IPC::Run::run([ @command, '--once' ], '>&', \$output), "$table: what was there is done") or diag($output);
	my $count = $standby->safe_psql('postgres', "SELECT count(*) FROM public.$table");
	cmp_ok($count, '>', 0, "$table: something was");
	my $example = IPC::Run::start([@command], '>&', \$output);
	$standby->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query ~ 'fetch_events|SELECT 1' AND pid <> pg_backend_pid()}) or die 'it does not run';
	sleep 1;
	my $start = time;
	$standby->safe_psql('postgres', $emit);
	ok($done->(++$count), "$table: an event is done");
	cmp_ok(time - $start, '<', 4, "$table: because it was notified");
	$standby->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'fetch_events|SELECT 1' AND pid <> pg_backend_pid()});
	$standby->safe_psql('postgres', "SET assetreg.notify = off; $emit");
	ok($done->(++$count), "$table: after the connection was lost, what was not heard is fetched");
	$example->kill_kill;
	is($standby->safe_psql('postgres', "SELECT count(*) FROM public.$table"), $count, "$table: each once");
	return;
}

# they begin with all that is kept
cmp_ok($standby->safe_psql('postgres', q{SELECT assetreg.purge_events('0')}), '>', 0, 'what every consumer has done is purged');
my $examples = "$FindBin::RealBin/../../examples";
SKIP:
{
	skip 'python3-psycopg is not installed', 6 if system("/usr/bin/python3 -c 'import psycopg' 2>/dev/null");
	$standby->safe_psql('postgres', q{SELECT assetreg._emit('update.opened', '{1}', '{1}', '{}')});
	example('regression_runs', q{SELECT assetreg._emit('update.opened', '{1}', '{2}', '{}')}, '/usr/bin/python3', "$examples/regression_runner.py");
}
SKIP:
{
	skip 'node-pg is not installed', 7 if system(q{node -e 'require("pg")' 2>/dev/null});
	$standby->safe_psql('postgres', q{
		SELECT assetreg.add_dependency(assetreg.put_entity('segment', 'rain 1'), assetreg.asset_id('lora/n@1'));
		SELECT assetreg.register_asset('lora', 'n', '9')});
	example('stale_segments', q{UPDATE assetreg.assets SET status = CASE status WHEN 'active' THEN 'deprecated' ELSE 'active' END WHERE name = 'n' AND version = '9'},
		'node', "$examples/staleness_detector.js");
	is($standby->safe_psql('postgres', q{SELECT segments FROM public.stale_segments WHERE subject = 'lora/n@9' LIMIT 1}), '{"rain 1"}', 'stale_segments: the segments downstream');
}
$standby->stop;
$other->stop;
done_testing();
