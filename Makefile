# Every command of the project. `make` alone lists them.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
READY := .venv/.ready
NATIVE := $(shell find ledger/native -name '*.py' -o -name '*.py[xi]' -o -name '*.pxd' \
	-o -name '*.[chS]')

.PHONY: help setup demo demo-marketplace test check sim sim-hunt bench-sim chaos membership \
	delivery image-test upgrade-test fuzz fuzz-native bench bench-scale bench-growth \
	bench-flood bench-recovery bench-wan bench-profile bench-parts bench-native bench-peers \
	coverage lock clean

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | \
		awk -F'|' '{printf "  make %-16s%s\n", $$1, $$2}'

setup: $(READY) ## Make .venv: locked dependencies, compiled kernels, editable install
	@:

# Skipped when neither the lock, the metadata nor a kernel changed.
$(READY): requirements/dev.txt requirements/setup.sh pyproject.toml setup.py $(NATIVE)
	@echo "concordat: setting up"
	@requirements/setup.sh
	@touch $@

demo: setup ## Show a four-validator network agree, fail, catch up and prove
	@$(BIN)/concordat demo

demo-marketplace: setup ## Show a product certified, sold and used across three marketplaces
	@$(BIN)/concordat demo-marketplace

test: setup ## Run all tests (two processes)
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow"

check: setup ## Format, lint, types, import rules, tidiness
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q tests/tidy

sim: setup ## Simulate: seeds, digests, kept plans, mutants, canaries, the model check (3 minutes)
	$(BIN)/python -m simnet.sim_smoke

# The logs go into docs/, where the commit that they speak of can be seen.
sim-hunt: setup ## Simulate 100,000 core-only and 5,000 whole-node seeds for hours, and log it
	$(BIN)/concordat sim hunt --seeds 100000 --log docs/hunts/core.md
	$(BIN)/concordat sim hunt --tier full --seeds 5000 --log docs/hunts/full.md

bench-sim: setup ## Measure how many seeds an hour one core simulates
	$(BIN)/python -m simnet.bench

chaos: setup ## Hurt real validators, their network, disks and clocks under load for ten minutes
	$(BIN)/python -m tests.chaos

membership: setup ## Four validators become seven and four again, under load, one of them lying
	$(BIN)/python -m tests.membership

delivery: setup ## Kill a gateway with 200 subscribers under load; judge what each was given
	$(BIN)/python -m tests.delivery

image-test: setup ## Build docker/Dockerfile in chroots and run its members (root, debootstrap, minutes)
	$(BIN)/python -m tests.deployment

# Pass what the two releases do not share: make upgrade-test FROM=COMMIT WITH=--new-safety
upgrade-test: setup ## Upgrade four members of an older commit one by one while clients publish
	$(BIN)/python -m tests.deployment.upgrade --from $(FROM) $(WITH)

fuzz: setup ## Run the slow tests, and the property tests with many more, random, examples
	$(BIN)/pytest -q -n 2 -m "hypothesis or slow" --hypothesis-profile=fuzz

fuzz-native: setup ## Fuzz the compiled kernels for a minute under sanitizers (needs clang)
	PYTHON=$(BIN)/python tests/native/fuzz.sh 60

bench: setup ## Measure four validators: latency, offered rates, full load, one dead (10 minutes)
	$(BIN)/python -m bench

bench-scale: setup ## Measure 4, 7 and 10 validators, troubled ones, and other sizes of events
	$(BIN)/python -m bench.scale

bench-growth: setup ## Fill a ledger with ten million events (55 GiB of disk) and measure it at each size
	$(BIN)/python -m bench.growth

bench-flood: setup ## Watch memory for ten minutes under a client that never stops
	$(BIN)/python -m bench.flood

bench-recovery: setup ## Measure how long a killed, an absent and a new member need to be level
	$(BIN)/python -m bench.recovery

bench-wan: setup ## Measure validators that are far from each other (needs root)
	$(BIN)/python -m bench.wan

bench-profile: setup ## Say where each microsecond of an event goes (py-spy)
	$(BIN)/python -m bench.profile

bench-parts: setup ## Measure parts alone: a block's way to the log, rules of topics, consumers
	$(BIN)/python -m bench.parts.ledger_path
	$(BIN)/python -m bench.parts.topic_rules
	$(BIN)/python -m bench.parts.consumers
	$(BIN)/python -m bench.parts.pruning

bench-native: setup ## Measure the compiled kernels alone
	$(BIN)/python -m bench.parts.native

bench-peers: setup ## Measure etcd, NATS and RabbitMQ beside it, where they are installed
	$(BIN)/python -m bench.peers --record

coverage: setup ## Branch coverage of the core packages
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not slow" --cov --cov-report=term

lock: setup ## Resolve the dependencies anew into requirements/*.txt (needs uv)
	requirements/lock.sh

clean: ## Remove everything that was built or measured, .venv too
	rm -rf .venv build dist *.egg-info htmlcov .coverage* .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache demo-home bench-out sim-out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f ledger/native/*.so
