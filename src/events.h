/*
 * events.h
 *		Notifications of events.
 */
#ifndef ASSETREG_EVENTS_H
#define ASSETREG_EVENTS_H

extern void events_init(void);

#endif							/* ASSETREG_EVENTS_H */
