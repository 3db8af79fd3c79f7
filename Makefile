# `make` lists the targets. A Debian machine with Go is all they need; what else a target wants, it installs.

GO        ?= go
GOLANGCI  := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0
FUZZTIME  ?= 30s
# mautrix-go, the client library of tests/clients, takes its Olm in pure Go by this tag.
TAGS      := -tags goolm
BIN       ?= bin/rempart

.PHONY: help run build test test-postgres test-clients race prove load lint vuln fuzz docs setup
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# exec: a signal to make reaches the server itself.
run: build ## build and run the server on ./data
	@exec $(BIN) serve

build: ## the binary, without cgo: bin/rempart
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/rempart

setup: ## install what the tests need (PostgreSQL, Redis, gcc, Node, Chromium)
	@tests/setup/setup.sh

test: setup ## vet, the laws, and all tests on SQLite and PostgreSQL
	$(GO) vet $(TAGS) ./...
	$(GO) test -count=1 ./tests/arch
	$(GO) test $(TAGS) -count=1 -timeout 15m $$($(GO) list ./... | grep -v /tests/arch)

test-postgres: setup ## the tests that run on both engines, on PostgreSQL only
	REMPART_TEST_ENGINES=postgres $(GO) test $(TAGS) -count=1 -timeout 15m ./storage/... ./core/... ./clientapi/... ./tests/...

test-clients: setup ## real clients against the real server: matrix-js-sdk, a page in Chromium, mautrix-go
	$(GO) test $(TAGS) -count=1 -timeout 15m -v ./tests/clients

race: setup ## tests under the race detector, shuffled; those that start the binary are left out, which is built without it
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -count=1 -timeout 30m $$($(GO) list ./... | grep -v /tests/)

prove: setup ## the long proofs: crash, power loss, two nodes, random graphs
	REMPART_PROVE=1 $(GO) test $(TAGS) -count=1 -timeout 90m -v $$($(GO) list ./... | grep -v /tests/arch)
	@tests/setup/complement.sh

load: setup ## measure speed and memory; prints a table
	$(GO) run ./tests/load -spawn sqlite,postgres

lint: ## golangci-lint, pinned
	$(GO) run $(GOLANGCI) run ./...

vuln: ## known vulnerabilities in what we use
	@tests/setup/vuln.sh $(GO) $(VULNCHECK)

fuzz: ## every fuzz target for FUZZTIME (30s)
	@tests/setup/fuzz.sh $(GO) $(FUZZTIME)

docs: ## remake the documents that come from the code
	$(GO) run ./cmd/rempart docs spec-coverage > docs/spec-coverage.md.new
	mv docs/spec-coverage.md.new docs/spec-coverage.md
