# What README.md and doc/reference.md show is what happens: their blocks of SQL run from top to bottom, each error is one
# that they show, and the block of output that follows one, at once or after a sentence that leads to it, is the end of
# what it printed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $root = "$FindBin::RealBin/../..";
my $node = new_server('main');
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE assetreg');
$node->safe_psql('postgres', 'CREATE DATABASE stranger');

my $scratch = PostgreSQL::Test::Utils::tempdir;
mkdir "$scratch/loras" or die "could not make a directory: $!";
{
	local @ENV{qw(PGHOST PGPORT PGDATABASE PGUSER ASSETREG_SCRATCH)} = ($node->host, $node->port, 'assetreg', $node->safe_psql('postgres', 'SELECT current_user'), $scratch);
	command_ok([ "$root/examples/demo" ], 'the demo');
}

# Without what depends on the terminal: spaces at the ends of lines, empty lines, numbers of rows.
sub plain
{
	return join "\n", grep { $_ ne '' && !/^\(\d+ rows?\)$/ } map { s/\s+$//r } split /\n/, $_[0];
}

sub follows
{
	my ($file, $database, $least) = @_;
	(my $text = slurp_file("$root/$file")) =~ s{/mnt/models}{$scratch}g;
	my @blocks;
	push @blocks, [ $1, $2, 1 + (substr($text, 0, $-[0]) =~ tr/\n//) ] while $text =~ /^```sql\n(.*?)^```\n(?:(?:\n(?:[^`\n][^\n]*\n)*[^`\n][^\n]*:\n\n)?```\n(.*?)^```\n)?/msg;
	cmp_ok(scalar @blocks, '>=', $least, "$file has blocks of SQL");

	my $output = '';
	IPC::Run::run([ 'psql', '-Xq', '-P', 'pager=off', '-P', 'null=-', '-v', 'SHOW_CONTEXT=never', '-d', $node->connstr($database) ],
		'<', \join('', map { "$_->[0]\n\\echo ==== end of block\n" } @blocks), '>', \$output, '2>&1');
	my @output = split /^==== end of block\n/m, $output;
	is(scalar @output, scalar @blocks, "$file was run to its end");
	for my $i (0 .. $#blocks)
	{
		my ($sql, $shown, $line) = @{ $blocks[$i] };
		my ($got, $where) = (plain($output[$i] =~ s/^psql:\S+ //mgr), "$file, line $line");
		if (defined $shown)
		{
			my $end = plain($shown);
			is(length $got < length $end ? $got : substr($got, -length $end), $end, $where);
		}
		is(join('', grep { index($shown // '', $_) < 0 } $got =~ /^(ERROR: .*)$/mg), '', "$where: no error that is not shown");
	}
	return;
}

follows('README.md', 'stranger', 5);
follows('doc/reference.md', 'assetreg', 30);

$node->stop;
done_testing();
