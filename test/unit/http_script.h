/*
 * http_script.h
 *		An HTTP server in a child process, which gives the answers of a script
 *		in the order in which requests are complete, whatever they ask, and
 *		writes down what it was asked.
 *
 * With a gate (script->gate) it keeps requests waiting: first until so many are
 * there together, from then on until no other has come for a moment.  Then all
 * that wait are answered.  So what in_flight says of a client that keeps to a
 * bound is never more than that, and of one that does not it is.
 */
#ifndef HTTP_SCRIPT_H
#define HTTP_SCRIPT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_call.h"

typedef enum ScriptThen
{
	THEN_KEEP,					/* the connection stays */
	THEN_CLOSE,
	THEN_RESET,
	THEN_HANG					/* nothing more comes, and the connection stays */
} ScriptThen;

typedef struct ScriptAnswer
{
	const char *head;			/* without the last empty line; NULL: nothing at all is answered */
	const char *body;			/* NULL: "" */
	ScriptThen	then;
	bool		no_length;		/* the head tells its own Content-Length */
} ScriptAnswer;

#define SCRIPT_REQUESTS 128
#define SCRIPT_HEAD_BYTES 2048
#define SCRIPT_BODY_BYTES 1024
#define SCRIPT_CONNECTIONS 100
#define SCRIPT_QUIET_MS 50

/* What the server saw, in memory that it shares with the test. */
typedef struct Script
{
	volatile int nrequests;
	volatile int nconnections;
	char		heads[SCRIPT_REQUESTS][SCRIPT_HEAD_BYTES];
	char		bodies[SCRIPT_REQUESTS][SCRIPT_BODY_BYTES]; /* their beginnings */
	size_t		body_bytes[SCRIPT_REQUESTS];
	uint64_t	arrived_us[SCRIPT_REQUESTS];	/* store_now_us */
	int			in_flight[SCRIPT_REQUESTS]; /* requests that were there when it had come, itself included */
	volatile int gate;			/* 0: all are answered at once.  Set it before the first request */
	/* The server's own. */
	const ScriptAnswer *answers;
	int			nanswers;
	int			waiting;		/* requests that wait at the gate */
	bool		last_forever;	/* the last answer goes on, else later requests hang */
	int			port;
	pid_t		pid;
} Script;

typedef struct ScriptConnection
{
	int			fd;
	char	   *in;
	size_t		len;
	size_t		room;
	int			number;			/* of its last request */
	bool		is_head;
	bool		waits;			/* at the gate */
} ScriptConnection;

static inline void
script_write(int fd, const char *bytes, size_t len)
{
	while (len > 0)
	{
		ssize_t		done = send(fd, bytes, len, MSG_NOSIGNAL);

		if (done <= 0)
			return;
		bytes += done;
		len -= (size_t) done;
	}
}

/* false: the connection is to be closed. */
static inline bool
script_answer(Script *script, int fd, int number, bool is_head)
{
	const ScriptAnswer *answer;
	char		head[8192];
	const char *body;

	if (number >= script->nanswers && !script->last_forever)
		return true;
	answer = &script->answers[number < script->nanswers ? number : script->nanswers - 1];
	body = answer->body != NULL ? answer->body : "";
	if (answer->head != NULL)
	{
		if (answer->no_length)
			snprintf(head, sizeof(head), "%s\r\n\r\n", answer->head);
		else
			snprintf(head, sizeof(head), "%s\r\nContent-Length: %zu\r\n\r\n", answer->head, strlen(body));
		script_write(fd, head, strlen(head));
		if (!is_head)
			script_write(fd, body, strlen(body));
	}
	if (answer->then == THEN_RESET)
	{
		struct linger now = {1, 0};

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	return answer->then == THEN_KEEP || answer->then == THEN_HANG;
}

/* Takes one whole request from what has come; false if there is none, or the connection is to be closed. */
static inline bool
script_take(Script *script, ScriptConnection *c, bool *closing)
{
	char	   *end;
	char	   *length;
	size_t		head_len;
	size_t		body_len = 0;
	int			number;

	if (c->len == 0)
		return false;
	c->in[c->len] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	if (end == NULL)
		return false;
	head_len = (size_t) (end - c->in) + 4;
	length = strcasestr(c->in, "\r\nContent-Length:");
	if (length != NULL && length < end)
		body_len = strtoul(length + 17, NULL, 10);
	if (c->len < head_len + body_len)
		return false;
	number = script->nrequests;
	if (number < SCRIPT_REQUESTS)
	{
		size_t		kept = body_len < SCRIPT_BODY_BYTES - 1 ? body_len : SCRIPT_BODY_BYTES - 1;

		snprintf(script->heads[number], SCRIPT_HEAD_BYTES, "%.*s", (int) head_len, c->in);
		memcpy(script->bodies[number], c->in + head_len, kept);
		script->bodies[number][kept] = '\0';
		script->body_bytes[number] = body_len;
		script->arrived_us[number] = store_now_us();
		script->in_flight[number] = script->waiting + 1;
	}
	c->number = number;
	c->is_head = strncmp(c->in, "HEAD ", 5) == 0;
	c->waits = script->gate > 0;
	script->waiting += c->waits;
	script->nrequests = number + 1;
	*closing = !c->waits && !script_answer(script, c->fd, number, c->is_head);
	memmove(c->in, c->in + head_len + body_len, c->len - head_len - body_len);
	c->len -= head_len + body_len;
	return !*closing;
}

/* false: the connection has ended. */
static inline bool
script_serve(Script *script, ScriptConnection *c)
{
	bool		closing = false;
	ssize_t		got;

	if (c->room - c->len < 65536)
		c->in = realloc(c->in, c->room += 1024 * 1024);
	got = recv(c->fd, c->in + c->len, c->room - c->len - 1, 0);
	if (got <= 0)
		return false;
	c->len += (size_t) got;
	while (script_take(script, c, &closing))
		;
	return !closing;
}

static inline void
script_end(Script *script, ScriptConnection *connections, int *n, int i)
{
	script->waiting -= connections[i].waits;
	close(connections[i].fd);
	free(connections[i].in);
	connections[i] = connections[--*n];
}

/* Answers all that wait, if they are enough. */
static inline void
script_open_gate(Script *script, ScriptConnection *connections, int *n)
{
	if (script->waiting < script->gate)
		return;
	script->gate = 1;
	for (int i = *n - 1; i >= 0; i--)
	{
		ScriptConnection *c = &connections[i];

		if (!c->waits)
			continue;
		c->waits = false;
		script->waiting--;
		if (!script_answer(script, c->fd, c->number, c->is_head))
			script_end(script, connections, n, i);
	}
}

static inline void
script_run(Script *script, int listener)
{
	static ScriptConnection connections[SCRIPT_CONNECTIONS];
	struct pollfd polled[SCRIPT_CONNECTIONS + 1];
	int			n = 0;

	for (;;)
	{
		polled[0] = (struct pollfd) {listener, POLLIN, 0};
		for (int i = 0; i < n; i++)
			polled[i + 1] = (struct pollfd) {connections[i].fd, POLLIN, 0};
		if (poll(polled, (nfds_t) n + 1, script->waiting > 0 ? SCRIPT_QUIET_MS : -1) == 0)
		{
			script_open_gate(script, connections, &n);
			continue;
		}
		for (int i = n - 1; i >= 0; i--)
		{
			if (polled[i + 1].revents != 0 && !script_serve(script, &connections[i]))
				script_end(script, connections, &n, i);
		}
		if (polled[0].revents != 0 && n < SCRIPT_CONNECTIONS)
		{
			connections[n++] = (ScriptConnection) {.fd = accept(listener, NULL, NULL)};
			script->nconnections = script->nconnections + 1;
		}
	}
}

/* A socket that listens on a free port of loopback. */
static inline int
script_listen(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t	len = sizeof(address);
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *) &address, len) != 0 || listen(fd, SCRIPT_CONNECTIONS) != 0 ||
		getsockname(fd, (struct sockaddr *) &address, &len) != 0)
	{
		printf("Bail out! no socket\n");
		exit(1);
	}
	*port = ntohs(address.sin_port);
	return fd;
}

/* The answers have to stay where they are until script_stop. */
static inline Script *
script_start(const ScriptAnswer *answers, int nanswers, bool last_forever)
{
	Script	   *script = mmap(NULL, sizeof(Script), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int			listener;
	pid_t		pid;

	script->answers = answers;
	script->nanswers = nanswers;
	script->last_forever = last_forever;
	listener = script_listen(&script->port);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		script_run(script, listener);
		_exit(0);
	}
	script->pid = pid;
	close(listener);
	return script;
}

static inline void
script_stop(Script *script)
{
	kill(script->pid, SIGKILL);
	waitpid(script->pid, NULL, 0);
	munmap(script, sizeof(Script));
}

#endif							/* HTTP_SCRIPT_H */
