/*
 * unit.h
 *		The least that a unit test needs: TAP on standard output.
 *
 * A test program calls CHECK for each fact and ends with `return unit_done();`.
 */
#ifndef UNIT_H
#define UNIT_H

#include <stdbool.h>
#include <stdio.h>

static int	unit_tests;
static int	unit_failures;

static inline bool
unit_check(bool ok, const char *file, int line, const char *name)
{
	unit_tests++;
	printf("%sok %d - %s\n", ok ? "" : "not ", unit_tests, name);
	if (!ok)
	{
		unit_failures++;
		printf("#   at %s:%d\n", file, line);
	}
	return ok;
}

#define CHECK(condition, name) unit_check((condition), __FILE__, __LINE__, (name))

static inline int
unit_done(void)
{
	printf("1..%d\n", unit_tests);
	return unit_failures == 0 ? 0 : 1;
}

#endif							/* UNIT_H */
