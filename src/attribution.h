/*
 * attribution.h
 *		Who did it and when: filled by the server, not stated by the client.
 */
#ifndef ASSETREG_ATTRIBUTION_H
#define ASSETREG_ATTRIBUTION_H

extern const char *attribution_actor(void);

#endif							/* ASSETREG_ATTRIBUTION_H */
