# The version in the binaries: the tag or the commit, "dev" outside of git.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE   ?= supervisor
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

# The supervisor has an entry point of its own, docs/decisions/0009.
LDFLAGS = -s -w -X main.version=$(VERSION)
BUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="$(LDFLAGS)" -ldflags="tp0/supervisor=$(LDFLAGS) -E=tp0/supervisor/entrypoint.entry"

# Where things go; DESTDIR goes before all of it.
BIN        ?= bin/
DESTDIR    ?=
PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
UNITDIR    ?= $(if $(filter /usr,$(PREFIX)),/usr/lib/systemd/system,/etc/systemd/system)

.DEFAULT_GOAL := help
.PHONY: help build install install-files uninstall dist run test lint audit bench bench-quick bench-peers bench-proof image clean docker-compose-up docker-compose-logs docker-compose-down

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/supervisor, bin/server and bin/client
	$(BUILD) -o $(BIN) ./supervisor ./workers/server ./workers/client

run: build ## run the main job: a server and a client, until Ctrl-C
	PATH="$(CURDIR)/bin:$$PATH" exec bin/supervisor run

install: build install-files ## install it, with its unit: DESTDIR, PREFIX, SYSCONFDIR, UNITDIR

# What there is already of the configuration is left alone.
install-files:
	install -D -m 755 $(BIN)supervisor $(DESTDIR)$(BINDIR)/supervisor
	install -D -m 755 $(BIN)server $(DESTDIR)$(LIBEXECDIR)/supervisor/server
	install -D -m 755 $(BIN)client $(DESTDIR)$(LIBEXECDIR)/supervisor/client
	test -e $(DESTDIR)$(SYSCONFDIR)/supervisor/supervisor.hcl || install -D -m 644 supervisor.hcl $(DESTDIR)$(SYSCONFDIR)/supervisor/supervisor.hcl
	install -d -m 755 $(DESTDIR)$(UNITDIR)
	sed -e 's|@BINDIR@|$(BINDIR)|' -e 's|@LIBEXECDIR@|$(LIBEXECDIR)|' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|' deploy/systemd/supervisor.service >$(DESTDIR)$(UNITDIR)/supervisor.service
	chmod 644 $(DESTDIR)$(UNITDIR)/supervisor.service

uninstall: ## remove what install put there, but for the configuration
	rm -f $(DESTDIR)$(BINDIR)/supervisor $(DESTDIR)$(UNITDIR)/supervisor.service
	rm -rf $(DESTDIR)$(LIBEXECDIR)/supervisor

dist: ## release archives and Debian packages for amd64 and arm64, in dist/
	deploy/dist.sh $(VERSION)

test: lint build ## run every check and test, container tests too where there is Docker
	go test -race -count=1 -timeout=20m -skip '^TestHostile$$' ./...
	go test -race -count=1 -timeout=10m -run '^TestHostile$$' ./acceptance # alone: it keeps the whole machine busy
	cd deploy/check && go vet ./... && go test -count=1 -timeout=10m ./...

lint: ## check formatting, vet and staticcheck
	@files=$$(gofmt -l acceptance bench deploy supervisor workers); test -z "$$files" || { echo "not formatted (gofmt -w):"; echo "$$files"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

audit: ## look for known vulnerabilities (needs the network)
	@go run $(GOVULNCHECK) ./... || { echo 'make audit: NOT AUDITED, or something was found: see above'; exit 1; }

SCALE ?= 1
PEERS = supervisor runit s6 execline tini dumb-init
bench-peers:
	@for p in $(PEERS); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'install ok' || missing="$$missing $$p"; done; \
	test -z "$$missing" || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; }

bench: build bench-peers ## measure us beside our peers and write docs/performance.md (Debian, root, gcc; 30 minutes)
	go run ./bench/side -scale $(SCALE) -page docs/performance.md

bench-quick: build bench-peers ## a tenth of it, printed; before and after a change (5 minutes)
	go run ./bench/side -scale 0.1

bench-proof: build ## measure what the exact proof adds to a stop (needs gcc)
	go run ./bench/proof bin/supervisor

image: ## build the image
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

clean: ## remove what was built
	rm -rf bin dist

docker-compose-up: image ## start the exercise: containers server and client1
	$(COMPOSE) --profile exercise up -d server client1

docker-compose-logs: ## follow their logs
	$(COMPOSE) --profile exercise logs -f server client1

docker-compose-down: ## stop and remove them
	$(COMPOSE) --profile exercise down -t 12
