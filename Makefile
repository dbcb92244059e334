PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: train test check docs bench page clean

train: .venv/sample  ## distil the sample teacher into the sample student and print the report
	$(BIN)/python train.py experiment=sample $(ARGS)

test: .venv/dev  ## linters, types, and all tests
	$(MAKE) check
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

check: .venv/dev  ## linters and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/dev  ## the documentation as a site in site/
	$(BIN)/mkdocs build --strict

bench: .venv/sample .venv-bench/peers  ## Potstill and its peers do the same work; takes hours
	$(BIN)/python -m bench.run $(ARGS)
	$(BIN)/python -m bench.table

page:  ## the libraries of the leaderboard's page anew, from npm, at the versions of package.json
	cd reports/page/vendor && npm ci --ignore-scripts && npm run build

.venv-bench/peers: pyproject.toml requirements/constraints.txt requirements/bench.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet -c requirements/constraints.txt -e '.[tensorboard]'
	.venv-bench/bin/pip install --quiet --no-deps -r requirements/bench.txt
	touch $@

.venv/pip: 
	$(PYTHON) -m venv .venv
	touch $@

.venv/sample: .venv/pip pyproject.toml requirements/constraints.txt requirements/sample.txt
	$(BIN)/pip install --quiet -c requirements/constraints.txt -e .
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/sample.txt
	touch $@

.venv/dev: .venv/sample
	$(BIN)/pip install --quiet -c requirements/constraints.txt -e '.[dev]'
	touch $@

clean:  ## remove what was installed and computed; runs in outputs/ stay
	rm -rf .venv cache site
