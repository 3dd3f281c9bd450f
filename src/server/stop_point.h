/*
 * stop_point.h
 *		Named places where a test can make a process wait, fail or die.
 *
 * Compiled only with -DSKYVAULT_STOP_POINTS (make STOP_POINTS=1); otherwise
 * STOP_POINT is nothing.  A test arms a point by name through the SQL
 * functions in test/tools/stop_points.sql.  A point must not be placed where
 * interrupts are held or a lock below the heavyweight ones is.
 */
#ifndef STOP_POINT_H
#define STOP_POINT_H

#ifdef SKYVAULT_STOP_POINTS
extern void stop_point_reached(const char *name);
extern void stop_point_shmem_request(void);
extern void stop_point_shmem_startup(void);

#define STOP_POINT(name) stop_point_reached(name)
#else
#define STOP_POINT(name) ((void) 0)
#endif

#endif							/* STOP_POINT_H */
