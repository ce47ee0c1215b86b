# Lifeboat. `make run` and `make test` need Go and git, and nothing else.

GO ?= go
BIN := bin/lifeboat
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unversioned)

.PHONY: run build test check bench golden shots mutants e2e-kube

run: build ## open the console on a sandbox estate of its own; without a terminal, rehearse a recovery
	@$(BIN) --sandbox

build: ## bin/lifeboat
	@$(GO) build -trimpath -ldflags "-X lifeboat/internal/app.version=$(VERSION)" -o $(BIN) ./cmd/lifeboat

test: ## every test
	$(GO) test $(TESTFLAGS) ./...

check: build ## format, vet, staticcheck, architecture, our own runbooks and themes
	@out=$$(gofmt -l cmd internal runbooks themes); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./internal/arch
	$(BIN) lint --strict --ignore overdue-review runbooks
	$(BIN) theme check --quiet themes/*.yaml

bench: ## ratios beside the stock way, on input that it makes
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./internal/app
	$(GO) test -run '^$$' -bench Catalogue ./internal/vault

E2E_KUBE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/lifeboat-e2e-kube

e2e-kube: ## kube.scale and kube.wait against a real kube-apiserver, which it builds (ten minutes, once); needs kubectl and etcd (Debian: kubernetes-client, etcd-server)
	LIFEBOAT_E2E_KUBE=$(E2E_KUBE) $(GO) test -count=1 -v -timeout 60m -run TestRealAPIServer ./internal/builtin/workload

mutants: ## test the tests of the runbooks: every step that changes something is played without its effect (half an hour or more)
	LIFEBOAT_MUTANTS=all $(GO) test -count=1 -v -timeout 120m -run TestMutants ./internal/app

golden: ## rewrite golden files after a wanted change; read the diff
	$(GO) test ./internal/console ./internal/runbook ./internal/run ./internal/app -update

shots: ## draw the README's pictures anew, from the frames of the tests; a test fails where they differ
	$(GO) test ./internal/console -run TestShots -update
