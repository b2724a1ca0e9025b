# make run: all notebooks, headless, on the sample, ends in runs/quick/report.html
# make test: every test; make check: style and the quick tests, in at most 90 seconds on two cores
# make demo: a page that cuts out cars, with the small net that is there (ARGS=--theme=dark for a dark one)
# make lab: JupyterLab; make notebooks: execute the committed notebooks anew
# make site: the course as static pages, site/index.html
# make faults: kills, full disks, bad pictures, done on purpose, in full: an hour; writes tests/faults/README.md (FAULTS_SOAK=60 shortens it)
# make bench: speed and memory beside the textbook way (benchmarks/README.md); ARGS=--full for everything
# Each makes .venv by itself when it is missing or older than requirements.txt.

PYTHON ?= python3
BIN := .venv/bin

# Threads that wait by spinning stall each other on a busy machine: with two other processes running, a training step
# took 3.8 times as long without this line.
export OMP_WAIT_POLICY ?= PASSIVE

# What make check leaves out of make test: the notebooks, and these of tests/, which start browsers, kernels, databases,
# processes and whole runs, kill some of them, or train through hundreds of wrong answers.
SLOW := faults test_benchmarks.py test_browser.py test_bulk.py test_demo.py test_distributed.py test_encoder.py test_exercises.py \
    test_export.py test_pipeline.py test_search_storage.py test_site.py test_studio.py test_teaching.py test_upload.py

.PHONY: run demo test check lab notebooks site bench faults

run: .venv/installed
	@$(BIN)/carvana run

demo: .venv/installed
	@$(BIN)/voila $(ARGS) notebooks/demo.ipynb

test: .venv/installed
	@$(BIN)/python -m pytest

check: .venv/installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m pytest tests $(SLOW:%=--ignore=tests/%)

lab: .venv/installed
	@$(BIN)/jupyter lab --config=lab/config.json $(if $(filter 0,$(shell id -u)),--allow-root)

notebooks: .venv/installed
	@CARVANA_RUNS=$$(mktemp -d) $(BIN)/carvana refresh

site: .venv/installed
	@$(BIN)/carvana site

faults: .venv/installed
	@FAULTS=full $(BIN)/python -m pytest -n 0 tests/faults

bench: .venv/installed
	@$(BIN)/python -m benchmarks $(ARGS)

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@
