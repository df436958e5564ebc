# Sixteen clients rate the same few assets and write notes at once, and nothing is lost: each rating that was acknowledged
# is counted, once, whatever else happens to the assets meanwhile. Then the server is killed in the midst of it.
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
$node->append_conf('postgresql.conf', "max_connections = 50\ndeadlock_timeout = 100ms\nfsync = on\nsynchronous_commit = on");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION assetreg;
INSERT INTO assetreg.assets (id, type, name, version) SELECT i, 'lora', 'ink', i::text FROM generate_series(1, 5) i;
INSERT INTO assetreg.assets (id, type, name, version) VALUES (10, 'model', 'wan', '1');
SELECT setval('assetreg.entities_id_seq', 2000);
INSERT INTO assetreg.entities (id, kind, key) SELECT 1000 + i, 'scene', i::text FROM generate_series(1, 30) i;
CREATE SEQUENCE person;
CREATE TABLE acknowledged (rater text, stars int, note bigint);
SQL

# Sixteen clients at once; each script's name, how often a client runs it, and what it does.
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
	my $ok = IPC::Run::run([ 'pgbench', '-n', '-c', 16, '-j', 2, '-t', $transactions, (map { ('-f', $_) } @scripts), $node->connstr('postgres') ], '>', \$out, '2>', \$err);
	ok($ok, "$test: no client failed");
	is($err =~ s/^pgbench \(.*\n//r, '', "$test: nor complained");
	return;
}

sub whole
{
	my ($test) = @_;
	is($node->safe_psql('postgres', 'SELECT * FROM assetreg.check_registry()'), '', "$test: the registry is whole");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM assetreg.asset_stat_changes'), '0', "$test: nothing is left to be added");
	return;
}

# One asset, everybody once.
pgbench('one asset', 50, script('rate', <<'SQL'));
SELECT set_config('assetreg.actor', 'person ' || nextval('person'), false) AS actor \gset
\set stars random(1, 5)
SELECT assetreg.rate_asset(1, :stars);
SQL
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT rater) FROM assetreg.asset_ratings WHERE asset_id = 1'), '800|800', 'all ratings are there');
is($node->safe_psql('postgres', <<'SQL'), '800|t', 'and counted');
SELECT s.rating_count, s.rating_average = r.average
FROM assetreg.asset_stats s, (SELECT avg(stars)::float8 AS average FROM assetreg.asset_ratings WHERE asset_id = 1) r WHERE s.asset_id = 1
SQL
whole('one asset');

# A few persons change their minds, withdraw, write and edit notes; scenes come to use the assets by several sources, and
# cease to; a version is registered now and then.
my @mixed = (
	script('change', <<'SQL'),
\set asset random(1, 5)
\set stars random(1, 5)
\set person random(1, 20)
SELECT set_config('assetreg.actor', 'person ' || :person, false) AS actor \gset
SELECT assetreg.rate_asset(:asset, :stars);
SQL
	script('withdraw', <<'SQL'),
\set asset random(1, 5)
\set person random(1, 20)
DELETE FROM assetreg.asset_ratings WHERE asset_id = :asset AND rater = 'person ' || :person;
SQL
	script('note', <<'SQL'),
SELECT set_config('assetreg.actor', 'writer', false) AS actor \gset
BEGIN;
SELECT assetreg.add_note(1, 'written') AS note \gset
INSERT INTO acknowledged (note) VALUES (:note);
COMMIT;
SELECT assetreg.edit_note(:note, 'edited');
SQL
	script('use', <<'SQL'),
\set asset random(1, 5)
\set scene random(1001, 1030)
\set source random(1, 3)
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (:scene, :asset, 'source ' || :source) ON CONFLICT DO NOTHING;
SQL
	script('cease', <<'SQL'),
\set asset random(1, 5)
\set scene random(1001, 1030)
\set source random(1, 3)
DELETE FROM assetreg.asset_dependencies WHERE dependency_id = :asset AND dependent_id = :scene AND source = 'source ' || :source;
SQL
	script('several', <<'SQL'),
\set from random(1, 4)
BEGIN;
INSERT INTO assetreg.asset_ratings (asset_id, rater, stars) SELECT id, 'group ' || :client_id, 3 FROM assetreg.assets WHERE id <= 5 AND id >= :from ORDER BY id
	ON CONFLICT ON CONSTRAINT asset_ratings_pkey DO UPDATE SET stars = 1 + assetreg.asset_ratings.stars % 5;
COMMIT;
SQL
	script('register', "SELECT assetreg.register_asset('lora', 'ink', 'v' || nextval('person'));\n"));
pgbench('mixed', 60, @mixed);
whole('mixed');
is($node->safe_psql('postgres', <<'SQL'), 't|t|t', 'no note and no edit is lost');
SELECT count(*) > 0, count(*) = count(n.id) AND bool_and(n.body = 'edited'), (SELECT count(*) FROM assetreg.asset_note_history) = count(*)
FROM acknowledged a LEFT JOIN assetreg.asset_notes n ON n.id = a.note
SQL

# Killed: what was acknowledged is there and counted.
my $endless = script('endless', <<'SQL');
SELECT set_config('assetreg.actor', 'person ' || nextval('person'), false) AS actor \gset
BEGIN;
SELECT assetreg.rate_asset(10, 4);
INSERT INTO acknowledged (rater, stars) VALUES (current_setting('assetreg.actor'), 4);
COMMIT;
SQL
for my $round (1 .. 2)
{
	my $least = 30 + $node->safe_psql('postgres', 'SELECT count(rater) FROM acknowledged');
	my $clients = IPC::Run::start([ 'pgbench', '-n', '-c', 16, '-j', 2, '-T', 300, (map { ('-f', $_) } $endless, @mixed), $node->connstr('postgres') ], '>', '/dev/null', '2>', '/dev/null');
	$node->poll_query_until('postgres', "SELECT count(rater) > $least FROM acknowledged") or die 'nobody rated';
	$node->stop('immediate');
	$clients->finish;
	$node->start;
	whole("killed $round");
	is($node->safe_psql('postgres', <<'SQL'), 't|t', "killed $round: all are counted");
SELECT count(*) = (SELECT rating_count FROM assetreg.asset_stats WHERE asset_id = 10), count(r.rater) = count(*)
FROM acknowledged a LEFT JOIN assetreg.asset_ratings r ON r.asset_id = 10 AND r.rater = a.rater WHERE a.rater IS NOT NULL
SQL
}
$node->stop;
unlike(slurp_file($node->logfile), qr/deadlock detected|could not serialize|PANIC/, 'nobody was sent away');

done_testing();
