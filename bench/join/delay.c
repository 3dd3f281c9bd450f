/*
 * delay.c
 *		A proxy that passes on what clients send so many milliseconds later.
 *
 *		delay PORT MILLISECONDS
 *
 * Listens on a port of loopback that it prints, passes connections on to PORT of
 * loopback, and ends when its standard input does.  What one read brings of a client is
 * delayed once: a request without a body, by just this much.  Answers are passed on at
 * once.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct timespec delay;
static int	server_port;

typedef struct Way
{
	int			from;
	int			to;
	int			delayed;
} Way;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_in
loopback(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_port = htons(port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static void *
pass_on(void *arg)
{
	Way			way = *(Way *) arg;
	char	   *buffer = malloc(256 * 1024);
	ssize_t		n;

	free(arg);
	while (buffer != NULL && (n = read(way.from, buffer, 256 * 1024)) > 0)
	{
		if (way.delayed)
			nanosleep(&delay, NULL);
		for (ssize_t done = 0, some; done < n; done += some)
			if ((some = write(way.to, buffer + done, n - done)) <= 0)
				goto end;
	}
end:
	shutdown(way.to, SHUT_WR);
	shutdown(way.from, SHUT_RD);
	free(buffer);
	return NULL;
}

static pthread_t
start(int from, int to, int delayed)
{
	Way		   *way = malloc(sizeof(Way));
	pthread_t	thread;

	if (way == NULL)
		die("malloc");
	*way = (Way) {from, to, delayed};
	if (pthread_create(&thread, NULL, pass_on, way) != 0)
		die("pthread_create");
	return thread;
}

static void *
serve(void *arg)
{
	int			client = (int) (long) arg;
	int			server = socket(AF_INET, SOCK_STREAM, 0);
	int			one = 1;
	struct sockaddr_in address = loopback(server_port);
	pthread_t	up;
	pthread_t	down;

	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(server, (struct sockaddr *) &address, sizeof(address)) == 0)
	{
		up = start(client, server, 1);
		down = start(server, client, 0);
		pthread_join(up, NULL);
		pthread_join(down, NULL);
	}
	close(server);
	close(client);
	return NULL;
}

static void *
await_end(void *arg)
{
	char		byte;

	(void) arg;
	while (read(0, &byte, 1) > 0)
		;
	exit(0);
}

int
main(int argc, char **argv)
{
	int			listener = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = loopback(0);
	socklen_t	len = sizeof(address);
	pthread_t	thread;
	int			client;

	if (argc != 3)
	{
		fprintf(stderr, "usage: %s PORT MILLISECONDS\n", argv[0]);
		return 2;
	}
	server_port = atoi(argv[1]);
	delay.tv_sec = atoi(argv[2]) / 1000;
	delay.tv_nsec = atoi(argv[2]) % 1000 * 1000000L;
	if (bind(listener, (struct sockaddr *) &address, sizeof(address)) != 0 || listen(listener, 512) != 0 ||
		getsockname(listener, (struct sockaddr *) &address, &len) != 0)
		die("listen");
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	if (pthread_create(&thread, NULL, await_end, NULL) != 0)
		die("pthread_create");
	while ((client = accept(listener, NULL, NULL)) >= 0)
		if (pthread_create(&thread, NULL, serve, (void *) (long) client) != 0 || pthread_detach(thread) != 0)
			die("pthread_create");
	die("accept");
}
