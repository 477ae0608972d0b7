# make serve: run the service on port 8000; with ENGINE=tensorflow, on TensorFlow.
# make training: install the packages for training.  make torch: install PyTorch, which is optional.
# make test: all tests except the next two.  make docker-test: the deployment tests, with Docker.
# make ray-test: the tests of the package `cluster`, with Ray in the same environment.
# make reliability: only the drills, with hostile clients and killed processes.
# make docs: the documentation as a site, in build/docs.
# make lint: ruff and mypy.  make format: ruff, in place.  make lock: renew the pinned versions.
PYTHON ?= python3
BIN := .venv/bin
# Does not read ENGINE from the environment, where it may have another meaning.
ENGINE = $(or $(LSTM_SERVE_ENGINE),onnx)

.PHONY: serve training torch test reliability docker-test ray-test docs lint format lock clean
.DELETE_ON_ERROR:

# Without exec, a signal that ends make would end a shell, and not the service.
serve: .venv/serve$(if $(filter tensorflow,$(ENGINE)),-tensorflow)
	LSTM_SERVE_ENGINE=$(ENGINE) exec $(BIN)/python -m app

training: .venv/training

torch: .venv/training .venv/torch

# The coverage reports print nothing if the limits are reached, so that pytest's summary is the last output.
test: .venv/test
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --cov --cov-report=
	@$(BIN)/coverage report --show-missing --include='app/*,bundle/*,tables/*' --fail-under=100 > coverage.txt \
	    || { cat coverage.txt; exit 1; }
	@$(BIN)/coverage report --show-missing --include='training/*' --fail-under=90 > coverage.txt \
	    || { cat coverage.txt; exit 1; }

reliability: .venv/test
	$(BIN)/pytest --numprocesses 2 --dist loadfile tests/reliability

docker-test: .venv/test
	$(BIN)/pytest -m docker -ra tests/deploy

# The routes are tested once more, on Ray Serve.
ray-test: .venv/test .venv/ray
	$(BIN)/pytest -m ray -ra tests/cluster tests/benchmarks/test_scale.py
	LSTM_TEST_SERVER=ray $(BIN)/pytest -ra tests/app/http

docs: .venv/docs
	$(BIN)/python docs/make_site.py
	$(BIN)/zensical build --strict --clean

lint: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# All targets share one environment. The test requirements are a superset, with the same versions.
.venv/serve .venv/serve-tensorflow .venv/training .venv/torch .venv/docs .venv/ray .venv/test: .venv/%: requirements/%.txt | .venv/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "lstm-serve needs Python 3.11 to " \
	    "3.13, this is " + sys.version + "; call make with PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv

COMPILE := .venv-lock/bin/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes \
    --no-strip-extras --no-header --no-annotate

# Only the first lock is resolved again; the others take their versions from it.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv==0.13.8
	$(COMPILE) --upgrade --extra tensorflow --extra training --extra parquet --extra otlp --extra test -o requirements/test.txt
	$(COMPILE) -c requirements/test.txt --extra tensorflow --extra training --extra parquet -o requirements/training.txt
	$(COMPILE) -c requirements/test.txt --extra tensorflow -o requirements/serve-tensorflow.txt
	$(COMPILE) -c requirements/test.txt -o requirements/serve.txt
	$(COMPILE) -c requirements/test.txt --extra docs -o requirements/docs.txt
	$(COMPILE) -c requirements/test.txt --extra ray -o requirements/ray.txt

clean:
	rm -rf .venv .venv-lock build .coverage coverage.txt .mypy_cache .pytest_cache .ruff_cache
