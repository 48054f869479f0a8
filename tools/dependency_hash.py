"""Print the SHA-256 of pyproject.toml's dependency tables.

`make lock` keeps it in requirements.sha256, so that a test can tell, without a network, that
requirements.txt was made from the dependencies that pyproject.toml names today.
"""

import hashlib
import json
import sys
import tomllib
from pathlib import Path

PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")


def dependency_hash(pyproject: Path) -> str:
    """Return the SHA-256, in hex, of what requirements.txt is resolved from."""
    document = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    tables = {key: document["project"].get(key) for key in PROJECT_KEYS}
    tables["dependency-groups"] = document.get("dependency-groups")
    canonical = json.dumps(tables, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(dependency_hash(Path(__file__).parent.parent / "pyproject.toml") + "\n")
