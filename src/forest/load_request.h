/*
 * load_request.h
 *		What skyvault_load wants of the INSERT or COPY that it runs.
 *
 * The wrapper takes it when the statement begins with its target, before
 * anything of the statement was run: what the query calls does not get it.
 */
#ifndef LOAD_REQUEST_H
#define LOAD_REQUEST_H

#include "postgres.h"

typedef struct LoadRequest
{
	Oid			relid;
	bool		replace;		/* the rows take the place of all that the table has */
	bool		taken;			/* by the wrapper */
	struct LoadRequest *outer;	/* of the call around this one */
} LoadRequest;

/* Around the statement, the second also after an error. */
extern void load_request_push(LoadRequest *request);
extern void load_request_pop(LoadRequest *request);

/* The request if it is for this relation and was not taken, or NULL; it is taken then. */
extern const LoadRequest *load_request_take(Oid relid);

#endif							/* LOAD_REQUEST_H */
