# Eight clients record generations with overlapping assets at once, in any order, several in a transaction, while others delete
# some of the assets: nobody fails, nothing is lost, and all is added up when everybody is done.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $node = new_server('main');
$node->append_conf('postgresql.conf', "max_connections = 50\ndeadlock_timeout = 100ms");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION assetreg;
INSERT INTO assetreg.assets (id, type, name, version) SELECT i, 'lora', 'ink', i::text FROM generate_series(1, 300) i;
SELECT setval('assetreg.entities_id_seq', 1000);
CREATE TABLE done (used bigint[], succeeded boolean);
SQL

my $folder = PostgreSQL::Test::Utils::tempdir;
sub script
{
	my ($name, $statements) = @_;
	append_to_file("$folder/$name", $statements);
	return "$folder/$name";
}

sub pgbench
{
	my ($test, $transactions, @scripts) = @_;
	my ($out, $err);
	my $ok = IPC::Run::run([ 'pgbench', '-n', '-c', 8, '-j', 2, '-t', $transactions, (map { ('-f', $_) } @scripts), $node->connstr('postgres') ], '>', \$out, '2>', \$err);
	ok($ok, "$test: no client failed");
	is($err =~ s/^pgbench \(.*\n//r, '', "$test: nor complained");
	return;
}

sub added_up
{
	my ($test) = @_;
	is($node->safe_psql('postgres', <<'SQL'), '', "$test: what was recorded is there, and nothing else");
WITH said AS (
	SELECT a.id AS asset_id, b.id AS other_asset_id, count(*) FILTER (WHERE d.succeeded) AS successes, count(*) AS tries
	FROM done d CROSS JOIN unnest(d.used) a (id) CROSS JOIN unnest(d.used) b (id)
	WHERE a.id <= b.id AND EXISTS (SELECT FROM assetreg.assets x WHERE x.id = a.id) AND EXISTS (SELECT FROM assetreg.assets x WHERE x.id = b.id)
	GROUP BY a.id, b.id
), kept AS (
	SELECT o.asset_id, o.other_asset_id, o.successes, o.tries FROM assetreg.asset_outcomes o
)
(TABLE said EXCEPT TABLE kept) UNION ALL (TABLE kept EXCEPT TABLE said)
SQL
	is($node->safe_psql('postgres', 'SELECT count(*) FROM assetreg.generation_records'), '0', "$test: nothing is left to be added");
	return;
}

# a random set of distinct assets; ids beyond 100 are those that may be deleted
my $record = <<'SQL';
BEGIN;
WITH g AS MATERIALIZED (SELECT ARRAY(SELECT DISTINCT (1 + random() * 9)::int::bigint FROM generate_series(1, 4)) AS used, random() < 0.6 AS succeeded),
	d AS (INSERT INTO done SELECT g.used, g.succeeded FROM g)
SELECT assetreg.record_generation(g.used, g.succeeded) FROM g;
WITH g AS MATERIALIZED (SELECT ARRAY(SELECT DISTINCT (1 + random() * 9)::int::bigint FROM generate_series(1, 4)) AS used, random() < 0.6 AS succeeded),
	d AS (INSERT INTO done SELECT g.used, g.succeeded FROM g)
SELECT assetreg.record_generation(g.used, g.succeeded) FROM g;
SQL
pgbench('the same few assets', 250, script('record', $record . "COMMIT;\n"), script('rolled_back', $record . "ROLLBACK;\n"));
added_up('the same few assets');
is($node->safe_psql('postgres', 'SELECT count(*) > 1000 FROM done'), 't', 'there was something to add up');

pgbench('assets go meanwhile', 100,
	# what is to be recorded must not go before it is
	script('record_some', <<'SQL'), script('delete', "\\set id random(101, 300)\nDELETE FROM assetreg.assets WHERE id = :id;\n"));
\set n random(0, 59)
WITH g AS MATERIALIZED (SELECT ARRAY(SELECT a.id FROM assetreg.assets a WHERE a.id % 60 = :n OR a.id = 1 + :n % 10 FOR KEY SHARE) AS used, random() < 0.6 AS succeeded),
	d AS (INSERT INTO done SELECT g.used, g.succeeded FROM g)
SELECT assetreg.record_generation(g.used, g.succeeded) FROM g;
SQL
added_up('assets go meanwhile');
is($node->safe_psql('postgres', 'SELECT count(*) BETWEEN 100 AND 299 FROM assetreg.assets'), 't', 'some went');
is($node->safe_psql('postgres', 'SELECT * FROM assetreg.check_registry()'), '', 'the registry is whole');

done_testing();
