# What people do with this repository. `make` alone builds the program.

GO ?= go
TOOL = $(GO) tool -modfile=tools/go.mod
MQLOAD_C ?= ../shared/tools/mqload.c
ONLY ?=
AGAINST ?=
FUZZTIME ?= 30s
SIMTIME ?= 60s
KILLS ?= 20
SEED ?= 0

.PHONY: build run test check unit race interop conformance bench crash crash-mutant fuzz sim sim-mutants clean

build: ## bin/colibri, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/colibri ./cmd/colibri

run: build ## start the broker on port 1883 of this machine
	@echo "Try it from two other terminals, here:"
	@echo "  ./bin/colibri sub -t 'maison/+/temperature' -v"
	@echo "  ./bin/colibri pub -t maison/salon/temperature -m 21"
	@echo "Ctrl-C ends the broker."
	@echo
	@./bin/colibri broker

test: check unit race interop conformance ## everything that must be green; installs what it needs

check: ## formatting, vet, staticcheck; the house rules are a test (internal/tidy)
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	cd test/interop && $(GO) vet ./...

unit: ## the tests that need nothing but Go
	$(GO) test ./...

race: ## the same with the race detector
	$(GO) test -race ./...

interop: build ## other people's clients against our broker, ours against Mosquitto's
	test/interop/setup.sh
	cd test/interop && $(GO) test -count=1 ./...

conformance: ## fails when docs/CONFORMANCE.md is stale or a statement has no test; prints how many have one
	$(GO) run ./internal/spec/conformance -check

docs/CONFORMANCE.md: FORCE
	$(GO) run ./internal/spec/conformance
FORCE:

bench: build ## our broker beside Debian's mosquitto; writes docs/benchmarks.md, or of it ONLY=live,tls,logins,cost,durable,shorten,start
	$(GO) run ./test/bench -mqload $(MQLOAD_C) -colibri bin/colibri -out docs/benchmarks.md -only "$(ONLY)" -against "$(AGAINST)"

crash: build ## kill -9 the broker KILLS times under load; fails when anything acknowledged is lost or doubled
	$(GO) run ./test/crash -colibri bin/colibri -kills $(KILLS) -seed $(SEED)

crash-mutant: ## the same with mistakes built into the broker; fails when one of them is not found
	$(GO) run ./test/crash -mutants test/crash/mutants.txt -kills $(KILLS) -seed $(SEED)

fuzz: ## each fuzz target for FUZZTIME
	@for target in $$(grep -rl --include='*_test.go' '^func Fuzz' topic packet internal broker client | xargs -n1 dirname | sort -u); do \
		for name in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$target/*_test.go | cut -c6-); do \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) ./$$target || exit 1; \
		done; \
	done

sim: ## many clients against a whole broker for SIMTIME; SEED=n runs one seed again and again
	$(GO) test -count=1 -v -timeout 0 -run '^TestSim$$' ./internal/sim -args -simtime=$(SIMTIME) -simseed=$(SEED)

sim-mutants: ## breaks the broker in one place after the other: the simulation must notice each
	$(GO) run ./internal/sim/mutants

clean:
	rm -rf bin build
