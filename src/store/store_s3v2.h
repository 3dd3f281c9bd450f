/*
 * store_s3v2.h
 *		Objects in an S3 store that knows only Signature Version 2, by way of libs3.
 *
 * libs3 is under the GPL, so it is neither linked nor needed, unless a store of
 * this kind is opened: then it is loaded, once per process, and stays.
 *
 * What libs3 2.0 cannot do: conditional puts, uploads in parts, session tokens,
 * and looking at a server's certificate, so https:// is refused.  What it does
 * badly: an answer that ends early is a success to it.  So lengths are compared,
 * a put is a look (HEAD), the PUT with a checksum, and a look at what is there
 * now, and a listing goes on until a page is empty.  An upload is kept in memory
 * until it is finished.
 *
 * It waits by select(2), so it does not notice sockets whose numbers are too
 * large for that (1024), and looks at them every few milliseconds instead.
 *
 * libs3 opens its sockets itself and keeps them.  So descriptors are reserved
 * before requests, one for each that runs at a time, and given back when all of
 * its connections are closed: after an error, and with the store.  Where there
 * are fewer than requests that could run, fewer run.
 */
#ifndef STORE_S3V2_H
#define STORE_S3V2_H

#include "store/object_store.h"
#include "store/s3_credentials.h"

/* All is copied but credentials. */
typedef struct StoreS3V2Options
{
	const char *endpoint;		/* "http://HOST[:PORT]" */
	bool		virtual_host;	/* the bucket is part of the host's name, not of the path */
	const char *bucket;
	const char *prefix;			/* of all names; "" or "a/b", without a slash at the end */
	S3CredentialsProvider *credentials; /* the store's, if it could be opened: it closes them */
	int			io_concurrency; /* requests at a time */
	/* Where a StoreCall has none: for nothing to come or go, at most a third of the other; and for a call, beside
	 * what its bytes take at 1 MB a second. */
	int			timeout_ms;
	int			deadline_ms;
	/* Asked before a descriptor is opened, told of each that was closed; NULL: nobody counts. */
	bool		(*reserve_fd) (void *state);
	void		(*release_fd) (void *state);
	void	   *fd_state;		/* of both */
} StoreS3V2Options;

/* Makes no request.  SV_UNSUPPORTED (with a hint) without libs3, and for https. */
extern SvStatus store_s3v2_open(ObjectStore **store, const StoreS3V2Options *options, SvError *err);

#endif							/* STORE_S3V2_H */
