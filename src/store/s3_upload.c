/*
 * s3_upload.c
 *		An object that is made while it goes up: parts are collected, and sent
 *		while the next one is.
 *
 * What is no longer than a part goes up with one PUT, at the end.
 */
#include "store/s3_upload.h"

#include <stdlib.h>
#include <string.h>

#include "store/s3_multipart.h"
#include "store/s3_put.h"

/*
 * Parts that are under way while the next one is made: memory, times
 * part_bytes.  Beside them are that one and a spare one.
 */
#define PARTS_AHEAD 4
#define PARTS_BESIDE 2
/* S3 takes 10,000 parts: after so many each, they are twice as long. */
#define PARTS_OF_A_SIZE 2500
#define STEP_MS 100
/* Appended between two looks at the network. */
#define PUSH_BYTES ((size_t) 128 * 1024)

typedef struct S3Upload
{
	StoreUpload base;
	S3Multipart multipart;		/* upload_id NULL: not begun */
	uint8_t    *part;			/* what is collected */
	size_t		part_len;
	size_t		part_room;
	uint8_t    *spare;			/* of spare_room: memory of a part that has gone up */
	size_t		spare_room;
	size_t		unpushed;		/* bytes appended since parts last went on */
} S3Upload;

SvStatus
s3_upload_begin(ObjectStore *store, const char *name, StoreUpload **upload, const StoreCall *call, SvError *err)
{
	S3Upload   *begun = calloc(1, sizeof(S3Upload));

	(void) store;
	(void) call;
	if (begun == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: an upload of object \"%s\"", name);
	*upload = &begun->base;
	return SV_OK;
}

static size_t
memory_of(const StoreCall *call)
{
	return call == NULL ? 0 : call->upload_bytes;
}

/* Smaller ones than usual if there is little memory for them. */
static size_t
next_part_bytes(const S3Upload *upload, const StoreCall *call)
{
	const S3Store *store = (const S3Store *) upload->base.store;
	size_t		bytes = store->part_bytes;
	size_t		each = memory_of(call) / (PARTS_BESIDE + 1);

	if (memory_of(call) > 0 && each < bytes)
		bytes = each < S3_LEAST_PART_BYTES ? S3_LEAST_PART_BYTES : each;
	return bytes << upload->multipart.nparts / PARTS_OF_A_SIZE;
}

static int
parts_ahead(const S3Upload *upload, const StoreCall *call)
{
	size_t		fit = memory_of(call) / next_part_bytes(upload, call);

	if (memory_of(call) == 0 || fit > PARTS_AHEAD + PARTS_BESIDE)
		return PARTS_AHEAD;
	return fit > PARTS_BESIDE ? (int) (fit - PARTS_BESIDE) : 0;
}

static SvStatus
make_part(S3Upload *upload, const StoreCall *call, SvError *err)
{
	upload->part_room = next_part_bytes(upload, call);
	upload->part_len = 0;
	if (upload->spare != NULL && upload->spare_room == upload->part_room)
	{
		upload->part = upload->spare;
		upload->spare = NULL;
		return SV_OK;
	}
	free(upload->spare);
	upload->spare = NULL;
	upload->part = malloc(upload->part_room);
	return upload->part != NULL ? SV_OK
		: sv_fail(err, SV_NO_MEMORY, "out of memory: a part of object \"%s\"", upload->base.name);
}

/* Queues what is collected. */
static SvStatus
send_part(S3Upload *upload, const StoreCall *call, SvError *err)
{
	SvSlice    *slice = malloc(sizeof(SvSlice));
	uint8_t    *part = upload->part;
	SvStatus	status = SV_OK;

	if (upload->multipart.upload_id == NULL)
		status = s3_multipart_begin(&upload->multipart, (S3Store *) upload->base.store, upload->base.name, call, err);
	if (status == SV_OK && slice == NULL)
		status = sv_fail(err, SV_NO_MEMORY, "out of memory: a part of object \"%s\"", upload->base.name);
	if (status != SV_OK)
	{
		free(slice);
		return status;
	}
	*slice = sv_slice(part, upload->part_len);
	upload->part = NULL;
	return s3_multipart_add(&upload->multipart, slice, 1, part, err);
}

/* Lets parts go on, and waits while too many are under way. */
static SvStatus
push(S3Upload *upload, const StoreCall *call, SvError *err)
{
	S3Batch    *batch = &upload->multipart.batch;
	int			ahead = parts_ahead(upload, call);
	SvStatus	status = SV_OK;

	do
		status = s3_batch_step(batch, call, s3_batch_pending(batch) > ahead ? STEP_MS : 0, err);
	while (status == SV_OK && s3_batch_pending(batch) > ahead);
	if (upload->spare == NULL)
		upload->spare_room = next_part_bytes(upload, call);
	s3_multipart_trim(&upload->multipart, upload->spare_room, &upload->spare);
	return status;
}

SvStatus
s3_upload_append(StoreUpload *base, const void *data, size_t len, const StoreCall *call, SvError *err)
{
	S3Upload   *upload = (S3Upload *) base;
	SvStatus	status = SV_OK;

	if (upload->multipart.upload_id != NULL)
		s3_batch_renew(&upload->multipart.batch, call);
	for (size_t done = 0; done < len && status == SV_OK;)
	{
		size_t		step;

		if (upload->part != NULL && upload->part_len == upload->part_room)
			status = send_part(upload, call, err);
		if (status == SV_OK && upload->part == NULL)
			status = make_part(upload, call, err);
		if (status != SV_OK)
			break;
		step = upload->part_room - upload->part_len;
		if (step > len - done)
			step = len - done;
		if (step > PUSH_BYTES)
			step = PUSH_BYTES;
		memcpy(upload->part + upload->part_len, (const uint8_t *) data + done, step);
		upload->part_len += step;
		done += step;
		upload->unpushed += step;
		if (upload->multipart.upload_id != NULL && upload->unpushed >= PUSH_BYTES)
		{
			upload->unpushed = 0;
			status = push(upload, call, err);
		}
	}
	return status;
}

static void
free_upload(S3Upload *upload)
{
	free(upload->part);
	free(upload->spare);
	free(upload);
}

SvStatus
s3_upload_finish(StoreUpload *base, const StoreCall *call, SvError *err)
{
	S3Upload   *upload = (S3Upload *) base;
	SvSlice		whole = sv_slice(upload->part, upload->part_len);
	SvStatus	status;

	if (upload->multipart.upload_id == NULL)
	{
		status = s3_put_if_absent(base->store, base->name, &whole, upload->part_len > 0 ? 1 : 0, call, err);
		free_upload(upload);
		return status;
	}
	s3_batch_renew(&upload->multipart.batch, call);
	status = upload->part_len > 0 && upload->part != NULL ? send_part(upload, call, err) : SV_OK;
	if (status == SV_OK)
		status = s3_multipart_finish(&upload->multipart, call, err);
	else
		s3_multipart_abort(&upload->multipart, call);
	free_upload(upload);
	return status;
}

void
s3_upload_abort(StoreUpload *base, const StoreCall *call)
{
	S3Upload   *upload = (S3Upload *) base;

	if (upload->multipart.upload_id != NULL)
		s3_multipart_abort(&upload->multipart, call);
	free_upload(upload);
}
