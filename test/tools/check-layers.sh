#!/bin/bash
# Enforces the layers of ARCHITECTURE.md by looking at includes, and the shape of
# the tree.  Prints each offence; exit status 1 if there is one.
set -euo pipefail
cd "$(dirname "$0")/../.."

declare -A layer=(
	[base]=0 [sst]=1 [lsm]=2 [cache]=2 [store]=3 [server]=4 [forest]=5 [worker]=6 [fdw]=7 [sqlapi]=7
)
first_server_layer=4

offences=0
offence() {
	echo "$1"
	offences=$((offences + 1))
}

# check_include FILE FOLDER LINE TARGET: TARGET is what stands between the quotes.
check_include() {
	local file=$1 folder=$2 line=$3 target=$4 other=${4%%/*}
	if [ "$target" != "$other" ] && [ -n "${layer[$other]:-}" ]; then
		[ -e "src/$target" ] || offence "$file:$line: \"$target\" does not exist"
		if [ "$other" != "$folder" ] && [ "${layer[$other]}" -ge "${layer[$folder]}" ]; then
			offence "$file:$line: $folder/ (layer ${layer[$folder]}) may not include \"$target\" (layer ${layer[$other]})"
		fi
	elif [ "${layer[$folder]}" -lt "$first_server_layer" ]; then
		offence "$file:$line: $folder/ knows no server: \"$target\" is no file of src/, written as \"folder/file.h\""
	elif [ -e "src/$folder/$target" ]; then
		offence "$file:$line: write \"$folder/$target\""
	fi
}

check_file() {
	local file=$1 folder line text
	folder=${file#src/}
	folder=${folder%%/*}
	if [ -z "${layer[$folder]:-}" ]; then
		offence "$file: src/$folder is no layer"
		return
	fi
	while IFS=: read -r line text; do
		case $text in
			*\"*\"*) text=${text#*\"}; check_include "$file" "$folder" "$line" "${text%%\"*}" ;;
			*\<curl/*|*\<libs3*)
				[ "$folder" = store ] || offence "$file:$line: only store/ talks to the network" ;;
			*\<postgres.h\>*|*\<libpq*)
				offence "$file:$line: includes Postgres with angle brackets" ;;
			*\<pthread.h\>*)
				[ "${layer[$folder]}" -lt "$first_server_layer" ] || offence "$file:$line: no threads in the server" ;;
		esac
	done < <(grep -nE '^[[:space:]]*#[[:space:]]*include' "$file" || true)
	# From server/ up every .c begins with postgres.h, and below nobody has heard of it.
	if [ "${layer[$folder]}" -ge "$first_server_layer" ] && [[ $file = *.c ]]; then
		[ "$(grep -m1 -E '^#[[:space:]]*include' "$file")" = '#include "postgres.h"' ] ||
			offence "$file: the first include must be \"postgres.h\""
	fi
}

while read -r file; do
	case $file in
		src/*/*/*) offence "$file: folders of src/ have no folders" ;;
		src/skyvault.c) ;;
		src/*/*) check_file "$file" ;;
		*) offence "$file: only skyvault.c lies in src/ itself" ;;
	esac
	# What only SQL calls needs no header.
	if [[ $file = *.c && $file != src/skyvault.c && ! -e ${file%.c}.h ]] &&
		! grep -q '^PG_FUNCTION_INFO_V1' "$file"; then
		offence "$file: has no header ${file%.c}.h"
	fi
done < <(find src -name '*.[ch]' | sort)

while read -r name; do
	offence "src: the name $name occurs twice"
done < <(find src -name '*.[ch]' -printf '%f\n' | sort | uniq -d)

# Each test has its expected output, and the other way round; NAME_1.out and so
# on are alternatives for NAME.out.
# check_pairs SOURCES SUFFIX EXPECTED
check_pairs() {
	local path name
	for path in "$1"/*"$2"; do
		[ -e "$path" ] || continue
		name=$(basename "$path" "$2")
		[ -e "$3/$name.out" ] || offence "$path: has no $3/$name.out"
	done
	for path in "$3"/*.out; do
		[ -e "$path" ] || continue
		name=$(basename "$path" .out)
		[ -e "$1/$name$2" ] || [ -e "$1/${name%_[0-9]}$2" ] || offence "$path: has no $1/$name$2"
	done
}
check_pairs sql .sql expected
check_pairs test/isolation/specs .spec test/isolation/expected
for module in test/modules/*/; do
	[ -d "$module/sql" ] && check_pairs "${module}sql" .sql "${module}expected"
done

if [ "$offences" -gt 0 ]; then
	echo "check-layers: $offences offences"
	exit 1
fi
echo "check-layers: ok"
