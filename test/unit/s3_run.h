/*
 * s3_run.h
 *		What tests of the S3 drivers share that work on the S3 server of the run.
 */
#ifndef S3_RUN_H
#define S3_RUN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_calls.h"
#include "unit.h"

/* What run-tests.sh says of the server. */
static inline const char *
setting(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL)
	{
		printf("Bail out! %s is not set: run-tests.sh sets it\n", name);
		exit(1);
	}
	return value;
}

/* More than one page of a listing has. */
#define MANY_OBJECTS 1100

static inline bool
count_listed(void *state, const StoreListed *object)
{
	int		   *n = state;
	char		expected[32];

	snprintf(expected, sizeof(expected), "p/%04d", *n);
	*n += strcmp(object->name, expected) == 0 && object->bytes == 1 && object->modified_s > 1700000000;
	return true;
}

/* An empty store gets many objects, lists them, and loses them again. */
static inline void
check_pages(ObjectStore *store)
{
	static char names[MANY_OBJECTS][32];
	static const char *pointers[MANY_OBJECTS];
	int			removed = 0;
	int			n = 0;
	bool		all = true;
	SvError		err = {0};

	for (int i = 0; i < MANY_OBJECTS; i++)
	{
		snprintf(names[i], sizeof(names[i]), "p/%04d", i);
		pointers[i] = names[i];
		all = all && put_text(store, names[i], "x", &err) == SV_OK;
	}
	if (!CHECK(all, "many objects"))
		printf("# %s; %s\n", err.message, err.detail);
	CHECK(store_list(store, "p/", NULL, count_listed, &n, NULL, &err) == SV_OK && n == MANY_OBJECTS,
		  "a listing of two pages");
	CHECK(store_remove_many(store, pointers, MANY_OBJECTS, &removed, NULL, &err) == SV_OK &&
		  removed == MANY_OBJECTS && listed(store) == 0, "more than a thousand are removed");
}

#endif							/* S3_RUN_H */
