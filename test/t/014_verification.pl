# verify_assets() over a tree of files: it commits asset by asset and shows how far it is, goes on after what it cannot
# read, continues after a crash where it was, and shares the work with whoever calls it meanwhile. Who may not read
# files learns nothing, and a caller's search_path changes nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use ModelFiles;
use POSIX qw(mkfifo);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;
use Time::HiRes qw(time);

my $top = PostgreSQL::Test::Utils::tempdir;
my ($root, $out) = map { mkdir "$top/$_" or die; "$top/$_" } qw(root out);
my $node = new_server('main');
# what is committed must survive the crash
$node->append_conf('postgresql.conf', "fsync = on\nassetreg.asset_roots = '$root'");
$node->start;
END { chmod oct 700, "$root/lora/closed" if defined $root }	# else nobody but root could remove it

sub sql { return $node->safe_psql('postgres', @_) }

# 200 models and 100 LoRAs; each check of an asset is logged by a trigger of the studio's own.
mkdir "$root/$_" or die for qw(model lora lora/closed);
write_file("$root/model/" . sprintf('%03d.bin', $_), "model $_ " x $_) for 1 .. 200;
write_file("$root/lora/" . sprintf('%03d.safetensors', $_), safetensors_start(10 * $_), sprintf('lora %05d', $_) x $_) for 1 .. 90;
write_file("$root/lora/closed/$_.bin", "closed $_") for 1 .. 10;
sql(<<SQL);
CREATE EXTENSION assetreg;
CALL assetreg.register_directory('model', '$root/model');
CALL assetreg.register_directory('lora', '$root/lora');
CREATE TABLE checks (asset_id bigint, result text, pid int DEFAULT pg_backend_pid());
CREATE FUNCTION log_check() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.checks VALUES (NEW.asset_id, NEW.result); RETURN NULL; END';
CREATE TRIGGER log_check AFTER INSERT OR UPDATE ON assetreg.asset_verifications FOR EACH ROW EXECUTE FUNCTION log_check();
CREATE TABLE registered AS SELECT id, type, name, version, file_path, file_size, sha256 FROM assetreg.assets;
SQL
is(sql('SELECT count(*) FROM registered'), 300, 'a tree is registered');

sub id_of
{
	my ($name) = @_;
	return sql("SELECT id FROM assetreg.assets WHERE name = '$name'");
}

# Begins to verify in another session, which stops before it writes what it has found of an asset.
sub verify_up_to
{
	my ($name, $call) = @_;
	my $holder = begin_sql($node, 'BEGIN; SELECT name FROM assetreg.assets WHERE id = ' . id_of($name) . ' FOR UPDATE;');
	until_true(sub { slurp_file($holder->{out}) =~ /\n.*\n/ }, 'the lock');
	my $session = begin_sql($node, $call // 'CALL assetreg.verify_assets();');
	until_waiting($node, $session, $holder);
	return ($session, $holder);
}

sub let_go
{
	my ($holder, $statement) = @_;
	more_sql($holder, $statement . ';') if $statement;
	more_sql($holder, 'COMMIT;');
	my (undef, $stderr) = end_sql($holder);
	is($stderr, '', 'the other session is content') if $statement;
	return;
}

# How often each asset was checked since the last time, as "times x assets".
sub checked
{
	my $counts = sql(q{SELECT string_agg(n || 'x' || assets, ' ' ORDER BY n)
		FROM (SELECT n, count(*) AS assets FROM (SELECT count(*) AS n FROM checks GROUP BY asset_id) c GROUP BY n) t});
	sql('TRUNCATE checks');
	return $counts;
}

my $open_runs = 'SELECT count(*) FROM assetreg.verification_runs WHERE finished_at IS NULL';
my $facts = 'SELECT md5(string_agg(r::text, chr(10) ORDER BY id)) FROM registered r';
my $facts_now = $facts =~ s/registered/(SELECT id, type, name, version, file_path, file_size, sha256 FROM assetreg.assets)/r;

# --- one asset after the other ----------------------------------------------------------------------

my ($session, $holder) = verify_up_to('100');
my $bytes = sql(q{SELECT sum(file_size) FROM registered WHERE type = 'model' AND name < '100'});
is(sql('SELECT done, total, bytes, bytes_per_second > 0, remaining > interval \'0\' FROM assetreg.verification_progress'), "99|300|$bytes|t|t",
	'another session sees how far it is');
is(sql('SELECT count(*), min(result), max(result) FROM assetreg.asset_verifications'), '99|verified|verified', 'what was checked is committed');
let_go($holder);
my ($said, $complaints) = end_sql($session);
like($complaints, qr/NOTICE:  00000: verified 300 assets, \d+ bytes/, 'it says what it has done');
is(sql('SELECT done, total, bytes = (SELECT sum(file_size) FROM registered), remaining FROM assetreg.verification_progress'), '300|300|t|00:00:00', 'so does the view');
is(checked(), '1x300', 'each asset was checked once');

# --- what is wrong with files ------------------------------------------------------------------------

chmod 0, "$root/model/010.bin" or die;
truncate "$root/model/020.bin", 5 or die;
rename "$root/model/030.bin", "$root/model/swap" or die;
rename "$root/model/031.bin", "$root/model/030.bin" or die;
rename "$root/model/swap", "$root/model/031.bin" or die;
unlink "$root/model/$_.bin" or die for '040', '050', '060', '070', '080';
mkfifo("$root/model/050.bin", oct 600) or die;
symlink write_file("$out/secret", 'model 60 ' x 60), "$root/model/060.bin" or die;
mkdir "$root/model/070.bin" or die;
symlink '080.bin', "$root/model/080.bin" or die;
open my $grown, '>>', "$root/model/090.bin" or die;
print $grown 'more';
close $grown;
write_file("$root/model/100.bin", '');
{ open my $file, '+<:raw', "$root/lora/010.safetensors" or die; print $file pack 'Q<', 2**63 }	# a header of 2^63 bytes
my $started = time;
chmod 0, "$root/lora/closed" or die;
$node->psql('postgres', 'CALL assetreg.verify_assets()', stderr => \$complaints);
like($complaints, qr/verified 300 assets/, 'it goes on after every file that is not what it was');
cmp_ok(time - $started, '<', 60, 'and waits for none');
is(checked(), '1x300', 'each asset was checked once');
my $hex = '[0-9a-f]{64}';
my %wrong = (
	'010' => qr/^verified\|unreadable\|Permission denied$/,
	'020' => qr/^mismatch\|mismatch\|registered: size 180, SHA-256 $hex; measured: size 5, SHA-256 $hex$/,
	'030' => qr/^mismatch\|mismatch\|registered: size 270, SHA-256 $hex; measured: size 279, SHA-256 $hex$/,
	'031' => qr/^mismatch\|mismatch\|registered: size 279, SHA-256 $hex; measured: size 270, SHA-256 $hex$/,
	'040' => qr/^missing\|missing\|the directory is there, the file is not$/,
	'050' => qr/^mismatch\|mismatch\|it is not a regular file$/,
	'060' => qr/^verified\|unreadable\|it is not below a directory in assetreg\.asset_roots$/,
	'070' => qr/^mismatch\|mismatch\|registered: size 630, SHA-256 $hex; measured: size 0, SHA-256 e3b0c442[0-9a-f]{56}$/,
	'080' => qr/^verified\|unreadable\|Too many levels of symbolic links$/,
	'090' => qr/^mismatch\|mismatch\|registered: size 810, SHA-256 $hex; measured: size 814, SHA-256 $hex$/,
	'100' => qr/^mismatch\|mismatch\|registered: size 1000, SHA-256 $hex; measured: size 0, SHA-256 e3b0c442[0-9a-f]{56}$/,
	'lora/010' => qr/^mismatch\|mismatch\|registered: size \d+, SHA-256 $hex; measured: size \d+, SHA-256 $hex$/,
	'lora/closed/1' => qr/^verified\|unreadable\|Permission denied$/);
for my $name (sort keys %wrong)
{
	my ($type, $short) = $name =~ m{^lora/(.*)} ? ('lora', $1) : ('model', $name);
	like(sql("SELECT a.integrity, v.result, v.detail FROM assetreg.assets a JOIN assetreg.asset_verifications v ON v.asset_id = a.id
		WHERE a.type = '$type' AND a.name = '$short'"), $wrong{$name}, "$name: why is recorded");
}
is(sql('SELECT string_agg(result || n, \' \' ORDER BY result) FROM (SELECT result, count(*) AS n FROM assetreg.asset_verifications GROUP BY result) r'),
	'mismatch8 missing1 unreadable13 verified278', 'all others are what they were');
is(sql($facts_now), sql($facts), 'the registered sizes and hashes are what they were');
is(sql('SELECT count(*) FROM assetreg.check_registry()'), 0, 'the registry is whole');

# Everything is put right again, and is found so.
chmod oct 700, "$root/lora/closed" or die;
chmod oct 600, "$root/model/010.bin" or die;
rmdir "$root/model/070.bin" or die;
unlink "$root/model/$_.bin" for '050', '060', '080';
write_file("$root/model/" . sprintf('%03d.bin', $_), "model $_ " x $_) for 20, 30, 31, 40, 50, 60, 70, 80, 90, 100;
{ open my $file, '+<:raw', "$root/lora/010.safetensors" or die; print $file pack 'Q<', -8 - 100 + -s "$root/lora/010.safetensors" }
sql('CALL assetreg.verify_assets()');
is(sql('SELECT a.integrity, v.result, count(*) FROM assetreg.assets a JOIN assetreg.asset_verifications v ON v.asset_id = a.id GROUP BY 1, 2'),
	'verified|verified|300', 'what is put right is verified again');
sql('TRUNCATE checks');

# --- crash and cancellation -----------------------------------------------------------------------------

my $seen = 'SELECT md5(string_agg(v::text, chr(10) ORDER BY asset_id)) FROM assetreg.asset_verifications v, assetreg.verification_runs r
	WHERE r.finished_at IS NULL AND v.checked_at >= r.started_at';
($session, $holder) = verify_up_to('150');
my $before = sql($seen);
$node->stop('immediate');
end_sql($session);
end_sql($holder);
$node->start;
is(sql("$open_runs; SELECT count(*) FROM checks"), "1\n149", 'after a crash what was committed is there');
is(sql($seen), $before, 'as it was');
unlink "$root/model/001.bin" or die;	# was looked at before
($session, $holder) = verify_up_to('170');
# Cancelled while it writes, and while it reads.
sql("SELECT pg_cancel_backend($session->{pid})");
($said, $complaints) = end_sql($session);
like($complaints, qr/NOTICE:  00000: continuing the verification that began at [^\n]*: 149 of 300 done/, 'the next call continues');
like($complaints, qr/ERROR:  57014/, 'it can be cancelled');
let_go($holder);
is(sql("$open_runs; SELECT count(*) FROM checks; SELECT done FROM assetreg.verification_runs WHERE finished_at IS NULL"), "1\n169\n169", 'what was done until then is kept');
is(sql('SELECT count(*) FROM assetreg.check_registry()'), 0, 'the registry is whole');
sparse_file("$root/model/180.bin", 40 * 1024**3);
$session = begin_sql($node, 'CALL assetreg.verify_assets();');
until_open($session, $root);
until_true(sub { grep { /180\.bin$/ } open_below($session->{pid}, $root) }, 'the large file');
$started = time;
sql("SELECT pg_cancel_backend($session->{pid})");
($said, $complaints) = end_sql($session);
like($complaints, qr/ERROR:  57014/, 'it can be cancelled while it reads');
cmp_ok(time - $started, '<', 1, 'within a second');
is(sql('SELECT count(*), max(asset_id) < ' . id_of('180') . ' FROM checks'), '179|t', 'and is then where it was');
write_file("$root/model/180.bin", 'model 180 ' x 180);
sql('CALL assetreg.verify_assets()');
is(sql($open_runs), 0, 'the last call finishes');
is(sql('SELECT done, total FROM assetreg.verification_progress'), '300|300', 'and counts what all have done');
is(checked(), '1x300', 'no file was read twice');
is(sql(q{SELECT integrity FROM assetreg.assets WHERE type = 'model' AND name = '001'}), 'verified', 'nor looked at');
write_file("$root/model/001.bin", 'model 1 ');

# --- two at once ----------------------------------------------------------------------------------------

($session, $holder) = verify_up_to('100');
(undef, undef, $complaints) = $node->psql('postgres', 'CALL assetreg.verify_assets()');
like($complaints, qr/NOTICE:  continuing the verification/, 'a second session takes part');
is(sql("$open_runs; SELECT count(*) FROM checks; SELECT count(DISTINCT pid) FROM checks"), "1\n299\n2", 'does all that the first one has not got, and does not wait for it');
let_go($holder);
(undef, $complaints) = end_sql($session);
like($complaints, qr/verified 300 assets/, 'the first one finishes');
is(sql($open_runs), 0, 'the run');
is(checked(), '1x300', 'nothing was checked twice');

my @sessions = map { begin_sql($node, 'CALL assetreg.verify_assets();') } 1 .. 4;
my $all = join '', map { (end_sql($_))[1] } @sessions;
unlike($all, qr/ERROR/, 'four at once');
is(checked() =~ s/^(\d)x300$/$1 >= 1 && $1 <= 4 ? 'each' : 'some'/er, 'each', 'check each asset as often as there were runs');
is(sql($open_runs), 0, 'and leave none open');
is(sql('SELECT count(*) FROM (SELECT FROM assetreg.verification_runs GROUP BY started_at HAVING count(*) > 1) r'), 0, 'none of which were two');

# --- which ones -----------------------------------------------------------------------------------------

sql('TRUNCATE checks');
sql(q{CALL assetreg.verify_assets('lora')});
is(sql('SELECT type, count(*) FROM checks JOIN registered r ON r.id = asset_id GROUP BY 1'), 'lora|100', 'of a type');
checked();
sql(q{CALL assetreg.verify_assets(older_than => '1 day')});
is(checked(), '', 'those that were seen a day ago: none');
sql(q{UPDATE assetreg.assets SET verified_at = now() - interval '25 hours' WHERE name IN ('005', '006', '007')});
sql(q{UPDATE assetreg.assets SET verified_at = now() - interval '23 hours' WHERE name IN ('008')});
sql(q{CALL assetreg.verify_assets('model', '1 day')});
is(sql('SELECT string_agg(name || \' \' || type, \', \' ORDER BY name) FROM checks JOIN registered r ON r.id = asset_id'), '005 model, 006 model, 007 model', 'of a type and age');
checked();
sql(q{CALL assetreg.verify_assets('lora', interval '24 hours')});
is(checked(), '1x3', 'the others');
sql(q{UPDATE assetreg.assets SET status = 'removed' WHERE type = 'model' AND name = '009'});
sql(q{CALL assetreg.verify_assets('model', '0')});
is(checked(), '1x199', 'what is removed is not looked at');
sql("INSERT INTO assetreg.asset_types VALUES ('embedding')");
for (
	[ q{CALL assetreg.verify_assets('no such type')}, qr/ERROR:  42704: asset type "no such type" does not exist/, 'a type that there is not' ],
	[ q{CALL assetreg.verify_assets(older_than => '-1 day')}, qr/ERROR:  22023: older_than must not be negative/, 'an age below zero' ],
	[ q{BEGIN; CALL assetreg.verify_assets()}, qr/ERROR:  25001: assetreg\.verify_assets/, 'in a transaction block' ],
	[ q{BEGIN; CALL assetreg.register_directory('model', '/')}, qr/ERROR:  25001: assetreg\.register_directory/, 'a directory in a transaction block' ])
{
	my ($statement, $error, $test) = @$_;
	my (undef, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement");
	like($stderr, $error, $test);
}
is(sql($open_runs), 0, 'no run is left behind by that');
sql(q{CALL assetreg.verify_assets('embedding')});
is(sql('SELECT done, total, bytes, remaining FROM assetreg.verification_progress'), '0|0|0|00:00:00', 'a type of which there are none');

# --- assets that change meanwhile -------------------------------------------------------------------------

sql('TRUNCATE checks');
write_file("$root/model/other.bin", 'another file');
for (
	[ 'has its file replaced', '110', "UPDATE assetreg.assets SET file_path = '$root/model/other.bin', file_size = NULL, sha256 = NULL WHERE name = '110'", 299 ],
	[ 'is deleted', '111', "DELETE FROM assetreg.assets WHERE name = '111'", 298 ],
	[ 'is removed', '112', "UPDATE assetreg.assets SET status = 'removed' WHERE name = '112'", 298 ],
	[ 'is renamed', '113', "UPDATE assetreg.assets SET name = 'one hundred and thirteen' WHERE name = '113'", 297 ])
{
	my ($what, $name, $statement, $expected) = @$_;
	my $id = id_of($name);
	($session, $holder) = verify_up_to($name);
	let_go($holder, $statement);
	(undef, $complaints) = end_sql($session);
	unlike($complaints, qr/ERROR/, "an asset that $what while its file is read stops nothing");
	is(sql($open_runs), 0, "all others are checked ($what)");
	is(checked(), "1x$expected", "once ($what)");
	is(sql("SELECT v.result, v.sha256 = a.sha256 FROM assetreg.assets a JOIN assetreg.asset_verifications v ON v.asset_id = a.id WHERE a.id = $id AND a.status = 'active'"),
		$what =~ /delete|removed/ ? '' : 'verified|t', "and what is said of it is of what it is ($what)");
}
is(sql('SELECT count(*) FROM assetreg.check_registry()'), 0, 'the registry is whole');

# --- who may ----------------------------------------------------------------------------------------------

sql(<<'SQL');
CREATE ROLE nobody LOGIN;
CREATE ROLE viewer LOGIN;
CREATE ROLE artist LOGIN;
CREATE ROLE blind LOGIN;
GRANT USAGE ON SCHEMA assetreg TO nobody;
SELECT assetreg.grant_access('viewer', 'reader'), assetreg.grant_access('artist', 'contributor'), assetreg.grant_access('blind', 'contributor');
REVOKE EXECUTE ON FUNCTION assetreg._measure_file FROM blind;
SQL
my ($present, $absent) = (id_of('120'), id_of('121'));
unlink "$root/model/121.bin" or die;
my $runs = sql('SELECT count(*) FROM assetreg.verification_runs');
for my $role (qw(nobody viewer blind))
{
	my %errors;
	for my $call ((map { "SELECT assetreg.verify_asset($_)" } $present, $absent),
		(map { "CALL assetreg.register_directory('model', '$_')" } "$root/model", "$root/no", $out, '/', "$root/model/120.bin"),
		(map { "SELECT * FROM assetreg._list_files('$_')" } "$root/model", "$root/no"),
		'CALL assetreg.verify_assets()')
	{
		my (undef, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE $role;\n$call");
		my ($error) = $stderr =~ /ERROR:  (.*)/;
		like($error, qr/^42501: permission denied/, "$role: $call");
		push @{ $errors{ $call =~ s/\(.*//r } }, $error;
	}
	for my $function (sort keys %errors)
	{
		my %texts = map { $_ => 1 } @{ $errors{$function} };
		is(scalar keys %texts, 1, "$role learns nothing by $function");
	}
}
is(sql('SELECT count(*) FROM assetreg.verification_runs'), $runs, 'and begins no run');
is(checked(), '', 'and nothing is checked');
$node->safe_psql('postgres', 'SET ROLE artist; CALL assetreg.verify_assets()');
is(checked(), '1x297', 'a contributor may');
is(sql("SELECT integrity, checked_by FROM assetreg.assets JOIN assetreg.asset_verifications ON asset_id = id WHERE id = $absent"), 'missing|' . $node->safe_psql('postgres', 'SELECT session_user'), 'and is named');
write_file("$root/model/121.bin", 'model 121 ' x 121);

# --- a search_path full of traps ----------------------------------------------------------------------------

sql(<<'SQL');
CREATE SCHEMA evil;
DO $do$
DECLARE
	r record;
BEGIN
	-- functions and operators of the same names and arguments as those of pg_catalog that could be meant
	FOR r IN
		SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, p.prorettype::regtype AS result, p.proretset AS many
		FROM pg_proc p
		WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.provariadic = 0 AND p.prorettype <> 'internal'::regtype
		  AND NOT 'internal'::regtype = ANY (p.proargtypes) AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) t JOIN pg_type y ON y.oid = t WHERE y.typtype = 'p')
		  AND pg_get_function_result(p.oid) !~ 'TABLE|record|any|trigger|cstring|unknown|handler' AND p.proargmodes IS NULL
		  AND (p.proname IN ('now', 'clock_timestamp', 'lower', 'count', 'hashtextextended', 'pg_try_advisory_xact_lock', 'left', 'substr', 'length',
							 'rtrim', 'ltrim', 'strpos', 'split_part', 'regexp_replace', 'nextval', 'statement_timestamp', 'transaction_timestamp', 'to_regclass')
			   OR p.oid IN (SELECT oprcode FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace
							AND oprname IN ('=', '<>', '<', '>', '<=', '>=', '+', '-', '||', '~', '~~', '%', '/', '*')))
	LOOP
		EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s %s LANGUAGE plpgsql AS %L', r.proname, r.arguments, CASE WHEN r.many THEN 'SETOF' END, r.result,
			format('BEGIN RAISE %L; END', 'trap: ' || r.proname));
	END LOOP;
	FOR r IN
		SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r, p.proname
		FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
		WHERE o.oprleft <> 0 AND to_regprocedure(format('evil.%I(%s,%s)', p.proname, o.oprleft::regtype, o.oprright::regtype)) IS NOT NULL
		  AND o.oprname IN ('=', '<>', '<', '>', '<=', '>=', '+', '-', '||', '~', '~~', '%', '/', '*')
	LOOP
		EXECUTE format('CREATE OPERATOR evil.%s (FUNCTION = evil.%I, LEFTARG = %s, RIGHTARG = %s)', r.oprname, r.proname, r.l, r.r);
	END LOOP;
	FOR r IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'assetreg'::regnamespace AND c.relkind IN ('r', 'v') LOOP
		EXECUTE format('CREATE TABLE evil.%I (id bigint)', r.relname);
	END LOOP;
	-- types of the same names, too
	FOR r IN SELECT unnest('{text,bigint,int8,int4,record,bool,timestamptz,interval,regclass,jsonb}'::text[]) AS name LOOP
		EXECUTE format('CREATE DOMAIN evil.%I AS pg_catalog.int2 CHECK (false)', r.name);
	END LOOP;
END
$do$;
SQL
cmp_ok(sql('SELECT count(*) FROM pg_operator WHERE oprnamespace = \'evil\'::regnamespace'), '>', 100, 'there are traps');
my $evil = <<'SQL';
DO $$ DECLARE r record; BEGIN
	FOR r IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'assetreg'::regnamespace AND c.relkind IN ('r', 'v') LOOP
		EXECUTE format('CREATE TEMP TABLE %I (id bigint)', r.relname);
	END LOOP;
	FOR r IN SELECT unnest('{text,bigint,int8,int4,record,bool,timestamptz,interval,regclass,jsonb}'::text[]) AS name LOOP
		EXECUTE format('CREATE DOMAIN pg_temp.%I AS pg_catalog.int2 CHECK (false)', r.name);
	END LOOP;
END $$;
SQL
mkdir "$root/new$_" or die for 1 .. 4;
my $n = 0;
for my $path ('evil, pg_temp, pg_catalog', 'pg_temp, evil, pg_catalog', 'evil', 'evil, public, assetreg, pg_catalog')
{
	$n++;
	write_file("$root/new$n/$_-v1.$n.bin", "new $n $_") for 1 .. 5;
	(undef, undef, $complaints) = $node->psql('postgres', "$evil SET search_path = $path;
		CALL assetreg.register_directory('model', '$root/new$n');
		CALL assetreg.verify_assets();
		CALL assetreg.verify_assets('model', '1 day');", on_error_stop => 1);
	unlike($complaints, qr/ERROR|trap/, "search_path = $path");
	is(sql("SELECT count(*), min(integrity) FROM assetreg.assets WHERE file_path LIKE '$root/new$n/%' AND version = '1.$n'"), '5|verified', 'the directory is registered');
	is(checked(), '1x' . (297 + 5 * $n), 'all assets are checked');
	is(sql(q{SELECT count(*) FROM assetreg.asset_verifications WHERE result <> 'verified'}), 0, 'as they are');
}
(undef, undef, $complaints) = $node->psql('postgres', q{SET search_path = evil, pg_catalog; SELECT 1::pg_catalog.int8 = 1::pg_catalog.int8});
like($complaints, qr/trap: int8eq/, 'the traps work');

$node->stop;
done_testing();
