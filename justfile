# Usual commands; `just` lists them. Each works without just, too.

# List the commands.
default:
    @just --list

# Create .venv and run the demo.
demo *args:
    scripts/demo {{args}}

# All checks and all tests; arguments go to pytest.
test *args:
    scripts/test {{args}}

# Checks, and the tests that load no model library.
fast:
    scripts/test --fast

# Lint, types, import rules, word check.
lint:
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/mypy
    .venv/bin/lint-imports --no-cache
    .venv/bin/python scripts/check_words.py

# Format, and fix what can be fixed.
format:
    .venv/bin/ruff check --fix .
    .venv/bin/ruff format .

# Generate the JSON Schemas and the generated documents.
docs:
    .venv/bin/python scripts/make_docs.py

# Print sizes, repeated names, docstring coverage, import cycles and extension costs.
report:
    .venv/bin/python scripts/structure_report.py
