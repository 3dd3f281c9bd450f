#!/bin/bash
# Installs with apt what a build or the tests need, and only what is missing.
#
#   install-deps.sh build    compiler, server and its development files, libraries
#   install-deps.sh sql      that, and what the suites run on that need only a server
#   install-deps.sh test     that, and what the other suites run on
#
# PG_CONFIG names the server to work with, if there is one; PG_MAJOR the version
# to install if there is none.
set -euo pipefail

purpose=${1:-}
case $purpose in
	build|sql|test) ;;
	*) echo "usage: $0 {build|sql|test}" >&2; exit 2 ;;
esac

pg_config=${PG_CONFIG:-pg_config}
if version=$("$pg_config" --version 2>/dev/null); then
	version=${version#PostgreSQL }
	major=${version%%[!0-9]*}
	bindir=$("$pg_config" --bindir)
	sharedir=$("$pg_config" --sharedir)
	headers=$("$pg_config" --includedir-server)
fi

# A client's pg_config without a server decides nothing.  (pgxs.mk says as
# little: Debian has it among the client's files.)
if [ ! -x "${bindir:-}/postgres" ]; then
	major=${PG_MAJOR:-15}
	bindir=/usr/lib/postgresql/$major/bin
	sharedir=/usr/share/postgresql/$major
	headers=/usr/include/postgresql/$major/server
fi

has_command() { command -v "$1" >/dev/null 2>&1; }
has_header() { echo "#include <$1>" | cc -E -x c - >/dev/null 2>&1; }
has_fuzzer() {
	echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
		clang -fsanitize=fuzzer,address -x c - -o /dev/null >/dev/null 2>&1
}
has_perl_module() { perl -M"$1" -e 1 >/dev/null 2>&1; }
has_python_module() { python3 -c "import $1" 2>/dev/null; }
has_packaged_python_module() { /usr/bin/python3 -c "import $1" 2>/dev/null; }

missing=()
need() {
	local package=$1
	shift
	"$@" || missing+=("$package")
}

need gcc has_command cc
need libc6-dev has_header stdlib.h
need make has_command make
need "postgresql-$major" test -x "$bindir/postgres"
need "postgresql-server-dev-$major" test -f "$headers/postgres.h"
need libzstd-dev has_header zstd.h
need libxxhash-dev has_header xxhash.h
need libcurl4-openssl-dev has_header curl/curl.h
need libssl-dev has_header openssl/evp.h
need libs3-dev has_header libs3.h
need libicu-dev has_header unicode/ucol.h
if [ "$purpose" != build ]; then
	need perl has_command prove
	need "postgresql-$major-pgtap" test -f "$sharedir/extension/pgtap.control"
	need libtap-parser-sourcehandler-pgtap-perl has_perl_module TAP::Parser::SourceHandler::pgTAP
fi
if [ "$purpose" = test ]; then
	need clang has_command clang
	need libclang-rt-dev has_fuzzer
	need libipc-run-perl has_perl_module IPC::Run
	need ceph-mon has_command ceph-mon
	need ceph-osd has_command ceph-osd
	need radosgw has_command radosgw
	need ceph-common has_command ceph
	need curl has_command curl
	need openssl has_command openssl
	need debootstrap has_command debootstrap
	need python3-yaml has_python_module yaml
	need nghttp2-proxy test -x /usr/sbin/nghttpx
	need python3-psycopg has_packaged_python_module psycopg
	need libpostgresql-jdbc-java test -e /usr/share/java/postgresql.jar
	need default-jdk-headless has_command javac
fi

[ ${#missing[@]} -gt 0 ] || exit 0

echo "missing: ${missing[*]}"
if ! has_command apt-get; then
	echo "$0: this is no Debian system: please install what these packages hold" >&2
	exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! has_command sudo; then
		echo "$0: installing them needs root or sudo" >&2
		exit 1
	fi
	as_root=(sudo)
fi

# A server package makes a cluster "main" and starts it, unless told otherwise.
no_cluster=/etc/postgresql-common/createcluster.d/skyvault-build.conf
no_service=
trap '"${as_root[@]}" rm -f "$no_cluster" $no_service' EXIT
"${as_root[@]}" mkdir -p "${no_cluster%/*}"
echo "create_main_cluster = false" | "${as_root[@]}" tee "$no_cluster" >/dev/null

# A proxy for tests is not to serve anything else: neither from now on, nor after
# the next boot.
if [[ " ${missing[*]} " == *" nghttp2-proxy "* ]]; then
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		no_service=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$no_service" >/dev/null
		"${as_root[@]}" chmod 755 "$no_service"
	fi
	unit=/etc/systemd/system/nghttpx.service
	[ -e "$unit" ] || [ ! -d "${unit%/*}" ] || "${as_root[@]}" ln -s /dev/null "$unit"
fi

"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
	apt-get install -q -y --no-install-recommends "${missing[@]}"
