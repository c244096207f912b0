# Everything runs with the Node that package-lock.json pins; a fresh machine needs npm and make.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
INSTALLED := node_modules/.installed

.PHONY: help demo test unit e2e e2e-apiserver e2e-cluster e2e-slow e2e-kind e2e-vllm bench bench-controller bench-proxy bench-decision bench-upstream bench-demo bench-indexer bench-kv-awareness bench-epp bench-handover bench-pd package image generate site verify lint fmt clean

help: ## Show this.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

$(INSTALLED): package.json package-lock.json
	npm ci --loglevel=error
	@touch $@

demo: $(INSTALLED) ## Eight simulated engines, the router, three policies side by side; then try it with curl.
	@node scripts/demo.ts

test: $(INSTALLED) verify ## Lint, generated files, unit tests with coverage, end-to-end tests.
	vitest run --project unit --coverage
	node test/e2e/cluster/kit/make.ts
# They wait for processes and time-outs more than they compute.
	scripts/side-by-side.sh 'vitest run --project e2e' '$(MAKE) --no-print-directory lint e2e-apiserver'

unit: $(INSTALLED) ## Unit tests only.
	vitest run --project unit

e2e: $(INSTALLED) ## End-to-end tests with simulated engines, the OpenAI clients and a real Envoy.
	vitest run --project e2e

e2e-apiserver: $(INSTALLED) ## The same on a real API server: builds one into .cache (5 minutes, once), or takes that of KUBECONFIG.
	vitest run --project cluster

e2e-cluster: $(INSTALLED) ## Installed on a cluster with a node, as users do: made here without Docker (needs root), or that of KUBECONFIG.
	node --disable-warning=ExperimentalWarning test/e2e/box/run.ts vitest run --project box

e2e-slow: $(INSTALLED) ## What takes its time: faults, fuzz and load; two-minute outages of an API server, 500 busy policies (10 minutes).
	scripts/side-by-side.sh 'vitest run --project cluster-slow' 'vitest run --project e2e-slow'

e2e-kind: $(INSTALLED) ## Both on a kind cluster; needs a Docker engine.
	test/e2e/cluster/kind.sh bash -c 'vitest run --project cluster && vitest run --project box'

e2e-vllm: $(INSTALLED) ## End-to-end test with a real vLLM on the CPU (installs 6 GB into .cache).
	vitest run --config vitest.vllm.config.ts

bench: bench-decision bench-upstream bench-proxy bench-handover bench-epp bench-pd bench-demo bench-controller bench-indexer bench-kv-awareness ## All benchmarks; each has its own README.

bench-decision: $(INSTALLED) ## ns and bytes per decision.
	node --expose-gc bench/decision/run.ts

bench-upstream: $(INSTALLED) ## CPU per request of the upstream clients.
	node bench/upstream/run.ts

bench-proxy: $(INSTALLED) ## CPU per request beside nginx and http-proxy.
	node bench/proxy/run.ts

bench-epp: $(INSTALLED) ## CPU per call of the endpoint picker beside one on grpc-js that does nothing.
	node bench/epp/run.ts

bench-controller: $(INSTALLED) ## 1,000 policies and groups on a real API server; --quick: 100.
	node bench/controller/run.ts

bench-indexer: $(INSTALLED) ## The index of KV blocks: lookup, ingestion, memory, pauses.
	node bench/indexer/run.ts

bench-kv-awareness: $(INSTALLED) ## What it is worth to know the engines' caches: guessed, told by events, seen by an oracle.
	node bench/kv-awareness/run.ts

bench-handover: $(INSTALLED) ## CPU per hand-over from prefiller to decoder, beside one proxied request.
	node bench/handover/run.ts

bench-pd: $(INSTALLED) ## Policies for pairs of prefiller and decoder, in simulated time over five seeds.
	node bench/pd/run.ts

bench-demo: $(INSTALLED) ## The demo's workloads over five seeds.
	node bench/demo/run.ts

package: $(INSTALLED) ## An npm package of built JavaScript.
	npm pack

image: $(INSTALLED) ## The container image as an OCI archive, .cache/image.tar, without a Docker engine.
	node --disable-warning=ExperimentalWarning scripts/image/oci.ts .cache/image.tar

generate: $(INSTALLED) ## CRDs and reference docs from src/api and src/policies.
	node scripts/generate.ts

# Its tools are no part of `npm ci`: only who builds the site fetches them.
site/node_modules/.installed: site/package.json site/package-lock.json
	npm ci --prefix site --loglevel=error
	@touch $@

site: $(INSTALLED) site/node_modules/.installed ## The documentation as static pages in .cache/site; fails at a dead link.
	node scripts/site/prepare.ts
	site/node_modules/.bin/vitepress build .cache/site-pages

verify: $(INSTALLED) ## Fail when a generated file is not what it should be.
	node scripts/generate.ts --check

lint: $(INSTALLED) ## Types, style, layers.
	tsc -p .
	eslint .
	prettier --check --log-level warn .
	depcruise --config .dependency-cruiser.cjs --output-type err src

fmt: $(INSTALLED) ## Format the code.
	prettier --write --log-level warn .

clean: ## Remove what was installed and built.
	rm -rf node_modules site/node_modules coverage dist .cache
