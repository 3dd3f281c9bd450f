/*
 * http_client.c
 *		Many transfers over libcurl's multi interface, driven by its socket
 *		callbacks: it says which sockets it wants watched, and is told which are
 *		ready.
 *
 * A thread that libcurl starts (to resolve a name) inherits the mask of signals;
 * so all signals are blocked while libcurl runs.  Nothing is lost: they arrive
 * when it returns, which is soon, since it never blocks.
 */
#include "store/http_client.h"

#include <ctype.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "store/http_transfer.h"

#define STEP_MS 100
/* Unused transfers that are kept for the next requests. */
#define SPARE_TRANSFERS 64
/* Descriptors that a multi handle has for itself. */
#define OWN_DESCRIPTORS 2

struct HttpClient
{
	pid_t		pid;			/* of the process that made it */
	CURLM	   *multi;
	HttpClientOptions options;
	HttpSockets sockets;
	int			reserved;		/* of OWN_DESCRIPTORS */
	HttpTransfer *running;
	HttpTransfer *spare;
	int			nrunning;
	int			nspare;
	uint64_t	timer_us;		/* when libcurl wants to be called; 0: not by time */
	StoreWaitFd *watched;
	struct pollfd *polled;		/* as many as watched has room for */
	int			nwatched;
	int			room;
};

/* -------------------------------------------------------------------------
 * What libcurl wants watched
 * ------------------------------------------------------------------------- */

static int
find_watched(const HttpClient *client, int fd)
{
	for (int i = 0; i < client->nwatched; i++)
		if (client->watched[i].fd == fd)
			return i;
	return -1;
}

static bool
make_room(HttpClient *client)
{
	int			room = client->room == 0 ? 16 : client->room * 2;
	StoreWaitFd *watched;
	struct pollfd *polled;

	if (client->nwatched < client->room)
		return true;
	watched = realloc(client->watched, (size_t) room * sizeof(StoreWaitFd));
	if (watched == NULL)
		return false;
	client->watched = watched;
	polled = realloc(client->polled, (size_t) room * sizeof(struct pollfd));
	if (polled == NULL)
		return false;
	client->polled = polled;
	client->room = room;
	return true;
}

static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *state, void *unused)
{
	HttpClient *client = state;
	int			i = find_watched(client, fd);

	(void) easy;
	(void) unused;
	if (what == CURL_POLL_REMOVE)
	{
		if (i >= 0)
			client->watched[i] = client->watched[--client->nwatched];
		return 0;
	}
	if (i < 0)
	{
		if (!make_room(client))
			return -1;
		i = client->nwatched++;
	}
	client->watched[i].fd = fd;
	client->watched[i].read = (what & CURL_POLL_IN) != 0;
	client->watched[i].write = (what & CURL_POLL_OUT) != 0;
	return 0;
}

static int
set_timer(CURLM *multi, long timeout_ms, void *state)
{
	HttpClient *client = state;

	(void) multi;
	client->timer_us = timeout_ms < 0 ? 0 : store_now_us() + (uint64_t) timeout_ms * 1000;
	return 0;
}

/* -------------------------------------------------------------------------
 * Making and freeing
 * ------------------------------------------------------------------------- */

static bool
init_libcurl(void)
{
	static pid_t initialised;	/* in this process, not in one it was forked from */

	if (initialised == getpid())
		return true;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return false;
	initialised = getpid();
	return true;
}

static bool
reserve_own(HttpClient *client)
{
	while (client->reserved < OWN_DESCRIPTORS)
	{
		if (client->options.reserve_fd != NULL && !client->options.reserve_fd(client->options.state))
			return false;
		client->reserved++;
	}
	return true;
}

static bool
copy_options(HttpClient *client, const HttpClientOptions *options)
{
	client->options = *options;
	client->options.ca_file = options->ca_file != NULL ? strdup(options->ca_file) : NULL;
	client->options.user_agent = options->user_agent != NULL ? strdup(options->user_agent) : NULL;
	client->sockets.reserve_fd = options->reserve_fd;
	client->sockets.release_fd = options->release_fd;
	client->sockets.state = options->state;
	return (options->ca_file == NULL || client->options.ca_file != NULL) &&
		(options->user_agent == NULL || client->options.user_agent != NULL);
}

static void
configure(HttpClient *client)
{
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long) client->options.max_idle);
}

SvStatus
http_client_create(HttpClient **client, const HttpClientOptions *options, SvError *err)
{
	HttpClient *made;

	*client = NULL;
	if (options->max_idle < 1 || options->connect_ms < 1 || options->silence_ms < 1)
		return sv_fail(err, SV_INVALID, "HTTP client options are out of range");
	if (!init_libcurl())
		return sv_fail(err, SV_IO, "could not initialize libcurl");
	made = calloc(1, sizeof(HttpClient));
	if (made == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: an HTTP client");
	made->pid = getpid();
	if (!copy_options(made, options))
	{
		http_client_free(made);
		return sv_fail(err, SV_NO_MEMORY, "out of memory: an HTTP client");
	}
	if (!reserve_own(made))
	{
		http_client_free(made);
		return sv_fail(err, SV_IO, "could not make an HTTP client: too many open files");
	}
	made->multi = curl_multi_init();
	if (made->multi == NULL)
	{
		http_client_free(made);
		return sv_fail(err, SV_NO_MEMORY, "out of memory: an HTTP client");
	}
	configure(made);
	*client = made;
	return SV_OK;
}

void
http_client_free(HttpClient *client)
{
	HttpTransfer *transfer;

	/* What a child of fork() inherits is its parent's. */
	if (client == NULL || client->pid != getpid())
		return;
	while (client->running != NULL)
		http_client_drop(client, client->running->request);
	while ((transfer = client->spare) != NULL)
	{
		client->spare = transfer->next;
		http_transfer_free(transfer);
	}
	if (client->multi != NULL)
		curl_multi_cleanup(client->multi);
	for (; client->reserved > 0; client->reserved--)
		if (client->options.release_fd != NULL)
			client->options.release_fd(client->options.state);
	free((char *) client->options.ca_file);
	free((char *) client->options.user_agent);
	free(client->watched);
	free(client->polled);
	free(client);
}

/* -------------------------------------------------------------------------
 * Transfers
 * ------------------------------------------------------------------------- */

static HttpTransfer *
take_spare(HttpClient *client)
{
	HttpTransfer *transfer = client->spare;

	if (transfer == NULL)
		return http_transfer_create();
	client->spare = transfer->next;
	client->nspare--;
	return transfer;
}

static void
give_back(HttpClient *client, HttpTransfer *transfer)
{
	transfer->request = NULL;
	if (client->nspare >= SPARE_TRANSFERS)
	{
		http_transfer_free(transfer);
		return;
	}
	transfer->next = client->spare;
	client->spare = transfer;
	client->nspare++;
}

static void
unlink_running(HttpClient *client, HttpTransfer *transfer)
{
	HttpTransfer **link = &client->running;

	while (*link != transfer)
		link = &(*link)->next;
	*link = transfer->next;
	client->nrunning--;
}

SvStatus
http_client_start(HttpClient *client, HttpRequest *request, SvError *err)
{
	HttpTransfer *transfer;
	SvStatus	status;

	if (client->pid != getpid())
		return sv_fail(err, SV_INVALID, "HTTP client of another process");
	transfer = take_spare(client);
	if (transfer == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: an HTTP request");
	status = http_transfer_prepare(transfer, request, &client->options, &client->sockets, err);
	if (status == SV_OK && curl_multi_add_handle(client->multi, transfer->easy) != CURLM_OK)
		status = sv_fail(err, SV_NO_MEMORY, "could not start an HTTP request");
	if (status != SV_OK)
	{
		give_back(client, transfer);
		return status;
	}
	request->transfer = transfer;
	transfer->next = client->running;
	client->running = transfer;
	client->nrunning++;
	return SV_OK;
}

/* Takes a transfer from libcurl, and tells its request how it ended. */
static void
end_transfer(HttpClient *client, HttpTransfer *transfer, CURLcode result)
{
	HttpRequest *request = transfer->request;

	curl_multi_remove_handle(client->multi, transfer->easy);
	unlink_running(client, transfer);
	http_transfer_end(transfer, result);
	give_back(client, transfer);
	if (request->ended != NULL)
		request->ended(request);
}

void
http_client_drop(HttpClient *client, HttpRequest *request)
{
	HttpTransfer *transfer = request->transfer;

	if (transfer == NULL || client->pid != getpid())
		return;
	request->transfer = NULL;
	request->ended_us = store_now_us();
	curl_multi_remove_handle(client->multi, transfer->easy);
	unlink_running(client, transfer);
	give_back(client, transfer);
}

int
http_client_running(const HttpClient *client)
{
	return client->nrunning;
}

/* -------------------------------------------------------------------------
 * Steps
 * ------------------------------------------------------------------------- */

static void
call_libcurl(HttpClient *client, curl_socket_t fd, int what)
{
	sigset_t	all;
	sigset_t	before;
	int			running;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	curl_multi_socket_action(client->multi, fd, what, &running);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Tells libcurl of the sockets that are ready; false if none is. */
static bool
serve_sockets(HttpClient *client)
{
	int			n = client->nwatched;
	int			nready = 0;

	for (int i = 0; i < n; i++)
	{
		client->polled[i].fd = client->watched[i].fd;
		client->polled[i].events = (short) ((client->watched[i].read ? POLLIN : 0) |
											(client->watched[i].write ? POLLOUT : 0));
		client->polled[i].revents = 0;
	}
	if (n == 0 || poll(client->polled, (nfds_t) n, 0) <= 0)
		return false;
	/* What is watched may change meanwhile: the ready ones come first, and only descriptors are kept. */
	for (int i = 0; i < n; i++)
		if (client->polled[i].revents != 0)
			client->polled[nready++] = client->polled[i];
	for (int i = 0; i < nready; i++)
	{
		short		ready = client->polled[i].revents;

		if (find_watched(client, client->polled[i].fd) >= 0)
			call_libcurl(client, client->polled[i].fd,
						 ((ready & (POLLIN | POLLHUP)) != 0 ? CURL_CSELECT_IN : 0) |
						 ((ready & POLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
						 ((ready & (POLLERR | POLLNVAL)) != 0 ? CURL_CSELECT_ERR : 0));
	}
	return true;
}

static bool
serve_timer(HttpClient *client)
{
	if (client->timer_us == 0 || store_now_us() < client->timer_us)
		return false;
	client->timer_us = 0;
	call_libcurl(client, CURL_SOCKET_TIMEOUT, 0);
	return true;
}

static bool
collect_ended(HttpClient *client)
{
	CURLMsg    *message;
	int			left;
	bool		any = false;

	while ((message = curl_multi_info_read(client->multi, &left)) != NULL)
	{
		HttpTransfer *transfer = NULL;
		CURLcode	result = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		end_transfer(client, transfer, result);
		any = true;
	}
	return any;
}

/* Ends what has been silent for too long. */
static void
end_silent(HttpClient *client)
{
	uint64_t	limit_us = (uint64_t) client->options.silence_ms * 1000;
	uint64_t	now = store_now_us();
	HttpTransfer *next;

	for (HttpTransfer *transfer = client->running; transfer != NULL; transfer = next)
	{
		next = transfer->next;
		if (now < transfer->last_us + limit_us)
			continue;
		snprintf(transfer->reason, sizeof(transfer->reason), "nothing came or went for %d ms",
				 client->options.silence_ms);
		end_transfer(client, transfer, CURLE_OPERATION_TIMEDOUT);
		next = client->running; /* `ended` may have changed the list */
	}
}

static int
wait_ms(const HttpClient *client, int max_wait_ms)
{
	uint64_t	now = store_now_us();
	int			wait = max_wait_ms < 0 ? 0 : max_wait_ms > STEP_MS ? STEP_MS : max_wait_ms;

	if (client->timer_us != 0)
	{
		uint64_t	left_ms = client->timer_us > now ? (client->timer_us - now + 999) / 1000 : 0;

		if (left_ms < (uint64_t) wait)
			wait = (int) left_ms;
	}
	return wait;
}

void
http_client_drive(HttpClient *client)
{
	if (client->pid != getpid())
		return;
	(void) serve_timer(client);
	(void) serve_sockets(client);
	(void) collect_ended(client);
}

void
http_client_step(HttpClient *client, const StoreCall *call, int max_wait_ms)
{
	bool		timer;
	bool		sockets;

	if (client->pid != getpid())
		return;
	timer = serve_timer(client);
	sockets = serve_sockets(client);
	if (collect_ended(client) || timer || sockets)
		return;
	end_silent(client);
	if (client->nrunning == 0)
		return;
	store_wait(call, client->watched, client->nwatched, wait_ms(client, max_wait_ms));
}

/* -------------------------------------------------------------------------
 * Conveniences
 * ------------------------------------------------------------------------- */

SvStatus
http_client_perform(HttpClient *client, HttpRequest *request, const char *name,
					const StoreCall *call, SvError *err)
{
	SvStatus	status = http_client_start(client, request, err);

	while (status == SV_OK && request->outcome == HTTP_RUNNING)
	{
		status = store_check_cancel(call, name, err);
		if (status == SV_OK)
			http_client_step(client, call, STEP_MS);
	}
	if (status != SV_OK)
		http_client_drop(client, request);
	else if (request->outcome != HTTP_ANSWERED)
		status = http_client_fail(request, name, err);
	return status;
}

static const char *
hint_of(HttpOutcome outcome)
{
	switch (outcome)
	{
		case HTTP_REFUSED:
			return "Check the endpoint's host and port, and that it can be reached from the database server.";
		case HTTP_UNTRUSTED:
			return "Name the file of the certificate authority that signed it, and check the endpoint's host name.";
		case HTTP_BAD_CA_FILE:
			return "Name a file of PEM certificates that the operating system user of the server can read.";
		case HTTP_NO_TLS:
			return "Check whether the endpoint speaks https on this port; if not, write http.";
		case HTTP_NOT_HTTP:
			return "Check the endpoint's port, and whether it has to be https.";
		case HTTP_TIMED_OUT:
			return "Check the network and the load of the server that was asked.";
		case HTTP_NO_DESCRIPTOR:
			return "Raise max_files_per_process, or the operating system's limit of open files.";
		default:
			return NULL;
	}
}

SvStatus
http_client_fail(const HttpRequest *request, const char *name, SvError *err)
{
	const char *hint = hint_of(request->outcome);
	SvStatus	status = sv_fail(err, SV_IO, "request for \"%s\" failed: %s", name, request->reason);

	if (hint != NULL)
		sv_set_hint(err, "%s", hint);
	return status;
}

bool
http_header(const HttpRequest *request, const char *name, char *value, size_t size)
{
	size_t		name_len = strlen(name);
	const char *line = request->headers_in;

	while (*line != '\0')
	{
		const char *end = strchr(line, '\n');
		size_t		len = (size_t) (end - line);

		if (len > name_len && line[name_len] == ':' && strncasecmp(line, name, name_len) == 0)
		{
			const char *begin = line + name_len + 1;

			while (begin < end && (*begin == ' ' || *begin == '\t'))
				begin++;
			len = (size_t) (end - begin) < size ? (size_t) (end - begin) : size - 1;
			memcpy(value, begin, len);
			value[len] = '\0';
			return true;
		}
		line = end + 1;
	}
	value[0] = '\0';
	return false;
}

int64_t
http_date(const char *text)
{
	return (int64_t) curl_getdate(text, NULL);
}

bool
http_collect(HttpRequest *request, const void *data, size_t len)
{
	HttpCollected *collected = request->state;

	if (len > collected->max - collected->bytes.len)
	{
		collected->too_long = true;
		return false;
	}
	return sv_buffer_append(&collected->bytes, data, len, NULL) == SV_OK;
}
