/*
 * store_directory_path.h
 *		Paths of the directory driver, and directories that are durable.
 *		Private to the driver.
 */
#ifndef STORE_DIRECTORY_PATH_H
#define STORE_DIRECTORY_PATH_H

#include "store/store_descriptors.h"
#include "store/store_driver.h"

/* Room for "/~<pid>.<counter>" and its '\0'. */
#define STORE_TEMPORARY_BYTES 64

typedef struct DirectoryStore
{
	ObjectStore base;
	bool		create_root;
	StoreDescriptors *descriptors;
	uint64_t	temporary_counter;
	size_t		root_len;
	char	   *root;
	char	   *path;			/* root, '/', an object's name: store_directory_set_path */
	char	   *temporary;		/* root, '/', the temporary file beside it */
	char	   *durable;		/* the directory last found durable, or "" */
	size_t		path_room;		/* of each of the three */
} DirectoryStore;

extern void store_directory_set_path(DirectoryStore *store, const char *name);

/* Whether this errno of a file system call says that the object is not there. */
extern bool store_directory_is_missing(int os_errno);

/*
 * What to say when the file system knows nothing of an object: SV_NOT_FOUND, or
 * SV_IO when the root is not there and is not to be made.
 */
extern SvStatus store_directory_missing(DirectoryStore *store, SvError *err);

/* Makes the directory of store->path, if need be, and all of it durable. */
extern SvStatus store_directory_prepare(DirectoryStore *store, SvError *err);

/* Whether a file of this name is a temporary one; no object has such a name. */
extern bool store_directory_is_temporary(const char *name);

/* Creates and opens a temporary file beside store->path, in a directory that is there and durable. */
extern SvStatus store_directory_temporary(DirectoryStore *store, int *fd, SvError *err);

#endif							/* STORE_DIRECTORY_PATH_H */
