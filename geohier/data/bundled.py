"""Where the demo's scene, labels and model lie: in the wheel, or in a checkout."""

from pathlib import Path

from geohier.errors import ResourceError

MANIFEST = "manifest.json"
"""Lists every file of a bundled folder with its SHA-256, licence and source."""


def bundled_demo() -> Path:
    """Return the folder of the bundled scene, labels and model.

    Raises:
        ResourceError: this installation carries no such folder.
    """
    package = Path(__file__).resolve().parents[1]
    places = (package / "_demo", package.parent / "data" / "demo")
    for place in places:
        if (place / MANIFEST).is_file():
            return place
    raise ResourceError(
        f"this installation of geohier carries no demo ({MANIFEST} is neither in {places[0]} "
        f"nor in {places[1]}): reinstall geohier, or run the demo from a full checkout"
    )
