/*
 * store_s3v2_library.c
 *		Loading libs3.
 */
#include "store/store_s3v2_library.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libs3.so.2"
#define USER_AGENT "skyvault"

static const struct
{
	const char *name;
	size_t		offset;
}			functions[] =

{
	{"S3_initialize", offsetof(S3V2Library, initialize)},
	{"S3_get_status_name", offsetof(S3V2Library, get_status_name)},
	{"S3_create_request_context", offsetof(S3V2Library, create_request_context)},
	{"S3_destroy_request_context", offsetof(S3V2Library, destroy_request_context)},
	{"S3_runonce_request_context", offsetof(S3V2Library, runonce_request_context)},
	{"S3_get_request_context_fdsets", offsetof(S3V2Library, get_request_context_fdsets)},
	{"S3_get_request_context_timeout", offsetof(S3V2Library, get_request_context_timeout)},
	{"S3_list_bucket", offsetof(S3V2Library, list_bucket)},
	{"S3_put_object", offsetof(S3V2Library, put_object)},
	{"S3_get_object", offsetof(S3V2Library, get_object)},
	{"S3_head_object", offsetof(S3V2Library, head_object)},
	{"S3_delete_object", offsetof(S3V2Library, delete_object)},
};

static S3V2Library loaded;
static bool is_loaded = false;

static SvStatus
fail_missing(SvError *err)
{
	const char *reason = dlerror();
	SvStatus	status = sv_fail(err, SV_UNSUPPORTED, "could not load library \"%s\"", LIBRARY);

	sv_set_detail(err, "%s.", reason != NULL ? reason : "It lacks a function");
	sv_set_hint(err, "Install libs3 2.0 (package libs3-2 on Debian), or use signature v4.");
	return status;
}

SvStatus
s3v2_library(const S3V2Library **library, SvError *err)
{
	void	   *handle;

	*library = &loaded;
	if (is_loaded)
		return SV_OK;
	handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL)
		return fail_missing(err);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
	{
		void	   *function = dlsym(handle, functions[i].name);

		if (function == NULL)
		{
			SvStatus	status = fail_missing(err);

			dlclose(handle);
			return status;
		}
		/* the way that POSIX blesses, without a cast from object to function */
		memcpy((char *) &loaded + functions[i].offset, &function, sizeof(function));
	}
	if (loaded.initialize(USER_AGENT, S3_INIT_ALL, NULL) != S3StatusOK)
	{
		dlclose(handle);
		return sv_fail(err, SV_IO, "could not initialise library \"%s\"", LIBRARY);
	}
	is_loaded = true;
	return SV_OK;
}
