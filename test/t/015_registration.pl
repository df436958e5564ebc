# register_asset() against the tools that the field uses: hashes and sizes of any file, in constant memory; any name and
# way to a file; files that change, go away or belong to a NAS that is not mounted; whole directories, dumps and COPY.
use strict;
use warnings;
use Digest::SHA;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use ModelFiles;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;
use Time::HiRes qw(sleep time);

my $top = PostgreSQL::Test::Utils::tempdir;
my ($root, $nas, $out) = map { mkdir "$top/$_" or die; "$top/$_" } qw(root nas out);
my $node = new_server('main');
$node->append_conf('postgresql.conf', "assetreg.asset_roots = '$root, $nas'");
$node->start;
sub sql { return $node->safe_psql('postgres', @_) }
sql('CREATE EXTENSION assetreg');

my $nassets = 0;

# Registers a file under a name of its own, and gives the id.
sub register
{
	my ($path, $more) = @_;
	$nassets++;
	return sql("SELECT assetreg.register_asset('model', 'asset $nassets', file_path => " . literal($path) . ($more // '') . ')');
}

# What is stored of an asset: size, SHA-256, AutoV1, AutoV3.
sub stored
{
	my ($id) = @_;
	return sql("SELECT file_size, sha256, (SELECT value FROM assetreg.asset_hashes WHERE asset_id = id AND algorithm = 'autov1' AND source = 'measured'),
		(SELECT value FROM assetreg.asset_hashes WHERE asset_id = id AND algorithm = 'autov3' AND source = 'measured')
		FROM assetreg.assets WHERE id = $id AND integrity = 'verified'");
}

sub refused
{
	my ($statement, $error, $test) = @_;
	my $rows = rows($node, 'postgres');
	my (undef, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement");
	like($stderr, $error, $test);
	same_lines(rows($node, 'postgres'), $rows, "nothing is stored: $test");
	return;
}

# --- hashes -----------------------------------------------------------------------------------------------

srand 2;
my $noise = join '', map { pack 'L', int rand 2**32 } 1 .. 1_200_000;
my $block = 512 * 1024;
refused("SELECT assetreg.register_asset('model', 'empty', file_path => '" . write_file("$root/empty.bin", '') . "')",
	qr/ERROR:  22023: file ".*" is empty\nDETAIL:  The hash of nothing identifies no asset\./, 'a file of 0 bytes');
my ($wrong, $not_found) = (0, 0);
for my $size (1, 63, 64, 65, (map { ($_ - 1, $_, $_ + 1) } 0x10000, $block, 0x100000, 0x110000, 4 * $block, 8 * $block))
{
	for my $data_size (undef, $size)
	{
		my $start = defined $data_size ? safetensors_start($data_size) : '';
		my $path = write_file("$root/edge$size." . ($start ? 'safetensors' : 'bin'), $start, substr $noise, 0, $size);
		my $id = register($path);
		my $stored = stored($id);
		my ($sha256, $stat_size) = ((split ' ', `sha256sum '$path'`)[0], (stat $path)[7]);
		$wrong++ if $stored ne hashes_by_hand($path, $start ? length $start : undef) || $stored !~ /^$stat_size\|$sha256\|/;
		my ($autov1, $autov3) = (split /\|/, $stored, -1)[2, 3];
		# AutoV1 is of so few bytes that files which begin alike share it
		for my $reference ("sha256:$sha256", substr($sha256, 0, 10), $autov3)
		{
			$not_found++ if $reference && sql("SELECT assetreg.asset_id('$reference')") ne $id;
		}
		$not_found++ if $autov1 && sql("SELECT count(*) FROM assetreg.asset_hashes WHERE algorithm = 'autov1' AND value = '$autov1' AND asset_id = $id") ne 1;
		$wrong++ if sql("SELECT autov2 FROM assetreg.asset_list WHERE id = $id") ne substr $sha256, 0, 10;
	}
}
is($wrong, 0, 'size and hashes are those of stat, sha256sum and Perl, around every boundary');
is($not_found, 0, 'and each finds its asset');

# Three gigabytes, and what they cost the backend.
my $huge = 3 * 1024**3;
my $start = safetensors_start($huge);
my $path = sparse_file("$root/huge.safetensors", $huge + length $start, $start);
my $session = begin_sql($node, "SELECT assetreg.register_asset('model', 'small one', '1', '$root/edge64.bin');");
until_true(sub { slurp_file($session->{out}) =~ /\n.*\n/ }, 'the first registration');
sub peak { return slurp_file("/proc/$session->{pid}/status") =~ /^VmHWM:\s*(\d+)/m ? $1 : die 'no VmHWM' }
my $before = peak();
my $began = time;
more_sql($session, "SELECT assetreg.register_asset('model', 'huge one', '1', '$path');");
until_true(sub { slurp_file($session->{out}) =~ /\n.*\n.*\n/ }, 'the large file');
note sprintf '3 GB: %.1f seconds', time - $began;
cmp_ok(peak() - $before, '<', 8192, '3 GB need less than 8 MB of memory');
my ($said) = end_sql($session);
my ($id) = $said =~ /(\d+)$/;
my ($sha256) = split ' ', `sha256sum '$path'`;
is(stored($id), join('|', -s $path, $sha256, substr(hash_range($path, 0x100000, 0x110000), 0, 8), substr(`tail -c $huge '$path' | sha256sum`, 0, 12)), 'and have the right hashes');

# --- while a file is read ---------------------------------------------------------------------------------

# Registers a file in a session of its own, does something once it is open, and gives the complaints, and how
# long it took from then on; the file must not stay open.
sub meanwhile
{
	my ($file, $do) = @_;
	my $reader = begin_sql($node, "SELECT assetreg.register_asset('model', 'changing', '1', '$file');");
	until_open($reader, $root);
	sleep 0.1;
	my $started = time;
	$do->($reader->{pid});
	until_true(sub { slurp_file($reader->{err}) =~ /\n/ || slurp_file($reader->{out}) =~ /\n.*\n/ }, 'its end');
	my $seconds = time - $started;
	# the error is sent before everything is cleaned up
	until_true(sub { !open_below($reader->{pid}, $top) }, 'the end of the statement');
	my (undef, $err) = end_sql($reader);
	return ($err, $seconds);
}

my $rows = rows($node, 'postgres');
my $large = 6 * 1024**3;
$start = safetensors_start($large);
for (
	[ 'is cancelled', sub { sql("SELECT pg_cancel_backend($_[0])") }, qr/^ERROR:  57014: canceling statement/, 1 ],
	[ 'is terminated', sub { sql("SELECT pg_terminate_backend($_[0])") }, qr/^FATAL:  57P01: terminating connection/, 1 ],
	[ 'is truncated', sub { truncate $path, 1_000_000 or die }, qr/^ERROR:  55006: file ".*" was changed while it was read\nDETAIL:  It is shorter/, 1 ],
	[ 'is deleted', sub { unlink $path or die }, qr/^ERROR:  55006: file ".*" was changed while it was read\nDETAIL:  It was removed/ ],
	[ 'is replaced', sub { rename write_file("$root/new", 'new'), $path or die }, qr/^ERROR:  55006: file ".*" was changed while it was read\nDETAIL:  It was removed, or/ ],
	[ 'is exchanged', sub { rename $path, "$root/old" or die; write_file($path, 'new') }, qr/^ERROR:  55006: file ".*" was changed while it was read\nDETAIL:  / ])
{
	my ($what, $do, $error, $limit) = @$_;
	# the end has to come while it is read
	my $size = $limit ? 4 * $large : $large / 4;
	$path = sparse_file("$root/changing.bin", $size);
	my ($complaint, $seconds) = meanwhile($path, $do);
	like($complaint, $error, "a file that $what while it is registered");
	is(scalar(() = $complaint =~ /^(ERROR|FATAL):/mg), 1, "one error ($what)");
	cmp_ok($seconds, '<', $limit, "within a second ($what)") if $limit;
	same_lines(rows($node, 'postgres'), $rows, "nothing is stored ($what)");
	unlink $path, "$root/old";
}

# Two files change places all the time.
my @contents = map { substr $noise, $_ * 1_000_000, 3_000_000 } 0, 1;
write_file("$root/place$_", $contents[$_]) for 0, 1;
my $swapper = fork // die $!;
if ($swapper == 0)
{
	my $ends = time + 120;
	while (time < $ends)
	{
		write_file("$root/next", $contents[ int rand 2 ]);
		rename "$root/next", "$root/place0";
		rename "$root/place1", "$root/between";
		rename "$root/place0", "$root/place1";
		rename "$root/between", "$root/place0";
	}
	POSIX::_exit(0);
}
my ($outcome) = $node->safe_psql('postgres', <<SQL);
CREATE TABLE outcomes (what text);
DO \$\$
DECLARE
	detail text;
BEGIN
	FOR i IN 1 .. 400 LOOP
		BEGIN
			PERFORM assetreg.register_asset('model', 'swapped ' || i, '1', '$root/place' || i % 2);
			INSERT INTO outcomes VALUES ('registered');
		EXCEPTION
			WHEN object_in_use THEN INSERT INTO outcomes VALUES ('changed');
			WHEN undefined_file THEN INSERT INTO outcomes VALUES ('not there');
			-- just created, and not written yet
			WHEN invalid_parameter_value THEN INSERT INTO outcomes VALUES (SQLERRM);
		END;
	END LOOP;
END
\$\$;
SELECT count(*) FILTER (WHERE what = 'registered') > 0, count(*) FILTER (WHERE what = 'changed') > 0, count(*) FILTER (WHERE what NOT IN ('registered', 'changed', 'not there')) FROM outcomes;
SELECT count(*) FROM assetreg.assets a WHERE a.name LIKE 'swapped %' AND a.sha256 NOT IN ('${\ Digest::SHA::sha256_hex($contents[0])}', '${\ Digest::SHA::sha256_hex($contents[1])}');
SELECT (SELECT count(*) FROM assetreg.assets WHERE name LIKE 'swapped %') = (SELECT count(*) FROM outcomes WHERE what = 'registered');
SELECT count(*) FROM pg_ls_dir('/proc/self/fd') f WHERE f::int > 400;
SQL
kill 'KILL', $swapper;
waitpid $swapper, 0;
is($outcome, "t|t|0\n0\nt\n0", 'whichever of two files that change places is registered, it is one of them');
note sql(q{SELECT string_agg(what || ': ' || n, ', ' ORDER BY what) FROM (SELECT what, count(*) AS n FROM outcomes GROUP BY what) o});

# --- names and ways ------------------------------------------------------------------------------------------

my $n = 0;
for my $name ('with space', "new\nline", "tab\tand \\ back", q{it's "quoted" $HOME %s}, "\xc3\xa9lan \xe5\xbd\xb1 \xf0\x9f\x8e\xac", '-rf', '*', '.hidden', 'no extension', 'two..dots.', 'v1.2', 'x' x 251)
{
	$n++;
	my $id = register(write_file("$root/$name.bin", "name $n"));
	is(sql("SELECT sha256 = encode(sha256('name $n'), 'hex'), file_path = " . literal("$root/$name.bin") . " FROM assetreg.assets WHERE id = $id"), 't|t',
		'a file called ' . ($name =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger));
}
refused("SELECT assetreg.register_asset('model', 'x', file_path => E'$root/\\xff.bin')", qr/ERROR:  22021: invalid byte sequence/, 'a name that is not UTF-8');
refused("SELECT assetreg.register_asset('model', 'x', file_path => '$root/" . 'x' x 256 . "')", qr/ERROR:  22023: file path is too long/, 'a name that is too long');

write_file("$root/target", 'the target');
write_file("$out/secret", 'the secret');
mkdir "$root/folder" or die;
symlink '../target', "$root/folder/inside" or die;
symlink "$out/secret", "$root/outside" or die;
symlink 'nothing', "$root/dangling" or die;
link "$root/target", "$root/hard" or die;
my $target = register("$root/target");
for my $way ("$root/folder/inside", "$root/folder/../target", "$root/./folder//../target", "$root/hard")
{
	$nassets++;
	my (undef, undef, $stderr) = $node->psql('postgres', "SELECT assetreg.register_asset('model', 'asset $nassets', file_path => '$way')");
	like($stderr, qr/NOTICE:  the same content is registered as "model\/asset /, 'another way to the same file: ' . substr $way, length $root);
	is(sql("SELECT a.sha256 = b.sha256, a.integrity, a.file_path FROM assetreg.assets a, assetreg.assets b WHERE a.name = 'asset $nassets' AND b.id = $target"), "t|verified|$way",
		'it is measured, and the path is the one that was given');
}
refused("SELECT assetreg.register_asset('model', 'x', file_path => '$_')", qr/ERROR:  22004: file_size and sha256 of file ".*" must be stated\nDETAIL:  The server measures files below/, 'a way that leads out')
	for "$root/outside", "$root/../out/secret", "$root/folder/../../out/secret";
refused("SELECT assetreg.register_asset('model', 'x', file_path => '$root/dangling')", qr/ERROR:  58P01: file ".*" does not exist/, 'a link to nothing');
is(sql("SELECT integrity FROM assetreg.assets WHERE id = " . register("$root/outside", ", file_size => 10, sha256 => repeat('ab', 32)")), 'declared', 'what is outside can be declared');

# --- rights -----------------------------------------------------------------------------------------------------

sql(<<'SQL');
CREATE ROLE artist;
CREATE ROLE blind;
CREATE ROLE keeper;
SELECT assetreg.grant_access('artist', 'contributor'), assetreg.grant_access('blind', 'contributor'), assetreg.grant_access('keeper', 'contributor');
REVOKE EXECUTE ON FUNCTION assetreg._measure_file FROM blind, keeper;
GRANT pg_read_server_files TO keeper;
SQL
for my $role (qw(artist keeper))
{
	is(sql("SET ROLE $role; SELECT integrity, sha256 = encode(sha256('the target'), 'hex') FROM assetreg.assets WHERE id = assetreg.register_asset('model', 'of $role', file_path => '$root/target')")
		|| sql("SELECT integrity, sha256 = encode(sha256('the target'), 'hex') FROM assetreg.assets WHERE name = 'of $role'"), 'verified|t', "$role may read files");
}
my %errors;
for my $file ("$root/target", "$root/nothing", "$root/outside", "$out/secret", "$root/no/thing", $root, '/etc/passwd')
{
	my (undef, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET ROLE blind; SELECT assetreg.register_asset('model', 'x', file_path => '$file')");
	my ($error) = $stderr =~ /ERROR:  (.*\n.*)/;
	$errors{ $error =~ s/\Q$file\E/FILE/r }++;
	is(sql("SET ROLE blind; BEGIN; SELECT integrity FROM assetreg.assets WHERE id = (SELECT assetreg.register_asset('model', 'y', file_path => '$file', file_size => 1, sha256 => repeat('cd', 32)))")
		. sql("SELECT count(*) FROM assetreg.assets WHERE name = 'y'"), '0', 'a role without the right may declare a file, whatever it is');
}
is(scalar keys %errors, 1, 'a role without the right gets one and the same text for all of them');
like((keys %errors)[0], qr/^22004: file_size and sha256 of file "FILE" must be stated/, 'and that one says nothing');

# --- a NAS -------------------------------------------------------------------------------------------------------

mkdir "$nas/loras" or die;
write_file("$nas/loras/$_.bin", "lora $_") for qw(a b);
my ($here, $declared) = (register("$nas/loras/a.bin"), register("/mnt/nas/loras/c.bin", ", file_size => 5, sha256 => repeat('ef', 32)"));
sub integrities { return sql("SELECT string_agg(integrity, ' ' ORDER BY id) FROM assetreg.assets WHERE id IN ($here, $declared)") }
is(integrities(), 'verified declared', 'one asset that the server sees, one that it does not');
rename $nas, "$nas.away" or die;
my $later = sql("SELECT assetreg.register_asset('lora', 'later', file_path => '$nas/loras/b.bin', file_size => 6, sha256 => encode(sha256('lora b'), 'hex'))");
is(sql("SELECT integrity FROM assetreg.assets WHERE id = $later"), 'declared', 'while the root is not mounted, files below it are declared');
refused("SELECT assetreg.register_asset('lora', 'unseen', file_path => '$nas/loras/b.bin')", qr/ERROR:  22004: .*\nDETAIL:  The server cannot read it: No such file or directory/, 'and must be stated');
is(sql("SELECT assetreg.verify_asset(id) FROM unnest(ARRAY[$here, $declared, $later]) id"), "verified\ndeclared\ndeclared", 'verification leaves them as they are');
is(sql("SELECT string_agg(result, ' ' ORDER BY asset_id) FROM assetreg.asset_verifications WHERE asset_id IN ($here, $declared, $later)"), 'unreadable unreadable unreadable', 'and says so');
is(sql("SELECT assetreg.verify_asset($declared, repeat('ef', 32), 5)"), 'verified', 'who sees one elsewhere says so');
is(sql("SELECT assetreg.verify_asset($declared, repeat('EF', 32), 6)"), 'mismatch', 'or that it differs');
mkdir $nas or die;
is(sql("SELECT assetreg.verify_asset(id) FROM unnest(ARRAY[$here, $later]) id"), "verified\ndeclared", 'an empty mount point changes nothing');
mkdir "$nas/loras" or die;
is(sql("SELECT assetreg.verify_asset(id) FROM unnest(ARRAY[$here, $later]) id"), "missing\nmissing", 'the directory is there and the files are not: missing');
rmdir "$nas/loras" or die;
rmdir $nas or die;
rename "$nas.away", $nas or die;
is(sql("SELECT assetreg.verify_asset(id) FROM unnest(ARRAY[$here, $later]) id"), "verified\nverified", 'mounted again');
unlink "$nas/loras/a.bin" or die;
is(sql("SELECT assetreg.verify_asset($here)"), 'missing', 'one file is deleted');
is(sql("SELECT sha256 = encode(sha256('lora a'), 'hex') FROM assetreg.assets WHERE id = $here"), 't', 'its hash is still known');

# --- a directory ---------------------------------------------------------------------------------------------------

my $tree = "$root/tree";
mkdir $_ or die for $tree, map { "$tree/$_" } 1 .. 20;
for my $i (1 .. 2000) { write_file("$tree/" . ($i % 20 + 1) . "/file $i" . ($i % 3 ? '.bin' : "-v$i.0.bin"), "tree $i") }
my $call = "CALL assetreg.register_directory('lora', '$tree');";
$began = time;
my (undef, undef, $notices) = $node->psql('postgres', $call);
note sprintf 'register_directory: 2,000 files in %.1f seconds', time - $began;
is(join(' ', $notices =~ /NOTICE:  (\d+) of 2000 files/g), join(' ', map { 100 * $_ } 1 .. 20), 'progress is shown every hundred files');
like($notices, qr/NOTICE:  2000 of 2000 files: 2000 new assets, 0 registered before, 0 not registered\z/, 'and the end of it');
is(sql("SELECT count(*), count(DISTINCT name), count(*) FILTER (WHERE integrity = 'verified' AND sha256 = encode(sha256(convert_to('tree ' || substring(file_path FROM 'file ([0-9]+)'), 'UTF8')), 'hex')) FROM assetreg.assets WHERE file_path LIKE '$tree/%'"),
	'2000|2000|2000', 'all are registered and measured');
is(sql("SELECT name, version FROM assetreg.assets WHERE file_path LIKE '$tree/%/file 9-v9.0.bin' UNION ALL SELECT name, version FROM assetreg.assets WHERE file_path LIKE '$tree/%/file 10.bin'"),
	"10/file 9|9.0\n11/file 10|r1", 'under their names and versions');
$rows = rows($node, 'postgres');
$began = time;
(undef, undef, $notices) = $node->psql('postgres', $call);
note sprintf 'a second time: %.1f seconds', time - $began;
like($notices, qr/NOTICE:  2000 of 2000 files: 0 new assets, 2000 registered before, 0 not registered\z/, 'a second time nothing is new');
same_lines(rows($node, 'postgres'), $rows, 'and nothing changes');
write_file("$tree/1/file 20.bin", 'other content');
write_file("$tree/1/file 21-v21.0.bin", 'new');
write_file("$tree/4/file 3-v3.0.bin", 'other content');
(undef, undef, $notices) = $node->psql('postgres', $call);
like($notices, qr/NOTICE:  2001 of 2001 files: 2 new assets, 1998 registered before, 1 not registered\z/, 'what is new or has changed later on');
like($notices, qr/WARNING:  could not register file ".*4\/file 3-v3\.0\.bin"\nDETAIL:  asset "lora\/4\/file 3\@3\.0" already exists with other content: Registered: size 6, /, 'and why one is not');

# What cannot be registered does not stop the others.
my $odd = "$root/odd";
mkdir $_ or die for $odd, "$odd/closed";
write_file("$odd/$_.bin", "odd $_") for 'a', 'z', "new\nline", "\xff", "b\xc3\x28";
write_file("$odd/empty.bin", '');
write_file("$odd/broken.safetensors", 'x' x 100);
write_file("$odd/closed/file", 'x');
symlink $out, "$odd/folder_out" or die;
symlink "$out/secret", "$odd/secret" or die;
chmod 0, "$odd/closed" or die;
(undef, undef, $notices) = $node->psql('postgres', "CALL assetreg.register_directory('lora', '$odd')");
chmod oct 700, "$odd/closed" or die;
is(sql("SELECT string_agg(name, ' ' ORDER BY name) FROM assetreg.assets WHERE file_path LIKE '$odd/%'"), 'a z', 'what can be registered is');
like($notices, qr/NOTICE:  (\d+) of \1 files: 2 new assets, 0 registered before, 8 not registered\z/, 'and the others are counted');
for (
	[ 'empty.bin', 'file ".*" is empty: The hash of nothing identifies no asset\.' ],
	[ 'broken.safetensors', 'file ".*" has an invalid safetensors header: .*' ],
	[ 'closed', 'Permission denied' ],
	[ '\\\\xff.bin', 'name is not valid in the encoding of the database' ],
	[ 'b\\\\xc3(\\(|\\\\x28).bin', 'name is not valid in the encoding of the database' ],
	[ 'secret', 'symbolic link: outside' ],
	[ 'folder_out', 'symbolic link: outside' ],
	[ "new\nline.bin", 'name of an asset contains a control character: Marks that turn the direction of text count as such.' ])
{
	my ($name, $why) = @$_;
	like($notices, qr/WARNING:  could not register file "\Q$odd\E\/$name"\nDETAIL:  $why\n/, 'why: ' . ($name =~ s/\n/\\n/r));
}

# --- dump and restore ---------------------------------------------------------------------------------------------

$node->command_ok([ 'pg_dump', '-Fc', '-f', "$top/dump", 'postgres' ], 'a dump');
$node->command_ok([ 'pg_dump', '-f', "$top/dump.sql", 'postgres' ], 'a plain one');
my $rows_before = rows($node, 'postgres') . sql('SELECT md5(string_agg(v::text, chr(10) ORDER BY asset_id)) FROM assetreg.asset_verifications v');
# a file that is measured now would not be what it was
rename $tree, "$tree.away" or die;
truncate "$root/edge64.bin", 1 or die;
for (
	[ 'pg_restore', sub { $node->command_ok([ 'pg_restore', '-d', $_[0], "$top/dump" ], 'pg_restore') } ],
	[ 'psql', sub { $node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $_[0], '-o', '/dev/null', '-f', "$top/dump.sql" ], 'psql') } ])
{
	my ($how, $restore) = @$_;
	$node->safe_psql('postgres', "CREATE DATABASE by_$how");
	$restore->("by_$how");
	is(rows($node, "by_$how") . $node->safe_psql("by_$how", 'SELECT md5(string_agg(v::text, chr(10) ORDER BY asset_id)) FROM assetreg.asset_verifications v'), $rows_before,
		"$how: everything is as it was");
	is($node->safe_psql("by_$how", "SELECT integrity FROM assetreg.assets WHERE file_path = '$root/edge64.bin' LIMIT 1"), 'verified', "$how: nothing was measured");
	is($node->safe_psql("by_$how", "SELECT assetreg.verify_asset(min(id)) FROM assetreg.assets WHERE file_path = '$root/edge64.bin'"), 'mismatch', "$how: until it is");
	is($node->safe_psql("by_$how", 'SELECT count(*) FROM assetreg.check_registry()'), 0, "$how: the registry is whole");
}
rename "$tree.away", $tree or die;

# --- COPY ------------------------------------------------------------------------------------------------------------

sub copied
{
	my ($what, $lines) = @_;
	my $file = write_file("$top/rows", map { join("\t", @$_) . "\n" } @$lines);
	my $started = time;
	sql("COPY assetreg.assets (type, name, version, file_path, file_size, sha256, metadata) FROM '$file'");
	note sprintf 'COPY of %d rows, %s: %.1f seconds', scalar @$lines, $what, time - $started;
	return;
}
copied('declared', [ map { [ 'lora', "copied $_", '1', "/mnt/nas/copied/$_.safetensors", $_, Digest::SHA::sha256_hex($_), '{}' ] } 1 .. 100_000 ]);
is(sql(q{SELECT integrity, count(*), count(DISTINCT e.id) FROM assetreg.assets a JOIN assetreg.entities e ON e.id = a.id AND e.key = a.name || '@1' WHERE a.file_path LIKE '/mnt/nas/copied/%' GROUP BY 1}),
	'declared|100000|100000', 'COPY of 100,000 rows');
copied('measured', [ map { [ 'custom_node', "tree $_", '1', "$tree/" . ($_ % 20 + 1) . "/file $_" . ($_ % 3 ? '.bin' : "-v$_.0.bin"), '\N', '\N', '{}' ] } 101 .. 2000 ]);
is(sql(q{SELECT integrity, count(*), count(sha256) FROM assetreg.assets WHERE name LIKE 'tree %' GROUP BY 1}), 'verified|1900|1900', 'COPY measures as register_asset() does');
is(sql('SELECT count(*) FROM assetreg.check_registry()'), 0, 'the registry is whole');

$node->stop;
done_testing();
