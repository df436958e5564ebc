# pg_upgrade takes a registry along as it is: rows, answers, triggers, ids to come, and what the studio added.
# With the same programs on both sides, as there is only one version here: what changes is the catalog.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $old = new_server('old');
$old->start;
fill($old, 'postgres');
# pages that VACUUM has seen, and some that it has not
$old->safe_psql('postgres', 'VACUUM');
$old->safe_psql('postgres', 'UPDATE assetreg.asset_dependencies SET relation = relation WHERE dependent_id % 50 = 0');
my $contents = contents($old, 'postgres');
my $answers = answers($old, 'postgres');
$old->stop;

my $bin = $old->config_data('--bindir');
for my $how ('--copy', '--link')
{
	my $new = new_server("new$how");
	my @how = $how eq '--link' ? '--link' : ();
	# it writes its logs where it runs
	chdir $new->basedir or die "could not change to " . $new->basedir . ": $!";
	command_ok([ 'pg_upgrade', '--no-sync', '-b', $bin, '-B', $bin, '-d', $old->data_dir, '-D', $new->data_dir,
			'-s', $new->host, '-p', $old->port, '-P', $new->port, @how ], "pg_upgrade $how");
	$new->start;
	same_registry($new, 'postgres', $contents, $answers, $how);
	agrees_with_sql($new, 'postgres', "$how: walks agree with SQL");
	agrees_in_memory(sub { $new->safe_psql('postgres', $_[0]) }, "$how: memory agrees with SQL");
	works_on($new, 'postgres', $how);
	agrees_with_sql($new, 'postgres', "$how: and after a change");
	$new->stop;
}

done_testing();
