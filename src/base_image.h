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
	uint64		generation;		/* tells it from others of the same table */
	TimestampTz made_at;
	volatile uint32 superseded; /* another has taken its place since */
} BaseImage;

#define IMAGE_ALIGN(size) TYPEALIGN(64, size)

extern BaseImage *base_image_make(Size size, Relation table);
extern BaseImage *base_image_publish(const char *name, BaseImage *image);
extern BaseImage *base_image_attach(const char *name, Relation table, Size limit, uint64 outdated);
extern bool base_image_lock(void);
extern void base_image_unlock(void);

#endif							/* ASSETREG_BASE_IMAGE_H */
