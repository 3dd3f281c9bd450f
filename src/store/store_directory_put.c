/*
 * store_directory_put.c
 *		A temporary file, filled and fsynced, then given its name.
 *
 * A new object gets its name by link(2), which fails if the name is taken.
 *
 * put_if_match compares and replaces under a lock on the file "~lock" of the
 * object's directory: an open-file-description lock, so it goes with the
 * process that held it, and holds between two handles of one process as well.
 * The file is never removed, or two processes could hold locks on two files of
 * that name.  The replacing is one rename(2): a crash leaves the old object or
 * the new one.  Each replacement's time of modification is later than that of
 * the object it replaces, so no etag comes back, however fast objects follow
 * each other and inodes are used again.
 */
#include "store/store_directory_put.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store_file.h"

/* Written between two looks at the cancel callback. */
#define STEP_BYTES ((size_t) 1024 * 1024)

/* Uploads go to their file in pieces of this size: to hand each block to the kernel takes more than twice as long. */
#define PIECE_BYTES ((size_t) 256 * 1024)
#define LOCK_NAME "~lock"
#define LOCK_RETRY_MS 10

typedef struct DirectoryUpload
{
	StoreUpload base;
	uint64_t	started_us;
	uint64_t	bytes;
	int			fd;
	char	   *temporary;
	uint8_t    *piece;			/* PIECE_BYTES */
	size_t		piece_len;		/* that are not in the file yet */
} DirectoryUpload;

void
store_directory_etag(const struct stat *st, char etag[STORE_ETAG_BYTES])
{
	snprintf(etag, STORE_ETAG_BYTES, "%llx-%llx.%lx-%llx", (unsigned long long) st->st_ino,
			 (unsigned long long) st->st_mtim.tv_sec, (unsigned long) st->st_mtim.tv_nsec,
			 (unsigned long long) st->st_size);
}

/* -------------------------------------------------------------------------
 * Filling a temporary file
 * ------------------------------------------------------------------------- */

static SvStatus
write_bytes(int fd, const char *path, SvSlice bytes, const char *name, const StoreCall *call, SvError *err)
{
	size_t		done = 0;

	while (done < bytes.len)
	{
		size_t		step = bytes.len - done < STEP_BYTES ? bytes.len - done : STEP_BYTES;
		SvStatus	status = store_check_cancel(call, name, err);
		ssize_t		written;

		if (status != SV_OK)
			return status;
		written = write(fd, bytes.data + done, step);
		if (written > 0)
			done += (size_t) written;
		else if (written == 0)
			return store_file_fail(err, ENOSPC, "write file", path);
		else if (errno != EINTR)
			return store_file_fail(err, errno, "write file", path);
	}
	return SV_OK;
}

/* Ends the writing of a temporary file whose status so far is given: fsyncs it if that is SV_OK, and closes it. */
static SvStatus
seal(int fd, const char *path, SvStatus status, const char *name, const StoreCall *call, SvError *err)
{
	if (status == SV_OK)
		status = store_check_cancel(call, name, err);
	if (status == SV_OK && store_file_fsync(fd) != 0)
		status = store_file_fail(err, errno, "fsync file", path);
	/* Linux has closed the file even if it was interrupted. */
	if (close(fd) != 0 && errno != EINTR && status == SV_OK)
		status = store_file_fail(err, errno, "close file", path);
	return status;
}

static SvStatus
exists(const char *name, SvError *err)
{
	return sv_fail(err, SV_EXISTS, "object \"%s\" exists already", name);
}

/* Gives a sealed temporary file the name of store->path, unless that is taken. */
static SvStatus
link_object(DirectoryStore *store, const char *temporary, const char *name, SvError *err)
{
	if (link(temporary, store->path) == 0)
		return SV_OK;
	return errno == EEXIST ? exists(name, err)
		: store_file_fail(err, errno, "link a temporary file to", store->path);
}

/* Makes the name durable that a temporary file was given, after its own has gone. */
static SvStatus
finish_link(DirectoryStore *store, const char *temporary, SvStatus status, SvError *err)
{
	/* A temporary name that cannot be removed takes nothing from the outcome. */
	unlink(temporary);
	return status == SV_OK ? store_file_sync_parent(store->path, err) : status;
}

static SvStatus
put_new(DirectoryStore *store, const char *name, const SvSlice *parts, int nparts,
		const StoreCall *call, SvError *err)
{
	SvStatus	status;
	int			fd;

	store_directory_set_path(store, name);
	status = store_directory_temporary(store, &fd, err);
	if (status != SV_OK)
		return status;
	for (int i = 0; i < nparts && status == SV_OK; i++)
		status = write_bytes(fd, store->temporary, parts[i], name, call, err);
	status = seal(fd, store->temporary, status, name, call, err);
	if (status == SV_OK)
		status = store_check_cancel(call, name, err);
	if (status == SV_OK)
		status = link_object(store, store->temporary, name, err);
	return finish_link(store, store->temporary, status, err);
}

SvStatus
store_directory_put_if_absent(ObjectStore *base, const char *name, const SvSlice *parts, int nparts,
							  const StoreCall *call, SvError *err)
{
	uint64_t	started_us = store_now_us();
	SvStatus	status = put_new((DirectoryStore *) base, name, parts, nparts, call, err);
	uint64_t	bytes = 0;

	for (int i = 0; i < nparts; i++)
		bytes += parts[i].len;
	store_account(call, STORE_PUT, started_us, status, 0, bytes);
	return status;
}

/* -------------------------------------------------------------------------
 * Replacing
 * ------------------------------------------------------------------------- */

/* Opens the lock file beside store->path, whose directory is made durable if it is not there. */
static SvStatus
open_lock(DirectoryStore *store, int *fd, SvError *err)
{
	size_t		dir_len = (size_t) (strrchr(store->path, '/') - store->path);
	SvStatus	status = SV_OK;

	for (int attempt = 0; attempt < 2 && status == SV_OK; attempt++)
	{
		memcpy(store->temporary, store->path, dir_len);
		snprintf(store->temporary + dir_len, STORE_TEMPORARY_BYTES, "/" LOCK_NAME);
		do
			*fd = open(store->temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		while (*fd < 0 && errno == EINTR);
		if (*fd >= 0)
			return SV_OK;
		if (errno != ENOENT || attempt > 0)
			return store_file_fail(err, errno, "open file", store->temporary);
		status = store_directory_prepare(store, err);
	}
	return status;
}

/* Closing *fd gives the lock back. */
static SvStatus
take_lock(DirectoryStore *store, const char *name, int *fd, const StoreCall *call, SvError *err)
{
	struct flock whole = {.l_type = F_WRLCK,.l_whence = SEEK_SET};
	SvStatus	status = open_lock(store, fd, err);

	while (status == SV_OK && fcntl(*fd, F_OFD_SETLK, &whole) != 0)
	{
		if (errno == EAGAIN || errno == EACCES)
			status = store_pause(call, name, LOCK_RETRY_MS, err);
		else if (errno != EINTR)
			status = store_file_fail(err, errno, "lock file", store->temporary);
		if (status != SV_OK)
			close(*fd);
	}
	return status;
}

/* Sets the time of a file that is to replace another one to a later one. */
static int
make_later(int fd, const struct stat *old)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -1;
	if (st.st_mtim.tv_sec > old->st_mtim.tv_sec ||
		(st.st_mtim.tv_sec == old->st_mtim.tv_sec && st.st_mtim.tv_nsec > old->st_mtim.tv_nsec))
		return 0;
	times[1] = old->st_mtim;
	if (++times[1].tv_nsec == 1000000000)
	{
		times[1].tv_nsec = 0;
		times[1].tv_sec++;
	}
	return futimens(fd, times);
}

/* old: what is to be replaced, NULL if nothing is there. */
static SvStatus
write_replacement(DirectoryStore *store, const char *name, SvSlice bytes, const struct stat *old,
				  char *new_etag, const StoreCall *call, SvError *err)
{
	struct stat st;
	SvStatus	status;
	int			fd;

	status = store_directory_temporary(store, &fd, err);
	if (status != SV_OK)
		return status;
	status = write_bytes(fd, store->temporary, bytes, name, call, err);
	if (status == SV_OK && ((old != NULL && make_later(fd, old) != 0) || fstat(fd, &st) != 0))
		status = store_file_fail(err, errno, "set the time of file", store->temporary);
	status = seal(fd, store->temporary, status, name, call, err);
	if (status == SV_OK && old == NULL)
		status = link_object(store, store->temporary, name, err);
	else if (status == SV_OK && rename(store->temporary, store->path) != 0)
		status = store_file_fail(err, errno, "rename a temporary file to", store->path);
	if (status == SV_OK)
		store_directory_etag(&st, new_etag);
	if (status == SV_OK && old != NULL)
		return store_file_sync_parent(store->path, err);
	return finish_link(store, store->temporary, status, err);
}

static SvStatus
replace_locked(DirectoryStore *store, const char *name, SvSlice bytes, const char *etag,
			   char *new_etag, const StoreCall *call, SvError *err)
{
	char		found[STORE_ETAG_BYTES] = "";
	struct stat st;

	if (stat(store->path, &st) == 0)
		store_directory_etag(&st, found);
	else if (!store_directory_is_missing(errno))
		return store_file_fail(err, errno, "stat file", store->path);
	if (strcmp(found, etag) != 0)
		return etag[0] == '\0' ? exists(name, err)
			: sv_fail(err, SV_EXISTS, "object \"%s\" has changed", name);
	return write_replacement(store, name, bytes, found[0] != '\0' ? &st : NULL, new_etag, call, err);
}

SvStatus
store_directory_put_if_match(ObjectStore *base, const char *name, SvSlice bytes, const char *etag,
							 char new_etag[STORE_ETAG_BYTES], const StoreCall *call, SvError *err)
{
	DirectoryStore *store = (DirectoryStore *) base;
	uint64_t	started_us = store_now_us();
	SvStatus	status;
	int			lock;

	store_directory_set_path(store, name);
	status = take_lock(store, name, &lock, call, err);
	if (status == SV_OK)
	{
		status = replace_locked(store, name, bytes, etag, new_etag, call, err);
		close(lock);
	}
	store_descriptors_forget(store->descriptors, name);
	store_account(call, STORE_PUT, started_us, status, 0, bytes.len);
	return status;
}

/* -------------------------------------------------------------------------
 * Streaming
 * ------------------------------------------------------------------------- */

static void
free_upload(DirectoryUpload *upload)
{
	if (upload == NULL)
		return;
	free(upload->temporary);
	free(upload->piece);
	free(upload);
}

SvStatus
store_directory_upload_begin(ObjectStore *base, const char *name, StoreUpload **upload,
							 const StoreCall *call, SvError *err)
{
	DirectoryStore *store = (DirectoryStore *) base;
	DirectoryUpload *begun = calloc(1, sizeof(DirectoryUpload));
	SvStatus	status;

	(void) call;
	if (begun != NULL)
	{
		begun->temporary = malloc(store->path_room);
		begun->piece = malloc(PIECE_BYTES);
	}
	if (begun == NULL || begun->temporary == NULL || begun->piece == NULL)
	{
		free_upload(begun);
		return sv_fail(err, SV_NO_MEMORY, "out of memory: an upload of object \"%s\"", name);
	}
	begun->started_us = store_now_us();
	store_directory_set_path(store, name);
	status = store_directory_temporary(store, &begun->fd, err);
	if (status != SV_OK)
	{
		free_upload(begun);
		return status;
	}
	memcpy(begun->temporary, store->temporary, strlen(store->temporary) + 1);
	*upload = &begun->base;
	return SV_OK;
}

static SvStatus
write_piece(DirectoryUpload *upload, const StoreCall *call, SvError *err)
{
	SvSlice		piece = sv_slice(upload->piece, upload->piece_len);

	upload->piece_len = 0;
	return write_bytes(upload->fd, upload->temporary, piece, upload->base.name, call, err);
}

SvStatus
store_directory_upload_append(StoreUpload *base, const void *data, size_t len,
							  const StoreCall *call, SvError *err)
{
	DirectoryUpload *upload = (DirectoryUpload *) base;
	const uint8_t *from = data;
	SvStatus	status = store_check_cancel(call, base->name, err);

	upload->bytes += len;
	while (status == SV_OK && len > 0)
	{
		size_t		part = PIECE_BYTES - upload->piece_len;

		part = len < part ? len : part;
		memcpy(upload->piece + upload->piece_len, from, part);
		upload->piece_len += part;
		from += part;
		len -= part;
		if (upload->piece_len == PIECE_BYTES)
			status = write_piece(upload, call, err);
	}
	return status;
}

static void
end_upload(DirectoryUpload *upload, SvStatus status, const StoreCall *call)
{
	store_account(call, STORE_PUT, upload->started_us, status, 0, upload->bytes);
	free_upload(upload);
}

SvStatus
store_directory_upload_finish(StoreUpload *base, const StoreCall *call, SvError *err)
{
	DirectoryUpload *upload = (DirectoryUpload *) base;
	DirectoryStore *store = (DirectoryStore *) base->store;
	SvStatus	status = write_piece(upload, call, err);

	status = seal(upload->fd, upload->temporary, status, base->name, call, err);
	store_directory_set_path(store, base->name);
	if (status == SV_OK)
		status = link_object(store, upload->temporary, base->name, err);
	status = finish_link(store, upload->temporary, status, err);
	end_upload(upload, status, call);
	return status;
}

void
store_directory_upload_abort(StoreUpload *base, const StoreCall *call)
{
	DirectoryUpload *upload = (DirectoryUpload *) base;

	close(upload->fd);
	unlink(upload->temporary);
	end_upload(upload, base->status != SV_OK ? base->status : SV_CANCELLED, call);
}
