/*
 * sst_rmi_node.c
 *		The bytes of a node: FORMAT.md, "Learned index".
 */
#include "sst/sst_rmi_node.h"

/* The header of a node. */
#define NODE_FIRST		0
#define NODE_COUNT		4
#define NODE_LEAVES		8
#define NODE_SCALE		12
#define NODE_ORIGIN		16
#define NODE_BASE		24
#define NODE_SPAN		32
#define NODE_ROOT		40
#define NODE_SHIFT		41
#define NODE_DEPTH		42
#define NODE_TABLE_BITS	43
#define NODE_CODE_BYTES	44

void
sst_rmi_node_write(const SstRmiNode *node, uint32_t code_bytes, uint8_t *bytes)
{
	sv_put_u32(bytes + NODE_FIRST, node->first);
	sv_put_u32(bytes + NODE_COUNT, node->count);
	sv_put_u32(bytes + NODE_LEAVES, node->leaf_count);
	sv_put_u32(bytes + NODE_SCALE, node->scale);
	sv_put_u64(bytes + NODE_ORIGIN, node->origin);
	sv_put_u64(bytes + NODE_BASE, node->base);
	sv_put_u64(bytes + NODE_SPAN, node->span);
	bytes[NODE_ROOT] = node->root;
	bytes[NODE_SHIFT] = node->shift;
	bytes[NODE_DEPTH] = node->depth;
	bytes[NODE_TABLE_BITS] = node->table_bits;
	sv_put_u32(bytes + NODE_CODE_BYTES, code_bytes);
}

static void
read_header(SstRmiNode *node, const uint8_t *bytes)
{
	node->first = sv_get_u32(bytes + NODE_FIRST);
	node->count = sv_get_u32(bytes + NODE_COUNT);
	node->leaf_count = sv_get_u32(bytes + NODE_LEAVES);
	node->scale = sv_get_u32(bytes + NODE_SCALE);
	node->origin = sv_get_u64(bytes + NODE_ORIGIN);
	node->base = sv_get_u64(bytes + NODE_BASE);
	node->span = sv_get_u64(bytes + NODE_SPAN);
	node->root = bytes[NODE_ROOT];
	node->shift = bytes[NODE_SHIFT];
	node->depth = bytes[NODE_DEPTH];
	node->table_bits = bytes[NODE_TABLE_BITS];
	node->table = bytes + SST_RMI_NODE_BYTES + sv_get_u32(bytes + NODE_CODE_BYTES);
	node->leaves = node->table + sst_rmi_table_bytes(node->table_bits);
}

void
sst_rmi_node_read(SstRmiNode *node, const uint8_t *bytes)
{
	read_header(node, bytes);
	sst_keycode_read(&node->code, bytes + SST_RMI_NODE_BYTES);
}

/* Every piece that a code can be in has a leaf, and the last of them ends with the leaves. */
static bool
table_is_good(const SstRmiNode *node)
{
	size_t		last = node->span << node->shift >> (64 - node->table_bits);

	for (size_t i = 0; i <= last; i++)
	{
		if (sv_get_u32(node->table + i * 4) >= sv_get_u32(node->table + i * 4 + 4))
			return false;
	}
	return sv_get_u32(node->table + last * 4 + 4) <= node->leaf_count;
}

/* The root model never names a leaf that is not there: monotone, it is enough to ask at the top. */
static const char *
check_root(const SstRmiNode *node)
{
	if (node->root > SST_RMI_ROOT_LOGARITHMIC)
		return "unknown root model";
	if (node->shift > 63 || node->span > UINT64_MAX >> node->shift)
		return "root model overflows";
	if (node->table_bits != 0 ? !table_is_good(node) :
		sst_rmi_scaled(node->span << node->shift, node->scale) >> 32 >= node->leaf_count)
		return "root model leads beyond the leaves";
	return NULL;
}

const char *
sst_rmi_node_parse(SstRmiNode *node, SvSlice bytes, bool knots, size_t *used)
{
	const char *wrong;
	size_t		code_bytes;
	size_t		table_bytes;
	size_t		leaves_bytes;
	size_t		left;

	if (bytes.len < SST_RMI_NODE_BYTES)
		return "node is cut off";
	left = bytes.len - SST_RMI_NODE_BYTES;
	wrong = sst_keycode_parse(&node->code, sv_slice(bytes.data + SST_RMI_NODE_BYTES, left),
							  &code_bytes);
	if (wrong != NULL)
		return wrong;
	if (code_bytes != sv_get_u32(bytes.data + NODE_CODE_BYTES) ||
		bytes.data[NODE_TABLE_BITS] > SST_RMI_MAX_TABLE_BITS)
		return "node is malformed";
	table_bytes = sst_rmi_table_bytes(bytes.data[NODE_TABLE_BITS]);
	left -= code_bytes;
	if (table_bytes > left)
		return "table is cut off";
	read_header(node, bytes.data);
	leaves_bytes = sst_rmi_leaves_bytes(knots, node->leaf_count);
	if (leaves_bytes > left - table_bytes)
		return "leaves are cut off";
	*used = SST_RMI_NODE_BYTES + code_bytes + table_bytes + leaves_bytes;
	return check_root(node);
}
