# The version in the binaries: the tag or the commit, "dev" outside of git.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE   ?= supervisor
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

# supervisor and supervisorctl have an entry point of their own, docs/decisions/0009.
LDFLAGS = -s -w -X main.version=$(VERSION)
BUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="$(LDFLAGS)" -ldflags="tp0/supervisor/...=$(LDFLAGS) -E=tp0/supervisor/entrypoint.entry"

# The directories of make install; DESTDIR is put before each.
BIN        ?= bin/
DESTDIR    ?=
PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
UNITDIR    ?= $(if $(filter /usr,$(PREFIX)),/usr/lib/systemd/system,/etc/systemd/system)

.DEFAULT_GOAL := help
.PHONY: help build install install-files uninstall dist notice run test check fuzz faults preflight deps format lint audit bench bench-quick bench-peers bench-proof image clean docker-compose-up docker-compose-logs docker-compose-down

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/supervisor, bin/supervisorctl, bin/server and bin/client
	$(BUILD) -o $(BIN) ./supervisor ./supervisor/supervisorctl ./workers/server ./workers/client

# At a terminal, job control gives Ctrl-C to the supervisor alone: make would end by SIGINT, although
# the supervisor ends with exit code 0. make and its shell end after the supervisor.
run: build ## run the demo, an echo server and a client, until Ctrl-C
	@PATH="$(CURDIR)/bin:$$PATH"; export PATH; \
	read -r x x x x group x x foreground x </proc/$$$$/stat; \
	test "$$group" = "$$foreground" || exec bin/supervisor run; \
	trap : INT TERM; trap '' TSTP; set -m; bin/supervisor run

install: build install-files ## install the programs and the systemd unit (DESTDIR, PREFIX, SYSCONFDIR, UNITDIR)

# An existing configuration is kept.
install-files:
	install -D -m 755 $(BIN)supervisor $(DESTDIR)$(BINDIR)/supervisor
	install -D -m 755 $(BIN)supervisorctl $(DESTDIR)$(BINDIR)/supervisorctl
	install -D -m 755 $(BIN)server $(DESTDIR)$(LIBEXECDIR)/supervisor/server
	install -D -m 755 $(BIN)client $(DESTDIR)$(LIBEXECDIR)/supervisor/client
	test -e $(DESTDIR)$(SYSCONFDIR)/supervisor/supervisor.hcl || install -D -m 644 supervisor.hcl $(DESTDIR)$(SYSCONFDIR)/supervisor/supervisor.hcl
	install -d -m 755 $(DESTDIR)$(UNITDIR)
	sed -e 's|@BINDIR@|$(BINDIR)|' -e 's|@LIBEXECDIR@|$(LIBEXECDIR)|' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|' deploy/systemd/supervisor.service >$(DESTDIR)$(UNITDIR)/supervisor.service
	chmod 644 $(DESTDIR)$(UNITDIR)/supervisor.service

uninstall: ## remove what make install installed, except the configuration
	rm -f $(DESTDIR)$(BINDIR)/supervisor $(DESTDIR)$(BINDIR)/supervisorctl $(DESTDIR)$(UNITDIR)/supervisor.service
	rm -rf $(DESTDIR)$(LIBEXECDIR)/supervisor

dist: ## release archives and Debian packages for amd64 and arm64, in dist/
	deploy/dist.sh $(VERSION)

notice: ## write NOTICE, the licences of everything that is linked into the programs
	go run ./supervisor/fixture/notice >NOTICE.new && mv NOTICE.new NOTICE

PREFLIGHT = supervisor/fixture/needs/preflight.sh
TESTRUN   = go run ./supervisor/fixture/testrun

test: preflight lint build ## run every check and test; what this machine lacks is skipped and counted
	@$(TESTRUN) test

check: format ## format, vet and unit tests, in under a minute
	go vet ./...
	@$(TESTRUN) check

FUZZTIME ?= 1m
fuzz: ## run every fuzz target for FUZZTIME (1m), one after the other, until one fails
	go run ./supervisor/fixture/fuzzrun -time $(FUZZTIME) ./...

faults: ## let system calls of the supervisor fail, one case for each; SUPERVISOR_FAULTS=all for every case
	go test -tags faults ./acceptance -run TestFaults -v -count=1 -timeout 60m

preflight: ## print what the tests need and this machine lacks
	@$(PREFLIGHT)

deps: ## install what the tests need (Debian, root)
	@packages=$$($(PREFLIGHT) packages) && test -z "$$packages" || { apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$packages; }

format: ## check the format of the Go files
	@files=$$(gofmt -l acceptance bench deploy supervisor workers); \
	test -z "$$files" || { echo "not formatted (gofmt -w):"; echo "$$files"; exit 1; }

lint: format ## check formatting, vet and staticcheck
	go vet ./...
	go vet -tags faults ./acceptance
	cd deploy/check && go vet ./...
	go run $(STATICCHECK) ./...

audit: ## search the dependencies for known vulnerabilities (needs the network)
	@go run $(GOVULNCHECK) ./... || { echo 'make audit failed: a vulnerability was found, or govulncheck could not run'; exit 1; }

SCALE ?= 1
BEFORE ?=
PEERS = supervisor runit s6 execline tini dumb-init
bench-peers:
	@for p in $(PEERS); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'install ok' || missing="$$missing $$p"; done; \
	test -z "$$missing" || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; }

# BEFORE=PATH compares an earlier build too.
bench: build bench-peers ## compare with other supervisors, write docs/performance.md (Debian, root, gcc; an hour)
	go run ./bench/side -scale $(SCALE) $(if $(BEFORE),-before $(BEFORE)) -page docs/performance.md

bench-quick: build bench-peers ## print a tenth of the benchmark, to compare before and after a change (a quarter of an hour)
	go run ./bench/side -scale 0.1

bench-proof: build ## measure how much the exact proof adds to a stop (needs gcc)
	go run ./bench/proof bin/supervisor

image: ## build the image
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

clean: ## remove bin and dist
	rm -rf bin dist

docker-compose-up: image ## start the exercise in the containers server and client1
	$(COMPOSE) --profile exercise up -d server client1

# Job control (set -m) gives Ctrl-C to compose alone, because make would end with a failure. The
# code of compose depends on its version: 130, or 1 as for other errors, which ps reports before.
docker-compose-logs: ## follow the logs of the containers, until Ctrl-C
	@$(COMPOSE) --profile exercise ps >/dev/null
	@trap : INT; test ! -t 0 || set -m; $(COMPOSE) --profile exercise logs -f server client1 || true

docker-compose-down: ## stop the containers, print the end of their logs, and remove them
	$(COMPOSE) --profile exercise stop -t 12 server client1
	@$(COMPOSE) --profile exercise logs --tail 20 server client1
	$(COMPOSE) --profile exercise down -t 12
