# Lifeboat. `make run` and `make test` need Go and git, and nothing else.

GO ?= go
BIN := bin/lifeboat
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unversioned)

.PHONY: run build test check bench golden

run: build ## open the console on a sandbox estate of its own; without a terminal, rehearse a recovery
	@$(BIN) --sandbox

build: ## bin/lifeboat
	@$(GO) build -trimpath -ldflags "-X lifeboat/internal/app.version=$(VERSION)" -o $(BIN) ./cmd/lifeboat

test: ## every test
	$(GO) test $(TESTFLAGS) ./...

check: build ## format, vet, staticcheck, architecture, lint of our own runbooks
	@out=$$(gofmt -l cmd internal runbooks themes); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./internal/arch
	$(BIN) lint --strict --ignore overdue-review runbooks

bench: ## ratios beside the stock way, on input that it makes
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./internal/app
	$(GO) test -run '^$$' -bench Catalogue ./internal/vault

golden: ## rewrite golden files after a wanted change; read the diff
	$(GO) test ./internal/console ./internal/runbook ./internal/run ./internal/app -update
