/*
 * slow_resolver.h
 *		getaddrinfo in place of libc's, for which the name "slow.test" takes as long
 *		as the test likes, and is not found in the end.
 */
#ifndef SLOW_RESOLVER_H
#define SLOW_RESOLVER_H

#include <dlfcn.h>
#include <netdb.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_int slow_asked;	/* how often somebody began to wait for it */
static atomic_int slow_answered;
static atomic_bool slow_may_answer; /* the test says so; or else after 20 seconds */
static atomic_bool slow_hears_signals;	/* who waited would have run a signal's handler */

typedef int (*Resolver) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

static inline bool
hears(int number)
{
	sigset_t	blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	return sigismember(&blocked, number) == 0;
}

__attribute__((visibility("default")))
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	void	   *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
	Resolver	libc;

	if (node == NULL || strcmp(node, "slow.test") != 0)
	{
		memcpy(&libc, &symbol, sizeof(libc));
		return libc(node, service, hints, result);
	}
	if (hears(SIGTERM) || hears(SIGINT) || hears(SIGUSR1) || hears(SIGALRM))
		slow_hears_signals = true;
	slow_asked++;
	for (int i = 0; i < 2000 && !slow_may_answer; i++)
		usleep(10000);
	slow_answered++;
	return EAI_AGAIN;
}

#endif							/* SLOW_RESOLVER_H */
