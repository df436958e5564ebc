/*
 * attribution.h
 *		Who did it and when: filled by the server, not stated by the client.
 */
#ifndef ASSETREG_ATTRIBUTION_H
#define ASSETREG_ATTRIBUTION_H

#include "utils/guc.h"

extern const char *attribution_actor(void);
extern bool attribution_check_actor(char **newval, void **extra, GucSource source);

#endif							/* ASSETREG_ATTRIBUTION_H */
