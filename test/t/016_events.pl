# Exactly the committed events reach each consumer, an asset's in order, whatever is killed meanwhile: the server,
# backends, workers; workers that sleep past their lease; commits that nobody waited for. test/faults.py does it, and
# a poller beside the consumers shows that such a run loses events where they can be lost.
# ASSETREG_FAULT_SECONDS makes it longer than 20 seconds; `make faults` takes 200, and then counts what has to be reached.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $python = '/usr/bin/python3';
plan skip_all => 'python3-psycopg is not installed' if system("$python -c 'import psycopg' 2>/dev/null");

my $seconds = $ENV{ASSETREG_FAULT_SECONDS} || 20;
my ($registry, $effects) = map { new_server($_) } qw(registry effects);
# a small log: checkpoints and full pages on the way
$registry->append_conf('postgresql.conf', "max_wal_size = 64MB\ncheckpoint_timeout = 30s\nrestart_after_crash = on");
$_->start for $registry, $effects;
$registry->safe_psql('postgres', 'CREATE EXTENSION assetreg');

my ($bindir) = run_command([ 'pg_config', '--bindir' ]);
my ($output, $errors) = run_command([ $python, "$FindBin::RealBin/../faults.py", 'run', $seconds, $registry->data_dir, $bindir,
	$registry->connstr('postgres'), $effects->connstr('postgres') ]);
note($output);
is($errors, '', 'the run came to its end');
my %result = map { split / / } split /\n/, $output;

# of a short run, beside other tests, a quarter
my %least = (events => 50000, postmaster_kills => 50, worker_kills => 100, worker_stops => 50, backend_kills => 100);
my $share = $seconds < 200 ? $seconds / 800 : 1;
cmp_ok($result{$_} // 0, '>=', $least{$_} * $share, "there were $_") for sort keys %least;
cmp_ok($result{$_} // 0, '>', 0, "there were $_") for qw(one_again two_again), $seconds < 200 ? () : 'leases_lost';
for my $consumer (qw(one two))
{
	is($result{"${consumer}_lost"}, 0, "consumer $consumer lost none");
	is($result{"${consumer}_phantom"}, 0, "consumer $consumer was given none that never was");
	is($result{"${consumer}_gaps"}, 0, "consumer $consumer: each asset's events are a chain in order");
	is($result{"${consumer}_unseen"}, 0, "consumer $consumer: what a client saw committed was given");
}
SKIP: {
	# of some thousand events on a busy machine it may have lost none
	skip 'the poller lost nothing in so short a run; make faults takes longer', 1 if $seconds < 200 && !$result{naive_lost};
	cmp_ok($result{naive_lost} // 0, '>', 0, 'the poller lost some: the run can fail');
}
is($registry->safe_psql('postgres', 'SELECT * FROM assetreg.check_registry()'), '', 'the registry is whole');
is($registry->safe_psql('postgres', 'SELECT count(*) - count(DISTINCT seq) FROM assetreg.events WHERE seq IS NOT NULL'), '0', 'each position was given once');
$registry->stop;
$effects->stop;
done_testing();
