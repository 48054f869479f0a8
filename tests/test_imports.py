"""What `import geohier` and `geohier --help` load, and the names that geohier promises."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest

import geohier

REPOSITORY = Path(__file__).resolve().parent.parent

HEAVY = {
    "geopandas",
    "lightning",
    "matplotlib",
    "odc",
    "pandas",
    "pystac",
    "rasterio",
    "scipy",
    "segmentation_models_pytorch",
    "timm",
    "torch",
    "torchgeo",
    "torchmetrics",
    "torchvision",
    "xarray",
}

CALL_COMMAND = """
import contextlib, io, sys
from importlib.metadata import entry_points
(entry,) = entry_points(group="console_scripts", name="geohier")
with contextlib.redirect_stdout(io.StringIO()) as shown:
    sys.argv = ["geohier", *{arguments}]
    try:
        entry.load()()
    except SystemExit as done:
        assert not done.code, done.code
assert {expected!r} in shown.getvalue(), shown.getvalue()
"""


def loaded_by(program: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after it ran `program`."""
    listing = "\nprint(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", "import sys\n" + program + listing],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_geohier_loads_nothing_heavy() -> None:
    loaded = loaded_by("import geohier")
    assert loaded & HEAVY == set()
    assert "numpy" not in loaded


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "predict"),
        (["-h"], "predict"),
        (["predict", "--help"], "--overlap"),
        (["--version"], metadata.version("geohier")),
    ],
)
def test_asking_for_help_loads_nothing_heavy(arguments: list[str], expected: str) -> None:
    program = CALL_COMMAND.format(arguments=arguments, expected=expected)
    assert loaded_by(program) & HEAVY == set()


def test_the_public_names_are_those_of_the_documentation() -> None:
    assert geohier.__all__ == [
        "ModelCard",
        "__version__",
        "embed_raster",
        "load_model",
        "open_result",
        "predict_raster",
    ]
    assert set(geohier.__all__) <= set(dir(geohier))


@pytest.mark.parametrize("name", geohier.__all__)
def test_every_public_name_is_there_with_its_documentation(name: str) -> None:
    value = getattr(geohier, name)
    assert value.__doc__


def test_the_version_is_that_of_the_installed_package() -> None:
    assert geohier.__version__ == metadata.version("geohier")


def test_a_name_that_geohier_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'geohier' has no attribute 'predict'"):
        geohier.predict  # noqa: B018


def imported_by_the_package() -> dict[str, str]:
    """Top-level names that geohier imports, each with one file that does."""
    found = {}
    for path in sorted((REPOSITORY / "geohier").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            found |= {name.partition(".")[0]: path.name for name in names}
    return found


def canonical(project: str) -> str:
    return project.lower().replace("_", "-")


def test_the_package_imports_only_what_it_declares() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    declared = [*project["dependencies"], *extras]
    projects = {canonical(re.split(r"[^\w-]", line)[0]) for line in declared}
    projects.add("pydantic-core")  # the other half of pydantic, which pins it exactly
    owners = metadata.packages_distributions()

    undeclared = {
        name: path
        for name, path in imported_by_the_package().items()
        if name not in sys.stdlib_module_names | {"geohier"}
        and not projects & {canonical(owner) for owner in owners.get(name, [])}
    }

    assert undeclared == {}
