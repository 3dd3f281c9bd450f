/*
 * http_transfer.h
 *		One request as libcurl sees it.  Private to the HTTP client.
 */
#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H

#include <curl/curl.h>

#include "store/http_client.h"

/* What transfers need of their client. */
typedef struct HttpSockets
{
	bool		(*reserve_fd) (void *state);
	void		(*release_fd) (void *state);
	void	   *state;
} HttpSockets;

typedef struct HttpTransfer
{
	struct HttpTransfer *next;	/* in the client's list of running or of unused ones */
	CURL	   *easy;
	struct curl_slist *headers;
	HttpRequest *request;		/* NULL: unused */
	HttpSockets *sockets;		/* the client's */
	bool		no_descriptor;	/* a socket could not be opened for it */
	int			body_slice;		/* what is sent next */
	size_t		body_offset;
	size_t		headers_used;
	uint64_t	last_us;		/* when something last came or went */
	char		reason[CURL_ERROR_SIZE];
} HttpTransfer;

/* NULL without memory. */
extern HttpTransfer *http_transfer_create(void);
extern void http_transfer_free(HttpTransfer *transfer);

/* Makes the transfer one of this request. */
extern SvStatus http_transfer_prepare(HttpTransfer *transfer, HttpRequest *request,
									  const HttpClientOptions *options, HttpSockets *sockets, SvError *err);

/* Fills in the request's outcome.  Does not call `ended`. */
extern void http_transfer_end(HttpTransfer *transfer, CURLcode result);

#endif							/* HTTP_TRANSFER_H */
