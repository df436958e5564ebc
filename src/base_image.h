/*
 * base_image.h
 *		A block of memory that never changes, in one place for all connections.
 */
#ifndef ASSETREG_BASE_IMAGE_H
#define ASSETREG_BASE_IMAGE_H

#include "datatype/timestamp.h"
#include "utils/rel.h"

#include "compat.h"

/* What every image begins with; the rest is its maker's, found by distances from here. */
typedef struct BaseImage
{
	uint64		format;			/* how the rest is laid out, and by which library */
	uint64		server;			/* the run of the server that it is of */
	RelFileLocator file;		/* the table's */
	Size		size;			/* bytes, with this */
	Size		beside;			/* that each connection may need besides */
	uint64		generation;		/* tells it from others of the same table */
	TimestampTz made_at;
	volatile uint32 superseded; /* another has taken its place since */
} BaseImage;

#define IMAGE_ALIGN(size) TYPEALIGN(64, size)

/* The place of a part, behind those before, while an image's size is added up. */
static inline Size
image_place(Size *size, Size part)
{
	Size		at = *size;

	*size += IMAGE_ALIGN(part);
	return at;
}

/* Makes an image in the current memory context, where it may leave more; NULL and the reason where it cannot. */
typedef BaseImage *(*ImageMaker) (Relation table, Size limit, const char **refused);

typedef struct ImageRequest
{
	const char *name;
	ImageMaker	maker;
	Relation	table;
	Size		limit;			/* bytes */
	uint64		outdated;		/* the generation of one that is not good enough any more */
	bool		share;
	bool		make;			/* if there is none */
	bool		wait;			/* rather than do the work twice */

	/* the answer, besides */
	bool		shared;
	bool		tried;			/* to make it */
	bool		made;
	const char *refused;
} ImageRequest;

/* Why a maker refuses what is beyond its limit. */
extern const char image_too_large[];

extern BaseImage *base_image_make(Size size, Size beside, Relation table);
extern const BaseImage *base_image_obtain(ImageRequest *request);

#endif							/* ASSETREG_BASE_IMAGE_H */
