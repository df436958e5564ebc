/*
 * bfs.c
 *	  Stand-alone breadth-first search: what the machine could do with the
 *	  graph already in memory.  No server, no snapshot, no rights, no limits.
 *
 * Use: bfs EDGES
 *
 * EDGES has a line "dependency <tab> dependent" for each edge.  Then each line
 * "start <tab> label" of standard input is answered by "label <tab> ms <tab>
 * count": how many others depend on start, and the time of one search, as the
 * mean of as many as fit into 20 ms.
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_ID 500000000		/* ids are used as array subscripts */
#define LEAST_MS 20

typedef struct
{
	uint32_t	dependency;
	uint32_t	dependent;
} Edge;

/* Compressed sparse rows: the dependents of i are targets[first[i] .. first[i + 1] - 1]. */
typedef struct
{
	uint32_t	nodes;
	size_t	   *first;
	uint32_t   *targets;
	uint32_t   *queue;
	uint8_t    *seen;
} Graph;

static void *
allocate(size_t count, size_t size)
{
	void	   *memory = calloc(count ? count : 1, size);

	if (memory == NULL)
		err(1, "calloc");
	return memory;
}

static Edge *
read_edges(const char *path, size_t *count, uint32_t *nodes)
{
	FILE	   *file = fopen(path, "r");
	unsigned long long dependency;
	unsigned long long dependent;
	size_t		room = 1 << 20;
	Edge	   *edges = allocate(room, sizeof(Edge));

	if (file == NULL)
		err(1, "%s", path);
	*count = 0;
	*nodes = 1;
	while (fscanf(file, "%llu %llu", &dependency, &dependent) == 2)
	{
		unsigned long long larger = dependency > dependent ? dependency : dependent;

		if (larger > MAX_ID)
			errx(1, "id %llu is too large for this program", larger);
		if (*count == room && (edges = realloc(edges, (room *= 2) * sizeof(Edge))) == NULL)
			err(1, "realloc");
		edges[(*count)++] = (Edge) {dependency, dependent};
		if (larger >= *nodes)
			*nodes = larger + 1;
	}
	if (!feof(file))
		errx(1, "%s: line %zu is not an edge", path, *count + 1);
	fclose(file);
	return edges;
}

static Graph
build(const Edge *edges, size_t count, uint32_t nodes)
{
	Graph		graph = {
		.nodes = nodes,
		.first = allocate((size_t) nodes + 2, sizeof(size_t)),
		.targets = allocate(count, sizeof(uint32_t)),
		.queue = allocate(nodes, sizeof(uint32_t)),
		.seen = allocate(nodes, sizeof(uint8_t)),
	};

	/* counted two places ahead: filling in moves each offset to where its row starts */
	for (size_t i = 0; i < count; i++)
		graph.first[edges[i].dependency + 2]++;
	for (size_t i = 2; i < (size_t) nodes + 2; i++)
		graph.first[i] += graph.first[i - 1];
	for (size_t i = 0; i < count; i++)
		graph.targets[graph.first[edges[i].dependency + 1]++] = edges[i].dependent;
	return graph;
}

/* The number of nodes reached from start, itself left out; leaves no mark behind. */
static size_t
search(Graph *graph, uint32_t start)
{
	size_t		tail = 0;

	graph->queue[tail++] = start;
	graph->seen[start] = 1;
	for (size_t head = 0; head < tail; head++)
	{
		uint32_t	node = graph->queue[head];

		for (size_t i = graph->first[node]; i < graph->first[node + 1]; i++)
		{
			uint32_t	next = graph->targets[i];

			if (graph->seen[next])
				continue;
			graph->seen[next] = 1;
			graph->queue[tail++] = next;
		}
	}
	for (size_t i = 0; i < tail; i++)
		graph->seen[graph->queue[i]] = 0;
	return tail - 1;
}

static double
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void
answer(Graph *graph, uint32_t start, const char *label)
{
	double		began = now_ms();
	double		took;
	size_t		count;
	int			searches = 0;

	do
	{
		count = search(graph, start);
		searches++;
		took = now_ms() - began;
	} while (took < LEAST_MS);
	printf("%s\t%.6f\t%zu\n", label, took / searches, count);
}

int
main(int argc, char **argv)
{
	size_t		count;
	uint32_t	nodes;
	Edge	   *edges;
	Graph		graph;
	char		line[1000];

	if (argc != 2)
		errx(2, "use: bfs EDGES");
	edges = read_edges(argv[1], &count, &nodes);
	graph = build(edges, count, nodes);
	free(edges);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		char	   *label = strchr(line, '\t');
		unsigned long long start = strtoull(line, NULL, 10);

		line[strcspn(line, "\n")] = '\0';
		if (label == NULL || start >= graph.nodes)
			errx(1, "not a start: %s", line);
		answer(&graph, start, label + 1);
	}
	return 0;
}
