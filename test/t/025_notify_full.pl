# A queue of notifications that is full fails no change of the registry: a session listens and stays in a transaction,
# others fill the queue to its last page, and assets are registered all the same; when the listener moves on, the
# next registration frees the queue by itself. From PostgreSQL 17 on the queue can be made small enough to fill it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $node = new_server('main');
plan skip_all => 'before PostgreSQL 17 the queue of notifications has 8 GB, too much to fill it' if $node->pg_version < 17;
$node->append_conf('postgresql.conf', 'max_notify_queue_pages = 64');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION assetreg');

# Registers assets, each in a transaction of its own; how many there are then, and how many were not notified.
my $name = 0;
sub register
{
	my ($count) = @_;
	my $last = $name + $count;
	my (undef, undef, $errors) = $node->psql('postgres', "SELECT format('SELECT assetreg.register_asset(%L, %L, %L)', 'lora', 'n' || i, '1') FROM generate_series($name + 1, $last) i \\gexec", on_error_stop => 0);
	$name = $last;
	unlike($errors, qr/ERROR/, "$count assets are registered");
	is($node->safe_psql('postgres', q(SELECT count(*) FROM assetreg.events WHERE type = 'asset.registered')), $last, 'and so are their events');
	return scalar(my @warnings = $errors =~ /WARNING:  events are not notified, because the queue of notifications is \d+% full/g);
}

sub usage { return $node->safe_psql('postgres', 'SELECT pg_notification_queue_usage()') }

is(register(5), 0, 'nobody listens: all are notified');
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN assetreg_events');
$listener->query_safe('BEGIN');

# Two of these take a page.
sub notify_others
{
	my ($count) = @_;
	my (undef, undef, $errors) = $node->psql('postgres',
		qq(SELECT format('SELECT pg_notify(%L, %L)', 'other', i || repeat('x', 3900)) FROM generate_series(1, $count) i \\gexec), on_error_stop => 0);
	return $errors;
}
notify_others(100);
cmp_ok(usage(), '>', 0.6, 'the queue fills');
cmp_ok(register(700), '>', 100, 'a queue that is nearly full is left alone');
my $usage = usage();
cmp_ok($usage, '<', 0.95, "it is $usage full");

# others fill it to the end
like(notify_others(100), qr/ERROR:  too many notifications in the NOTIFY queue/, 'a notification fails');
cmp_ok(usage(), '>', 0.9, 'the queue is full');
cmp_ok(register(50), '>=', 50, 'none is notified');
like(notify_others(1), qr/ERROR:  too many notifications/, 'a notification fails still');

# 17 and 18 free the queue only where somebody asks how full it is
like($listener->query_safe('COMMIT'), qr/"assetreg_events" with payload/, 'the listener moves on and hears of the first');
is(register(20), 0, 'the next are notified');
cmp_ok(usage(), '<', 0.1, 'the queue is free');
like($listener->query_safe('SELECT 1'), qr/"assetreg_events" with payload/, 'and heard of');
$listener->quit;
is($node->safe_psql('postgres', 'SELECT * FROM assetreg.check_registry()'), '', 'the registry is whole');
$node->stop;
done_testing();
