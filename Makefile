# `make demo` shows a simulated server, `make run` starts gputui on this machine, `make install` puts the command on PATH,
# `make test` runs everything. Each sets up what it needs.
# The system's Python is preferred: other users must be able to execute it, for the lab runs gputui as one of them.
PYTHON ?= $(shell for p in /usr/bin/python3 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

# The environment runs what is in this checkout, and has its command.
define USE_CHECKOUT
	@cd $(VENV)/lib/python3*/site-packages && echo "$(CURDIR)/src" > gputui-checkout.pth
	@printf '#!%s\nfrom gputui.main import main\n\nmain()\n' "$(CURDIR)/$(BIN)/python" > $(BIN)/gputui && chmod +x $(BIN)/gputui
endef

.PHONY: reference run demo install test lint unit lab screenshots recording bench bench-placement bench-editing bench-apply bench-start bench-memory bench-logs fault-matrix engine-matrix lock docs dist clean

run: $(VENV)/.run
	@BIN=$(BIN) scripts/run $(ARGS)

demo: $(VENV)/.run
	@$(BIN)/gputui --demo $(ARGS)

install: $(VENV)/.run
	@BIN=$(BIN) scripts/install

test: lint unit

lint: $(VENV)/.dev
	$(BIN)/ruff format --check src tests bench scripts
	$(BIN)/ruff check src tests bench scripts
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/make-reference --check
	$(BIN)/codespell
	$(BIN)/python scripts/check-words

unit: $(VENV)/.dev
	@BIN=$(BIN) scripts/test $(ARGS)

reference: $(VENV)/.dev
	$(BIN)/python scripts/make-reference

screenshots: $(VENV)/.dev
	$(BIN)/python scripts/screenshots.py

recording: $(VENV)/.run
	@BIN=$(BIN) scripts/record-demo

bench: $(VENV)/.dev $(VENV)/.peers
	@scripts/lab-packages
	PYTHONPATH=. $(BIN)/python bench/screen.py $(ARGS)

bench-placement: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python bench/placement.py

bench-editing: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python bench/editing.py

bench-start: $(VENV)/.dev
	@scripts/lab-packages
	PYTHONPATH=. $(BIN)/python bench/start.py $(ARGS)

bench-memory: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python bench/memory.py

bench-logs: $(VENV)/.dev
	@scripts/lab-packages
	PYTHONPATH=. $(BIN)/python bench/logs.py

bench-apply: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python bench/apply.py

fault-matrix: $(VENV)/.dev
	@scripts/lab-packages
	PYTHONPATH=. $(BIN)/python -m tests.lab.fault_matrix $(ARGS)

engine-matrix: $(VENV)/.dev
	@scripts/lab-packages
	PYTHONPATH=. $(BIN)/python -m tests.lab.engine_matrix

lock: $(VENV)/.dev
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --no-emit-index-url pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --no-emit-index-url pyproject.toml --group test --group bench --group lint --group build -c requirements.txt -o requirements-dev.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --no-emit-index-url --group pyproject.toml:peers -o bench/requirements.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --no-emit-index-url --group pyproject.toml:docs -o requirements-docs.txt

docs: $(VENV)/.docs
	$(VENV)/docs/bin/mkdocs build --strict

dist: $(VENV)/.dev
	$(BIN)/uv build -q --no-build-isolation --python $(BIN)/python -o dist

$(VENV)/bin/python:
	@PYTHON=$(PYTHON) VENV=$(VENV) scripts/make-venv

$(VENV)/.run: $(VENV)/bin/python requirements.txt pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	$(USE_CHECKOUT)
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python requirements-dev.txt pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(USE_CHECKOUT)
	@touch $@ $(VENV)/.run

$(VENV)/.peers: $(VENV)/bin/python bench/requirements.txt
	$(BIN)/python -m venv $(VENV)/peers
	$(VENV)/peers/bin/pip install -q --disable-pip-version-check --require-hashes -r bench/requirements.txt
	@touch $@

$(VENV)/.docs: $(VENV)/bin/python requirements-docs.txt
	$(BIN)/python -m venv $(VENV)/docs
	$(VENV)/docs/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements-docs.txt
	@touch $@

clean:
	rm -rf $(VENV) .cache dist site
