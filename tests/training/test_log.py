import csv
from pathlib import Path

from geohier.training.curve import draw_curve
from geohier.training.log import CSV, JSONL, EpochLog, read_rows


def write_rows(folder: Path, epochs: int) -> None:
    lines = [
        f'{{"epoch": {at}, "loss": {1 / at}, "choose_iou": 0.5}}\n' for at in range(1, epochs + 1)
    ]
    (folder / JSONL).write_text("".join(lines))


def test_a_line_that_was_cut_off_is_no_row(tmp_path: Path) -> None:
    write_rows(tmp_path, 2)
    with (tmp_path / JSONL).open("a") as file:
        file.write('{"epoch": 3, "lo')
    assert [row["epoch"] for row in read_rows(tmp_path)] == [1, 2]


def test_rows_of_epochs_that_will_be_done_again_are_dropped(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    log = EpochLog(tmp_path, epochs=2)
    assert [row["epoch"] for row in log.rows] == [1, 2]
    assert read_rows(tmp_path) == log.rows
    with (tmp_path / CSV).open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]


def test_a_figure_that_later_epochs_alone_have_is_a_column(tmp_path: Path) -> None:
    (tmp_path / JSONL).write_text('{"epoch": 1, "loss": 1}\n{"epoch": 2, "thawed": 3}\n')
    EpochLog(tmp_path, epochs=2)
    assert (tmp_path / CSV).read_text().splitlines() == ["epoch,loss,thawed", "1,1,", "2,,3"]


def test_a_run_without_rows_has_empty_files(tmp_path: Path) -> None:
    assert EpochLog(tmp_path).rows == []
    assert (tmp_path / CSV).read_text() == (tmp_path / JSONL).read_text() == ""


def test_the_curve_is_a_picture_and_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    write_rows(tmp_path, 3)
    for name in ("a.png", "b.png"):
        draw_curve(read_rows(tmp_path), 2, tmp_path / name)
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert data == (tmp_path / "b.png").read_bytes()
