# All commands of this project: `make` lists them. Needs make and Python 3.11; the rest is installed by them.
# The distribution's own Python where it is new enough and can make a virtual environment: it is compiled with a profile,
# and a play takes a fifth less processor than with one that pyenv has compiled.
PYTHON ?= $(shell /usr/bin/python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)
VENV := .venv/bin
SETUP = @$(PYTHON) tools/setup.py
TESTS = @$(VENV)/python tools/run_tests.py
NAME ?= default

# Many images of containers forbid Python to keep what it has compiled: half of the time of a process that starts.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: soak versions drill help demo test unit lint sanity molecule integration faults story differential oracle oracle-envoy oracle-requests benchmark benchmark-plan benchmark-playbooks benchmark-snapshot benchmark-drill benchmark-large-mesh stock-debian sandbox sandbox-test sandbox-down setup constraints tarball clean

help: ## this list
	@echo "meshops.locality: Istio locality failover you can predict, drill and prove"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## the whole tutorial on a real mesh in a sandbox; KUBECONFIG=… make demo: on that cluster (asks first, YES=1 does not)
	$(SETUP) run $(if $(KUBECONFIG),,sandbox)
	@$(VENV)/python tools/demo.py $(ARGS)

test: ## everything that must be green (45 to 60 minutes on two cores, and 10 more when nothing is built yet)
	$(SETUP) dev sandbox
	$(TESTS)

unit: ## unit tests, no cluster
	$(SETUP) dev
	$(TESTS) unit offline

lint: ## ruff, mypy, yamllint, ansible-lint, changelog, documentation and its site, the tarball as Galaxy imports it
	$(SETUP) dev
	$(TESTS) lint

sanity: ## ansible-test sanity
	$(SETUP) dev
	$(TESTS) sanity

molecule: ## one scenario per role, on the sandbox (SCENARIO=… only that one)
	$(SETUP) dev sandbox
	$(TESTS) sandbox $(if $(SCENARIO),molecule-$(SCENARIO),molecule)

integration: ## modules, playbooks and bad input, on the sandbox
	$(SETUP) dev sandbox
	$(TESTS) sandbox integration

faults: ## every kind of fault at every request of every operation, on the sandbox `test` (PART=2/6, NAME=test)
	$(SETUP) dev
	@$(VENV)/meshops-sandbox up --name $(or $(NAME),test)
	@MESHOPS_TEST_KUBECONFIG=$$($(VENV)/meshops-sandbox kubeconfig --name $(or $(NAME),test)) \
	  MESHOPS_FAULTS=all MESHOPS_FAULTS_PART=$(or $(PART),1/1) $(VENV)/pytest -q -n0 -s tests/integration/test_faults.py

story: ## the tutorial's story, the README's examples, several clusters, on sandboxes of their own
	$(SETUP) dev sandbox
	$(TESTS) tutorial

drill: ## the drill's tests: kills at every step, every fault, what is refused, the playbooks, on a sandbox of its own
	$(SETUP) dev
	$(TESTS) build drill-sandbox drill drill-down

sandbox-test: ## the sandbox itself: up, down, healing, two side by side
	$(SETUP) dev sandbox
	$(TESTS) build sandbox-test

differential: export MESHOPS_ORACLE_SEED = $(SEED)
differential: ## the prediction against istiod's own code and the real Envoy (SEED=… repeats a run)
	$(SETUP) dev sandbox
	$(TESTS) build differential

oracle: ## many generated meshes against istiod's own code (N=10000 SEED=… ISTIO=1.31 ARGS=--traps)
	$(SETUP) dev
	@$(VENV)/python tools/oracle.py plan --meshes $(or $(N),10000) $(if $(SEED),--seed $(SEED)) $(if $(ISTIO),--istio $(ISTIO)) $(ARGS)

oracle-requests: ## generated scenarios (mesh, routes, fault, length) on the real Envoy (N=60 SEED=…)
	$(SETUP) dev
	@$(VENV)/python tools/requests_oracle.py --scenarios $(or $(N),60) $(if $(SEED),--seed $(SEED)) $(ARGS)

oracle-envoy: ## generated endpoint sets on the real Envoy: shares, ejections, failovers (N=300 SEED=… ARGS=--version=1.39.3)
	$(SETUP) dev
	@$(VENV)/python tools/envoy_oracle.py --configs $(or $(N),300) $(if $(SEED),--seed $(SEED)) $(ARGS)

benchmark: benchmark-plan benchmark-playbooks benchmark-snapshot ## the next three (ARGS=… goes to all: --rounds=9, --json)

benchmark-plan: ## plan and matrix of 5,000 endpoints in turns with istiod's own code, as a ratio, and how they grow (ARGS=…)
	$(SETUP) dev
	@$(VENV)/python -m tests.benchmark.plan $(ARGS)

benchmark-playbooks: ## lint of 30 files, and plan, forecast and lint of 5,000 pods, as playbooks in turns with an empty play (ARGS=…)
	$(SETUP) dev
	@$(VENV)/python -m tests.benchmark.playbooks $(ARGS)

benchmark-snapshot: ## a snapshot of 5,000 fake pods in turns with kubectl, as a ratio (ARGS=…)
	$(SETUP) dev
	@$(VENV)/python -m tests.benchmark.snapshot $(ARGS)

benchmark-large-mesh: ## endpoints_info and node_topology on 1,000 nodes and 5,000 pods, in turns with istioctl and plain patches (ARGS=…)
	$(SETUP) dev
	@$(VENV)/python -m tests.benchmark.large_mesh $(ARGS)

benchmark-drill: ## 50 clients of one drill at 10 Hz on a sandbox: how many requests, and what of a core (NAME=default ARGS=…)
	$(SETUP) dev
	@$(VENV)/meshops-sandbox up --name $(NAME)
	@$(VENV)/python -m tests.benchmark.drill_clients --name $(NAME) $(ARGS)

sandbox: ## a sandbox with a Ready mesh (NAME=default), built if necessary
	$(SETUP) run sandbox
	@$(VENV)/meshops-sandbox up --name $(NAME)

sandbox-down: ## take that sandbox down
	$(SETUP) run root
	@$(VENV)/meshops-sandbox down --name $(NAME)

setup: ## only the Python environment (.venv)
	$(SETUP) dev

soak: ## 60 scenarios on the real Envoy; random drills on a sandbox, killed or met by faults at random moments: is anything left unrestored? Then slow drills, a lost node, the story on two and three nodes, `make versions` (N=200 SEED=… NAME=default)
	$(SETUP) dev
	@$(VENV)/python tools/requests_oracle.py $(if $(SEED),--seed $(SEED))
	@$(VENV)/meshops-sandbox up --name $(NAME)
	@$(VENV)/python tools/soak.py --kubeconfig "$$($(VENV)/meshops-sandbox kubeconfig --name $(NAME))" --count $(or $(N),200) $(if $(SEED),--seed $(SEED))
	@MESHOPS_TEST_KUBECONFIG="$$($(VENV)/meshops-sandbox kubeconfig --name $(NAME))" $(VENV)/pytest -q -n0 -m soak tests/drill tests/examples
	@$(VENV)/pytest -q -n0 -m soak tests/story tests/sandbox
	@$(VENV)/python tools/tarball.py
	@$(VENV)/python tools/versions.py --unit all

versions: ## the collection on every version of ansible-core and Python that is here, unit tests included (CORE=2.18 or CORE=2.18/3.13: only that)
	$(SETUP) dev
	@$(VENV)/python tools/tarball.py
	@$(VENV)/python tools/versions.py --unit $(or $(CORE),all)

stock-debian: ## the sandbox in a virtual machine that is a stock Debian, emulated (ARGS="--suite trixie"): an hour
	$(SETUP) dev root
	@$(VENV)/python tools/stock_debian.py $(ARGS)

constraints: ## write requirements/constraints.txt anew from what run.txt and dev.txt need today
	rm -rf .work/constraints
	$(PYTHON) -m venv .work/constraints
	.work/constraints/bin/pip install -r requirements/run.txt -r requirements/dev.txt ./sandbox
	{ echo "# Exact versions of everything run.txt, dev.txt and sandbox/pyproject.toml need; written by 'make constraints'."; \
	  .work/constraints/bin/pip freeze --exclude meshops-sandbox; } > requirements/constraints.txt

tarball: ## the collection as it is published: .work/dist/meshops-locality-….tar.gz
	$(SETUP) dev
	@$(VENV)/python tools/tarball.py

clean: ## remove .venv, .work and caches; the sandbox's builds stay in their own cache
	@! test -x $(VENV)/meshops-sandbox || $(VENV)/meshops-sandbox down --all
	rm -rf .venv .work collections tests/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
