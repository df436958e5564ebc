/*
 * safetensors.h
 *		The header of a safetensors file.
 */
#ifndef ASSETREG_SAFETENSORS_H
#define ASSETREG_SAFETENSORS_H

#include "header.h"

extern bool safetensors_looks_like(const unsigned char *start, size_t size, uint64_t file_size);
extern bool safetensors_read(HeaderHost *host, uint64_t file_size, Header *header);

#endif							/* ASSETREG_SAFETENSORS_H */
