# Skyvault, built like a contrib module: PGXS.  `make help` names the targets.
#
# demo and test begin on a machine that has only make: they install what is
# missing and then call make again.  So nothing here may fail when there is no
# pg_config yet.
#
# Out-of-tree builds work: make -C DIR -f /path/to/this/Makefile.

.DEFAULT_GOAL := all

SRC_DIR := $(dir $(firstword $(MAKEFILE_LIST)))
TOOLS := $(SRC_DIR)test/tools
SELF = $(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST))

MODULE_big = skyvault
EXTENSION = skyvault
DATA = skyvault--0.1.sql
PGFILEDESC = "skyvault - key-value store in an object store"

SOURCES := $(sort $(wildcard $(SRC_DIR)src/*.c $(SRC_DIR)src/*/*.c))
OBJS = $(SOURCES:$(SRC_DIR)%.c=%.o)

# The layers that know nothing of a server (see src/README.md).
PURE_LAYERS = base sst lsm cache store
PURE_SOURCES := $(sort $(wildcard $(PURE_LAYERS:%=$(SRC_DIR)src/%/*.c)))

REGRESS = $(sort $(basename $(notdir $(wildcard $(SRC_DIR)sql/*.sql))))
REGRESS_OPTS = --load-extension=skyvault

WARNINGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
ifneq ($(WERROR)$(CI),)
WARNINGS += -Werror
endif

# The header dependencies that PGXS leaves out come from -MMD -MP.
PG_CPPFLAGS = -I$(SRC_DIR)src -MMD -MP
ifneq ($(STOP_POINTS),)
PG_CPPFLAGS += -DSKYVAULT_STOP_POINTS
endif
ifneq ($(ASSERTS),)
PG_CPPFLAGS += -DUSE_ASSERT_CHECKING
endif
PG_CFLAGS = -fvisibility=hidden $(WARNINGS)
SHLIB_LINK = -lzstd -lxxhash -lcurl -lcrypto

EXTRA_CLEAN = $(OBJS:.o=.d) build

# JIT inlining gains nothing in a storage module, and bitcode doubles the build.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))

ifneq ($(PGXS),)
include $(PGXS)
else
.PHONY: all install installcheck clean distclean
all install installcheck:
	@echo "$@: needs pg_config and the server's development files; '$(TOOLS)/install-deps.sh build' installs them" >&2
	@exit 1
clean:
	rm -rf $(shlib) $(OBJS) $(EXTRA_CLEAN)
distclean: clean
endif

# ---------------------------------------------------------------- the module
# Objects depend on the flags they were compiled with.
FLAGS = $(CC) $(VERSION) $(CFLAGS) $(CPPFLAGS)

build/flags: FORCE
	@mkdir -p $(sort $(@D) $(dir $(OBJS)))
	@printf '%s\n' '$(FLAGS)' | cmp -s - $@ || printf '%s\n' '$(FLAGS)' > $@

$(OBJS): build/flags

-include $(OBJS:.o=.d)

# ---------------------------------------------------------------- unit tests
# Every test/unit/*.c is a program, linked with all server-free sources.
UNIT_DIR = build/unit
UNIT_CFLAGS = -std=c11 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -fvisibility=hidden \
	-Wall -Wextra -Wmissing-prototypes -Wdeclaration-after-statement -Wno-missing-field-initializers \
	$(if $(WERROR)$(CI),-Werror) \
	-fsanitize=address,undefined -fno-sanitize-recover=all \
	-I$(SRC_DIR)src -I$(SRC_DIR)test/unit -I$(SRC_DIR)bench/engine -MMD -MP
UNIT_LIBS = -lzstd -lxxhash -lcurl -lcrypto -lpthread -lm

# What of bench/engine needs nothing that is not ours.
ENGINE_TESTED = engine_data engine_work engine_rounds peer_skyvault

UNIT_SOURCES := $(sort $(wildcard $(SRC_DIR)test/unit/*.c))
UNIT_OBJS = $(PURE_SOURCES:$(SRC_DIR)src/%.c=$(UNIT_DIR)/obj/%.o)
UNIT_PROGRAMS = $(UNIT_SOURCES:$(SRC_DIR)test/unit/%.c=$(UNIT_DIR)/%)

$(UNIT_DIR)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(UNIT_CFLAGS)' | cmp -s - $@ || printf '%s\n' '$(CC) $(UNIT_CFLAGS)' > $@

$(UNIT_DIR)/obj/%.o: $(SRC_DIR)src/%.c $(UNIT_DIR)/flags
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<

$(UNIT_DIR)/%.o: $(SRC_DIR)test/unit/%.c $(UNIT_DIR)/flags
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<

$(UNIT_PROGRAMS): $(UNIT_DIR)/%: $(UNIT_DIR)/%.o $(UNIT_OBJS)
	$(CC) $(UNIT_CFLAGS) -o $@ $^ $(UNIT_LIBS)

# Counts how often the cache is asked.
$(UNIT_DIR)/test_run_stream: UNIT_LIBS += -Wl,--wrap=block_cache_begin

# The engine's benchmark, at a small size, is a test too.
$(UNIT_DIR)/bench/%.o: $(SRC_DIR)bench/engine/%.c $(UNIT_DIR)/flags
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -c -o $@ $<

$(UNIT_DIR)/test_bench_engine: $(ENGINE_TESTED:%=$(UNIT_DIR)/bench/%.o)

.SECONDARY: $(UNIT_OBJS) $(UNIT_PROGRAMS:%=%.o) $(ENGINE_TESTED:%=$(UNIT_DIR)/bench/%.o)

-include $(UNIT_OBJS:.o=.d) $(UNIT_PROGRAMS:%=%.d) $(ENGINE_TESTED:%=$(UNIT_DIR)/bench/%.d)

.PHONY: unit-programs unit
unit-programs: $(UNIT_PROGRAMS)

unit: unit-programs
	BUILD_DIR='$(CURDIR)' $(TOOLS)/run-tests.sh unit

# -------------------------------------------------------------- fuzz targets
# Every test/fuzz/fuzz_*.c is a program of libFuzzer, which comes with clang,
# linked with all server-free sources.
FUZZ_DIR = build/fuzz
FUZZ_CC = clang
FUZZ_CFLAGS = -std=c11 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -fvisibility=hidden \
	-Wall -Wextra -Wno-missing-field-initializers $(if $(WERROR)$(CI),-Werror) \
	-fsanitize=address,undefined -fno-sanitize-recover=all -I$(SRC_DIR)src -MMD -MP

FUZZ_SOURCES := $(sort $(wildcard $(SRC_DIR)test/fuzz/fuzz_*.c))
FUZZ_OBJS = $(PURE_SOURCES:$(SRC_DIR)src/%.c=$(FUZZ_DIR)/obj/%.o)
FUZZ_PROGRAMS = $(FUZZ_SOURCES:$(SRC_DIR)test/fuzz/%.c=$(FUZZ_DIR)/%)

$(FUZZ_DIR)/flags: FORCE
	@mkdir -p $(@D)
	@command -v $(FUZZ_CC) >/dev/null || \
		{ echo "fuzz targets need $(FUZZ_CC): '$(TOOLS)/install-deps.sh test' installs it" >&2; exit 1; }
	@printf '%s\n' '$(FUZZ_CC) $(FUZZ_CFLAGS)' | cmp -s - $@ || printf '%s\n' '$(FUZZ_CC) $(FUZZ_CFLAGS)' > $@

$(FUZZ_DIR)/obj/%.o: $(SRC_DIR)src/%.c $(FUZZ_DIR)/flags
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<

$(FUZZ_DIR)/%.o: $(SRC_DIR)test/fuzz/%.c $(FUZZ_DIR)/flags
	$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<

$(FUZZ_PROGRAMS): $(FUZZ_DIR)/%: $(FUZZ_DIR)/%.o $(FUZZ_OBJS)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(UNIT_LIBS)

.SECONDARY: $(FUZZ_OBJS) $(FUZZ_PROGRAMS:%=%.o)

-include $(FUZZ_OBJS:.o=.d) $(FUZZ_PROGRAMS:%=%.d)

.PHONY: fuzz fuzz-smoke
fuzz: $(FUZZ_PROGRAMS)

fuzz-smoke: fuzz
	BUILD_DIR='$(CURDIR)' $(TOOLS)/run-tests.sh fuzz

# -------------------------------------------------------------- tests, demo
# Tests run a build with assertions and stop points, the demo a plain one.
TEST_BUILD = ASSERTS=1 STOP_POINTS=1
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo)
TEST_DEPS = test
TEST_MODULES := $(patsubst %/Makefile,%,$(wildcard $(SRC_DIR)test/modules/*/Makefile))

.PHONY: deps-build deps-test test-install isolation pgtap tap regress modules test demo bench bench-reads bench-scan bench-living bench-load

deps-build:
	PG_CONFIG='$(PG_CONFIG)' $(TOOLS)/install-deps.sh build

deps-test:
	PG_CONFIG='$(PG_CONFIG)' $(TOOLS)/install-deps.sh $(TEST_DEPS)

# The second make of each pair runs as root if need be and only copies files.
test-install: deps-test
	$(SELF) all $(TEST_BUILD)
	$(AS_ROOT) $(SELF) install $(TEST_BUILD) \
		PG_CONFIG='$(PG_CONFIG)' WERROR='$(WERROR)' CI='$(CI)'
	set -e; for module in $(TEST_MODULES); do \
		$(MAKE) --no-print-directory -C $$module all PG_CONFIG='$(PG_CONFIG)'; \
		$(AS_ROOT) $(MAKE) --no-print-directory -C $$module install PG_CONFIG='$(PG_CONFIG)'; \
	done

regress isolation pgtap tap modules: test-install
	PG_CONFIG='$(PG_CONFIG)' BUILD_DIR='$(CURDIR)' $(TOOLS)/run-tests.sh $@

test: test-install
	$(SELF) unit-programs fuzz
	PG_CONFIG='$(PG_CONFIG)' BUILD_DIR='$(CURDIR)' $(TOOLS)/run-tests.sh all

demo: deps-build
	$(SELF) all ASSERTS= STOP_POINTS=
	$(AS_ROOT) $(SELF) install ASSERTS= STOP_POINTS= \
		PG_CONFIG='$(PG_CONFIG)' WERROR='$(WERROR)' CI='$(CI)'
	PG_CONFIG='$(PG_CONFIG)' $(SRC_DIR)demo/demo.sh

bench: deps-build
	PG_CONFIG='$(PG_CONFIG)' $(SRC_DIR)bench/run.sh

# ------------------------------------------------- benchmarks without a server
# Every bench/engine/bench_*.c and .cc is a program, linked with what it needs of
# the server-free layers and of the rest of bench/engine.  bench/engine/run.sh
# says in ENGINE_PEERS which of rocksdb, lmdb and absl are there.
ENGINE_DIR = build/engine
ENGINE_PEERS =
ENGINE_FLAGS = -O2 -g -Wall -Wextra $(if $(WERROR)$(CI),-Werror) \
	-I$(SRC_DIR)src -I$(SRC_DIR)bench/engine -MMD -MP \
	$(if $(filter rocksdb,$(ENGINE_PEERS)),-DENGINE_ROCKSDB) \
	$(if $(filter lmdb,$(ENGINE_PEERS)),-DENGINE_LMDB)
ENGINE_CFLAGS = -std=c11 -D_GNU_SOURCE -fvisibility=hidden $(ENGINE_FLAGS)
ENGINE_CXXFLAGS = -std=c++17 $(ENGINE_FLAGS)
ENGINE_LIBS = $(UNIT_LIBS) $(if $(filter rocksdb,$(ENGINE_PEERS)),-lrocksdb) \
	$(if $(filter lmdb,$(ENGINE_PEERS)),-llmdb) \
	$(if $(filter absl,$(ENGINE_PEERS)),$(shell pkg-config --libs absl_btree 2>/dev/null))

# What cannot be compiled without a peer is left out without it.
ENGINE_LEFT_OUT = $(if $(filter rocksdb,$(ENGINE_PEERS)),,peer_rocksdb bench_rocksdb_index bench_compact bench_load) \
	$(if $(filter lmdb,$(ENGINE_PEERS)),,peer_lmdb) \
	$(if $(filter absl,$(ENGINE_PEERS)),,bench_index)
ENGINE_NAMES := $(sort $(basename $(notdir $(wildcard $(SRC_DIR)bench/engine/*.c $(SRC_DIR)bench/engine/*.cc))))
ENGINE_BUILT = $(filter-out $(ENGINE_LEFT_OUT),$(ENGINE_NAMES))
ENGINE_PROGRAMS = $(patsubst %,$(ENGINE_DIR)/%,$(filter bench_%,$(ENGINE_BUILT)))
ENGINE_OBJS = $(patsubst %,$(ENGINE_DIR)/%.o,$(filter-out bench_%,$(ENGINE_BUILT))) \
	$(PURE_SOURCES:$(SRC_DIR)src/%.c=$(ENGINE_DIR)/obj/%.o)

$(ENGINE_DIR)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(CXX) $(ENGINE_FLAGS)' | cmp -s - $@ || printf '%s\n' '$(CC) $(CXX) $(ENGINE_FLAGS)' > $@

$(ENGINE_DIR)/obj/%.o: $(SRC_DIR)src/%.c $(ENGINE_DIR)/flags
	@mkdir -p $(@D)
	$(CC) $(ENGINE_CFLAGS) -c -o $@ $<

$(ENGINE_DIR)/%.o: $(SRC_DIR)bench/engine/%.c $(ENGINE_DIR)/flags
	$(CC) $(ENGINE_CFLAGS) -c -o $@ $<

$(ENGINE_DIR)/%.o: $(SRC_DIR)bench/engine/%.cc $(ENGINE_DIR)/flags
	$(CXX) $(ENGINE_CXXFLAGS) -c -o $@ $<

$(ENGINE_DIR)/libengine.a: $(ENGINE_OBJS)
	rm -f $@
	$(AR) rc $@ $^

$(ENGINE_PROGRAMS): $(ENGINE_DIR)/%: $(ENGINE_DIR)/%.o $(ENGINE_DIR)/libengine.a
	$(CXX) -o $@ $^ $(ENGINE_LIBS)

.SECONDARY: $(ENGINE_OBJS) $(ENGINE_PROGRAMS:%=%.o)

-include $(ENGINE_OBJS:.o=.d) $(ENGINE_PROGRAMS:%=%.d)

.PHONY: engine-programs bench-engine
engine-programs: $(ENGINE_PROGRAMS)

bench-engine:
	BUILD_DIR='$(CURDIR)' $(SRC_DIR)bench/engine/run.sh

bench-reads: deps-build
	PG_CONFIG='$(PG_CONFIG)' $(SRC_DIR)bench/reads.sh

bench-load: deps-build
	PG_CONFIG='$(PG_CONFIG)' $(SRC_DIR)bench/load/run.sh

bench-scan: deps-build
	PG_CONFIG='$(PG_CONFIG)' $(SRC_DIR)bench/scan.sh

bench-living: deps-build
	PG_CONFIG='$(PG_CONFIG)' $(SRC_DIR)bench/living/run.sh

# ------------------------------------------------- benchmarks of a bucket
# bench/store has one program that is ours and one that is bare.
STORE_DIR = build/store

$(STORE_DIR)/bare: $(SRC_DIR)bench/store/bare.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -o $@ $< -lcurl -lcrypto

$(STORE_DIR)/delay: $(SRC_DIR)bench/join/delay.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -o $@ $< -lpthread

$(STORE_DIR)/upload: $(SRC_DIR)bench/store/upload.c $(ENGINE_DIR)/libpure.a
	@mkdir -p $(@D)
	$(CC) $(ENGINE_CFLAGS) -o $@ $^ $(UNIT_LIBS)

$(ENGINE_DIR)/libpure.a: $(PURE_SOURCES:$(SRC_DIR)src/%.c=$(ENGINE_DIR)/obj/%.o)
	rm -f $@
	$(AR) rc $@ $^

.PHONY: store-programs bench-store bench-cancel bench-join
store-programs: $(STORE_DIR)/bare $(STORE_DIR)/upload $(STORE_DIR)/delay

bench-store: deps-build
	PG_CONFIG='$(PG_CONFIG)' $(SRC_DIR)bench/store/run.sh

bench-cancel: deps-build
	PG_CONFIG='$(PG_CONFIG)' $(SRC_DIR)bench/store/cancel.sh

bench-join: deps-build
	PG_CONFIG='$(PG_CONFIG)' $(SRC_DIR)bench/join/run.sh

# Postgres's own regression tests, in a server that preloads the library.
.PHONY: installcheck-postgres
installcheck-postgres: test-install
	PG_CONFIG='$(PG_CONFIG)' $(TOOLS)/postgres-tests.sh

# What docker/Dockerfile makes, tried without Docker.
.PHONY: docker-check
docker-check: deps-test
	$(AS_ROOT) $(SRC_DIR)docker/check

# Another version of Postgres, in a Debian that has it.
MAJOR = 17
SUITES =
.PHONY: other-version
other-version: deps-test
	$(AS_ROOT) $(TOOLS)/other-version.sh $(MAJOR) $(SUITES)

# ------------------------------------------------------------------- checks
.PHONY: check-style check-layers format

check-style:
	$(TOOLS)/check-style.sh

check-layers:
	$(TOOLS)/check-layers.sh

format:
	$(TOOLS)/check-style.sh --fix

# ---------------------------------------------------------------- the others
.PHONY: FORCE help demo-remove

# A running demo server is stopped before its files go.
distclean: demo-remove
demo-remove:
	$(SRC_DIR)demo/demo.sh remove

help:
	@echo 'make               build the extension (WERROR=1, ASSERTS=1, STOP_POINTS=1)'
	@echo 'make install       install it into the server of PG_CONFIG'
	@echo 'make installcheck  regression tests in a running server that preloads skyvault'
	@echo 'make demo          install what is missing, build, and show it on real data'
	@echo 'make test          install what is missing, build, and run all tests:'
	@echo '  make unit        server-free layers, under address and undefined-behaviour sanitizers'
	@echo '  make fuzz-smoke  decoders on a fixed number of hostile inputs; make fuzz only builds'
	@echo '  make regress     SQL, sql/ against expected/'
	@echo '  make isolation   concurrent sessions, test/isolation/'
	@echo '  make pgtap       test/pgtap/'
	@echo '  make tap         crashes and restarts, test/tap/'
	@echo '  make modules     C functions that SQL cannot reach, test/modules/'
	@echo 'make installcheck-postgres  the regression tests of Postgres itself, with the library preloaded'
	@echo 'make bench         measurements side by side with a plain table'
	@echo 'make bench-engine  the engine without a server, side by side with RocksDB and LMDB'
	@echo 'make bench-reads   the same for reads of ten million rows'
	@echo 'make bench-scan    the same for scans in the order of the key, and counts'
	@echo 'make bench-living  the same for a table that is overwritten all the time'
	@echo 'make bench-load    bulk loads, side by side with a plain table and RocksDB'
	@echo 'make bench-store   a vault in a bucket, side by side with a bare C program'
	@echo 'make bench-join    joins with a table of a vault, and of a bucket that answers late'
	@echo 'make bench-cancel  how soon who waits for a store stops when told to'
	@echo 'make check-style   layout of the sources; make format mends blanks'
	@echo 'make docker-check  the steps of docker/Dockerfile, without Docker, and what they make'
	@echo 'make other-version  with MAJOR=17 or 18, in a Debian that has it: the SQL suites, or SUITES=...'
	@echo 'make check-layers  who may include whom'
	@echo 'make clean         remove what was built; make distclean: the demo as well'
