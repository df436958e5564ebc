/*
 * header.c
 *		What the readers of model files' headers share; no PostgreSQL in here.
 */
#include <stdlib.h>
#include <string.h>

#include "header.h"

/*
 * Notes what is wrong, the first time; always false, for the callers to return.
 */
bool
header_fail(Header *header, uint64_t at, const char *problem)
{
	if (header->problem == NULL)
	{
		header->problem = problem;
		header->problem_at = at;
	}
	return false;
}

/*
 * Counts a tensor of a type; false where there are more types than exist.
 */
bool
header_count_type(Header *header, const char *name, size_t size)
{
	HeaderType *type = header->types;

	while (type < header->types + header->ntypes && (strlen(type->name) != size || memcmp(type->name, name, size) != 0))
		type++;
	if (type == header->types + header->ntypes)
	{
		if (header->ntypes == HEADER_MAX_TYPES || size >= sizeof(type->name))
			return false;
		header->ntypes++;
		memcpy(type->name, name, size);
		type->name[size] = '\0';
		type->tensors = 0;
	}
	type->tensors++;
	header->tensors++;
	return true;
}

/*
 * The length of the character that a text begins with; 0 where that is no valid
 * UTF-8, or NUL, which no text of PostgreSQL can hold.
 */
size_t
header_utf8_length(const char *text, size_t size)
{
	const unsigned char *s = (const unsigned char *) text;
	size_t		length;
	unsigned char low = 0x80;
	unsigned char high = 0xBF;

	if (size == 0 || s[0] == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
	if (s[0] < 0xC2 || s[0] > 0xF4 || size < length)
		return 0;
	/* neither longer than need be, nor half of a surrogate pair, nor past the last character */
	if (s[0] == 0xE0)
		low = 0xA0;
	else if (s[0] == 0xED)
		high = 0x9F;
	else if (s[0] == 0xF0)
		low = 0x90;
	else if (s[0] == 0xF4)
		high = 0x8F;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	return length;
}

bool
header_is_text(const char *text, size_t size)
{
	while (size > 0)
	{
		size_t		length = header_utf8_length(text, size);

		if (length == 0)
			return false;
		text += length;
		size -= length;
	}
	return true;
}

/*
 * An array with room for the needed number of elements.
 */
void *
header_grow(HeaderHost *host, void *array, size_t *capacity, size_t needed, size_t element)
{
	if (needed <= *capacity)
		return array;
	while (*capacity < needed)
		*capacity = *capacity == 0 ? 64 : *capacity * 2;
	return host->resize(host->arg, array, *capacity * element);
}

static int
compare_names(const void *a, const void *b)
{
	const HeaderText *left = a;
	const HeaderText *right = b;

	if (left->size != right->size)
		return left->size < right->size ? -1 : 1;
	return left->size == 0 ? 0 : memcmp(left->data, right->data, left->size);
}

/*
 * Whether no two names are the same; changes their order.
 */
bool
header_names_differ(HeaderText *names, size_t n)
{
	if (n == 0)
		return true;
	qsort(names, n, sizeof(HeaderText), compare_names);
	for (size_t i = 1; i < n; i++)
		if (compare_names(&names[i - 1], &names[i]) == 0)
			return false;
	return true;
}
