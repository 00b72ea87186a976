# Everything runs in $(VENV). Nothing outside this folder is changed.
# Another Python: make PYTHON=python3.12 setup

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Beside the package: test, chem (molecules), or both, as test,chem.
EXTRAS ?= test

# Without a GPU, PyTorch's CPU build is all one needs. The default on Linux adds several GB for GPUs.
TORCH := torch==2.13.0
CPU_INDEX := https://download.pytorch.org/whl/cpu

OLD_PYTHON := import sys; sys.exit(sys.version_info < (3, 11))
PIP := $(BIN)/python -m pip install -qq
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE # compiled modules save each of many processes some seconds

# What `make results` trains: DATASET=tox21 PRESET=paper DEVICE=cuda, say; by default all that is
# kept.
DATASET ?=
PRESET ?=
DEVICE ?= cpu
WORKERS ?= 2

# What `make quick` leaves to `make test`. See the markers in pyproject.toml.
QUICK := not slow and not browser and not kernel and not release

# The lowest version of every dependency, as constraints for pip. PyTorch is $(TORCH) there, too,
# as an older one is several GB where its CPU build is out of reach: make lowest TORCH=torch==2.10
LOWEST := import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	extras = project["optional-dependencies"]; extras.pop("test"); \
	lines = [*project["dependencies"], *sum(extras.values(), [])]; \
	print(*(line.replace(">=", "==") for line in lines if not line.startswith("torch")), sep="\n")

.PHONY: help setup demo book site outputs compare release quick test seldom lowest lab bench results
.PHONY: stills clean distclean
.DELETE_ON_ERROR:

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## install everything in .venv; the other targets do it when needed
	@echo "Ready. make help lists what to do next."

demo: $(STAMP) ## run the first three notebooks, and write reports/ and the book's site in it
	@$(BIN)/python -m mtl_nt demo --out reports

book: $(STAMP) ## run all notebooks, some minutes, and write reports/
	@$(BIN)/python -m mtl_nt book --out reports

outputs: $(STAMP) ## the same, and keep what the notebooks show in them
	@$(BIN)/python -m mtl_nt book --out reports --keep

site: $(STAMP) ## build site/, the book with search; chapters that make book has run have live sliders
	@$(BIN)/python -m mtl_nt site --out site

compare: $(STAMP) ## run all notebooks and compare with what they show
	@$(BIN)/python -m pytest -n auto --dist loadfile --nbval tests/outputs_close.py notebooks

release: test seldom compare book ## all that a release must pass: all tests, every notebook compared, the whole book

quick: $(STAMP) ## format, lint, types and the quick tests, at most 90 seconds: while writing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "$(QUICK)" --doctest-modules tests mtl_nt

# mypy works on one core alone, and so beside the tests; what it finds is shown after them.
test: $(STAMP) ## format, lint, types and tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/mypy >/dev/null 2>&1 & types=$$!; \
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not release" --doctest-modules tests mtl_nt; \
	tests=$$?; wait $$types || $(BIN)/mypy || exit; exit $$tests

seldom: $(STAMP) ## run the tests that `make test` leaves out, some minutes
	@$(BIN)/python -m pytest -n auto -m release tests

# An old library may warn of a new one that it uses, which is nothing of ours.
lowest: ## run make quick with the lowest version of every dependency, in .lowest
	@$(PYTHON) -c '$(LOWEST)' > .lowest.txt
	@PIP_CONSTRAINT=$(CURDIR)/.lowest.txt $(MAKE) --no-print-directory VENV=.lowest setup
	@PYTEST_ADDOPTS='-W default' $(MAKE) --no-print-directory VENV=.lowest quick

stills: $(STAMP) ## draw the playgrounds' pictures anew, in Chromium
	@$(BIN)/python tests/played.py

lab: $(STAMP) ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab notebooks/

bench: $(STAMP) ## run the benchmarks
	@$(BIN)/python benchmarks/run.py

results: $(STAMP) ## train the case studies whole, some hours, and keep their tables
	@$(BIN)/python -m mtl_nt results $(DATASET)$(if $(PRESET),-$(PRESET)) --workers $(WORKERS) --device $(DEVICE) $(if $(STEPS),--steps $(STEPS)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(OUT),--out $(OUT))

clean: ## remove reports and caches
	@rm -rf reports site dist .pytest_cache .mypy_cache .ruff_cache
	@find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -print0 | xargs -0 rm -rf

distclean: clean ## remove .venv, .lowest and .bench too
	@rm -rf $(VENV) .lowest .lowest.txt .bench

# The stamp is written last, so a set-up that broke off starts again.
$(STAMP): pyproject.toml Makefile
	@rm -f $@
	@command -v $(PYTHON) >/dev/null || { echo "mtl_nt needs Python 3.11 or newer, and $(PYTHON) was not found." >&2; exit 1; }
	@$(PYTHON) -c '$(OLD_PYTHON)' || { echo "mtl_nt needs Python 3.11 or newer, and this is $$($(PYTHON) --version 2>&1). Name a newer one: make PYTHON=python3.12 setup" >&2; exit 1; }
	@echo "Setting up, once: about 2 GB and some minutes."
	@echo "[1/3] Python environment in $(VENV)"
	@{ $(BIN)/python -c '$(OLD_PYTHON)' && $(BIN)/python -m pip --version; } >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "[2/3] $(TORCH)"
	@$(PIP) --timeout 5 --retries 0 --index-url $(CPU_INDEX) --no-deps $(TORCH) 2>/dev/null \
		|| echo "      $(CPU_INDEX) does not answer; taking pip's default build"
	@$(PIP) $(TORCH)
	@echo "[3/3] mtl_nt and its tools"
	@$(PIP) -e '.[$(EXTRAS)]'
	@touch $@
