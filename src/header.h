/*
 * header.h
 *		What the readers of model files' headers share and what they need of
 *		their surroundings.
 *
 * The readers know no PostgreSQL: whoever runs them lends memory and bytes and
 * takes what they find, so a fuzz target runs the very same code.
 */
#ifndef ASSETREG_HEADER_H
#define ASSETREG_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No header is longer, whatever its format; that of safetensors is held in memory. */
#define HEADER_MAX_SIZE 100000000
#define HEADER_MAX_VALUES 100000
#define HEADER_MAX_TYPES 64

typedef struct HeaderText
{
	const char *data;			/* UTF-8, without NUL, not terminated */
	size_t		size;
} HeaderText;

typedef enum HeaderValueKind
{
	HEADER_TEXT,
	HEADER_BOOL,
	HEADER_UNSIGNED,
	HEADER_SIGNED,
	HEADER_FLOAT,
	HEADER_DOUBLE,
	HEADER_SUMMARY				/* too long to keep: its type and length */
} HeaderValueKind;

typedef struct HeaderValue
{
	HeaderValueKind kind;
	HeaderText	text;			/* of HEADER_SUMMARY: the type's name */
	uint64_t	number;			/* signed ones in two's complement; of HEADER_SUMMARY: the length */
	double		real;
} HeaderValue;

typedef struct HeaderHost
{
	void	   *arg;
	/* gives memory, like realloc; does not return where there is none; frees it all when the reader is done */
	void	   *(*resize) (void *arg, void *old, size_t size);
	/* reads size bytes at offset, all of them inside the file; does not return where it cannot */
	void		(*read) (void *arg, uint64_t offset, void *to, size_t size);
	/* takes an entry of the file's own metadata; key and value live until it returns */
	void		(*entry) (void *arg, HeaderText key, const HeaderValue *value);
} HeaderHost;

typedef struct HeaderType
{
	char		name[16];
	uint64_t	tensors;		/* how many are of this type */
} HeaderType;

typedef struct Header
{
	uint64_t	data_start;		/* where the tensors' bytes begin in the file */
	uint64_t	tensors;
	HeaderType	types[HEADER_MAX_TYPES];
	int			ntypes;
	const char *problem;		/* what is wrong with the header; NULL: nothing */
	uint64_t	problem_at;		/* the byte of the file where that was seen */
} Header;

extern bool header_fail(Header *header, uint64_t at, const char *problem);
extern bool header_count_type(Header *header, const char *name, size_t size);
extern size_t header_utf8_length(const char *text, size_t size);
extern bool header_is_text(const char *text, size_t size);
extern void *header_grow(HeaderHost *host, void *array, size_t *capacity, size_t needed, size_t element);
extern bool header_names_differ(HeaderText *names, size_t n);

#endif							/* ASSETREG_HEADER_H */
