#!/bin/bash
# A short run of each fuzz target, from its corpus on, in TAP: one test each.
# An input that fails stays behind, named, in TMPDIR.
#
#   FUZZ_DIR     the programs, one for each test/fuzz/fuzz_*.c (make fuzz)
#   FUZZ_RUNS    how many inputs each of them gets (20000)
set -uo pipefail

here=$(realpath "$(dirname "$0")")
programs=${FUZZ_DIR:-$here/../../build/fuzz}
runs=${FUZZ_RUNS:-20000}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/skyvault-fuzz-XXXXXX")

tests=0
failed=0

# result STATUS NAME
result() {
	local verdict=ok
	tests=$((tests + 1))
	if [ "$1" -ne 0 ]; then
		verdict='not ok'
		failed=$((failed + 1))
	fi
	echo "$verdict $tests - $2"
}

# Inputs found on the way go to the first directory, so the corpus is only read.
for source in "$here"/fuzz_*.c; do
	name=$(basename "$source" .c)
	corpus=$here/corpus/${name#fuzz_}
	found=$scratch/$name
	mkdir "$found"
	status=1
	if [ ! -x "$programs/$name" ]; then
		echo "# $programs/$name is not built: make fuzz, which needs clang"
	elif [ -z "$(ls -A "$corpus" 2>/dev/null)" ]; then
		echo "# $corpus has no inputs to begin with"
	else
		"$programs/$name" -runs="$runs" -seed=1 -artifact_prefix="$scratch/$name-" \
			"$found" "$corpus" > "$scratch/$name.log" 2>&1
		status=$?
		[ "$status" -eq 0 ] || tail -n 60 "$scratch/$name.log" | sed 's/^/# /'
	fi
	result "$status" "$name, $runs inputs"
done
echo "1..$tests"

[ "$failed" -ne 0 ] || rm -rf "$scratch"
exit "$((failed > 0))"
