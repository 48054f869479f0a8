#!/usr/bin/env bash
# ./setup.sh        makes .venv from requirements.txt (exact versions, hashes checked), with geohier in it, editable
# ./setup.sh lock   renews requirements.txt from pyproject.toml, and requirements.sha256 beside it
# The first does nothing where .venv is newer than requirements.txt and pyproject.toml. Runs on bash 3.2.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")"

ready=.venv/.geohier-ready

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$@"; exit 5; }

# Finished once, in this folder (a moved one still points to the old place), and its Python still runs.
is_usable() {
    [ "$(cat "$ready" 2>/dev/null)" = "$PWD" ] &&
        .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' >/dev/null 2>&1
}

is_ready() { [ "$ready" -nt requirements.txt ] && [ "$ready" -nt pyproject.toml ] && is_usable; }

# One set-up at a time. flock lets go when its holder is killed; without it (macOS) a link names the holder.
take_turn() {
    if command -v flock >/dev/null 2>&1; then
        exec 9<setup.sh
        flock -n 9 || { say "another set-up is at work here: waiting for it"; flock 9; }
        return
    fi
    local holder
    until ln -s $$ .setup.lock 2>/dev/null; do
        holder=$(readlink .setup.lock || true)
        [ -z "$holder" ] || kill -0 "$holder" 2>/dev/null ||
            fail "process $holder was killed while it set up geohier: remove .setup.lock, then run this again"
        sleep 1
    done
    trap 'rm -f .setup.lock' EXIT
}

# Names of commands prove nothing: a version manager's shim may be on PATH and yet fail here. So each is run.
find_uv() {
    for uv in uv .uv/bin/uv; do
        if "$uv" --version >/dev/null 2>&1; then return; fi
    done
    make_uv
    uv=.uv/bin/uv
}

make_uv() {
    local python problem="no python3 on PATH runs: install Python 3.11 or later, or uv"
    while read -r python; do
        "$python" --version >/dev/null 2>&1 || continue
        problem="python3 cannot make a virtual environment: install python3-venv (Debian, Ubuntu), or uv"
        rm -rf .uv
        "$python" -m venv .uv >/dev/null 2>&1 || continue
        problem="uv could not be installed: check the network (the package index was not reached), or install uv"
        .uv/bin/python -m pip install --quiet "uv>=0.6" || continue
        .uv/bin/uv --version >/dev/null 2>&1 && return
        problem="uv was installed but does not run on this machine: install uv another way"
    done < <(type -ap python3)
    rm -rf .uv
    fail "$problem"
}

# A usable environment is brought up to date in place. Any other may be half made, and is made anew.
make_environment() {
    if is_usable; then
        say "bringing .venv up to date"
        rm "$ready"
    else
        say "installing the packages of requirements.txt into .venv (some minutes and 6 GB the first time)"
        rm -rf .venv
        "$uv" venv --quiet --python 3.12 .venv ||
            fail "there is no Python 3.12 and none could be fetched: install Python 3.12, or check the network"
    fi
    # Compiled once, here: where Python may not write bytecode, each command would compile thousands of files anew.
    "$uv" pip sync --quiet --compile-bytecode --python .venv/bin/python --require-hashes requirements.txt ||
        fail "the packages of requirements.txt could not be installed: check the network and the free disk space"
    "$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable . ||
        fail "geohier itself could not be installed in .venv: see the lines above"
    pwd >"$ready"
}

lock() {
    "$uv" pip compile pyproject.toml --group dev --all-extras --universal --generate-hashes --no-header --no-annotate \
        --python-version 3.12 --quiet "$@" -o requirements.txt ||
        fail "requirements.txt could not be renewed: see the lines above"
    "$uv" run --quiet --no-project --python 3.12 python tools/dependency_hash.py >requirements.sha256.tmp ||
        fail "requirements.sha256 could not be renewed: see the lines above"
    mv requirements.sha256.tmp requirements.sha256
}

setup() {
    if is_ready; then return; fi
    take_turn
    if is_ready; then return; fi
    find_uv
    make_environment
}

case "${1-}" in
    "") setup ;;
    lock) shift; take_turn; find_uv; lock "$@" ;;
    *) fail "unknown argument: $1 (./setup.sh makes .venv, ./setup.sh lock renews requirements.txt)" ;;
esac
