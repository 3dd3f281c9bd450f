/*
 * http_client.h
 *		HTTP requests over libcurl, many at once, for one process.
 *
 * A client keeps connections alive between requests; HTTP/2 is used where the
 * server offers it over TLS.  Redirects are not followed.  Nothing blocks but
 * http_client_step, which waits by the StoreCall's wait callback for the sockets
 * libcurl wants watched.
 *
 * libcurl is initialised when the first client of a process is made: make none
 * in a process that forks (the postmaster).  A client that a child of fork()
 * inherits refuses to work; leave it alone there.
 *
 * Memory is malloc's, and libcurl's callbacks neither raise errors nor longjmp.
 * A requester that leaves by longjmp has to call http_client_drop, or free the
 * client, before its requests' memory goes.
 *
 * Threads: names are resolved in a thread of libcurl's own, with all signals
 * blocked, so that a signal handler never runs in it; numeric addresses take
 * none.  A cancelled request does not wait for it: the thread ends by itself.
 *
 * SIGPIPE has to be ignored (as in every Postgres process), for TLS.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "store/store_call.h"

typedef struct HttpClient HttpClient;

typedef struct HttpClientOptions
{
	const char *ca_file;		/* PEM file of trusted certificates; NULL: those of the system.  Copied */
	const char *user_agent;		/* copied */
	int			max_idle;		/* connections kept for later; at least 1 */
	int			connect_ms;		/* time limit for resolving, connecting and TLS */
	int			silence_ms;		/* time limit for nothing to come or go in a running request */
	/* Asked before each descriptor is opened, told of each that was closed; NULL: nobody counts. */
	bool		(*reserve_fd) (void *state);
	void		(*release_fd) (void *state);
	void	   *state;
} HttpClientOptions;

/* Opens no connection.  SV_NO_MEMORY, SV_IO, SV_INVALID. */
extern SvStatus http_client_create(HttpClient **client, const HttpClientOptions *options, SvError *err);

/* Drops all requests and closes all connections.  client may be NULL, and is left alone after a fork. */
extern void http_client_free(HttpClient *client);

typedef enum HttpMethod
{
	HTTP_GET,
	HTTP_HEAD,
	HTTP_PUT,
	HTTP_POST,
	HTTP_DELETE
} HttpMethod;

/* How a request ended. */
typedef enum HttpOutcome
{
	HTTP_RUNNING,
	HTTP_ANSWERED,				/* the whole answer is there, whatever its status */
	HTTP_REFUSED,				/* nobody listens there, or the name does not resolve */
	HTTP_UNTRUSTED,				/* the certificate is not trusted, or of another host */
	HTTP_BAD_CA_FILE,			/* options.ca_file cannot be read */
	HTTP_NO_TLS,				/* TLS failed otherwise: perhaps a server without it */
	HTTP_NOT_HTTP,				/* what came is no HTTP */
	HTTP_LOST,					/* the connection broke, or the answer ended early */
	HTTP_TIMED_OUT,				/* a time limit */
	HTTP_STOPPED,				/* the sink returned false */
	HTTP_NO_DESCRIPTOR,			/* reserve_fd said no, or the system did */
	HTTP_FAILED					/* anything else: no memory, a bad URL */
} HttpOutcome;

#define HTTP_HEADERS_BYTES 4096
#define HTTP_REASON_BYTES 256

/*
 * A request and its answer.  The caller owns it and what it points to, and
 * keeps all of it until the request has ended.
 */
typedef struct HttpRequest
{
	/* What to ask: set before http_client_start, by zeroing it first. */
	HttpMethod	method;
	const char *url;			/* http:// or https://, escaped as it is to be sent */
	const char *const *headers; /* "Name: value" */
	int			nheaders;
	const SvSlice *body;		/* of PUT and POST: sent in order, with a Content-Length */
	int			nbody;
	bool		direct;			/* by no proxy, whatever http_proxy in the environment says */
	int			timeout_ms;		/* for all of it; 0: none */
	size_t		expected_bytes; /* about how long the answer's body will be, for buffers; 0: short */
	/* Gets the body piece by piece (status and headers are known by then); false ends the request.  NULL: no body. */
	bool		(*sink) (struct HttpRequest *request, const void *data, size_t len);
	/* Told of each piece of the body as it goes out; from offset 0 again if it has to be sent anew.  NULL: nobody. */
	void		(*sending) (struct HttpRequest *request, uint64_t offset, const void *data, size_t len);
	/* Called by http_client_step when it has ended, after which the client forgets it.  NULL: look at outcome. */
	void		(*ended) (struct HttpRequest *request);
	void	   *state;			/* for the callbacks */

	/* The answer. */
	HttpOutcome outcome;
	int			status;			/* of HTTP; 0: none came */
	int64_t		content_length; /* of the answer; -1: not told */
	uint64_t	started_us;		/* store_now_us */
	uint64_t	ended_us;
	uint64_t	bytes_in;		/* of the body, as far as it came */
	uint64_t	bytes_out;		/* of the body, as far as it went */
	char		reason[HTTP_REASON_BYTES];	/* libcurl's, if it was not answered */
	char		headers_in[HTTP_HEADERS_BYTES]; /* lines as they came, each with its '\n'; see http_header */

	/* The client's. */
	void	   *transfer;
} HttpRequest;

/* Starts a request; it goes on in http_client_step.  SV_OK, SV_NO_MEMORY, SV_INVALID after a fork. */
extern SvStatus http_client_start(HttpClient *client, HttpRequest *request, SvError *err);

/*
 * Sends and receives what can be, or waits until something can, at most
 * max_wait_ms and 100 ms.  Call it until the requests have ended, and ask the
 * cancel callback in between.
 */
extern void http_client_step(HttpClient *client, const StoreCall *call, int max_wait_ms);

/* Sends and receives what can be, and waits for nothing. */
extern void http_client_drive(HttpClient *client);

/* How many requests are running. */
extern int	http_client_running(const HttpClient *client);

/* Ends a running request without an answer (its outcome stays HTTP_RUNNING) and without `ended`; else does nothing. */
extern void http_client_drop(HttpClient *client, HttpRequest *request);

/*
 * One request from start to end.  SV_OK if it was answered, whatever the HTTP
 * status; SV_CANCELLED; SV_IO with the reason (name says for what).
 */
extern SvStatus http_client_perform(HttpClient *client, HttpRequest *request, const char *name,
									const StoreCall *call, SvError *err);

/* SV_IO (SV_NO_MEMORY) with the reason, for a request that was not answered, with a hint where there is one. */
extern SvStatus http_client_fail(const HttpRequest *request, const char *name, SvError *err);

/*
 * The value of a header of the answer, by its name without regard to case, in
 * value (cut if it is longer); false if there is none.
 */
extern bool http_header(const HttpRequest *request, const char *name, char *value, size_t size);

/* Seconds since 1970 of a header such as Date; -1 if it is none. */
extern int64_t http_date(const char *text);

/* A sink that collects up to max bytes: set sink to http_collect and state to one of these. */
typedef struct HttpCollected
{
	SvBuffer	bytes;			/* sv_buffer_init and sv_buffer_free are the caller's */
	size_t		max;
	bool		too_long;		/* it was ended for that */
} HttpCollected;

extern bool http_collect(HttpRequest *request, const void *data, size_t len);

#endif							/* HTTP_CLIENT_H */
