"""VRTs from strangers: those of local images open, all others are refused without a request."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from geohier.errors import InputError, RasterReadError, UnsafeInputError
from geohier.geo.window import Window
from geohier.raster.access import raster_io
from geohier.raster.reader import open_raster

WHOLE = Window(row_off=0, col_off=0, height=4, width=4)


@pytest.fixture
def listener() -> Iterator[tuple[int, list[object]]]:
    """Return a port on this machine, and the list of who has called there."""
    calls: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, caller = server.accept()
                except OSError:
                    return
                calls.append(caller)
                connection.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1], calls
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture
def image(write_scene: Callable[..., Path]) -> Path:
    return write_scene(np.arange(16, dtype="uint8").reshape(1, 4, 4), "image.tif")


def vrt(
    source: str, *, attributes: str = 'relativeToVRT="1"', band: str = "", extra: str = ""
) -> str:
    return f"""<VRTDataset rasterXSize="4" rasterYSize="4">{extra}<SRS>EPSG:32631</SRS>
    <GeoTransform>500000, 10, 0, 5000000, 0, -10</GeoTransform>
    <VRTRasterBand dataType="Byte" band="1"{band}><SimpleSource>
    <SourceFilename {attributes}>{source}</SourceFilename><SourceBand>1</SourceBand>
    </SimpleSource></VRTRasterBand></VRTDataset>"""


def test_a_vrt_of_local_images_opens_and_reads(tmp_path: Path, image: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "mosaic.vrt"
    path.write_text(vrt("../image.tif"))

    with open_raster(path) as source:
        pixels = source.select([0]).read(WHOLE)

    np.testing.assert_array_equal(pixels.values[0], np.arange(16).reshape(4, 4))


def test_a_vrt_that_gdal_wrote_opens(tmp_path: Path, write_scene: Callable[..., Path]) -> None:
    values = np.arange(32, dtype="uint8").reshape(2, 4, 4)
    scene = write_scene(values, nodata=3, descriptions=("red", "nir"))
    rasterio.shutil.copy(scene, tmp_path / "copy.vrt", driver="VRT")

    with open_raster(tmp_path / "copy.vrt") as source:
        assert [(band.name, band.nodata) for band in source.bands] == [("red", 3), ("nir", 3)]
        np.testing.assert_array_equal(source.select([0, 1]).read(WHOLE).values, values)


def test_a_vrt_of_a_vrt_opens_but_not_deeper(tmp_path: Path, image: Path) -> None:
    (tmp_path / "one.vrt").write_text(vrt("image.tif"))
    (tmp_path / "two.vrt").write_text(vrt("one.vrt"))
    (tmp_path / "three.vrt").write_text(vrt("two.vrt"))
    (tmp_path / "itself.vrt").write_text(vrt("itself.vrt"))

    with open_raster(tmp_path / "two.vrt") as source:
        assert source.files == (tmp_path / "two.vrt", tmp_path / "one.vrt", image)
        assert source.select([0]).read(WHOLE).values.max() == 15
    for name in ("three.vrt", "itself.vrt"):
        with pytest.raises(UnsafeInputError, match="nested"):
            open_raster(tmp_path / name)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (None, "no such file"),
        (b"", r"is empty \(0 bytes\)"),
        (b"text", "is not a raster that geohier reads"),
    ],
)
def test_a_source_that_cannot_be_used_is_told_with_the_vrt_that_names_it(
    spoil: bytes | None, says: str, tmp_path: Path
) -> None:
    (tmp_path / "inner.vrt").write_text(vrt("sheet.tif"))
    (tmp_path / "outer.vrt").write_text(vrt("inner.vrt"))
    if spoil is not None:
        (tmp_path / "sheet.tif").write_bytes(spoil)
    with pytest.raises(
        InputError, match=rf"inner\.vrt: its source \S*sheet\.tif:? {says}"
    ) as caught:
        open_raster(tmp_path / "outer.vrt")
    assert "\n" not in str(caught.value)


def attacks(port: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}/a.tif"
    curl = f"/vsicurl/{url}"
    return {
        "curl": vrt(curl, attributes='relativeToVRT="0"'),
        "curl, relative": vrt(curl),
        "url": vrt(url, attributes=""),
        "archive": vrt("/vsizip//tmp/a.zip/a.tif", attributes=""),
        "capitals that GDAL does not mind": vrt("image.tif").replace(
            "</SimpleSource>", f"<sourcefilename>{curl}</sourcefilename></SimpleSource>"
        ),
        "inline VRT": vrt("&lt;VRTDataset rasterXSize='4'/&gt;", attributes=""),
        "subdataset": vrt("GTIFF_DIR:1:image.tif", attributes=""),
        "entity": '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + vrt("&f;"),
        "pixel function": vrt("image.tif", band=' subClass="VRTDerivedRasterBand"').replace(
            "<SimpleSource>", "<PixelFunctionType>mul</PixelFunctionType><SimpleSource>"
        ),
        "raw band": vrt("/etc/passwd", band=' subClass="VRTRawRasterBand"'),
        "warped": vrt("image.tif").replace(
            "<VRTDataset", '<VRTDataset subClass="VRTWarpedDataset"'
        ),
        "open options": vrt("image.tif").replace(
            "<SourceBand>", '<OpenOptions><OOI key="a">b</OOI></OpenOptions><SourceBand>'
        ),
        "text file": vrt("/etc/passwd", attributes=""),
        "WMS": f"<GDAL_WMS><ServerUrl>{url}</ServerUrl></GDAL_WMS><!-- <VRTDataset -->",
        "no XML": "<VRTDataset",
        "UTF-16": vrt("image.tif").encode("utf-16").decode("latin-1"),
    }


@pytest.mark.parametrize("attack", sorted(attacks(0)))
@pytest.mark.parametrize("name", ["scene.vrt", "scene.tif"])
def test_a_hostile_vrt_is_refused_and_nobody_is_called(
    tmp_path: Path, image: Path, listener: tuple[int, list[object]], attack: str, name: str
) -> None:
    port, calls = listener
    (tmp_path / name).write_text(attacks(port)[attack], encoding="latin-1")

    with pytest.raises(InputError) as caught:
        open_raster(tmp_path / name)

    assert "\n" not in str(caught.value)
    assert not calls


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        ("pixel function", "<VRTRasterBand subClass> is not allowed"),
        ("raw band", "<VRTRasterBand subClass> is not allowed"),
        ("warped", "<VRTDataset subClass> is not allowed"),
        ("open options", "<OpenOptions> is not allowed"),
        ("capitals that GDAL does not mind", "<sourcefilename> is not allowed"),
        ("entity", "declares XML entities"),
        ("harmless entity", "declares XML entities"),
    ],
)
def test_what_a_vrt_may_not_hold_is_named(
    tmp_path: Path, image: Path, attack: str, says: str
) -> None:
    harmless = '<!DOCTYPE x [<!ENTITY f "image.tif">]>' + vrt("&f;")
    path = tmp_path / "scene.vrt"
    path.write_text({**attacks(9), "harmless entity": harmless}[attack])

    with pytest.raises(UnsafeInputError, match=says):
        open_raster(path)


def test_a_source_that_is_an_image_and_a_vrt_at_once_is_refused(
    tmp_path: Path, listener: tuple[int, list[object]]
) -> None:
    port, calls = listener
    inner = vrt(f"/vsicurl/http://127.0.0.1:{port}/a.tif", attributes="")
    (tmp_path / "both.jpg").write_bytes(b"\xff\xd8\xff\xfe" + inner.encode())
    (tmp_path / "outer.vrt").write_text(vrt("both.jpg"))

    with pytest.raises(UnsafeInputError, match="at once"):
        open_raster(tmp_path / "outer.vrt")
    assert not calls


def test_a_vrt_in_a_vrt_is_checked_too(tmp_path: Path, listener: tuple[int, list[object]]) -> None:
    port, calls = listener
    (tmp_path / "inner.tif").write_text(vrt(f"/vsicurl/http://127.0.0.1:{port}/a.tif"))
    (tmp_path / "outer.vrt").write_text(vrt("inner.tif"))

    with pytest.raises(UnsafeInputError, match="leads to /vsicurl"):
        open_raster(tmp_path / "outer.vrt")
    assert not calls


def test_even_if_gdal_is_led_to_the_network_it_may_not_go(
    tmp_path: Path, listener: tuple[int, list[object]]
) -> None:
    port, calls = listener

    with pytest.raises(RasterReadError), raster_io(tmp_path / "a.tif"):
        rasterio.open(f"/vsicurl/http://127.0.0.1:{port}/a.tif")

    assert not calls
