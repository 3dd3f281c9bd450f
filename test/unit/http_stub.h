/*
 * http_stub.h
 *		A little HTTP server inside a test: it answers what a function says.
 *
 * One thread serves one connection at a time, one request per connection.
 */
#ifndef HTTP_STUB_H
#define HTTP_STUB_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Gets a whole request, head and body, and writes a whole answer, head and body,
 * into answer; "" closes the connection without one.
 */
typedef void (*HttpStubAnswer) (const char *request, char *answer, size_t size);

typedef struct HttpStub
{
	int			listener;
	int			port;
	pthread_t	thread;
	HttpStubAnswer answer;
} HttpStub;

/* Reads a request; false if the peer closed before its end. */
static bool
http_stub_read(int fd, char *request, size_t size)
{
	size_t		used = 0;

	for (;;)
	{
		const char *body;
		const char *length;
		ssize_t		got;

		request[used] = '\0';
		body = strstr(request, "\r\n\r\n");
		length = strstr(request, "Content-Length: ");
		if (body != NULL &&
			strlen(body + 4) >= (length != NULL && length < body ? strtoul(length + 16, NULL, 10) : 0))
			return true;
		if (used + 1 >= size || (got = read(fd, request + used, size - used - 1)) <= 0)
			return false;
		used += (size_t) got;
	}
}

static void *
http_stub_serve(void *state)
{
	HttpStub   *stub = state;
	size_t		size = 256 * 1024;
	char	   *request = malloc(size);
	char	   *answer = malloc(size);
	int			fd;

	while ((fd = accept(stub->listener, NULL, NULL)) >= 0)
	{
		if (http_stub_read(fd, request, size))
		{
			answer[0] = '\0';
			stub->answer(request, answer, size);
			if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
				printf("# the stub could not answer\n");
		}
		close(fd);
	}
	free(request);
	free(answer);
	return NULL;
}

static void
http_stub_start(HttpStub *stub, HttpStubAnswer answer)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t	len = sizeof(address);

	stub->answer = answer;
	stub->listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(stub->listener, (struct sockaddr *) &address, len) != 0 || listen(stub->listener, 16) != 0 ||
		getsockname(stub->listener, (struct sockaddr *) &address, &len) != 0 ||
		pthread_create(&stub->thread, NULL, http_stub_serve, stub) != 0)
	{
		perror("http_stub_start");
		exit(1);
	}
	stub->port = ntohs(address.sin_port);
}

static void
http_stub_stop(HttpStub *stub)
{
	shutdown(stub->listener, SHUT_RDWR);
	pthread_join(stub->thread, NULL);
	close(stub->listener);
}

#endif							/* HTTP_STUB_H */
