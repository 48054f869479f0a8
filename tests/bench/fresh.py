"""Call a function in a fresh process, so that nothing that ran before tells on what is measured."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def call(place: str, *, environment: Mapping[str, str] | None = None, **arguments: object) -> Any:  # noqa: ANN401
    """Return what `module:function`, of a file beside this one, returns for these arguments.

    Arguments and results travel as JSON.
    """
    done = subprocess.run(
        [sys.executable, __file__, place, json.dumps(arguments)],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Do what `call` asks for, in the process that it has started."""
    place, arguments = sys.argv[1:]
    module, _, function = place.partition(":")
    result = getattr(importlib.import_module(module), function)(**json.loads(arguments))
    print("\n" + json.dumps(result))


if __name__ == "__main__":
    main()
