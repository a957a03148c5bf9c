# Leadline. `make help` lists what can be done; `make run` and `make test` need nothing but Go and a package manager.

SHELL   := /bin/bash
GO      ?= go
LINT    := $(GO) tool -modfile=lint.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
SOURCES := $(shell find . -name '*.go' -not -name '*_test.go' -not -path './tmp/*' 2>/dev/null) go.mod go.sum
ASSETS  := $(shell find static migrations internal -type f -not -name '*.go' 2>/dev/null)

# The development database; see `leadline help serve`.
DATA   ?= $(or $(LEADLINE_DATA_DIR),$(if $(XDG_DATA_HOME),$(XDG_DATA_HOME)/leadline),$(shell [ "$$(id -u)" = 0 ] && echo /var/lib/leadline || echo "$$HOME/.local/share/leadline"))
TARGET ?= http://127.0.0.1:8080
FORM   ?= demo
RATE   ?= 50
FOR    ?= 30s
FUZZTIME ?= 10m

.DEFAULT_GOAL := help
.PHONY: help setup previous postgres chromium compiler commands db migrate generate generated dev run unit test race bench bench-journey torture kills fuzz shots load lint fmt vuln check build docker

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# $(call apt,packages,what) installs with apt-get, as root or through sudo, and says so.
define apt
	if ! command -v apt-get >/dev/null; then echo "$(2) is missing: install it with your package manager" >&2; exit 0; fi; \
	echo "$(2) is missing: installing $(1) with apt-get"; \
	sudo=""; if [ "$$(id -u)" != 0 ]; then sudo=sudo; fi; \
	$$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(1)
endef

setup: postgres chromium compiler commands ## install what is missing: PostgreSQL, Chromium, a C compiler, OpenSSL and curl (Debian, Ubuntu)

postgres:
	@if [ -n "$$DATABASE_URL" ] || command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null \
		|| [ -x "$$(pg_config --bindir 2>/dev/null)/initdb" ] || compgen -G '/usr/pgsql-*/bin/initdb' >/dev/null \
		|| compgen -G '/*/*/opt/postgresql*/bin/initdb' >/dev/null || compgen -G '/opt/homebrew/opt/postgresql*/bin/initdb' >/dev/null; then exit 0; fi; \
	$(call apt,postgresql,PostgreSQL)

chromium: # for the journeys
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then exit 0; fi; \
	$(call apt,chromium,Chromium)

compiler: # the race detector links C
	@if command -v gcc >/dev/null || command -v clang >/dev/null; then exit 0; fi; \
	$(call apt,gcc libc6-dev,A C compiler)

commands: # the documentation's, which the tests run
	@if command -v openssl >/dev/null && command -v curl >/dev/null; then exit 0; fi; \
	$(call apt,openssl curl ca-certificates,OpenSSL or curl)

db: ## open psql on the private database of a running `make run`
	@home=$$(cat "$(DATA)/postgres.location" 2>/dev/null || echo "$(DATA)"); \
	psql -h "$$home/run" -U leadline leadline

migrate: build ## bring the database's schema up to date
	./bin/leadline migrate

generate: ## make the Go code of the templates
	$(GO) tool templ generate

# Compares with what lies here rather than with git, so that it holds before a commit too.
generated:
	@before=$$(find views -name '*_templ.go' -exec sha256sum {} + | sort); \
	$(GO) tool templ generate -log-level=warn || exit 1; \
	if [ "$$before" != "$$(find views -name '*_templ.go' -exec sha256sum {} + | sort)" ]; then \
		echo "the generated code was out of date; it has been made anew: commit it" >&2; exit 1; fi; \
	echo "generated code is up to date"

dev: postgres ## serve the demo and reload the browser at each change of a template
	$(GO) tool templ generate --watch --proxy=$(TARGET) --cmd="$(GO) run . serve --demo"

run: postgres build ## build and serve with demo data; Ctrl-C stops it
	./bin/leadline serve --demo

unit: postgres ## quick tests, without browser and race detector
	$(GO) test $$($(GO) list ./... | grep -v /internal/journey)

previous: # the release before, which the tests build from git
	@c=$$(sed -n 's/^const Previous = "\(.*\)"/\1/p' migrations/previous.go); git cat-file -e "$$c^{commit}" 2>/dev/null \
		|| echo "*** NOT TESTED: whether the binary before works on while this one migrates; run: git fetch --unshallow ***" >&2

race: setup previous ## all tests and journeys, with the race detector, in random order
	$(GO) test -race -shuffle=on -timeout 30m ./...

test: setup generated build lint vuln race ## everything that CI runs

check: test ## the same as test

bench: postgres ## measure this machine: one table, also in docs/benchmarks.md (4 minutes; BENCH=long: 15)
	BENCH_WRITE=1 $(GO) run ./internal/bench

bench-journey: setup ## the numbers of a journey with a browser and a CRM that fails, and of single functions (minutes)
	$(GO) test -tags bench -run TestNumbers -count=1 -v -timeout 30m ./internal/journey
	$(GO) test -run '^$$' -bench . -benchtime 3s ./internal/intake ./internal/dispatch ./internal/routing

torture: setup kills ## the tests of trust in full size: every probe, spelling, tampering, history, cut and kill (long)
	TORTURE=full $(GO) test -count=1 -timeout 90m -v -run 'Torture|Matrix|Canary|Tamper|Verify|Erase|Erasure|Corpus|Random|Rebind|Upgrade|Identity|LostAnswer|Mixes|DoubleClick|Overload' \
		./web ./handlers ./internal/audit ./internal/erasure ./internal/outbound ./internal/keyring ./internal/journey ./internal/intake

fuzz: postgres ## fuzz every parser and the whole way of a submission, FUZZTIME= each (10m)
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			echo "== $$target in $$(dirname "$$file")"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 2s "$$(dirname "$$file")" || exit 1; \
		done; \
	done

# One package at a time and nothing beside it: its figures are times. REPORT= names a folder for them.
kills: setup ## kill servers and databases under load, in full size, and count (half an hour)
	TORTURE=full TORTURE_REPORT="$(abspath $(REPORT))" $(GO) test -count=1 -timeout 90m -v ./internal/failpoint ./internal/torture/...

shots: setup ## take the README's pictures from the running product
	$(GO) test -tags shots -run TestShots -count=1 ./internal/journey

load: build ## send leads to a running server: TARGET= FORM= RATE= FOR=
	./bin/leadline load --target $(TARGET) --form $(FORM) --rate $(RATE) --duration $(FOR)

lint: ## vet and lint, import rules included
	$(LINT) golangci-lint run --allow-parallel-runners

fmt: ## format as the linter wants it
	$(LINT) golangci-lint fmt

# Without the vulnerability database nothing can be said; that is no reason to stop a build in a closed network.
vuln: ## look for known vulnerabilities in what we call
	@out=$$($(LINT) govulncheck ./... 2>&1); status=$$?; echo "$$out"; \
	if [ $$status = 0 ]; then exit 0; fi; \
	if grep -qE 'vuln\.go\.dev.*(dial|lookup|timeout|refused|no such host|unreachable|Forbidden|EOF|status)|fetching vulnerabilities|HTTP GET .*vuln' <<<"$$out"; then \
		echo; echo "*** NOT CHECKED FOR VULNERABILITIES: https://vuln.go.dev cannot be reached from here ***"; echo; exit 0; fi; \
	exit $$status

build: bin/leadline ## build ./bin/leadline

bin/leadline: $(SOURCES) $(ASSETS)
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $@ .

docker: ## build the image leadline
	docker build --build-arg VERSION=$(VERSION) -t leadline .
