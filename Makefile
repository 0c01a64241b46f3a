# Fairlead. `make` prints what can be made.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

ARCH     ?= $(shell go env GOARCH)
REGISTRY ?= ghcr.io/fairlead-lb
# The tag of the images is what the manifests install, and the version of the programs is the same unless a release says otherwise.
TAG      ?= $(shell awk '$$1 == "newTag:" {print $$2; exit}' manifests/default/kustomization.yaml)
VERSION  ?= $(TAG)
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
NODES    ?= 3
PROXY    ?= nftables

TOOL     := go tool -modfile=go.tools.mod
LAB      := build/lab
VERSIONS := github.com/fairlead-lb/fairlead/internal/version
GOBUILD  := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X $(VERSIONS).number=$(VERSION) -X $(VERSIONS).commit=$(COMMIT)'
# The images of this machine's architecture have the short names.
IMAGES   := build/images$(if $(filter-out $(shell go env GOARCH),$(ARCH)),/$(ARCH))

.PHONY: help
help: ## Print this help.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ See it
.PHONY: demo lab-up lab-down
demo: images plugin $(LAB) ## Show Fairlead on a cluster on this machine (Linux, root).
	@go build -o build/demo ./internal/demo && build/demo

lab-up: $(LAB) ## Start a cluster on this machine: NODES=3 PROXY=nftables KUBERNETES=1.31 ROUTERS=yes.
	@$(LAB) up --nodes $(NODES) --proxy-mode $(PROXY) $(if $(KUBERNETES),--kubernetes $(KUBERNETES)) $(if $(ROUTERS),--routers)

lab-down: $(LAB) ## End that cluster.
	@$(LAB) down

.PHONY: $(LAB)
$(LAB):
	@mkdir -p build && go build -o $(LAB) ./internal/lab/cmd/lab

##@ Build
.PHONY: build plugin images images-all release
build: ## Build the binaries into build/bin.
	@mkdir -p build/bin/$(ARCH)
	GOARCH=$(ARCH) $(GOBUILD) -o build/bin/$(ARCH)/fairlead-controller ./controller
	GOARCH=$(ARCH) $(GOBUILD) -o build/bin/$(ARCH)/fairlead-speaker ./speaker

plugin: ## Build the plugin of kubectl: build/bin/kubectl-fairlead.
	@mkdir -p build/bin
	$(GOBUILD) -o build/bin/kubectl-fairlead ./internal/cli/kubectl-fairlead

images: build ## Make build/images/controller.tar and speaker.tar: ARCH=amd64 or arm64.
	@mkdir -p $(IMAGES)
	@go run ./internal/image/cmd/image -arch $(ARCH) -name $(REGISTRY)/controller:$(TAG) -program build/bin/$(ARCH)/fairlead-controller -o $(IMAGES)/controller.tar
	@go run ./internal/image/cmd/image -arch $(ARCH) -name $(REGISTRY)/speaker:$(TAG) -program build/bin/$(ARCH)/fairlead-speaker -user 0:0 -o $(IMAGES)/speaker.tar

images-all: ## Make the images of both architectures.
	@$(MAKE) --no-print-directory images ARCH=amd64
	@$(MAKE) --no-print-directory images ARCH=arm64

release: ## Make everything of a release in build/release: VERSION=v0.1.0.
	go run ./internal/release -version $(VERSION) -commit $(COMMIT) -registry $(REGISTRY) -o build/release/$(VERSION)

##@ Test
.PHONY: test test-unit test-race test-envtest test-e2e fuzz bench
test: test-unit test-race test-envtest test-e2e ## Run all tests.

# Tests that start a cluster, or parts of one, have targets of their own.
CLUSTER := ./internal/e2e/... ./internal/envtest/... ./internal/lab/...
UNIT     = $(shell go list ./... | grep -v -E '/internal/(e2e|envtest|lab)(/|$$)')

test-unit: ## Run the unit, model and driver tests.
	go test $(UNIT)

test-race: ## Run them again with the race detector.
	go test -race -count=1 $(UNIT)

test-envtest: $(LAB) ## Run the reconcilers against a real API server.
	go test -count=1 -timeout 20m ./internal/envtest/...

test-e2e: images ## Run the stories on a cluster on this machine (Linux, root).
	go test -count=1 -timeout 60m ./internal/lab/... ./internal/e2e/...

FUZZTIME ?= 30s
fuzz: ## Fuzz every parser: FUZZTIME=30s each.
	go test -run '^$$' -fuzz FuzzParseRange -fuzztime $(FUZZTIME) ./config
	go test -run '^$$' -fuzz FuzzRequest -fuzztime $(FUZZTIME) ./internal/kube
	go test -run '^$$' -fuzz FuzzConflicts -fuzztime $(FUZZTIME) ./internal/kube
	go test -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME) ./speaker/arp
	go test -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME) ./speaker/ndp
	go test -run '^$$' -fuzz FuzzParse -fuzztime $(FUZZTIME) ./speaker/bfd
	go test -run '^$$' -fuzz FuzzOpen -fuzztime $(FUZZTIME) ./speaker/bgp

bench: images $(LAB) ## Run the benchmarks, in memory and on clusters on this machine (Linux, root): ONLY=assign, alone, bgp or l2.
	go test -run '^$$' -bench . -benchmem ./ipam ./config ./controller/assign ./speaker/agent ./speaker/announce ./speaker/filter ./speaker/flows ./speaker/gossip ./speaker/bfd ./speaker/bgp
	@go build -o build/bench ./internal/bench && build/bench -only '$(ONLY)'

##@ Keep in order
.PHONY: generate verify lint
generate: ## Generate deep copies and custom resource definitions from api/.
	$(TOOL) controller-gen object crd:maxDescLen=100000 paths=./api/... output:crd:dir=manifests/crd

verify: ## Fail if generated files or go.mod are not current.
	@$(MAKE) --no-print-directory generate
	go mod tidy
	@if [ -n "$$(git status --porcelain -- api manifests/crd go.mod go.sum)" ]; then \
	  git diff -- api manifests/crd go.mod go.sum; echo "generated files are not current: run make generate, go mod tidy, and commit"; exit 1; fi

lint: ## Run the linters.
	$(TOOL) golangci-lint run ./...
