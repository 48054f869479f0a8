#!/usr/bin/env bash
# Makes .venv from requirements.txt (exact versions, hashes checked) and installs geohier in it, editable.
# Does nothing where .venv is already newer than requirements.txt and pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")"

fail() { printf 'setup: %s\n' "$*" >&2; exit 5; }

stamp=.venv/.geohier-ready
if [ -f "$stamp" ] && [ "$stamp" -nt requirements.txt ] && [ "$stamp" -nt pyproject.toml ]; then
    exit 0
fi

if uv --version >/dev/null 2>&1; then
    uv=uv
else
    uv=.uv/bin/uv
    if ! "$uv" --version >/dev/null 2>&1; then
        rm -rf .uv
        python3 --version >/dev/null 2>&1 || fail "python3 is not on PATH: install Python 3.11 or later, or uv"
        python3 -m venv .uv >/dev/null 2>&1 ||
            fail "python3 cannot make a virtual environment: install python3-venv (Debian, Ubuntu) or uv"
        .uv/bin/python -m pip install --quiet uv ||
            fail "uv could not be installed: the package index was not reached; check the network or install uv"
    fi
fi

"$uv" venv --quiet --clear --python 3.12 .venv ||
    fail "there is no Python 3.12 and none could be fetched: install Python 3.12 or connect to the network"
printf 'setup: installing the packages of requirements.txt into .venv (some minutes the first time)\n' >&2
VIRTUAL_ENV=.venv "$uv" pip sync --quiet --require-hashes requirements.txt ||
    fail "the packages of requirements.txt could not be installed: check the network and the free disk space, then run this again"
VIRTUAL_ENV=.venv "$uv" pip install --quiet --no-deps --no-build-isolation --editable . ||
    fail "geohier itself could not be installed in .venv"
touch "$stamp"
