/*
 * store_descriptors.c
 *		Slots without holes; a counter of uses tells the oldest.
 */
#include "store/store_descriptors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Slot
{
	uint64_t	hash;
	uint64_t	last_use;
	int			fd;
	char	   *name;
} Slot;

struct StoreDescriptors
{
	uint64_t	uses;
	int			max_open;
	int			nslots;
	Slot		slots[];
};

StoreDescriptors *
store_descriptors_create(int max_open)
{
	StoreDescriptors *set = malloc(sizeof(StoreDescriptors) + sizeof(Slot) * (size_t) max_open);

	if (set == NULL)
		return NULL;
	set->uses = 0;
	set->max_open = max_open;
	set->nslots = 0;
	return set;
}

void
store_descriptors_free(StoreDescriptors *set)
{
	while (store_descriptors_close_oldest(set))
		;
	free(set);
}

/* FNV-1a: only tells names apart quickly, and is never stored. */
static uint64_t
hash_name(const char *name)
{
	uint64_t	hash = UINT64_C(14695981039346656037);

	for (; *name != '\0'; name++)
		hash = (hash ^ (uint8_t) *name) * UINT64_C(1099511628211);
	return hash;
}

static Slot *
find_slot(StoreDescriptors *set, const char *name)
{
	uint64_t	hash = hash_name(name);

	for (int i = 0; i < set->nslots; i++)
	{
		if (set->slots[i].hash == hash && strcmp(set->slots[i].name, name) == 0)
			return &set->slots[i];
	}
	return NULL;
}

static void
close_slot(StoreDescriptors *set, Slot *slot)
{
	close(slot->fd);
	free(slot->name);
	*slot = set->slots[--set->nslots];
}

int
store_descriptors_find(StoreDescriptors *set, const char *name)
{
	Slot	   *slot = find_slot(set, name);

	if (slot == NULL)
		return -1;
	slot->last_use = ++set->uses;
	return slot->fd;
}

bool
store_descriptors_add(StoreDescriptors *set, const char *name, int fd)
{
	char	   *copy = strdup(name);
	Slot	   *slot;

	if (copy == NULL)
		return false;
	if (set->nslots == set->max_open)
		store_descriptors_close_oldest(set);
	slot = &set->slots[set->nslots++];
	slot->hash = hash_name(name);
	slot->last_use = ++set->uses;
	slot->fd = fd;
	slot->name = copy;
	return true;
}

void
store_descriptors_forget(StoreDescriptors *set, const char *name)
{
	Slot	   *slot = find_slot(set, name);

	if (slot != NULL)
		close_slot(set, slot);
}

bool
store_descriptors_close_oldest(StoreDescriptors *set)
{
	Slot	   *oldest = NULL;

	for (int i = 0; i < set->nslots; i++)
	{
		if (oldest == NULL || set->slots[i].last_use < oldest->last_use)
			oldest = &set->slots[i];
	}
	if (oldest == NULL)
		return false;
	close_slot(set, oldest);
	return true;
}
