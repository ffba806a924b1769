# Two commands are all a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test check slow lock clean
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

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	# The tests need the network inside its wheel, and neither torchaudio nor another torch.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps silero-vad
	# The dashboard's tests ask axe-core, which has no Python package of its own; they skip visibly without it.
	if command -v npm >/dev/null; then npm install --silent --no-save --no-audit --no-fund --prefix build/npm axe-core@4.14.1; fi
	touch $(STAMP)

# Writes the versions that the tests passed with; run it on purpose, never in CI.
lock:
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf .venv demo build dist
