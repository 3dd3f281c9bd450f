/*
 * lsm_picture.h
 *		What a table's tree looks like, as text.  Pure.
 */
#ifndef LSM_PICTURE_H
#define LSM_PICTURE_H

#include "base/sv_buffer.h"
#include "lsm/lsm_choose.h"

/*
 * Appends the picture of a table's tree to text: a line for each run of level
 * 0, newest first, and for each level.  The columns of the picture are the
 * table's keys in order, each run as wide as it has neighbours above and
 * below.  Nothing for a table without runs.
 */
extern SvStatus lsm_tree_picture(const LsmQuestion *question, int32_t table_id, SvBuffer *text,
								 SvError *err);

#endif							/* LSM_PICTURE_H */
