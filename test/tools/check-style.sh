#!/bin/bash
# Checks the layout of the sources; what it checks can be read below.
#
#   check-style.sh          prints each offence; exit status 1 if there is one
#   check-style.sh --fix    mends trailing blanks and missing last newlines
set -euo pipefail
cd "$(dirname "$0")/../.."

max_columns=120
max_file_lines=700
max_function_lines=100

find_files() {
	find . \( -path ./.git -o -path ./.demo -o -path ./build -o -name results -o -name tmp_check \) -prune -o \
		-type f \( "$@" \) -print | sed 's,^\./,,' | sort
}

mapfile -t c_files < <(find_files -name '*.c' -o -name '*.h')
mapfile -t texts < <(find_files -name '*.[chl]' -o -name '*.sh' -o -name '*.pl' -o -name '*.pm' -o -name '*.awk' \
	-o -name '*.sql' -o -name '*.spec' -o -name '*.md' -o -name Makefile -o -name Dockerfile \
	-o -name '*.control' -o -name '.clang-format' -o -name '.editorconfig' -o -name '.gitignore' -o -path './.ci/*' -o -path './test/s3/*' -o -path ./docker/check)

if [ "${1:-}" = --fix ]; then
	sed -i -e 's/[ \t]*$//' -e '$a\' "${texts[@]}"
	exit
fi

report=$(mktemp)
trap 'rm -f "$report"' EXIT

# All texts: no trailing blanks, a newline at the end, nothing left for later.
awk '
	FNR == 1 { marker = "T" "ODO|F" "IXME|X" "XX" }
	/[ \t]$/ { print FILENAME ":" FNR ": trailing blanks" }
	match($0, "(^|[^A-Za-z0-9_])(" marker ")([^A-Za-z0-9_]|$)") { print FILENAME ":" FNR ": do it, or open an issue" }
' "${texts[@]}" >> "$report"
for file in "${texts[@]}"; do
	if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then
		echo "$file: no newline at the end" >> "$report"
	fi
done

# C: tabs of width 4, Allman braces, and sizes that fit a head.  A function body
# is what begins and ends with a brace in the first column, after a ")".
awk -v max_columns=$max_columns -v max_file=$max_file_lines -v max_function=$max_function_lines '
	function end_file() {
		if (file != "" && lines > max_file)
			print file ": " lines " lines, more than " max_file
	}
	FNR == 1 { end_file(); file = FILENAME; body = 0; before = "" }
	{
		lines = FNR
		line = $0
		columns = 0
		while ((tab = index(line, "\t")) > 0)
		{
			columns += tab - 1
			columns += 4 - columns % 4
			line = substr(line, tab + 1)
		}
		columns += length(line)
		if (columns > max_columns)
			print file ":" FNR ": " columns " columns, more than " max_columns
	}
	/^\t*    / || /^\t* +\t/ { print file ":" FNR ": indented with spaces" }
	/^\/\// || /[ \t;{}]\/\/ / { print file ":" FNR ": comments are /* */" }
	/^\t+(if|else if|for|while|switch) *\(.*\) *\{$/ || /^\t*(else|do) *\{$/ || /^\t*\} *else/ {
		print file ":" FNR ": braces have lines of their own"
	}
	/^\{/ && before ~ /\)$/ { body = FNR }
	/^\}/ && body {
		if (FNR - body - 1 > max_function)
			print file ":" body ": a function of " FNR - body - 1 " lines, more than " max_function
		body = 0
	}
	NF { before = $0 }
	END { end_file() }
' "${c_files[@]}" >> "$report"

for file in "${c_files[@]}"; do
	if [[ $file = *.h ]] && ! grep -q '^#ifndef ' "$file"; then
		echo "$file: no include guard" >> "$report"
	fi
done

while read -r script; do
	bash -n "$script" 2>> "$report" || true
	[ -x "$script" ] || echo "$script: not executable" >> "$report"
done < <(find_files -name '*.sh' -o -path './.ci/run' -o -path './test/s3/s3-server' -o -path ./docker/check)

# The server-free layers, if there is a cppcheck.
pure=()
for folder in base sst lsm cache store; do
	compgen -G "src/$folder/*.c" >/dev/null && pure+=("src/$folder")
done
if ! command -v cppcheck >/dev/null; then
	echo "check-style: no cppcheck here: left out"
elif [ ${#pure[@]} -gt 0 ]; then
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem -Isrc --error-exitcode=1 "${pure[@]}" 2>> "$report" || true
fi

if [ -s "$report" ]; then
	cat "$report"
	echo "check-style: not clean"
	exit 1
fi
echo "check-style: ok"
