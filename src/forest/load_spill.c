/*
 * load_spill.c
 *		See load_spill.h.
 */
#include "postgres.h"

#include "forest/load_spill.h"

#include "storage/buffile.h"
#include "utils/memutils.h"

/* What BufFile has for itself is the rest of LOAD_SPILL_BYTES. */
#define BUFFER_BYTES ((Size) 32 * 1024)

typedef struct SpillHeader
{
	uint32		key_len;
	uint32		value_len;
	int64		expires_at;
} SpillHeader;

struct LoadSpill
{
	MemoryContext context;
	BufFile    *file;
	uint8	   *buffer;
	Size		capacity;
	Size		len;			/* bytes in the buffer */
	Size		at;				/* that were read */
};

LoadSpill *
load_spill_create(void)
{
	LoadSpill  *spill = palloc0(sizeof(LoadSpill));

	spill->context = CurrentMemoryContext;
	spill->file = BufFileCreateTemp(false);
	spill->buffer = palloc(BUFFER_BYTES);
	spill->capacity = BUFFER_BYTES;
	return spill;
}

static void
write_out(LoadSpill *spill)
{
	if (spill->len > 0)
		BufFileWrite(spill->file, spill->buffer, spill->len);
	spill->len = 0;
}

static void
put(LoadSpill *spill, const void *data, Size len)
{
	if (len > spill->capacity - spill->len)
		write_out(spill);
	if (len > spill->capacity)
		BufFileWrite(spill->file, unconstify(void *, data), len);
	else if (len > 0)
	{
		memcpy(spill->buffer + spill->len, data, len);
		spill->len += len;
	}
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
load_spill_rewind(LoadSpill *spill)
{
	write_out(spill);
	if (BufFileSeek(spill->file, 0, 0, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not rewind a temporary file of a load: %m")));
	spill->at = 0;
}

static void
make_room(LoadSpill *spill, Size bytes)
{
	Size		capacity = Max(bytes, BUFFER_BYTES);
	uint8	   *buffer;

	if (capacity <= spill->capacity)
		return;
	buffer = MemoryContextAllocHuge(spill->context, capacity);
	if (spill->len > 0)
		memcpy(buffer, spill->buffer, spill->len);
	pfree(spill->buffer);
	spill->buffer = buffer;
	spill->capacity = capacity;
}

/* Whether there are so many bytes at `at`; reads on if not.  What was handed out before moves. */
static bool
fill(LoadSpill *spill, Size bytes)
{
	if (spill->len - spill->at >= bytes)
		return true;
	memmove(spill->buffer, spill->buffer + spill->at, spill->len - spill->at);
	spill->len -= spill->at;
	spill->at = 0;
	make_room(spill, bytes);
	spill->len += BufFileRead(spill->file, spill->buffer + spill->len, spill->capacity - spill->len);
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
	BufFileClose(spill->file);
	pfree(spill->buffer);
	pfree(spill);
}
