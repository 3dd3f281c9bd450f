/*
 * fdw_server_options.c
 *		See fdw_server_options.h.
 */
#include "postgres.h"

#include "fdw/fdw_server_options.h"

#include "catalog/pg_authid.h"
#include "commands/defrem.h"
#include "fdw/fdw_options.h"
#include "forest/forest_store_url.h"
#include "forest/forest_table.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"

#define MAX_IO_CONCURRENCY 256
#define MAX_SECRET_BYTES 8192

static const char *const s3_options[] = {
	"endpoint", "region", "path_style", "signature", "conditional_puts", "tls_ca_file", "credentials",
	"profile", "mirror", "io_concurrency"
};

/* What is about the server process's own files and identity. */
static void
require_server_files(const char *name, bool writes)
{
	if (superuser() ||
		(has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES) &&
		 (!writes || has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for this value of option \"%s\"", name),
			 errdetail("It makes the server process use its own files or its own identity."),
			 writes ?
			 errhint("Only superusers and members of both pg_read_server_files and pg_write_server_files may"
					 " have a server with it. A path without a leading slash is below the data directory.") :
			 errhint("Only superusers and members of pg_read_server_files may have a server with it, or change"
					 " one that has it.")));
}

void
fdw_check_url(const char *name, const char *value)
{
	StoreUrl	url;
	const char *wrong = forest_store_url_parse(value, &url);

	if (wrong != NULL)
		fdw_options_bad_value(name, value, wrong);
	if (url.kind == STORE_KIND_DIRECTORY && is_absolute_path(url.path))
		require_server_files(name, true);
}

static bool
host_is_valid(const char *host)
{
	size_t		len = strlen(host);

	if (host[0] == '[')
		return len > 2 && host[len - 1] == ']' && strspn(host + 1, "0123456789abcdefABCDEF:.") == len - 2;
	return len > 0 &&
		strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") == len;
}

static bool
port_is_valid(const char *port)
{
	size_t		len = strspn(port, "0123456789");

	return len >= 1 && len <= 5 && port[len] == '\0' && atoi(port) >= 1 && atoi(port) <= 65535;
}

/* Neither user nor password: everybody may read a server's options. */
static bool
endpoint_is_valid(const char *value)
{
	const char *host;
	const char *colon;

	if (strncmp(value, "http://", 7) == 0)
		host = value + 7;
	else if (strncmp(value, "https://", 8) == 0)
		host = value + 8;
	else
		return false;
	colon = host[0] == '[' ? strchr(host, ']') : host;
	colon = colon != NULL ? strchr(colon, ':') : NULL;
	if (colon == NULL)
		return host_is_valid(host);
	return host_is_valid(pnstrdup(host, colon - host)) && port_is_valid(colon + 1);
}

void
fdw_check_endpoint(const char *name, const char *value)
{
	if (!endpoint_is_valid(value))
		fdw_options_bad_value(name, value,
							  "The value is \"http://\" or \"https://\", a host and perhaps a port, "
							  "as in \"http://127.0.0.1:9000\", and nothing after it.");
}

void
fdw_check_region(const char *name, const char *value)
{
	size_t		len = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

	if (len == 0 || len > 64 || value[len] != '\0')
		fdw_options_bad_value(name, value, "The value is the name of a region, such as \"us-east-1\".");
}

void
fdw_check_signature(const char *name, const char *value)
{
	if (strcmp(value, "v4") != 0 && strcmp(value, "v2") != 0)
		fdw_options_bad_value(name, value, "The value is \"v4\", or \"v2\" for stores that know nothing newer.");
}

void
fdw_check_conditional_puts(const char *name, const char *value)
{
	if (strcmp(value, "auto") != 0 && strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
		fdw_options_bad_value(name, value, "The value is \"auto\", \"on\" or \"off\".");
}

void
fdw_check_ca_file(const char *name, const char *value)
{
	if (!is_absolute_path(value))
		fdw_options_bad_value(name, value, "The value is the absolute path of a file in PEM format.");
	require_server_files(name, false);
}

void
fdw_check_credentials(const char *name, const char *value)
{
	static const char *const sources[] = {"mapping", "environment", "file", "metadata", "auto"};

	for (int i = 0; i < lengthof(sources); i++)
	{
		if (strcmp(value, sources[i]) != 0)
			continue;
		if (i > 0)
			require_server_files(name, false);
		return;
	}
	fdw_options_bad_value(name, value,
						  "The value is \"mapping\" (the owner's user mapping), \"environment\", \"file\","
						  " \"metadata\", or \"auto\", which is the first of these three that has any.");
}

void
fdw_check_profile(const char *name, const char *value)
{
	if (value[0] == '\0' || strpbrk(value, "[]\r\n") != NULL)
		fdw_options_bad_value(name, value, "The value is the name of a section of the credentials file.");
	require_server_files(name, false);
}

void
fdw_check_io_concurrency(const char *name, const char *value)
{
	int			n;

	if (!parse_int(value, &n, 0, NULL) || n < 1 || n > MAX_IO_CONCURRENCY)
		fdw_options_bad_value(name, value, "The value is a number of requests from 1 to 256.");
}

/* The message must not say what the value is. */
void
fdw_check_secret(const char *name, const char *value)
{
	size_t		len = strlen(value);
	bool		valid = len > 0 && len <= MAX_SECRET_BYTES;

	for (size_t i = 0; valid && i < len; i++)
		valid = value[i] > ' ' && value[i] < 0x7f;
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\"", name),
				 errhint("The value is not empty, and has neither blanks nor characters outside ASCII."),
				 errhidestmt(true)));
}

static bool
option_is(List *options, const char *name, const char *value)
{
	const char *given = forest_option(options, name);

	return given != NULL && strcmp(given, value) == 0;
}

static void
check_kind(List *options)
{
	const char *text = forest_option(options, "url");
	StoreUrl	url;

	if (text == NULL || forest_store_url_parse(text, &url) != NULL || url.kind == STORE_KIND_S3)
		return;
	for (int i = 0; i < lengthof(s3_options); i++)
		if (forest_option(options, s3_options[i]) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" is not for servers with \"file:\" URLs", s3_options[i]),
					 errhint("It needs a URL that begins with \"s3://\".")));
}

void
fdw_server_options_check(List *options)
{
	check_kind(options);
	if (option_is(options, "signature", "v2") && option_is(options, "conditional_puts", "on"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are no conditional puts with signature \"v2\""),
				 errhint("Leave out option \"conditional_puts\", or use signature \"v4\".")));
	if (forest_option(options, "profile") != NULL && !option_is(options, "credentials", "file") &&
		!option_is(options, "credentials", "auto"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"profile\" needs option \"credentials\" to be \"file\" or \"auto\"")));
}

void
fdw_mapping_options_check(List *options)
{
	bool		has_id = forest_option(options, "access_key_id") != NULL;
	bool		has_secret = forest_option(options, "secret_access_key") != NULL;

	if (has_id != has_secret || (!has_id && forest_option(options, "session_token") != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" is missing", has_id ? "secret_access_key" : "access_key_id"),
				 errhint("\"access_key_id\" and \"secret_access_key\" belong together; \"session_token\" goes"
						 " with temporary keys."),
				 errhidestmt(true)));
}
