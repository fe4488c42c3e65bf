#!/bin/sh
# Runs the tests of this folder in a Python environment of their own: clients that others wrote, against the program. Where Python or what it
# needs cannot be had, says so and is content. Arguments are names of tests, such as test_openai.
set -eu
cd "$(dirname "$0")"

target=${CARGO_TARGET_DIR:-../../target}
target=$(cd "$target" && pwd)
environment=$target/clients
OPENELM=${OPENELM:-$target/debug/openelm}
export OPENELM

left_out() {
    echo "clients: LEFT OUT, not tested: $1" >&2
    exit 0
}

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || left_out "no Python 3.10 or newer here"
if ! cmp -s requirements.txt "$environment/requirements.txt"; then
    echo "clients: installing openai, litellm and ray into $environment" >&2
    rm -rf "$environment"
    python3 -m venv "$environment" || left_out "python3 has no venv here"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt ||
        left_out "the packages of requirements.txt cannot be had"
    cp requirements.txt "$environment/requirements.txt"
fi

# Nothing of this is anybody else's business, nor goes through a proxy.
export PYTHONDONTWRITEBYTECODE=1 RAY_USAGE_STATS_ENABLED=0 NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost
exec "$environment/bin/python" -W ignore -m unittest --verbose "$@"
