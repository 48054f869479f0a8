"""Sentinel-2 SAFE folders, small but laid out as the real ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from geohier.data.scene import find_scenes, open_scene
from geohier.data.sentinel2 import is_safe_folder, read_safe
from geohier.errors import InputError
from geohier.geo.window import Window

NAME = "S2A_MSIL2A_20230601T105621_N0509_R094_T31TCJ_20230601T170000"
WHOLE = Window(row_off=0, col_off=0, height=12, width=12)

L2A = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/L2A.xsd">
<n1:General_Info><Product_Image_Characteristics><QUANTIFICATION_VALUES_LIST>
<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>
</QUANTIFICATION_VALUES_LIST><BOA_ADD_OFFSET_VALUES_LIST>
<BOA_ADD_OFFSET band_id="1">-1000</BOA_ADD_OFFSET><BOA_ADD_OFFSET band_id="3">-900</BOA_ADD_OFFSET>
</BOA_ADD_OFFSET_VALUES_LIST></Product_Image_Characteristics></n1:General_Info>
</n1:Level-2A_User_Product>"""
L1C = """<n1:Level-1C_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/L1C.xsd">
<Product_Image_Characteristics><QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>
<Radiometric_Offset_List><RADIO_ADD_OFFSET band_id="1">-1000</RADIO_ADD_OFFSET>
</Radiometric_Offset_List></Product_Image_Characteristics></n1:Level-1C_User_Product>"""

type Image = Callable[[str, int, int], None]


@pytest.fixture
def safe(tmp_path: Path) -> Path:
    folder = tmp_path / f"{NAME}.SAFE"
    (folder / "GRANULE" / "L2A_T31TCJ" / "IMG_DATA").mkdir(parents=True)
    return folder


@pytest.fixture
def image(safe: Path) -> Image:
    """Return a function that adds an image to the product: its path, resolution and value."""

    def add(name: str, resolution: int, value: int) -> None:
        side = 120 // resolution
        values = np.full((1, side, side), value, "uint16")
        values[0, 0, 0] = 0
        path = safe / "GRANULE" / "L2A_T31TCJ" / "IMG_DATA" / name
        path.parent.mkdir(exist_ok=True)
        profile = {"width": side, "height": side, "count": 1, "dtype": "uint16"}
        transform = Affine(resolution, 0, 300_000, 0, -resolution, 4_900_000)
        place = {"crs": "EPSG:32631", "transform": transform}
        exact = {"QUALITY": "100", "REVERSIBLE": "YES"}
        with rasterio.open(path, "w", driver="JP2OpenJPEG", **profile, **place, **exact) as target:
            target.write(values)

    return add


def test_a_level_2a_product_opens_at_10_m_with_its_offsets(safe: Path, image: Image) -> None:
    (safe / "MTD_MSIL2A.xml").write_text(L2A)
    for name, resolution, value in [
        ("R10m/T31TCJ_20230601_B02_10m.jp2", 10, 2000),
        ("R10m/T31TCJ_20230601_B04_10m.jp2", 10, 4000),
        ("R10m/T31TCJ_20230601_TCI_10m.jp2", 10, 1),
        ("R20m/T31TCJ_20230601_B02_20m.jp2", 20, 1),
        ("R20m/T31TCJ_20230601_B8A_20m.jp2", 20, 8500),
        ("R20m/T31TCJ_20230601_SCL_20m.jp2", 20, 1),
        ("R60m/T31TCJ_20230601_B8A_60m.jp2", 60, 1),
        ("R60m/T31TCJ_20230601_B01_60m.jp2", 60, 1000),
    ]:
        image(name, resolution, value)

    (scene,) = find_scenes([safe.parent])
    assert scene.id == NAME
    with open_scene(scene) as source:
        assert [band.name for band in source.bands] == ["B02", "B04", "B8A", "B01"]
        assert [band.nodata for band in source.bands] == [0, 0, 0, 0]
        assert [band.scale for band in source.bands] == [1e-4] * 4
        np.testing.assert_allclose([band.offset for band in source.bands], [-0.1, -0.09, 0, 0])
        assert source.geobox.shape == (12, 12)
        pixels = source.select([0, 1, 2, 3]).read(WHOLE)

    inner = pixels.values[:, 7:, 7:].reshape(4, -1)
    np.testing.assert_array_equal(inner, np.array([[2000], [4000], [8500], [1000]]).repeat(25, 1))
    assert not pixels.valid[0, 0, 0]
    assert pixels.valid[0, 7:, 7:].all()


def test_a_level_1c_product_has_all_bands_in_one_folder(safe: Path, image: Image) -> None:
    (safe / "MTD_MSIL1C.xml").write_text(L1C)
    for band, resolution in [("B10", 60), ("B02", 10), ("B11", 20), ("TCI", 10)]:
        image(f"T31TCJ_20230601_{band}.jp2", resolution, 100)

    files = read_safe(safe)

    assert [file.names for file in files] == [("B02",), ("B11",), ("B10",)]
    assert [file.offset for file in files] == [-0.1, 0, 0]


def test_products_that_are_not_whole_are_refused(safe: Path, image: Image) -> None:
    assert not is_safe_folder(safe)
    (safe / "MTD_MSIL2A.xml").write_text(L2A)
    assert is_safe_folder(safe)
    with pytest.raises(InputError, match="no 10 m band"):
        read_safe(safe)

    image("R10m/T31TCJ_20230601_B02_10m.jp2", 10, 2000)
    for text, says in [
        ("<a/>", "do not say how values become reflectance"),
        ("<a", "not readable metadata"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "is not the metadata"),
        (L2A.replace(">10000<", ">0<"), "quantification value of 0 is wrong"),
    ]:
        (safe / "MTD_MSIL2A.xml").write_text(text)
        with pytest.raises(InputError, match=says):
            read_safe(safe)

    (safe / "MTD_MSIL2A.xml").write_text(L2A)
    (safe / "GRANULE" / "L2A_T31TCK" / "IMG_DATA").mkdir(parents=True)
    with pytest.raises(InputError, match="has 2 granules"):
        read_safe(safe)
