"""Measure speed and memory, and write docs/results.md: `make bench`.

    python tests/bench/run.py                     # all of them, some twenty minutes
    python tests/bench/run.py pipeline memory     # some of them
    python tests/bench/run.py --missing           # those that have no result yet
    python tests/bench/run.py --quick             # small sizes, printed and not kept

Each result is kept as docs/results/bench-NAME.json as soon as it is there. Run it on a machine that
does nothing else.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import fresh
import render


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {' '.join(render.BENCHES)}")
    parser.add_argument("--quick", action="store_true", help="small sizes; nothing is kept")
    parser.add_argument("--missing", action="store_true", help="only what has no result yet")
    parser.add_argument("--pixels", type=int, help="raster pixels of end_to_end, if not all")
    arguments = parser.parse_args(words)
    for name in arguments.names:
        if name not in render.BENCHES:
            parser.error(f"no bench {name!r}: choose from {', '.join(render.BENCHES)}")
    return arguments


def measure(name: str, arguments: argparse.Namespace) -> render.Json:
    """Measure one thing, and say on what and by which command."""
    sized = {"pixels": arguments.pixels} if name == "end_to_end" else {}
    found = render.BENCHES[name].measure(quick=arguments.quick, **sized)
    more = f" --pixels {arguments.pixels}" if sized and arguments.pixels else ""
    return {
        "bench": name,
        "command": f"python tests/bench/run.py {name}{more}",
        "machine": fresh.call("machine:describe_machine"),
        "found": found,
    }


def main() -> int:
    """Measure what is asked for; return 1 if something failed."""
    arguments, failed = read_arguments(), 0
    for name in arguments.names or render.BENCHES:
        path = render.DOCS / "results" / f"bench-{name}.json"
        if arguments.missing and path.is_file():
            continue
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        try:
            one = measure(name, arguments)
        except subprocess.CalledProcessError as error:
            print(f"{name} failed with exit code {error.returncode}", file=sys.stderr)
            failed = 1
            continue
        if arguments.quick:
            print("\n".join(render.BENCHES[name].describe(one["found"])), flush=True)
        else:
            keep(path, one)
    return failed


def keep(path: Path, one: render.Json) -> None:
    """Write a result, and the page anew."""
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(one, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
    render.main()


if __name__ == "__main__":
    sys.exit(main())
