# Logical replication of a registry. What works: create the extension on the subscriber, take out the rows that
# CREATE EXTENSION puts into entity_kinds and asset_types, subscribe, and after the first copy all tables follow.
# Applied rows fire none of our triggers there: the publisher's have done their work, and their rows come, too.
# A subscriber's sequences stay behind, which check_registry() tells: set them before ids are given there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $publisher = new_server('publisher', allows_streaming => 'logical');
$publisher->start;
fill($publisher, 'postgres');
my $subscriber = new_server('subscriber');
$subscriber->start;

# The studio's column has to be there, as for any table.
$subscriber->safe_psql('postgres', q{
	CREATE EXTENSION assetreg;
	ALTER TABLE assetreg.assets ADD COLUMN studio_code text;
	DELETE FROM assetreg.asset_types;
	DELETE FROM assetreg.entity_kinds;
	CREATE TABLE fired (trigger text);
	CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.fired VALUES (TG_NAME); RETURN NULL; END';
	CREATE TRIGGER fired AFTER INSERT OR UPDATE OR DELETE ON assetreg.assets FOR EACH ROW EXECUTE FUNCTION fired();
	ALTER TABLE assetreg.assets ENABLE ALWAYS TRIGGER fired;
});
my $tables = join ', ', map { "assetreg.$_" } @Registry::tables;
$publisher->safe_psql('postgres', "CREATE PUBLICATION registry FOR TABLE $tables");
$subscriber->safe_psql('postgres', sprintf q{CREATE SUBSCRIPTION registry CONNECTION '%s dbname=postgres' PUBLICATION registry}, $publisher->connstr);

# a session that keeps its memory while rows are applied
my $session = $subscriber->background_psql('postgres');

sub same_on_subscriber
{
	my ($test) = @_;
	$publisher->wait_for_catchup('registry');
	same_lines(rows($subscriber, 'postgres'), rows($publisher, 'postgres'), "$test: the same rows");
	my $walks = qr/^(?!check_registry)/;
	same_lines(answers($subscriber, 'postgres', $walks), answers($publisher, 'postgres', $walks), "$test: the same answers");
	agrees_with_sql($subscriber, 'postgres', "$test: walks agree with SQL");
	agrees_in_memory(sub { $session->query_safe($_[0]) }, "$test: memory agrees with SQL");
	like($subscriber->safe_psql('postgres', 'SELECT * FROM assetreg.check_registry()'),
		qr/^sequence assetreg.entities_id_seq\|is at \d+, behind the largest id \d+(\nsequence assetreg.asset_dependent_changes_id_seq\|is at 1, behind the largest id \d+)?$/,
		"$test: check_registry() tells of the sequences alone");
	return;
}

$subscriber->poll_query_until('postgres', q{SELECT count(*) > 0 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel})
	or die 'the first copy did not end';
same_on_subscriber('after the first copy');

$publisher->safe_psql('postgres', q{
	SELECT assetreg.put_entity('scene', 'new ' || i) FROM generate_series(1, 50) i;
	SELECT assetreg.add_dependency(assetreg.register_asset('lora', 'replicated', i::text), i) FROM generate_series(1, 50) i;
	UPDATE assetreg.assets SET status = 'deprecated' WHERE name = 'replicated' AND version::int % 3 = 0;
	UPDATE assetreg.assets SET version = version || '.1' WHERE name = 'replicated' AND version::int % 3 = 1;
	DELETE FROM assetreg.asset_dependencies WHERE dependency_id % 5 = 0;
	UPDATE assetreg.asset_dependencies SET source = 'moved' WHERE dependency_id % 5 = 1 AND source = 'scanner';
	DELETE FROM assetreg.entities WHERE kind = 'job';
	SET assetreg.confirm_delete = on;
	DELETE FROM assetreg.assets WHERE id BETWEEN 30 AND 40;
});
same_on_subscriber('after changes');
like($subscriber->safe_psql('postgres', 'SELECT object FROM assetreg.check_registry()'), qr/^sequence assetreg.asset_dependent_changes_id_seq$/m,
	'what is written down of dependents has come, too');
cmp_ok($subscriber->safe_psql('postgres', 'SELECT count(*) FROM fired'), '>', 100, 'rows came one by one');

like($session->query_safe('SELECT builds FROM assetreg.graph_cache_status'), qr/^[0-2]$/, 'by memory of before the changes');
$session->quit;

# Local changes are as on any registry, once the sequences are right.
$subscriber->safe_psql('postgres', q{
	ALTER SUBSCRIPTION registry DISABLE;
	SELECT setval('assetreg.entities_id_seq', (SELECT max(id) FROM assetreg.entities)),
		   setval('assetreg.asset_dependent_changes_id_seq', (SELECT max(id) FROM assetreg.asset_dependent_changes));
});
works_on($subscriber, 'postgres', 'subscriber');

$subscriber->stop;
$publisher->stop;
done_testing();
