# assetreg: how it is built, installed, tried and tested
#
#   1. what it is made of    sources, SQL pieces, compiler flags
#   2. PGXS                  all, install, installcheck, clean: PostgreSQL's own rules
#   3. tools                 demo, check, faults, torture, bench, lint, dist, help: scripts in test/ that build in a
#                            temporary folder, so these leave nothing behind and need no rights here
#
# Settings: PG_CONFIG=/path/to/pg_config  WERROR=1  ASSERT=1

# --- 1. what it is made of ----------------------------------------------------------------------

EXTENSION   = assetreg
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)

MODULE_big  = $(EXTENSION)
OBJS        = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))

# The pieces of the install script, in this order.
SQL_PARTS   = sql/install/10_schema.sql sql/install/20_tables.sql sql/install/25_comments.sql \
              sql/install/30_inventory.sql sql/install/35_files.sql sql/install/37_verification.sql \
              sql/install/39_references.sql sql/install/40_graph.sql sql/install/50_guard.sql \
              sql/install/55_notes.sql sql/install/56_stats.sql sql/install/57_ratings.sql \
              sql/install/58_configuration.sql sql/install/60_search.sql sql/install/62_events.sql \
              sql/install/64_consumers.sql sql/install/68_memory.sql sql/install/70_updates.sql \
              sql/install/75_workflows.sql sql/install/77_recommendations.sql \
              sql/install/78_tracked.sql sql/install/79_tracked_rows.sql sql/install/80_tracking.sql \
              sql/install/81_tracking_check.sql sql/install/82_coverage.sql sql/install/83_tracking_ddl.sql \
              sql/install/85_access.sql sql/install/90_check.sql sql/install/95_setup.sql

DATA_built  = $(EXTENSION)--$(EXTVERSION).sql
DATA        = $(wildcard sql/updates/*.sql sql/released/*.sql)

# The regression tests, in this order.
REGRESS     = 00_install 10_inventory 12_registration 15_search 20_graph 25_notes 27_ratings 30_walks 40_text \
              50_guard 55_delete 60_rights 62_events 64_consumers 65_access 70_errors 70_updates 75_tracking 76_tracking_errors 77_recommendations 78_workflows 80_files \
              90_uninstall

PG_CPPFLAGS = -DASSETREG_VERSION='"$(EXTVERSION)"'
# Switched off: what PostgreSQL's own headers would warn of, and `= {first}` for a struct that is else
# empty. PGXS tracks no headers: -MMD -MP do.
PG_CFLAGS   = -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -MMD -MP
# OpenSSL hashes files, partly in a thread
SHLIB_LINK += -lcrypto -lpthread
ifdef WERROR
PG_CFLAGS  += -Werror
endif
# Asserts in our own code; the server has the function they call, however it was built.
ifdef ASSERT
PG_CPPFLAGS += -DUSE_ASSERT_CHECKING
endif
# For a test: the setting assetreg.break, which breaks a rule of the graph in memory (src/broken.h).
ifdef BREAK
PG_CPPFLAGS += -DASSETREG_BREAK
endif
EXTRA_CLEAN = $(OBJS:.o=.d)

# Bitcode lets the server's JIT inline our functions into expressions: nothing is gained for a walk,
# and where the server was built with LLVM the build would fail for want of its very version of clang.
ifneq ($(origin with_llvm),command line)
override with_llvm = no
endif

# --- 2. PGXS ------------------------------------------------------------------------------------

PG_CONFIG ?= pg_config
export PG_CONFIG

# On a machine without PostgreSQL there is no PGXS yet: the tools of part 3 do without it. (Debian has
# PGXS in the package of psql, but the headers in postgresql-server-dev.)
TOOLS = demo check faults torture bench fuzz lint dist help
ifneq ($(filter-out $(TOOLS) print-%,$(or $(MAKECMDGOALS),all)),)
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h),)
$(error $(PG_CONFIG) knows no PostgreSQL with server headers: install them (`test/deps build` does it on Debian) or set PG_CONFIG)
endif
include $(PGXS)

$(DATA_built): $(SQL_PARTS) $(EXTENSION).control Makefile
	cat $(SQL_PARTS) > $@

# Flags and the version are compiled in. After a change of WERROR, ASSERT or PG_CONFIG: make clean.
$(OBJS): Makefile $(EXTENSION).control

-include $(OBJS:.o=.d)
endif

# --- 3. tools -----------------------------------------------------------------------------------

.PHONY: $(TOOLS)

# PSQL and not SHELL: GNU make keeps a variable SHELL of its own, the program that runs the recipes.
demo:
	@test/deps demo
	@test/server sh -c 'examples/demo $(if $(PSQL),&& exec psql)'

# Only where it is asked for: elsewhere make would warn that PGXS has a rule of this name.
ifneq ($(filter check,$(MAKECMDGOALS)),)
check:
	@test/check
endif

faults:
	@test/deps check
	@ASSETREG_FAULT_SECONDS=$(or $(SECONDS),200) ONLY=tap TAP=016_events test/check

# BREAK=1 to 8 (src/broken.h) breaks a rule, which has to be noticed; it reaches the build through the environment.
torture:
	@test/deps check
	@MEMORY_SECONDS=$(or $(SECONDS),600) MEMORY_WALKERS=$(or $(WALKERS),1) ASSETREG_BREAK=$(BREAK) ONLY=tap TAP=020_memory test/check

# Variables given to make (EDGES=1000000) reach bench/run through the environment.
bench: export ASSETREG_CONF ?= $(file <bench/postgresql.conf)
bench:
	@test/deps bench
	@test/server bench/run

fuzz:
	@test/deps fuzz
	@test/fuzz/run $(or $(SECONDS),60)

lint:
	@test/lint

dist:
	git archive --format=zip --prefix=$(EXTENSION)-$(EXTVERSION)/ --output=$(EXTENSION)-$(EXTVERSION).zip HEAD

# For the scripts: make print-REGRESS
print-%:
	@echo $($*)

help:
	@echo 'make                 build with PGXS (PG_CONFIG=... chooses the server)'
	@echo 'make install         install into that server'
	@echo 'make demo            a sample studio on a private server; PSQL=1 leaves you in psql on it'
	@echo 'make check           every test; ONLY="regress pgtap" limits it to these tiers'
	@echo 'make faults          events while the server and who uses it are killed; SECONDS=200'
	@echo 'make torture         the graph in memory against the index and SQL; SECONDS=600; WALKERS=1 session walks all of it; BREAK=1 to 8 breaks a rule'
	@echo 'make bench           the walk against WITH RECURSIVE and others; EDGES=1000000'
	@echo 'make fuzz            hostile headers of model files, with sanitizers; SECONDS=60 for each reader'
	@echo 'make lint            what a reader or a compiler would stumble over'
	@echo 'make dist            a zip of the committed files for PGXN'
	@echo 'make clean           remove what make built'
