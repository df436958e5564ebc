# Files of the server: the hashes are those that other programs compute, whatever the size; nothing leads out of
# the roots, hangs a backend or leaks; and a file that changes while it is read is not taken for what it was.
use strict;
use warnings;
use Fcntl qw(SEEK_SET);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IO::Socket::UNIX;
use ModelFiles;
use POSIX qw(mkfifo);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;
use Time::HiRes qw(sleep time);

my $top = PostgreSQL::Test::Utils::tempdir;
my ($root, $other, $out) = map { mkdir "$top/$_" or die; "$top/$_" } qw(root other out);

sub start_server
{
	my ($name) = @_;
	my $node = new_server($name);
	$node->append_conf('postgresql.conf', "assetreg.asset_roots = '$root, $other, /dev, $top/absent'");
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION assetreg');
	return $node;
}

my $node = start_server('main');

sub measure
{
	my ($path, $columns) = @_;
	return $node->safe_psql('postgres', "SELECT $columns FROM assetreg._measure_file(" . literal($path) . ')');
}

sub state_is
{
	my ($path, $state, $test) = @_;
	is(measure($path, 'state'), $state, $test);
	return;
}

# --- hashes ---------------------------------------------------------------------------------------

srand 1;
my $noise = join '', map { pack 'L', int rand 2**32 } 1 .. 1_500_000;
my $block = 512 * 1024;
my $different = 0;
for my $edge (64, 0x10000, $block, 0x100000, 0x110000, 4 * $block, 8 * $block, 9 * $block)
{
	for my $size ($edge - 1 .. $edge + 1)
	{
		my $path = write_file("$root/edge.bin", substr $noise, 0, $size);
		my $sha256sum = (split ' ', `sha256sum '$path'`)[0];
		my $got = measure($path, 'size, sha256, autov1, autov3');
		$different++ if $got ne hashes_by_hand($path) || (split /\|/, $got)[1] ne $sha256sum;
	}
}
is($different, 0, 'files of sizes around every boundary have the hashes that sha256sum and Perl compute');
is(measure(write_file("$root/one"    , 'x'), 'state, size, sha256, autov1, autov3, format, metadata, tensors'),
	"measured|1|2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881|||||", 'a file of one byte');

for my $data_size (0, 1, 63, 64, $block - 100, $block, 0x110000, 8 * $block - 1, 8 * $block, 9 * $block + 1)
{
	for my $padding (0, 1, 8)
	{
		my $start = safetensors_start($data_size, $padding);
		my $path = write_file("$root/edge.safetensors", $start, substr $noise, 0, $data_size);
		$different++ if measure($path, 'size, sha256, autov1, autov3') ne hashes_by_hand($path, length $start);
	}
}
is($different, 0, 'so have safetensors files');
my $long = safetensors_start(5_000_000, 3, 'c' x 700_000);
my $path = write_file("$root/long.safetensors", $long, substr $noise, 0, 5_000_000);
is(measure($path, q{size, sha256, autov1, autov3, length(metadata ->> 'comment'), tensors}),
	hashes_by_hand($path, length $long) . '|700000|{"count": 1, "dtypes": {"U8": 1}}', 'one with a header of more than a block');

my $huge = 3 * 1024**3;
my $start = safetensors_start($huge, 0);
$path = sparse_file("$root/huge.safetensors", $huge + length $start, $start);
my $began = time;
my $hashes = measure($path, 'size, sha256, autov3');
note sprintf '3 GB: %.1f seconds', time - $began;
is($hashes, sprintf('%d|%s|%s', -s $path, (split ' ', `sha256sum '$path'`)[0], substr `tail -c $huge '$path' | sha256sum`, 0, 12),
	'a sparse file of 3 GB');
unlink $path;

# --- what is opened -------------------------------------------------------------------------------

write_file("$out/secret", 'secret');
mkdir "$out/dir" or die;
write_file("$out/dir/secret", 'secret');
mkdir "$root/dir" or die;
mkdir "$root/closed" or die;
write_file("$root/closed/file", 'closed');
write_file("$root/locked", 'locked');
write_file("$other/target", 'target');
my @links = (in => 'one', in_absolute => "$root/one", in_other => "$other/target", up => '../out/secret', secret => "$out/secret",
	dir_out => "$out/dir", zero => '/dev/zero', dangling => 'nothing', loop => 'loop', self => '.');
while (my ($link, $target) = splice @links, 0, 2) { symlink $target, "$root/$link" or die }
mkfifo("$root/fifo", oct 600) or die;
my $socket = IO::Socket::UNIX->new(Local => "$root/socket", Listen => 1) or die "$root/socket: $!";
chmod 0, "$root/closed", "$root/locked" or die;
END { chmod oct 700, "$root/closed" if defined $root }	# else nobody but root could remove it

sub opens_the_right_files
{
	my ($how) = @_;
	is(measure("$root/in", 'sha256'), measure("$root/one", 'sha256'), "$how: a link that stays inside is followed");
	state_is("$root/in_absolute", 'measured', "$how: an absolute one, too");
	state_is("$root/self/self/one", 'measured', "$how: and one to a directory");
	is(measure("$root/in_other", 'size'), 6, "$how: a link into another root is followed");
	state_is("$root/dir/../one", 'measured', "$how: .. that stays inside");
	state_is("$root/$_", 'outside', "$how: $_ leads out")
		for qw(up secret dir_out/secret ../out/secret dir/../../out/secret), "../root/../out/secret";
	state_is($_, 'outside', "$how: $_ is outside")
		for '/etc/passwd', "$out/secret", "$out/nothing", "$out/no/thing", "${root}x", 'relative', '', '/', '/proc/self/mem';
	state_is("$root/nothing", 'missing', "$how: a file that is not there");
	state_is("$root/dangling", 'missing', "$how: a link to one");
	state_is("$root/no/thing", 'unreachable', "$how: in a directory that is not there");
	state_is("$root/one/thing", 'unreachable', "$how: in a file");
	state_is("$root/loop", 'unreachable', "$how: a link to itself");
	state_is("$top/absent/file", 'unreachable', "$how: below a root that is not there");
	is(measure("$root/$_", 'state, detail'), 'unreachable|Permission denied', "$how: $_ may not be read") for qw(locked closed/file);
	state_is("$root/zero", 'irregular', "$how: a link to a device, where devices are below a root");
	is($node->safe_psql('postgres', "SET assetreg.asset_roots = '$root'; SELECT state FROM assetreg._measure_file('$root/zero')"),
		'outside', "$how: and where they are not");
	state_is("$other/", 'measured', "$how: a directory");
	my $started = time;
	state_is("$root/fifo", 'irregular', "$how: a FIFO that nobody writes to");
	state_is("$root/socket", 'irregular', "$how: a socket");
	state_is("/dev/$_", 'irregular', "$how: /dev/$_") for qw(zero null random tty);
	cmp_ok(time - $started, '<', 10, "$how: none of these makes the server wait");
	return;
}
opens_the_right_files('openat2');

# A kernel without openat2(): all the same.
{
	write_file("$top/no_openat2.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
long
syscall(long number, ...)
{
	static long (*next) (long, ...);
	va_list		rest;
	long		a[6];

	va_start(rest, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(rest, long);
	va_end(rest);
	if (number == SYS_openat2)
	{
		errno = ENOSYS;
		return -1;
	}
	if (!next)
		next = (long (*) (long, ...)) dlsym(RTLD_NEXT, "syscall");
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
C
	system_or_bail('cc', '-shared', '-fPIC', '-o', "$top/no_openat2.so", "$top/no_openat2.c", '-ldl');
	my $main = $node;
	{
		local $ENV{LD_PRELOAD} = "$top/no_openat2.so";
		$node = start_server('old_kernel');
	}
	opens_the_right_files('step by step');
	$node->stop;
	$node = $main;
}

# Names that a shell would stumble over.
for my $name ("with space", "with\nnewline", q{it's "quoted" \\ $HOME %s}, 'élan 影 🎬', '-rf', '*', 'a' x 255)
{
	$different++ if measure(write_file("$root/dir/$name", "of $name"), 'sha256') ne hash_range("$root/dir/$name", 0, -s "$root/dir/$name");
}
is($different, 0, 'any name');

sub fails_with
{
	my ($sql, $error, $test) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	like($stderr, $error, $test);
	return $stderr;
}
my $call = 'SELECT * FROM assetreg._measure_file';
fails_with("$call(" . literal("$root/" . 'a' x 256) . ')', qr/ERROR:  22023: file path is too long/, 'a name that is too long');
fails_with("$call(" . literal($root . '/dir' x 1250) . ')', qr/ERROR:  22023: file path is too long/, 'a path that is too long');
state_is('/elsewhere' . '/dir' x 1250, 'outside', 'one that is elsewhere is outside');
fails_with("$call(E'$root/\\xff')", qr/ERROR:  22021: invalid byte sequence/, 'a path that is not valid UTF-8');
fails_with("$call('" . write_file("$root/empty", '') . "')", qr/ERROR:  22023: file ".*" is empty/, 'an empty file identifies nothing');

# --- rights ---------------------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE reader;
CREATE ROLE measurer;
CREATE ROLE stranger;
GRANT pg_read_server_files TO reader;
GRANT USAGE ON SCHEMA assetreg TO reader, measurer, stranger;
GRANT EXECUTE ON FUNCTION assetreg._measure_file TO measurer;
GRANT EXECUTE ON FUNCTION assetreg._list_files TO reader, measurer, stranger;
SQL
is($node->safe_psql('postgres', "SET ROLE measurer; SELECT size FROM assetreg._measure_file('$root/one')"), '1', 'EXECUTE on assetreg._measure_file is enough');
is($node->safe_psql('postgres', "SET ROLE $_; SELECT count(*) > 0 FROM assetreg._list_files('$root')"), 't', "what $_ has is enough to list files")
	for qw(reader measurer);
for my $function ('_measure_file', '_list_files')
{
	my %errors;
	for my $file ("$root/one", "$root/nothing", "$root/no/thing", $root, "$out/secret", '/nothing', "$root/" . 'a' x 5000, 'x')
	{
		$errors{ fails_with("SET ROLE stranger; SELECT * FROM assetreg.$function('$file')", qr/ERROR:  42501: permission denied/, "$function without the right") }++;
	}
	is(scalar keys %errors, 1, 'a role without the right gets one and the same text for all of them');
}
# PostgreSQL knows a setting of a library when it has loaded it; what was said before is dropped then.
my $load = q{SELECT assetreg._version_key('1')};
fails_with("$load; SET ROLE reader; SET assetreg.asset_roots = '/'", qr/ERROR:  42501/, 'only a superuser says where the roots are');
fails_with("$load; SET ROLE stranger; SHOW assetreg.asset_roots", qr/ERROR:  42501/, 'or sees it');
fails_with("$load; SET assetreg.asset_roots = 'models'", qr/ERROR:  22023: invalid value.*DETAIL:  "models" is not an absolute path/s, 'a root is an absolute path');
fails_with("$load; SET assetreg.asset_roots = '/a,,/b'", qr/ERROR:  22023: invalid value.*DETAIL:  List syntax/s, 'and a list a list');
is($node->safe_psql('postgres', "SET ROLE measurer; SET assetreg.asset_roots = '/'; SELECT state FROM assetreg._measure_file('$out/secret')"),
	'outside', 'who sets it before the library is loaded gains nothing');
is($node->safe_psql('postgres', "SET assetreg.asset_roots = ''; SELECT state FROM assetreg._measure_file('$root/one')"), 'outside', 'without roots nothing is read');
is($node->safe_psql('postgres', "SET assetreg.asset_roots = '/'; SELECT state FROM assetreg._measure_file('$out/secret')"), 'measured', 'the root may be /');

# --- changes --------------------------------------------------------------------------------------

# A file, and a directory on the way to one, that become links out of the root and back all the time.
mkdir "$root/swap" or die;
mkdir "$root/swap.keep" or die;
write_file("$root/swap.keep/secret", 'inside');
my $pid = fork // die $!;
if ($pid == 0)
{
	my $ends = time + 60;
	while (time < $ends)
	{
		symlink "$out/secret", "$root/swap/new";
		rename "$root/swap/new", "$root/swap/file";
		symlink "$out/dir", "$root/swap/newdir";
		rename "$root/swap/newdir", "$root/swap/dir";
		write_file("$root/swap/new", 'inside');
		rename "$root/swap/new", "$root/swap/file";
		unlink "$root/swap/dir";
		rename "$root/swap.keep", "$root/swap/dir";
		rename "$root/swap/dir", "$root/swap.keep";
	}
	POSIX::_exit(0);
}
my $swapped = $node->safe_psql('postgres', <<SQL);
CREATE TEMP TABLE seen (state text, sha256 text);
DO \$\$
BEGIN
	FOR i IN 1 .. 10000 LOOP
		BEGIN
			INSERT INTO seen SELECT m.state, m.sha256 FROM assetreg._measure_file('$root/swap/' || (ARRAY['file', 'dir/secret'])[i % 2 + 1]) m;
		EXCEPTION WHEN object_in_use THEN
			INSERT INTO seen VALUES ('in use');
		END;
	END LOOP;
END
\$\$;
SELECT count(*) FILTER (WHERE sha256 = encode(sha256('secret'), 'hex')),
	   count(*) FILTER (WHERE sha256 = encode(sha256('inside'), 'hex')) > 0, count(*) FILTER (WHERE state = 'outside') > 0,
	   count(*) FILTER (WHERE sha256 NOT IN (encode(sha256('inside'), 'hex'), encode(sha256('secret'), 'hex'))) FROM seen;
SQL
kill 'KILL', $pid;
waitpid $pid, 0;
is($swapped, '0|t|t|0', 'no exchange of files and links lets anything out, in 10,000 tries');

# Starts to measure a large file in a session of its own, does something, and gives the error and how long it took.
sub meanwhile
{
	my ($file, $do) = @_;
	my ($stdout, $stderr) = ('', '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'),
		'-c', "SELECT sha256 FROM assetreg._measure_file('$file') /* meanwhile */" ], '<', \'', '>', \$stdout, '2>', \$stderr);
	my $activity = q{FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%/* mean%' AND pid <> pg_backend_pid()};
	$node->poll_query_until('postgres', "SELECT count(*) = 1 $activity") or die 'nothing is measured';
	sleep 0.2;
	my $started = time;
	$do->("SELECT %s(pid) $activity");
	$session->finish;
	return ($stderr, time - $started);
}
my $large = 24 * 1024**3;
$path = "$root/large.safetensors";
for (
	[ 'is cancelled', sub { $node->safe_psql('postgres', sprintf shift, 'pg_cancel_backend') }, qr/ERROR:  57014/ ],
	[ 'is terminated', sub { $node->safe_psql('postgres', sprintf shift, 'pg_terminate_backend') }, qr/FATAL:  57P01/ ],
	[ 'is truncated', sub { truncate $path, 1000 or die }, qr/ERROR:  55006: file ".*" was changed while it was read\nDETAIL:  It is shorter/ ])
{
	my ($what, $do, $error) = @$_;
	$start = safetensors_start($large, 0);
	sparse_file($path, $large + length $start, $start);
	my ($stderr, $seconds) = meanwhile($path, $do);
	like($stderr, $error, "a file that $what while it is read");
	cmp_ok($seconds, '<', 1, "is given up within a second ($what)");
}
ok($node->safe_psql('postgres', 'SELECT 1'), 'the server lives on');

my $some = 1024**3;
for (
	[ 'is removed', sub { unlink $path or die }, qr/ERROR:  55006: file ".*" was changed while it was read\nDETAIL:  It was removed/ ],
	[ 'is replaced', sub { rename sparse_file("$root/new", 10), $path or die }, qr/ERROR:  55006: .*\nDETAIL:  It was removed, or/ ],
	[ 'grows', sub { open my $f, '>>', $path or die; print $f 'x'; close $f }, qr/ERROR:  55006: .*\nDETAIL:  Its size or/ ],
	[ 'is written to', sub { open my $f, '+<', $path or die; seek $f, 5000, SEEK_SET; print $f 'x'; close $f }, qr/ERROR:  55006: .*\nDETAIL:  Its size or/ ])
{
	my ($what, $do, $error) = @$_;
	$start = safetensors_start($some, 0);
	sparse_file($path, $some + length $start, $start);
	my ($stderr) = meanwhile($path, $do);
	like($stderr, $error, "a file that $what while it is read");
}
unlink $path;

# --- nothing is left behind -------------------------------------------------------------------------

# Files and threads of the backend, kilobytes in its memory contexts, and those that it has from the system.
my $usage = q{SELECT (SELECT count(*) FROM pg_ls_dir('/proc/self/fd')), (SELECT count(*) FROM pg_ls_dir('/proc/self/task')),
	(SELECT sum(total_bytes) / 1024 FROM pg_backend_memory_contexts), 4 * split_part(pg_read_file('/proc/self/statm', 0, 100), ' ', 2)::int};
write_file("$root/bad.safetensors", pack('Q<', 2), '{]');
write_file("$root/bad.gguf", 'GGUF', pack('L<Q<Q<', 3, 0, 5));
write_file("$root/threads", substr $noise, 0, 5_000_000);
$node->safe_psql('postgres', <<SQL);
CREATE FUNCTION fail_often(times int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
	paths text[] := ARRAY['bad.safetensors', 'bad.gguf', 'empty', 'nothing', 'fifo', 'locked', 'dir', 'one', 'zero', 'loop', '/' || repeat('a', 300)];
BEGIN
	FOR i IN 1 .. times LOOP
		BEGIN
			PERFORM * FROM assetreg._measure_file('$root/' || paths[i % cardinality(paths) + 1]);
			PERFORM * FROM assetreg._list_files('$root/' || paths[i % cardinality(paths) + 1]);
		EXCEPTION WHEN invalid_parameter_value THEN
			NULL;
		END;
	END LOOP;
END
\$\$;
SQL
$start = safetensors_start($some * 4, 0);
$path = sparse_file("$root/large.safetensors", $some * 4 + length $start, $start);

# Statements that end while the thread is at work.
sub cancel_often
{
	return "SET statement_timeout = '20ms';\n" . "SELECT sha256 FROM assetreg._measure_file('$path');\n" x shift() . "RESET statement_timeout;\n";
}
my ($ended, $stdout, $stderr) = $node->psql('postgres', 'SELECT fail_often(500);' . cancel_often(10) . "$usage;\nSELECT fail_often(10000);" . cancel_often(100) . "$usage;\n",
	on_error_stop => 0);
my ($before, $after) = map { [ split /\|/ ] } grep { /\|/ } split /\n/, $stdout;
is(scalar(() = $stderr =~ /canceling statement due to statement timeout/g), 110, 'every statement was cancelled while it read');
is("@$after[0, 1]", "@$before[0, 1]", '10,000 calls that fail and 100 that are cancelled leave no file open and no thread running');
cmp_ok($after->[2], '<=', $before->[2] + 64, 'no memory in use');
cmp_ok($after->[3], '<=', $before->[3] + 2048, 'and none from OpenSSL');

# Memory while a large file is measured.
my @memory;
meanwhile($path, sub {
	my $backend = $node->safe_psql('postgres', sprintf shift, '');
	for (1 .. 5)
	{
		push @memory, (split ' ', slurp_file("/proc/$backend/statm"))[1] * 4;
		sleep 0.1;
	}
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($backend)");
});
cmp_ok($memory[-1], '<=', $memory[0] + 1024, 'memory is constant while a file is read');
cmp_ok($memory[-1], '<', 100_000, 'and little');
unlink $path;

# --- directories ----------------------------------------------------------------------------------

my $pack = "$other/pack";
mkdir $_ or die for $pack, "$pack/nodes", "$pack/.git", "$pack/nodes/__pycache__", "$pack/a b", "$pack/empty";
my %contents = ('__init__.py' => 'x = 1', 'nodes/sampler.py' => 'y = 2', 'nodes.py' => '', "a b/new\nline" => 'z', "a b/\xff" => 'not UTF-8',
	'.git/HEAD' => 'ref', 'nodes/__pycache__/sampler.pyc' => 'bytes', '.gitignore' => '*', 'large' => substr($noise, 0, 3_000_000));
write_file("$pack/$_", $contents{$_}) for keys %contents;
symlink "$out/secret", "$pack/link" or die;
mkfifo("$pack/fifo", oct 600) or die;

sub digest { return $node->safe_psql('postgres', "SELECT state, files, size, sha256 FROM assetreg._measure_file('$pack')") }
my $recomputed = write_file("$top/digest", <<'SH');
cd "$1"
find . \( -name .git -o -name __pycache__ \) -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z |
while IFS= read -r -d '' f; do
	printf '%s %s %s\0' "$(sha256sum <"$f" | cut -c 1-64)" "$(stat -c %s "./$f")" "$f"
done | sha256sum | cut -c 1-64
SH
chomp(my $by_hand = `bash '$recomputed' '$pack'`);
my $digest = digest();
like($digest, qr/^measured\|7\|\d+\|$by_hand$/, 'the digest of a directory is what its documentation says');
write_file("$pack/.git/HEAD", 'another');
write_file("$pack/nodes/__pycache__/more.pyc", 'more');
is(digest(), $digest, 'what git and Python leave there does not count');
write_file("$pack/nodes.py", ' ');
isnt(digest(), $digest, 'everything else does');
my $digest_of = 'SELECT state FROM assetreg._measure_file';
is($node->safe_psql('postgres', "SELECT files FROM assetreg._measure_file('$root/one')"), '', 'a file has no files in it');
fails_with("$digest_of('$pack/empty')", qr/ERROR:  22023: directory ".*" has no files/, 'neither has an empty one');
chmod 0, "$pack/nodes" or die;
fails_with("$digest_of('$pack')", qr/ERROR:  55000: could not read "nodes" in directory ".*"\nDETAIL:  Permission denied/, 'nor one that can be read in parts only');

sub list
{
	my ($directory, @how) = @_;
	return $node->safe_psql('postgres', "SELECT substr(file_path, length('$other') + 2), size, problem
		FROM assetreg._list_files(" . join(', ', map { literal($_) } $directory, @how) . ') ORDER BY file_path COLLATE "C"');
}
symlink 'nodes.py', "$pack/inside.py" or die;
symlink 'empty', "$pack/directory" or die;
is(list("$pack/"), <<"END" =~ s/\n\z//r, 'the files of a directory, and why some cannot be registered');
pack/.git/HEAD|7|
pack/.gitignore|1|
pack/__init__.py|5|
pack/a b/\\xff||name is not valid in the encoding of the database
pack/a b/new
line|1|
pack/directory||symbolic link: directory
pack/fifo||not a regular file
pack/inside.py|1|
pack/large|3000000|
pack/link||symbolic link: outside
pack/nodes||Permission denied
pack/nodes.py|1|
END
chmod oct 700, "$pack/nodes" or die;
is(list($pack, '*.py'), "pack/__init__.py|5|\npack/a b/\\xff||name is not valid in the encoding of the database\npack/inside.py|1|\npack/nodes.py|1|\npack/nodes/sampler.py|5|", 'by a pattern');
is(list($pack, '__????__.py', 'off'), 'pack/__init__.py|5|', 'of the directory alone');
is(list($pack, '%', 'off') . list($pack, 'n\\odes.py', 'off'), '', 'only * and ? stand for others');
fails_with("SELECT * FROM assetreg._list_files('$_')", qr/ERROR:  22023: could not open directory/, "$_ is no directory to list")
	for "$root/one", "$root/nothing", $out, "$root/dir_out";

$node->stop;
done_testing();
