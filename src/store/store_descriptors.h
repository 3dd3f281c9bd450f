/*
 * store_descriptors.h
 *		A bounded set of open files by object name, for the directory driver.
 *
 * The set owns the descriptors and closes the least recently used one when it
 * is full.  Lookup looks at every slot, comparing hashes: the set is small
 * beside the system call that follows.
 */
#ifndef STORE_DESCRIPTORS_H
#define STORE_DESCRIPTORS_H

#include <stdbool.h>

typedef struct StoreDescriptors StoreDescriptors;

/* NULL if there is no memory. */
extern StoreDescriptors *store_descriptors_create(int max_open);

/* Closes everything. */
extern void store_descriptors_free(StoreDescriptors *set);

/* The descriptor of this object, good until the next call; -1 if it has none. */
extern int	store_descriptors_find(StoreDescriptors *set, const char *name);

/* Takes over fd; false, and fd stays the caller's, if there is no memory. */
extern bool store_descriptors_add(StoreDescriptors *set, const char *name, int fd);

/* Closes the object's descriptor if it has one. */
extern void store_descriptors_forget(StoreDescriptors *set, const char *name);

/* Closes the least recently used descriptor; false if there is none. */
extern bool store_descriptors_close_oldest(StoreDescriptors *set);

#endif							/* STORE_DESCRIPTORS_H */
