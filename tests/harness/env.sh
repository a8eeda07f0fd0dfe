# Where tests keep what they install and build: outside of the clone, so that the next clone is warm.
# Sourced by tests/run, tests/setup and the scripts beside them.
cache=${XDG_CACHE_HOME:-$HOME/.cache}
export SLUICE_TESTS_CACHE=${SLUICE_TESTS_CACHE:-$cache/sluice-tests}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/sluice-target}
export SLUICE_BIN=${SLUICE_BIN:-$CARGO_TARGET_DIR/debug/sluice}
export PATH=$SLUICE_TESTS_CACHE/venv/bin:$PATH
export NODE_PATH=$SLUICE_TESTS_CACHE/js/node_modules
export PYTHONPATH=$PWD/tests/harness PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
mkdir -p "$SLUICE_TESTS_CACHE"
