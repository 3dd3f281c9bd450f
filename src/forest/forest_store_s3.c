/*
 * forest_store_s3.c
 *		See forest_store_s3.h.
 */
#include "postgres.h"

#include "forest/forest_store_s3.h"

#include "access/reloptions.h"
#include "base/sv_hash.h"
#include "catalog/pg_user_mapping.h"
#include "forest/forest_table.h"
#include "miscadmin.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "storage/fd.h"
#include "store/s3_credentials.h"
#include "store/store_s3.h"
#include "store/store_s3v2.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#define MAX_IDLE_CONNECTIONS 16

static bool
reserve_fd(void *state)
{
	return AcquireExternalFD();
}

static void
release_fd(void *state)
{
	ReleaseExternalFD();
}

static HttpClientOptions
http_options(ForeignServer *server)
{
	return (HttpClientOptions)
	{
		.ca_file = forest_option(server->options, "tls_ca_file"),
			.max_idle = MAX_IDLE_CONNECTIONS,
			.connect_ms = setting_store_connect_timeout_ms,
			.reserve_fd = reserve_fd,
			.release_fd = release_fd
	};
}

/* Of the server's owner, or else of PUBLIC (InvalidOid); NIL if neither has one, or one without options. */
static List *
mapping_options(ForeignServer *server)
{
	Oid			users[] = {server->owner, InvalidOid};

	for (int i = 0; i < lengthof(users); i++)
	{
		HeapTuple	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(users[i]),
											ObjectIdGetDatum(server->serverid));
		List	   *options;
		bool		isnull;
		Datum		datum;

		if (!HeapTupleIsValid(tuple))
			continue;
		datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
		options = isnull ? NIL : untransformRelOptions(datum);
		ReleaseSysCache(tuple);
		return options;
	}
	return NIL;
}

static void
set_mapped_keys(ForeignServer *server, S3CredentialsOptions *options)
{
	List	   *mapping = mapping_options(server);

	options->access_key_id = forest_option(mapping, "access_key_id");
	options->secret_access_key = forest_option(mapping, "secret_access_key");
	options->session_token = forest_option(mapping, "session_token");
	if (options->access_key_id == NULL || options->secret_access_key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" has no keys for its store", server->servername),
				 errdetail("Neither its owner \"%s\" nor PUBLIC has a user mapping with option \"access_key_id\".",
						   GetUserNameFromId(server->owner, true)),
				 errhint("Use CREATE USER MAPPING FOR %s SERVER %s OPTIONS (access_key_id '...',"
						 " secret_access_key '...'), or the server option \"credentials\".",
						 quote_identifier(GetUserNameFromId(server->owner, true)),
						 quote_identifier(server->servername))));
}

static unsigned
sources(const char *credentials)
{
	if (strcmp(credentials, "environment") == 0)
		return S3_FROM_ENVIRONMENT | S3_FROM_WEB_IDENTITY;
	if (strcmp(credentials, "file") == 0)
		return S3_FROM_FILE;
	if (strcmp(credentials, "metadata") == 0)
		return S3_FROM_CONTAINER | S3_FROM_INSTANCE;
	return S3_FROM_ANYWHERE;
}

static S3CredentialsProvider *
open_credentials(ForeignServer *server)
{
	const char *credentials = forest_option(server->options, "credentials");
	S3CredentialsOptions options = {.region = forest_option(server->options, "region")};
	S3CredentialsProvider *provider;
	SvError		err;

	/* Metadata services have time limits of their own. */
	options.http = http_options(server);
	options.http.connect_ms = 0;
	options.http.ca_file = NULL;
	if (credentials == NULL || strcmp(credentials, "mapping") == 0)
		set_mapped_keys(server, &options);
	else
	{
		options.sources = sources(credentials);
		options.profile = forest_option(server->options, "profile");
	}
	PG_STATUS_CHECK(s3_credentials_open(&provider, &options, &err), &err);
	return provider;
}

static StoreS3Style
style(ForeignServer *server)
{
	const char *option = forest_option(server->options, "path_style");
	bool		path_style;

	if (option == NULL || !parse_bool(option, &path_style))
		return STORE_S3_STYLE_AUTO;
	return path_style ? STORE_S3_STYLE_PATH : STORE_S3_STYLE_VIRTUAL_HOST;
}

static bool
is_v2(ForeignServer *server)
{
	const char *signature = forest_option(server->options, "signature");

	return signature != NULL && strcmp(signature, "v2") == 0;
}

static bool
conditions_are_auto(ForeignServer *server)
{
	const char *option = forest_option(server->options, "conditional_puts");

	return option == NULL || strcmp(option, "auto") == 0;
}

uint64
forest_store_s3_identity(ForeignServer *server)
{
	const char *url = forest_option(server->options, "url");
	const char *endpoint = forest_option(server->options, "endpoint");
	StoreUrl	parsed;
	char	   *text;

	if (url == NULL || forest_store_url_parse(url, &parsed) != NULL || parsed.kind != STORE_KIND_S3 ||
		is_v2(server) || !conditions_are_auto(server))
		return 0;
	text = psprintf("%s %s", endpoint != NULL ? endpoint : "", url);
	return Max(sv_hash64(sv_slice(text, strlen(text))), 1);
}

static StoreS3Conditional
conditional_puts(ForeignServer *server, bool conditions_ignored)
{
	const char *option = forest_option(server->options, "conditional_puts");

	if (conditions_are_auto(server))
		return conditions_ignored ? STORE_S3_CONDITIONAL_OFF : STORE_S3_CONDITIONAL_AUTO;
	return strcmp(option, "on") == 0 ? STORE_S3_CONDITIONAL_ON : STORE_S3_CONDITIONAL_OFF;
}

static int
io_concurrency(ForeignServer *server)
{
	const char *option = forest_option(server->options, "io_concurrency");

	return option != NULL ? pg_strtoint32(option) : setting_io_concurrency;
}

/* From here on nothing may raise an error before the provider has an owner: its memory is not Postgres's. */
static SvStatus
open_v4(ForeignServer *server, const StoreUrl *url, bool conditions_ignored, S3CredentialsProvider *provider,
		ObjectStore **store, SvError *err)
{
	StoreS3Options options = {
		.endpoint = forest_option(server->options, "endpoint"),
		.region = forest_option(server->options, "region"),
		.bucket = url->bucket,
		.prefix = url->prefix,
		.style = style(server),
		.conditional_puts = conditional_puts(server, conditions_ignored),
		.credentials = provider,
		.io_concurrency = io_concurrency(server),
		.timeout_ms = setting_store_timeout_ms,
		.deadline_ms = setting_store_timeout_ms,
		.max_retries = setting_store_retries > 0 ? setting_store_retries : -1,
		.hedge_percent = setting_hedge_percent,
		.http = http_options(server)
	};

	return store_s3_open(store, &options, err);
}

static SvStatus
open_v2(ForeignServer *server, const StoreUrl *url, S3CredentialsProvider *provider, ObjectStore **store,
		SvError *err)
{
	StoreS3V2Options options = {
		.endpoint = forest_option(server->options, "endpoint"),
		.virtual_host = style(server) == STORE_S3_STYLE_VIRTUAL_HOST,
		.bucket = url->bucket,
		.prefix = url->prefix,
		.credentials = provider,
		.io_concurrency = io_concurrency(server),
		.timeout_ms = setting_store_timeout_ms,
		.deadline_ms = setting_store_timeout_ms,
		.reserve_fd = reserve_fd,
		.release_fd = release_fd
	};

	return store_s3v2_open(store, &options, err);
}

ObjectStore *
forest_store_s3_open(ForeignServer *server, const StoreUrl *url, bool conditions_ignored)
{
	S3CredentialsProvider *provider;
	ObjectStore *store;
	SvStatus	status;
	SvError		err;

	if (is_v2(server) && forest_option(server->options, "endpoint") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("server \"%s\" has no option \"endpoint\"", server->servername),
				 errdetail("AWS does not know signature \"v2\" any more.")));
	provider = open_credentials(server);
	status = is_v2(server) ? open_v2(server, url, provider, &store, &err) :
		open_v4(server, url, conditions_ignored, provider, &store, &err);
	if (status != SV_OK)
	{
		s3_credentials_close(provider);
		pg_status_report(ERROR, &err);
	}
	return store;
}
