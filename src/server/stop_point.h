/*
 * stop_point.h
 *		Named places where a test can make a process wait, fail or die, or tell
 *		it to cancel or end, which it has to notice by itself.
 *
 * Compiled only with -DSKYVAULT_STOP_POINTS (make STOP_POINTS=1); otherwise
 * STOP_POINT is nothing.  A test arms a point by name through the SQL
 * functions in test/tools/stop_points.sql.  A point must not be placed where
 * interrupts are held or a lock below the heavyweight ones is.
 *
 * STOP_POINT_IN_LOAD is for places that may not be left by longjmp.  It never
 * fails: one that was told to waits.  The wait ends too when the process is to
 * stop, which the caller is to ask next.
 */
#ifndef STOP_POINT_H
#define STOP_POINT_H

#ifdef SKYVAULT_STOP_POINTS
extern void stop_point_reached(const char *name);
extern void stop_point_reached_in_load(const char *name);
extern void stop_point_shmem_request(void);
extern void stop_point_shmem_startup(void);

#define STOP_POINT(name) stop_point_reached(name)
#define STOP_POINT_IN_LOAD(name) stop_point_reached_in_load(name)
#else
#define STOP_POINT(name) ((void) 0)
#define STOP_POINT_IN_LOAD(name) ((void) 0)
#endif

#endif							/* STOP_POINT_H */
