#!/bin/bash
# Builds the tree for a version of Postgres that this machine need not have, and
# tests it, in a Debian made by debootstrap:
#
#   other-version.sh MAJOR [SUITE ...]
#
# Suites are those of run-tests.sh; without one they are those that need no more
# than a server: regress, isolation, modules and pgtap.
#
# Needs root, debootstrap, unshare, a Debian mirror (DEBIAN_MIRROR, or
# debootstrap's own choice), and 2 GB in TMPDIR, 4 GB for unit, fuzz and tap.
# VERSION_ROOT names a directory where the Debian is kept and taken from again.
#
# The exit status is 3 if that Debian is not to be had, also not within 400 seconds,
# and 1 if anything else fails.
set -euo pipefail

tree=$(realpath "$(dirname "$0")/../..")
umask 022

die() { echo "other-version: $*" >&2; exit 1; }
step() { echo "-- $*"; }

[ $# -ge 1 ] || die "usage: $0 MAJOR [SUITE ...]"
major=$1
shift
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(regress isolation modules pgtap)

# The release of Debian that has it.
case $major in
	15) suite=bookworm ;;
	17) suite=trixie ;;
	18) suite=forky ;;
	*) die "do not know which Debian has Postgres $major" ;;
esac

[ "$(id -u)" -eq 0 ] || die "needs root, for chroot"
command -v debootstrap >/dev/null || die "debootstrap is not installed"

if [ -n "${VERSION_ROOT:-}" ]; then
	root=$VERSION_ROOT
	mkdir -p "$root"
else
	root=$(mktemp -d "${TMPDIR:-/tmp}/skyvault-version-XXXXXX")
fi
log=$root.log
chmod 755 "$root"

finish() {
	local status=$?
	if [ -z "${VERSION_ROOT:-}" ] && [ "$status" -ne 1 ]; then
		rm -rf "$root" "$log"
	elif [ "$status" -ne 0 ]; then
		echo "other-version: what was made is in $root, what was said about that in $log" >&2
	fi
}
trap finish EXIT

unreachable() {
	tail -n 5 "$log"
	echo "other-version: SKIPPED: no Debian $suite with Postgres $major is to be had here: $*"
	exit 3
}

# What runs in there dies with this, and its mounts are nobody else's.
limit=0
in_root() {
	timeout --foreground "$limit" unshare --mount --pid --fork --kill-child /bin/sh -e -c '
		root=$1
		shift
		mount -t proc proc "$root/proc"
		mkdir -p "$root/dev/shm"
		mount -t tmpfs tmpfs "$root/dev/shm"
		exec chroot "$root" /usr/bin/env -i "$@"' - \
		"$root" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive PG_MAJOR="$major" PG_CONFIG="/usr/lib/postgresql/$major/bin/pg_config" \
		"$@" </dev/null
}

# What the suites need beside a server: see install-deps.sh.
needs=sql
for name in "${suites[@]}"; do
	case $name in
		regress|isolation|modules|pgtap) ;;
		*) needs=test ;;
	esac
done

step "Debian $suite with Postgres $major"
: > "$log"
if [ ! -e "$root/made" ]; then
	# what knows sid knows what comes after
	timeout --foreground 400 debootstrap --variant=minbase --include=ca-certificates,make,util-linux "$suite" "$root" "${DEBIAN_MIRROR:-}" sid \
		>> "$log" 2>&1 || unreachable "debootstrap failed"
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	# nothing here has to outlive the machine
	echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/other-version"
	# a mirror may stand still
	echo 'Acquire::Check-Valid-Until "false";' > "$root/etc/apt/apt.conf.d/other-version"
	# no service is started in there
	printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	touch "$root/made"
fi
mkdir -p "$root/skyvault"
find "$root/skyvault" -type f ! -name '*.[od]' ! -name '*.so' ! -path '*/build/*' -delete
tar -C "$tree" --exclude=./.git --exclude=./.demo --exclude='*.o' --exclude='*.d' --exclude='*.so' --exclude=./build -cf - . |
	tar -C "$root/skyvault" --no-same-owner -xf -
limit=400
in_root /skyvault/test/tools/install-deps.sh "$needs" >> "$log" 2>&1 || unreachable "its packages cannot be installed"
limit=0

step "$(in_root "/usr/lib/postgresql/$major/bin/postgres" --version), $(in_root cc --version | head -n 1)"
targets=(test-install)
for name in "${suites[@]}"; do
	case $name in
		unit) targets+=(unit-programs) ;;
		fuzz) targets+=(fuzz) ;;
		all) targets+=(unit-programs fuzz) ;;
	esac
done
in_root make --no-print-directory -C /skyvault -j "$(nproc)" "${targets[@]}" WERROR=1 TEST_DEPS="$needs" \
	>> "$log" 2>&1 || { grep -E '(error|warning):' "$log" | head -n 40; die "it does not build"; }
in_root env BUILD_DIR=/skyvault /skyvault/test/tools/run-tests.sh "${suites[@]}"
