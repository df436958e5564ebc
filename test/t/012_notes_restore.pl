# Notes, ratings and the numbers kept per asset come back from a dump as they were, in each mode of pg_dump, and work on.
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
$node->safe_psql('postgres', <<'SQL');
SELECT setseed(0.5);
CREATE ROLE ann LOGIN;
SELECT assetreg.grant_access('ann', 'contributor');
INSERT INTO assetreg.asset_notes (asset_id, other_asset_id, body, severity, all_versions, author, created_at)
	SELECT a.id, CASE WHEN i % 3 = 0 THEN nullif(b.id, a.id) END, 'note ' || i || E'\n\t<rain> & it''s "dark"', (ARRAY['info', 'warning', 'blocker'])[i % 3 + 1], i % 2 = 0, 'imported', '2024-01-01'
	FROM generate_series(1, 200) i JOIN assetreg.assets a ON a.id = i % 120 + 1 JOIN assetreg.assets b ON b.id = i * 7 % 120 + 1;
SET assetreg.actor = 'ben';
UPDATE assetreg.asset_notes SET body = body || '!' WHERE id % 5 = 0;
SELECT assetreg.edit_note(10, 'twice');
INSERT INTO assetreg.asset_ratings (asset_id, rater, stars, comment, rated_at)
	SELECT i % 100 + 1, 'rater ' || i, i % 5 + 1, nullif('comment ' || i % 4, 'comment 0'), '2024-01-01'::timestamptz + i * interval '1 hour' FROM generate_series(1, 700) i;
DELETE FROM assetreg.asset_ratings WHERE asset_id % 7 = 0;
-- not folded when they are dumped, the last of them in two halves
SELECT setval('assetreg.asset_dependent_changes_id_seq', 1);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) SELECT id, 3, 'one' FROM assetreg.entities WHERE kind = 'scene' ORDER BY id LIMIT 1;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) SELECT id, 3, 'two' FROM assetreg.entities WHERE kind = 'scene' ORDER BY id LIMIT 1;
SQL

sub state
{
	my ($database) = @_;
	return join "\n", map { $node->safe_psql($database, $_) } (
		(map { "SELECT '$_', count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text COLLATE \"C\")) FROM assetreg.$_ t" }
			qw(asset_notes asset_note_history asset_ratings asset_stats asset_stat_changes asset_dependent_changes)),
		"SELECT 'checks', count(*), md5(string_agg(concat_ws(' ', e.id, w), chr(10) ORDER BY concat_ws(' ', e.id, w) COLLATE \"C\")) FROM assetreg.entities e, assetreg.check_entity(e.id) w",
		"SELECT 'search', count(*), md5(string_agg(w::text, chr(10) ORDER BY w::text COLLATE \"C\")) FROM assetreg.search_notes('rain twi or dark', max_results => 1000) w",
		"SELECT 'list', count(*), md5(string_agg(concat_ws(' ', l.id, l.dependents, l.rating_average, l.rating_count, l.warnings), chr(10) ORDER BY l.id)) FROM assetreg.asset_list l",
		"SELECT polname, polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) FROM pg_policy ORDER BY 1",
		"SELECT relname, relrowsecurity FROM pg_class WHERE relnamespace = 'assetreg'::regnamespace AND relkind = 'r' ORDER BY 1",
		'SELECT * FROM assetreg.check_registry()');
}
my $before = state('postgres');
unlike($before, qr/^(asset_notes|asset_note_history|asset_ratings|asset_stats|asset_dependent_changes|checks|search)\|0\|/m, 'there is something to lose');
like($before, qr/^asset_stat_changes\|0\|/m, 'and nothing left to be added');

my $folder = PostgreSQL::Test::Utils::tempdir;
my $ndatabases = 0;
sub restored
{
	my ($test, $dump, @commands) = @_;
	my $database = 'restored_' . ++$ndatabases;
	$node->command_ok([ 'pg_dump', @$dump, '-f', "$folder/$ndatabases", 'postgres' ], "$test: dumped");
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->command_checks_all([ @$_, '-d', $database, $_->[0] eq 'psql' ? ('-f', "$folder/$ndatabases") : "$folder/$ndatabases" ], 0, [qr/^$/], [qr/^$/], "$test: restored") for @commands;
	same_lines(state($database), $before, "$test: the same");

	# a rating counts on, a note goes on, and the rules hold
	is($node->safe_psql($database, <<'EOQ'), '1|t|t|0', "$test: works on");
SET SESSION AUTHORIZATION ann;
CREATE TEMP TABLE before AS SELECT rating_count, (SELECT max(id) FROM assetreg.asset_notes) AS note FROM assetreg.asset_stats WHERE asset_id = 3;
DO 'BEGIN PERFORM assetreg.rate_asset(3, 5); END';
DO 'BEGIN PERFORM assetreg.add_note(3, ''new''); END';
UPDATE assetreg.asset_notes SET body = 'mine' WHERE author <> 'ann';
DELETE FROM assetreg.asset_ratings WHERE rater <> 'ann';
RESET SESSION AUTHORIZATION;
SELECT s.rating_count - b.rating_count, (SELECT max(id) FROM assetreg.asset_notes WHERE author = 'ann') > b.note,
	   (SELECT count(*) FROM assetreg.asset_notes WHERE body = 'mine') = 0, (SELECT count(*) FROM assetreg.check_registry())
FROM before b, assetreg.asset_stats s WHERE s.asset_id = 3
EOQ
	return;
}

my @psql = qw(psql -Xq -o /dev/null -v ON_ERROR_STOP=1);
restored('plain', [], \@psql);
restored('plain, as inserts', ['--inserts'], \@psql);
restored('custom', ['-Fc'], ['pg_restore']);
restored('custom, four jobs', ['-Fc'], [ 'pg_restore', '-j4' ]);
restored('schema, then data', ['-Fc'], [ 'pg_restore', '--schema-only' ], [ 'pg_restore', '--data-only', '--disable-triggers' ], );

done_testing();
