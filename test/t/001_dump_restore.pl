# A dump brings a registry back as it was, in every mode of pg_dump and pg_restore: each row, each answer,
# each id to come, and what the studio added to the tables. No trigger fires on the way, and no tool complains.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $node = new_server('main');
$node->start;
fill($node, 'postgres');
$node->safe_psql('postgres', 'CREATE ROLE restorer SUPERUSER LOGIN');
my $contents = contents($node, 'postgres');
my $answers = answers($node, 'postgres');
like($answers, qr/^check_registry\|0\|/m, 'the registry is whole to begin with');
unlike($answers =~ s/^check_registry.*//mr, qr/\|0\|/, 'and every function has something to say');
my $folder = PostgreSQL::Test::Utils::tempdir;

# Runs a client program that must have nothing to say.
sub quietly
{
	my ($test, @command) = @_;
	$node->command_checks_all(\@command, 0, [qr/^$/], [qr/^$/], $test);
	return;
}

sub dump_to
{
	my ($file, @options) = @_;
	quietly("pg_dump @options", 'pg_dump', @options, '-f', "$folder/$file", 'postgres');
	return "$folder/$file";
}

# Restores into a database, by several calls of a program if need be, and compares.
my $ndatabases = 0;
sub restored
{
	my ($test, @commands) = @_;
	my $database = 'restored_' . ++$ndatabases;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	quietly($test, @$_[0], '-d', $database, @$_[1 .. $#$_]) for @commands;
	same_registry($node, $database, $contents, $answers, $test);
	works_on($node, $database, $test);
	agrees_in_memory(sub { $node->safe_psql($database, $_[0]) }, "$test: memory agrees with SQL");
	return $database;
}

my @psql = qw(psql -Xq -o /dev/null -v ON_ERROR_STOP=1 -f);
my $plain = dump_to('plain.sql');
my $custom = dump_to('custom', '-Fc');
my $directory = dump_to('directory', '-Fd', '-j4');

my $existing = restored('plain', [@psql, $plain]);
restored('plain, in one transaction', [@psql, $plain, '-1']);
restored('plain, as inserts', [@psql, dump_to('inserts.sql', '--inserts')]);
restored('plain, as inserts with columns', [@psql, dump_to('columns.sql', '--column-inserts', '--rows-per-insert=50')]);
restored('custom', [ 'pg_restore', $custom ]);
restored('custom, in one transaction', [ 'pg_restore', '-1', '--exit-on-error', $custom ]);
restored('custom, four jobs', [ 'pg_restore', '-j4', $custom ]);
restored('directory', [ 'pg_restore', $directory ]);
restored('directory, four jobs', [ 'pg_restore', '-j4', $directory ]);
restored('sections one by one', map { [ 'pg_restore', '-j2', "--section=$_", $custom ] } qw(pre-data data post-data));
restored('schema, then data', [ 'pg_restore', '--schema-only', $custom ],
	[ 'pg_restore', '--data-only', '--disable-triggers', $custom ],
	[ 'psql', '-Xq', '-c', 'REFRESH MATERIALIZED VIEW public.popular' ]);

# Over a registry that is there already and has changed.
quietly('over an existing registry', 'pg_restore', '--clean', '--if-exists', '-d', $existing, $custom);
same_registry($node, $existing, $contents, $answers, 'over an existing registry');

# Only the data, into a new registry: what CREATE EXTENSION puts in must be taken out first.
my @data = ('--data-only', '--disable-triggers', '-n', 'assetreg');
$node->safe_psql('postgres', 'CREATE DATABASE data_only');
$node->safe_psql('data_only', <<'SQL');
CREATE EXTENSION assetreg;
ALTER TABLE assetreg.assets ADD COLUMN studio_code text DEFAULT 'none';
DELETE FROM assetreg.asset_types;
DELETE FROM assetreg.entity_kinds;
DELETE FROM assetreg.event_sequencer;
SQL
quietly('data only', 'pg_restore', '-d', 'data_only', @data, $custom);
same_lines(answers($node, 'data_only'), $answers, 'data only: the same answers');
same_lines(rows($node, 'data_only'), rows($node, 'postgres'), 'data only: the same rows');
works_on($node, 'data_only', 'data only');

# A restore that broke off leaves triggers switched off, those of foreign keys among them.
my $disable = join ';', map { "ALTER TABLE assetreg.$_ DISABLE TRIGGER ALL" } @Registry::tables;
$node->safe_psql('data_only', $disable);
my $expected = $node->safe_psql('data_only', 'SELECT count(*) FROM assetreg._triggers()');
cmp_ok($node->safe_psql('data_only', 'SELECT count(*) FROM assetreg.check_registry()'),
	'>', $expected, 'check_registry() tells of triggers that are switched off, and of foreign keys');
$node->safe_psql('data_only', 'SELECT assetreg.setup()');
is($node->safe_psql('data_only', 'SELECT * FROM assetreg.check_registry()'), '', 'setup() switches them on');
is($node->safe_psql('data_only', q{SELECT count(*) FROM pg_trigger WHERE tgenabled <> 'O'}), '0', 'setup() left none out');

# Somebody else restores: the tables keep their owner, the extension is his.
$node->safe_psql('postgres', 'CREATE DATABASE other_owner');
quietly('restored by another superuser', 'pg_restore', '-U', 'restorer', '-d', 'other_owner', $custom);
like($node->safe_psql('other_owner', 'SELECT * FROM assetreg.check_registry()'),
	qr/^assetreg\.assets\|is owned by ".*", not by the extension's owner "restorer"$/m, 'check_registry() tells of owners');
$node->safe_psql('other_owner', 'SELECT assetreg.setup()');
is($node->safe_psql('other_owner', 'SELECT * FROM assetreg.check_registry()'), '', 'setup() sets them right');
same_lines(answers($node, 'other_owner'), $answers, 'restored by another superuser: the same answers');

# Without the extension the data stays; with it again everything works.
$node->safe_psql('postgres', 'DROP VIEW users_of_first');
$node->safe_psql('postgres', 'DROP MATERIALIZED VIEW popular');
$node->safe_psql('postgres', 'DROP EXTENSION assetreg CASCADE');
is($node->safe_psql('postgres', 'SELECT count(*) FROM assetreg.assets'), '123', 'DROP EXTENSION leaves the rows');
$node->safe_psql('postgres', 'CREATE EXTENSION assetreg');
$node->safe_psql('postgres', 'CREATE VIEW users_of_first AS SELECT * FROM assetreg.where_used(1);
	CREATE MATERIALIZED VIEW popular AS SELECT id, assetreg.dependent_count(id, true) AS dependents FROM assetreg.assets;
	GRANT EXECUTE ON FUNCTION assetreg.where_used TO studio_reader');
same_registry($node, 'postgres', $contents, $answers, 'dropped and created again');
works_on($node, 'postgres', 'dropped and created again');

$node->stop;
done_testing();
