/*
 * s3_credentials.c
 *		The chain of sources, and how long what they gave is kept.
 */
#include "store/s3_credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/s3_credentials_file.h"
#include "store/s3_credentials_http.h"
#include "store/s3_credentials_web.h"

/* Keys are fetched anew so long before their end; and asked for again so long after that failed. */
#define REFRESH_SECONDS 300
#define RETRY_SECONDS 30

struct S3CredentialsProvider
{
	S3Credentials current;
	S3Credentials fetched;		/* while they are being fetched */
	bool		given;			/* by the options: never fetched */
	bool		usable;			/* current is, until it expires */
	bool		rejected;		/* by the store */
	int64_t		retry_at;		/* not before */
	S3Source	source;			/* of current */
	unsigned	sources;
	char	   *profile;		/* NULL for none */
	char	   *region;
	HttpClientOptions http;
	int64_t		(*now) (void *state);
	void	   *now_state;
};

static const struct
{
	unsigned	flag;
	S3SourceFetch fetch;
}			chain[] =

{
	{S3_FROM_ENVIRONMENT, s3_from_environment},
	{S3_FROM_WEB_IDENTITY, s3_from_web_identity},
	{S3_FROM_FILE, s3_from_file},
	{S3_FROM_CONTAINER, s3_from_container},
	{S3_FROM_INSTANCE, s3_from_instance},
};

#define SOURCES (sizeof(chain) / sizeof(chain[0]))

static int64_t
time_of_system(void *state)
{
	(void) state;
	return (int64_t) time(NULL);
}

static bool
is_set(const char *option)
{
	return option != NULL && option[0] != '\0';
}

/* *copy is NULL for an option that is not set; false without memory. */
static bool
copy_option(char **copy, const char *option)
{
	*copy = is_set(option) ? strdup(option) : NULL;
	return *copy != NULL || !is_set(option);
}

static bool
take_given(char *to, size_t size, const char *option)
{
	return !is_set(option) || s3_copy_value(to, size, sv_slice(option, strlen(option)));
}

static SvStatus
use_given(S3CredentialsProvider *provider, const S3CredentialsOptions *options, SvError *err)
{
	S3Credentials *given = &provider->current;

	if (!is_set(options->access_key_id) && !is_set(options->secret_access_key) && !is_set(options->session_token))
		return SV_OK;
	provider->given = true;
	snprintf(provider->source.name, sizeof(provider->source.name), "the user mapping");
	if (!take_given(given->access_key_id, sizeof(given->access_key_id), options->access_key_id) ||
		!take_given(given->secret_access_key, sizeof(given->secret_access_key), options->secret_access_key) ||
		!take_given(given->session_token, sizeof(given->session_token), options->session_token))
		return sv_fail(err, SV_DENIED, "the keys of the user mapping are too long or have characters that no key has");
	if (given->access_key_id[0] == '\0' || given->secret_access_key[0] == '\0')
	{
		sv_fail(err, SV_DENIED, "the keys of the user mapping are not complete");
		sv_set_hint(err, "Set both options, access_key_id and secret_access_key, of the user mapping.");
		return SV_DENIED;
	}
	provider->usable = true;
	return SV_OK;
}

SvStatus
s3_credentials_open(S3CredentialsProvider **result, const S3CredentialsOptions *options, SvError *err)
{
	S3CredentialsProvider *provider = calloc(1, sizeof(*provider));
	SvStatus	status;

	*result = NULL;
	if (provider == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory");
	provider->sources = options->sources;
	provider->http = options->http;
	provider->now = options->now != NULL ? options->now : time_of_system;
	provider->now_state = options->now_state;
	if (copy_option(&provider->profile, options->profile) && copy_option(&provider->region, options->region))
		status = use_given(provider, options, err);
	else
		status = sv_fail(err, SV_NO_MEMORY, "out of memory");
	if (status != SV_OK)
		s3_credentials_close(provider);
	else
		*result = provider;
	return status;
}

void
s3_credentials_close(S3CredentialsProvider *provider)
{
	if (provider == NULL)
		return;
	free(provider->profile);
	free(provider->region);
	explicit_bzero(provider, sizeof(*provider));
	free(provider);
}

const char *
s3_credentials_source(const S3CredentialsProvider *provider)
{
	return provider->source.name[0] != '\0' ? provider->source.name : "no source";
}

/* A source answered, but perhaps with what is of no use. */
static SvStatus
check_fetched(const S3Credentials *fetched, const S3Source *where, int64_t now, SvError *err)
{
	if (fetched->access_key_id[0] == '\0' || fetched->secret_access_key[0] == '\0')
		return sv_fail(err, SV_DENIED, "the keys for the object store from %s are not complete", where->name);
	if (fetched->expires_at == 0 || fetched->expires_at > now)
		return SV_OK;
	sv_fail(err, SV_DENIED, "the keys for the object store from %s expired %lld seconds ago",
			where->name, (long long) (now - fetched->expires_at));
	sv_set_hint(err, "Look after what renews them, and at the clock of this machine.");
	return SV_DENIED;
}

static SvStatus
fail_without(const S3CredentialsProvider *provider, const char *reasons, SvError *err)
{
	sv_fail(err, SV_DENIED, "there are no keys for the object store");
	if (provider->sources == 0)
		sv_set_hint(err, "Create a user mapping for the owner of the server, or for PUBLIC, with the options"
					" access_key_id and secret_access_key.");
	else
	{
		sv_set_detail(err, "%s", reasons);
		sv_set_hint(err, "Create a user mapping with the options access_key_id and secret_access_key, or set up"
					" one of these sources.");
	}
	return SV_DENIED;
}

/* The first source that has something; a named profile speaks for the file alone. */
static SvStatus
ask_sources(S3CredentialsProvider *provider, S3Source *where, const StoreCall *call, SvError *err)
{
	S3SourceInput input = {provider->profile, provider->region, provider->http};
	unsigned	sources = provider->profile != NULL ? provider->sources & S3_FROM_FILE : provider->sources;
	char		reasons[SV_ERROR_DETAIL_BYTES] = "";

	for (size_t i = 0; i < SOURCES; i++)
	{
		SvStatus	status;
		size_t		used = strlen(reasons);

		if ((sources & chain[i].flag) == 0)
			continue;
		memset(where, 0, sizeof(*where));
		explicit_bzero(&provider->fetched, sizeof(provider->fetched));
		status = chain[i].fetch(&input, &provider->fetched, where, call, err);
		if (status == SV_OK)
			status = check_fetched(&provider->fetched, where, provider->now(provider->now_state), err);
		if (status != SV_NOT_FOUND)
			return status;
		snprintf(reasons + used, sizeof(reasons) - used, "%s%s", used > 0 ? " " : "", where->missing);
	}
	return fail_without(provider, reasons, err);
}

static SvStatus
fetch(S3CredentialsProvider *provider, const StoreCall *call, SvError *err)
{
	S3Source	where;
	SvStatus	status = ask_sources(provider, &where, call, err);

	if (status == SV_OK)
	{
		provider->current = provider->fetched;
		provider->source = where;
		provider->usable = true;
		provider->rejected = false;
	}
	explicit_bzero(&provider->fetched, sizeof(provider->fetched));
	return status;
}

SvStatus
s3_credentials_get(S3CredentialsProvider *provider, const S3Credentials **credentials,
				   const StoreCall *call, SvError *err)
{
	const S3Credentials *current = &provider->current;
	int64_t		now = provider->given ? 0 : provider->now(provider->now_state);
	bool		good = provider->usable && !provider->rejected &&
		(current->expires_at == 0 || current->expires_at > now);
	bool		soon = current->expires_at != 0 && current->expires_at - now <= REFRESH_SECONDS;
	SvStatus	status = SV_OK;

	*credentials = current;
	if (provider->given || (good && (!soon || now < provider->retry_at)))
		return SV_OK;
	status = fetch(provider, call, err);
	if (status == SV_OK)
	{
		provider->retry_at = now;
		return SV_OK;
	}
	provider->retry_at = now + RETRY_SECONDS;
	return good && status != SV_CANCELLED ? SV_OK : status;
}

bool
s3_credentials_reject(S3CredentialsProvider *provider, const char *access_key_id)
{
	if (provider->given)
		return false;

	/* If others have come meanwhile, they are worth a try as they are. */
	if (strcmp(provider->current.access_key_id, access_key_id) == 0)
		provider->rejected = true;
	return true;
}
