/*
 * load_wire.h
 *		What a load and its workers have in common: the shared memory between
 *		them, and the form of what goes through it.
 *
 * A worker has two queues.  One brings it entries, many in a message, and last a
 * message of LOAD_END_BYTES, which says that there are no more; the other takes what
 * the worker has to say, each message beginning with a LoadAnswer.  Whose other end
 * of a queue is left without such a last word has lost the other.
 */
#ifndef LOAD_WIRE_H
#define LOAD_WIRE_H

#include "postgres.h"

#include "base/sv_buffer.h"
#include "worker/load_crew.h"

/* Of the two queues. */
#define LOAD_ENTRIES_BYTES (4 * 1024 * 1024)
#define LOAD_ANSWERS_BYTES (64 * 1024)

/* Entries go in messages of about this size. */
#define LOAD_MESSAGE_BYTES (64 * 1024)

/* Fewer than those of any entry. */
#define LOAD_END_BYTES 1

#define LOAD_MAX_TABLESPACES 16

/*
 * At the beginning of the segment, before the queues.  Constant once workers are
 * started, but for the memory of each, which is there before the first message.
 */
typedef struct LoadShared
{
	Oid			dboid;
	int			leader_pid;
	LoadBuildSpec spec;			/* without what calls back */
	bool		reports_duplicates;
	int			ntablespaces;	/* for temporary files; -1: by temp_tablespaces */
	Oid			tablespaces[LOAD_MAX_TABLESPACES];
	char		temp_file_limit[32];
} LoadShared;

typedef enum LoadAnswer
{
	LOAD_READY = 'R',			/* the worker has the store, and takes entries */
	LOAD_DONE = 'D',			/* followed by what it has built: load_wire_put_built */
	LOAD_DUPLICATE = 'K',		/* followed by a key that was given twice */
	LOAD_FAILED = 'F'			/* followed by its error */
} LoadAnswer;

/* Where the queues of a worker are. */
static inline void *
load_shared_entries(LoadShared *shared, int worker)
{
	return (char *) shared + MAXALIGN(sizeof(LoadShared)) + (Size) worker * (LOAD_ENTRIES_BYTES + LOAD_ANSWERS_BYTES);
}

static inline void *
load_shared_answers(LoadShared *shared, int worker)
{
	return (char *) load_shared_entries(shared, worker) + LOAD_ENTRIES_BYTES;
}

static inline Size
load_shared_bytes(int workers)
{
	return MAXALIGN(sizeof(LoadShared)) + (Size) workers * (LOAD_ENTRIES_BYTES + LOAD_ANSWERS_BYTES);
}

/* An entry in a message: this, the key, the value.  Nothing is aligned. */
typedef struct LoadEntryHead
{
	TimestampTz expires_at;
	uint32		value_bytes;
	uint32		key_bytes;
} LoadEntryHead;

typedef struct LoadEntry
{
	SvSlice		key;
	SvSlice		value;
	TimestampTz expires_at;
} LoadEntry;

static inline size_t
load_entry_bytes(const LoadEntry *entry)
{
	return sizeof(LoadEntryHead) + entry->key.len + entry->value.len;
}

/* Writes load_entry_bytes bytes. */
static inline void
load_entry_put(char *to, const LoadEntry *entry)
{
	LoadEntryHead head = {
		.expires_at = entry->expires_at,.value_bytes = (uint32) entry->value.len,.key_bytes = (uint32) entry->key.len
	};

	memcpy(to, &head, sizeof(head));
	to += sizeof(head);
	if (entry->key.len > 0)
		memcpy(to, entry->key.data, entry->key.len);
	if (entry->value.len > 0)
		memcpy(to + entry->key.len, entry->value.data, entry->value.len);
}

/* The entry at `from`, which it points into; returns where the next one is. */
static inline const char *
load_entry_get(const char *from, LoadEntry *entry)
{
	LoadEntryHead head;

	memcpy(&head, from, sizeof(head));
	from += sizeof(head);
	entry->key = sv_slice(from, head.key_bytes);
	entry->value = sv_slice(from + head.key_bytes, head.value_bytes);
	entry->expires_at = head.expires_at;
	return from + head.key_bytes + head.value_bytes;
}

/* What a worker has built, as bytes, and back in CurrentMemoryContext. */
extern void load_wire_put_built(SvBuffer *to, const LoadBuilt *built);
extern void load_wire_get_built(SvSlice from, LoadBuilt *built);

#endif							/* LOAD_WIRE_H */
