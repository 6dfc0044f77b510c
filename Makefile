# Two commands: `make demo` and `make test`. Each sets up .venv on a fresh machine.
PYTHON ?= python3
RUN = .venv/bin

.PHONY: demo test test-faults lint clean

demo: .venv/installed
	$(RUN)/yolotune demo

# Two files at a time: much of a test is waiting for processes to start and end.
test: .venv/installed
	$(RUN)/python -m pytest -m "not slow" -n 2 --dist loadfile

# Faults that take minutes to wait out.
test-faults: .venv/installed
	$(RUN)/python -m pytest -m slow

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
