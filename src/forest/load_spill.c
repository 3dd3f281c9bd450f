/*
 * load_spill.c
 *		See load_spill.h.
 */
#include "postgres.h"

#include "forest/load_spill.h"

#include "commands/tablespace.h"
#include "executor/instrument.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

typedef struct SpillHeader
{
	uint32		key_len;
	uint32		value_len;
	int64		expires_at;
} SpillHeader;

struct LoadSpill
{
	MemoryContext context;
	File		file;
	off_t		file_at;		/* where it is written or read next */
	uint8	   *buffer;			/* NULL between writing and reading */
	Size		capacity;
	Size		len;			/* bytes in the buffer */
	Size		at;				/* that were read */
};

static void
take_buffer(LoadSpill *spill, Size bytes)
{
	spill->capacity = Max(bytes, LOAD_SPILL_MIN_BYTES);
	spill->buffer = MemoryContextAllocHuge(spill->context, spill->capacity);
	spill->len = spill->at = 0;
}

static void
drop_buffer(LoadSpill *spill)
{
	if (spill->buffer != NULL)
		pfree(spill->buffer);
	spill->buffer = NULL;
}

LoadSpill *
load_spill_create(Size buffer_bytes)
{
	LoadSpill  *spill = palloc0(sizeof(LoadSpill));

	spill->context = CurrentMemoryContext;
	PrepareTempTablespaces();
	spill->file = OpenTemporaryFile(false);
	take_buffer(spill, buffer_bytes);
	return spill;
}

/* ---- writing ---- */

static void
write_bytes(LoadSpill *spill, uint8 *data, Size len)
{
	for (Size done = 0; done < len;)
	{
		int			step = (int) Min(len - done, LOAD_SPILL_MAX_BYTES);
		int			written = FileWrite(spill->file, (char *) data + done, step, spill->file_at,
										WAIT_EVENT_BUFFILE_WRITE);

		if (written <= 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write to file \"%s\": %m", FilePathName(spill->file))));
		spill->file_at += written;
		done += written;
	}
	pgBufferUsage.temp_blks_written += (len + BLCKSZ - 1) / BLCKSZ;
}

/* Full buffers go out, so that all but the last piece of a file is of one size. */
static inline void
put(LoadSpill *spill, const void *data, Size len)
{
	while (unlikely(len > spill->capacity - spill->len))
	{
		Size		part = spill->capacity - spill->len;

		memcpy(spill->buffer + spill->len, data, part);
		data = (const uint8 *) data + part;
		len -= part;
		write_bytes(spill, spill->buffer, spill->capacity);
		spill->len = 0;
	}
	if (len > 0)
		memcpy(spill->buffer + spill->len, data, len);
	spill->len += len;
}

void
load_spill_write(LoadSpill *spill, const SstEntry *entry)
{
	SpillHeader header = {entry->key.len, entry->value.len, entry->expires_at};

	put(spill, &header, sizeof(header));
	put(spill, entry->key.data, entry->key.len);
	put(spill, entry->value.data, entry->value.len);
}

void
load_spill_end_write(LoadSpill *spill)
{
	write_bytes(spill, spill->buffer, spill->len);
	drop_buffer(spill);
}

/* ---- reading ---- */

void
load_spill_begin_read(LoadSpill *spill, Size buffer_bytes)
{
	take_buffer(spill, buffer_bytes);
	spill->file_at = 0;
}

static void
make_room(LoadSpill *spill, Size bytes)
{
	uint8	   *buffer;

	if (bytes <= spill->capacity)
		return;
	buffer = MemoryContextAllocHuge(spill->context, bytes);
	if (spill->len > 0)
		memcpy(buffer, spill->buffer, spill->len);
	pfree(spill->buffer);
	spill->buffer = buffer;
	spill->capacity = bytes;
}

static void
read_on(LoadSpill *spill)
{
	Size		room = spill->capacity - spill->len;

	while (room > 0)
	{
		int			step = (int) Min(room, LOAD_SPILL_MAX_BYTES);
		int			got = FileRead(spill->file, (char *) spill->buffer + spill->len, step, spill->file_at,
								   WAIT_EVENT_BUFFILE_READ);

		if (got < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", FilePathName(spill->file))));
		if (got == 0)
			return;
		spill->file_at += got;
		spill->len += got;
		room -= got;
		pgBufferUsage.temp_blks_read += (got + BLCKSZ - 1) / BLCKSZ;
	}
}

/* Whether there are so many bytes at `at`; reads on if not.  What was handed out before moves. */
static inline bool
fill(LoadSpill *spill, Size bytes)
{
	if (likely(spill->len - spill->at >= bytes))
		return true;
	memmove(spill->buffer, spill->buffer + spill->at, spill->len - spill->at);
	spill->len -= spill->at;
	spill->at = 0;
	make_room(spill, bytes);
	read_on(spill);
	return spill->len >= bytes;
}

bool
load_spill_read(LoadSpill *spill, SstEntry *entry)
{
	SpillHeader header;
	Size		bytes;

	if (!fill(spill, sizeof(header)))
	{
		if (spill->len > spill->at)
			elog(ERROR, "a temporary file of a load ends within an entry");
		return false;
	}
	memcpy(&header, spill->buffer + spill->at, sizeof(header));
	bytes = sizeof(header) + header.key_len + (Size) header.value_len;
	if (!fill(spill, bytes))
		elog(ERROR, "a temporary file of a load ends within an entry");
	entry->key = sv_slice(spill->buffer + spill->at + sizeof(header), header.key_len);
	entry->value = sv_slice(spill->buffer + spill->at + sizeof(header) + header.key_len, header.value_len);
	entry->expires_at = header.expires_at;
	entry->kind = SST_VALUE;
	spill->at += bytes;
	return true;
}

void
load_spill_close(LoadSpill *spill)
{
	FileClose(spill->file);
	drop_buffer(spill);
	pfree(spill);
}
