import shutil
from pathlib import Path

import pytest

from geohier.data import bundled
from geohier.errors import ResourceError

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_checkout_finds_its_own_demo() -> None:
    assert bundled.bundled_demo() == REPOSITORY / "data" / "demo"


def installed_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = folder / "site-packages" / "geohier"
    (package / "data").mkdir(parents=True)
    monkeypatch.setattr(bundled, "__file__", str(package / "data" / "bundled.py"))
    return package


def test_an_installed_package_finds_the_demo_it_carries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = installed_at(tmp_path, monkeypatch)
    shutil.copytree(REPOSITORY / "data" / "demo", package / "_demo")
    assert bundled.bundled_demo() == package / "_demo"


def test_an_installation_without_a_demo_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_at(tmp_path, monkeypatch)
    with pytest.raises(ResourceError, match=r"carries no demo.*reinstall geohier"):
        bundled.bundled_demo()
