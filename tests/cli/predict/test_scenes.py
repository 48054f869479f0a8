"""geohier predict: scenes that are more than one file, or lie elsewhere."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from colour_scenes import NODATA, brightest, read, values
from small_models import COLOURS, Echo

from geohier.geo.bands import Band, BandSet

Write = Callable[..., Path]


def test_a_scene_cut_in_four_gives_the_labels_of_the_uncut_one(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    predict("--size", 32, "--overlap", 16, "--confidence")
    names = []
    for row, rows in enumerate((slice(0, 17), slice(17, 40))):
        for col, cols in enumerate((slice(0, 33), slice(33, 60))):
            at = Affine(10, 0, 500_000 + 10 * cols.start, 0, -10, 5_000_000 - 10 * rows.start)
            name = f"sheet{row}{col}.tif"
            names.append(
                write_scene(values()[:, rows, cols], name, transform=at, descriptions=COLOURS)
            )
    predict(
        "--mosaic", "--size", 32, "--overlap", 16, "--confidence",
        "--out", tmp_path / "cut.tif", of=names,
    )  # fmt: skip
    with rasterio.open(tmp_path / "map.tif") as whole, rasterio.open(tmp_path / "cut.tif") as cut:
        assert (cut.transform, cut.shape, cut.crs) == (whole.transform, whole.shape, whole.crs)
        np.testing.assert_array_equal(cut.read(), whole.read())
    np.testing.assert_array_equal(
        read(tmp_path / "cut_confidence.tif"), read(tmp_path / "map_confidence.tif")
    )


def test_a_mosaic_goes_into_a_folder_under_its_own_name(
    predict: Callable, scene: Path, tmp_path: Path
) -> None:
    predict("--mosaic", "--out", tmp_path / "maps", of=scene)
    assert (tmp_path / "maps" / "mosaic.tif").is_file()


def test_a_scene_file_brings_bands_of_several_rasters_together(
    predict: Callable, write_scene: Write, tmp_path: Path
) -> None:
    write_scene(values()[[1, 0]], "first.tif")
    write_scene(values()[2:], "second.tif")
    (tmp_path / "both.scene.yaml").write_text(
        "files:\n"
        "  - {path: first.tif, names: [green, red]}\n"
        "  - {path: second.tif, bands: [1], names: [blue]}\n"
    )
    predict("--out", tmp_path / "maps", of=tmp_path / "both.scene.yaml")
    np.testing.assert_array_equal(read(tmp_path / "maps" / "both.tif"), brightest(values()))


def test_a_local_vrt_is_a_scene(predict: Callable, scene: Path, tmp_path: Path) -> None:
    rasterio.shutil.copy(scene, tmp_path / "view.vrt", driver="VRT")
    predict(of=tmp_path / "view.vrt")
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values()))


PRODUCT = "S2A_MSIL2A_20230601T105621_N0509_R094_T31TCJ_20230601T170000"

METADATA = """<Level-2A><BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>
<BOA_ADD_OFFSET band_id="1">-1000</BOA_ADD_OFFSET><BOA_ADD_OFFSET band_id="2">-1000</BOA_ADD_OFFSET>
<BOA_ADD_OFFSET band_id="3">-1000</BOA_ADD_OFFSET></Level-2A>"""


def test_a_sentinel_2_product_is_a_scene(
    predict: Callable, echo: Echo, write_scene: Write, tmp_path: Path
) -> None:
    images = tmp_path / f"{PRODUCT}.SAFE" / "GRANULE" / "L2A_T31TCJ" / "IMG_DATA" / "R10m"
    images.mkdir(parents=True)
    (tmp_path / f"{PRODUCT}.SAFE" / "MTD_MSIL2A.xml").write_text(METADATA)
    numbers = values().astype("uint16") * 20
    numbers[:, :3] = 0
    for name, band in zip(("B02", "B03", "B04"), numbers[::-1], strict=True):
        path = f"{images.relative_to(tmp_path)}/T31TCJ_20230601T105621_{name}_10m.tif"
        write_scene(band[None], path)
    bands = (
        Band(name=name, dtype="uint16", mean=0.1, std=0.1, scale=1e-4, offset=-0.1)
        for name in COLOURS
    )
    echo.card = replace(echo.card, bands=BandSet(tuple(bands)), scaled=True)
    predict("--out", tmp_path / "maps", of=tmp_path / f"{PRODUCT}.SAFE")
    labels = read(tmp_path / "maps" / f"{PRODUCT}.tif")
    assert (labels[:3] == NODATA).all()
    np.testing.assert_array_equal(labels[3:], brightest(values())[3:])


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder over HTTP, whole or in ranges."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(with_body=True)

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def answer(self, *, with_body: bool) -> None:
            path = folder / self.path.lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first, last = (
                (int(span[1]), int(span[2] or len(content))) if span else (0, len(content))
            )
            body = content[first : last + 1]
            self.send_response(206 if span else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(body)))
            end = first + len(body) - 1
            self.send_header("Content-Range", f"bytes {first}-{end}/{len(content)}")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *given: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_scene_on_the_network_is_read_only_if_allowed(
    predict: Callable, scene: Path, tmp_path: Path
) -> None:
    with served(tmp_path) as address:
        url = f"{address}/scene.tif"
        assert predict(of=url, code=3).err == (
            f"geohier: {url} is not a file on this machine: download it first\n"
        )
        predict("--allow-remote", of=url.replace("://", ":/"))
        assert "up to date" in predict("--allow-remote", of=url).out
        result = predict("--allow-remote", of=f"{address}/other.tif", code=3)
    assert len(result.err.splitlines()) == 1
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), brightest(values()))
