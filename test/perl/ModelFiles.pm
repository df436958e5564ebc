# What the TAP tests of files share: files of any content and size, their hashes computed by another hand, and
# sessions that are at work meanwhile.
package ModelFiles;

use strict;
use warnings;
use Digest::SHA;
use Exporter 'import';
use Fcntl qw(SEEK_SET);
use IO::Handle;
use PostgreSQL::Test::Utils qw(slurp_file);
use Time::HiRes qw(sleep);

our @EXPORT = qw(literal write_file sparse_file safetensors_start hash_range hashes_by_hand open_below begin_sql more_sql end_sql until_true until_waiting until_open);

sub literal
{
	my ($text) = @_;
	return q{'} . $text =~ s/'/''/gr . q{'};
}

sub write_file
{
	my ($path, @parts) = @_;
	open my $file, '>:raw', $path or die "$path: $!";
	print $file @parts or die "$path: $!";
	close $file or die "$path: $!";
	return $path;
}

# A file that is all holes but for its beginning.
sub sparse_file
{
	my ($path, $size, $start) = @_;
	write_file($path, $start // 'x');
	truncate $path, $size or die "$path: $!";
	return $path;
}

# What comes before the tensors of a safetensors file.
sub safetensors_start
{
	my ($data_size, $padding, $comment) = @_;
	my $header = sprintf '{"__metadata__":{"comment":"%s"}%s}', $comment // 'a',
		$data_size > 0 ? qq(,"t":{"dtype":"U8","shape":[$data_size],"data_offsets":[0,$data_size]}) : '';
	$header .= ' ' x ($padding // 0);
	return pack('Q<', length $header) . $header;
}

sub hash_range
{
	my ($path, $from, $to) = @_;
	my $digest = Digest::SHA->new(256);
	open my $in, '<:raw', $path or die "$path: $!";
	seek $in, $from, SEEK_SET or die "$path: $!";
	for (my $left = $to - $from; $left > 0;)
	{
		my $n = read $in, my $piece, $left < 100_000 ? $left : 100_000 or die "$path: $!";
		$digest->add($piece);
		$left -= $n;
	}
	return $digest->hexdigest;
}

# Size, SHA-256, AutoV1 and AutoV3, read from the file at the offsets that the field's conventions give.
sub hashes_by_hand
{
	my ($path, $tensors) = @_;
	my $size = -s $path;
	return join '|', $size, hash_range($path, 0, $size),
		$size >= 0x110000 ? substr(hash_range($path, 0x100000, 0x110000), 0, 8) : '',
		defined $tensors && $tensors < $size ? substr(hash_range($path, $tensors, $size), 0, 12) : '';
}

# The files below a folder that a process of the same user has open.
sub open_below
{
	my ($pid, $folder) = @_;
	return grep { defined && /^\Q$folder\E(\/|$)/ } map { readlink } glob "/proc/$pid/fd/*";
}

my $nsessions = 0;

# A session of its own in which statements run meanwhile, and the pid of its backend.
sub begin_sql
{
	my ($node, $sql, %how) = @_;
	my $file = $node->basedir . '/session' . ++$nsessions;
	my %session = (out => "$file.out", err => "$file.err");
	my $psql = open($session{in}, '|-') // die $!;
	if (!$psql)
	{
		open STDOUT, '>', $session{out} or die $!;
		open STDERR, '>', $session{err} or die $!;
		local $ENV{PGUSER} = $how{user} // $ENV{PGUSER};
		exec 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr($how{database} // 'postgres') or die $!;
	}
	$session{in}->autoflush;
	more_sql(\%session, 'SELECT pg_backend_pid();');
	until_true(sub { -e $session{out} && slurp_file($session{out}) =~ /^(\d+)\n/ && ($session{pid} = $1) }, 'a session');
	more_sql(\%session, $sql);
	return \%session;
}

# One statement more; nobody waits for what it says.
sub more_sql
{
	my ($session, $sql) = @_;
	print { $session->{in} } "$sql\n" or die $!;
	return;
}

# Waits for the end of a session's statements, and gives what it said and its complaints.
sub end_sql
{
	my ($session) = @_;
	close $session->{in};
	return (slurp_file($session->{out}) =~ s/^\d+\n//r =~ s/\n\z//r, slurp_file($session->{err}));
}

sub until_true
{
	my ($condition, $what) = @_;
	for (1 .. 18000)
	{
		return if $condition->();
		sleep 0.01;
	}
	die "waited in vain for $what";
}

# Waits until a session waits itself, for a lock that another one holds; which one, where it is named.
sub until_waiting
{
	my ($node, $session, $holder) = @_;
	my $condition = $holder ? "$holder->{pid} = ANY (pg_blocking_pids(pid))" : "wait_event_type = 'Lock'";
	$node->poll_query_until('postgres', "SELECT $condition FROM pg_stat_activity WHERE pid = $session->{pid}")
		or die 'the session does not wait';
	return;
}

# Waits until a session has a file below a folder open.
sub until_open
{
	my ($session, $folder) = @_;
	until_true(sub { open_below($session->{pid}, $folder) }, "an open file below $folder");
	return;
}

1;
