# Two commands: `make demo` and `make test`. Each sets up .venv on a fresh machine.
PYTHON ?= python3
RUN = .venv/bin
# Two files at a time: much of a test is waiting for processes to start and end.
PYTEST = $(RUN)/python -m pytest -n 2 --dist loadfile

.PHONY: demo test test-unit test-faults test-latest lint clean

demo: .venv/installed
	$(RUN)/yolotune demo

test: .venv/installed
	$(PYTEST) -m "not slow"

# The loop while one writes code: no process, no training, seconds.
test-unit: .venv/installed
	$(PYTEST) tests/unit benchmarks -m "not slow"

# Faults that take minutes to wait out.
test-faults: .venv/installed
	$(RUN)/python -m pytest -m slow

# What is relied on of Ultralytics, with its newest version; constraints.txt brings the tested one back: make clean.
test-latest: .venv/installed
	$(RUN)/pip install -q --disable-pip-version-check --upgrade ultralytics
	$(PYTEST) tests/integration/test_ultralytics_api.py tests/integration/test_trainer.py \
		tests/integration/test_resume_state.py tests/integration/test_label_index.py tests/integration/test_tasks.py

lint: .venv/installed
	$(RUN)/ruff check src tests benchmarks tune_yolo11_seg.py
	$(RUN)/ruff format --check src tests benchmarks tune_yolo11_seg.py
	$(RUN)/mypy

clean:
	rm -rf .venv build runs/demo

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "yolotune needs Python 3.11 or newer. Fix: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv .venv
	$(RUN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
