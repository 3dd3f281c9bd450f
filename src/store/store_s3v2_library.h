/*
 * store_s3v2_library.h
 *		libs3, loaded when it is first needed.  Private to the driver.
 */
#ifndef STORE_S3V2_LIBRARY_H
#define STORE_S3V2_LIBRARY_H

#include <libs3.h>

#include "base/sv_status.h"

/* The functions of libs3 that the driver uses. */
typedef struct S3V2Library
{
	__typeof__(S3_initialize) *initialize;
	__typeof__(S3_get_status_name) *get_status_name;
	__typeof__(S3_create_request_context) *create_request_context;
	__typeof__(S3_destroy_request_context) *destroy_request_context;
	__typeof__(S3_runonce_request_context) *runonce_request_context;
	__typeof__(S3_get_request_context_fdsets) *get_request_context_fdsets;
	__typeof__(S3_get_request_context_timeout) *get_request_context_timeout;
	__typeof__(S3_list_bucket) *list_bucket;
	__typeof__(S3_put_object) *put_object;
	__typeof__(S3_get_object) *get_object;
	__typeof__(S3_head_object) *head_object;
	__typeof__(S3_delete_object) *delete_object;
} S3V2Library;

/*
 * Loads and initialises it, once in a process; *library lives as long.
 * SV_UNSUPPORTED if there is none, SV_IO if it cannot be initialised.
 */
extern SvStatus s3v2_library(const S3V2Library **library, SvError *err);

#endif							/* STORE_S3V2_LIBRARY_H */
