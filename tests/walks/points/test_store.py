"""Points survive kills, damage and company; tables are whole or absent."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flow.errors import UserError
from flow.files import write_json
from flow.walks.points.curves import curve_of, curve_table, write_curves
from flow.walks.points.point import Point
from flow.walks.points.side import Side
from flow.walks.points.store import Store

KEY = {"network": "abc", "site": "fc0.acc", "sigma": 0.5, "seed": 1}
POINT = Point("fc0.acc", "additive", 0.5, 1, "rtl", np.arange(200, dtype=np.uint8), 0)


def same(a: Point | None, b: Point) -> bool:
    assert a is not None
    fields = ("site", "kind", "sigma", "seed", "side", "bit_mismatches")
    return np.array_equal(a.predictions, b.predictions) and all(
        getattr(a, f) == getattr(b, f) for f in fields
    )


def test_a_point_comes_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "b")
    assert store.get(KEY) is None
    store.put(KEY, POINT)
    assert same(Store(tmp_path / "a" / "b").get(dict(reversed(KEY.items()))), POINT)
    assert store.get(KEY | {"seed": 2}) is None
    assert [p.suffix for p in store.root.rglob("*.*")] == [".npz"]


@pytest.mark.parametrize("keep", [0, 1, 100, 250, -1])
def test_a_damaged_file_is_absent_and_rewritten(
    tmp_path: Path, keep: int, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)
    store.put(KEY, POINT)
    path = store.path(KEY)
    path.write_bytes(path.read_bytes()[:keep])
    assert store.get(KEY) is None and "damaged" in caplog.text
    store.put(KEY, POINT)
    assert same(store.get(KEY), POINT)


def test_every_flipped_byte_is_noticed_or_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flow.walks.points.store.log.warning", lambda *_: None)  # 600 of them
    store = Store(tmp_path)
    store.put(KEY, POINT)
    good = store.path(KEY).read_bytes()
    for at in range(len(good)):
        store.path(KEY).write_bytes(good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :])
        found = store.get(KEY)
        assert found is None or same(found, POINT)


def test_a_file_of_another_key_is_absent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, POINT)
    other = KEY | {"seed": 9}
    store.path(other).parent.mkdir(exist_ok=True)
    store.path(other).write_bytes(store.path(KEY).read_bytes())
    assert store.get(other) is None


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.path(KEY).parent.mkdir()
    np.savez(store.path(KEY), meta=np.array([{"a": 1}], dtype=object), predictions=np.zeros(1))
    assert store.get(KEY) is None


def test_two_stores_do_no_harm(tmp_path: Path) -> None:
    one, two = Store(tmp_path), Store(tmp_path)
    one.put(KEY, POINT)
    two.put(KEY, POINT)
    assert same(one.get(KEY), POINT) and len(list(tmp_path.rglob("*.*"))) == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_full_or_read_only_folder_is_the_users_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = Store(tmp_path)
    store.put(KEY, POINT)

    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(UserError, match=os.strerror(code)):
        store.put(KEY | {"seed": 2}, POINT)
    monkeypatch.setattr("pathlib.Path.write_text", fail)
    with pytest.raises(UserError, match=os.strerror(code)):
        write_json(tmp_path / "summary.json", {})
    assert [p.name for p in tmp_path.rglob("*.*")] == [store.path(KEY).name]
    assert same(store.get(KEY), POINT)


def test_a_file_in_the_folders_place_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose a folder"):
        Store(tmp_path / "file")
    with pytest.raises(UserError, match="choose a results folder"):
        write_json(tmp_path / "file" / "summary.json", {})


def test_a_defect_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"a": np.float32(1.5), "b": np.arange(2), "c": Path("x")})
    assert json.loads(path.read_text()) == {"a": 1.5, "b": [0, 1], "c": "x"}
    for bad in ({"a": float("nan")}, {"a": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, bad)
    assert json.loads(path.read_text())["a"] == 1.5 and len(list(tmp_path.rglob("*.*"))) == 1


def test_keys_must_be_plain(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        Store(tmp_path).get({"sigma": float("nan")})
    with pytest.raises(TypeError):
        Store(tmp_path).get({"model": object()})


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "file.py:Loud"},
        {"side": "board"},
        {"sigma": float("nan")},
        {"sigma": -1.0},
        {"site": ""},
        {"predictions": np.zeros(3)},
    ],
)
def test_points_that_make_no_sense_are_refused(change: dict[str, object]) -> None:
    fields = {
        "site": "fc0.acc", "kind": "additive", "sigma": 1.0, "seed": 0, "side": "rtl",
        "predictions": np.zeros(3, np.uint8),
    }  # fmt: skip
    with pytest.raises(ValueError):
        Point(**(fields | change))  # type: ignore[arg-type]


def test_a_site_s_own_point_of_level_0_is_where_its_curve_falls_from() -> None:
    """On top of a map, that of a site lacks its noise, and that of the others has it."""
    labels = np.zeros(4, dtype=np.int64)

    def point(site: str, sigma: float, seed: int, wrong: list[int]) -> Point:
        predictions = np.zeros(4, np.uint8)
        predictions[wrong] = 1
        return Point(site, "additive", sigma, seed, "golden", predictions)

    points = [point("", 0.0, 0, [0, 1]), point("a", 0.0, 0, [0]), point("a", 0.0, 1, []),
              point("a", 1.0, 0, [0, 1, 2]), point("b", 1.0, 0, [0, 1, 2])]  # fmt: skip
    own, usual = (curve_of(points, labels, site, Side.GOLDEN) for site in "ab")
    assert own is not None and own.levels.tolist() == [1.0]
    assert own.clean.tolist() == [0.5, 1, 1, 1]  # the mean of both draws
    assert usual is not None and usual.clean.tolist() == [0, 0, 1, 1]


def test_curve_table_counts(tmp_path: Path) -> None:
    labels = np.array([0, 1, 2, 3], dtype=np.int64)
    points = [
        Point("b", "additive", 1.0, 0, "rtl", np.array([0, 0], np.uint8), 1),
        Point("a", "additive", 2.0, 0, "golden", np.array([0, 1, 2, 0], np.uint8)),
        Point("", "additive", 0.0, 0, "golden", np.array([0, 1, 2, 3], np.uint8)),
    ]
    write_curves(tmp_path / "curves.parquet", curve_table(points, labels, "accuracy"))
    table = pd.read_parquet(tmp_path / "curves.parquet")
    assert list(table["site"]) == ["", "a", "b"]
    assert list(table["images"]) == [4, 4, 2] and list(table["correct"]) == [4, 3, 1]
    assert list(table["bit_mismatches"].fillna(-1)) == [-1, -1, 1]
    assert (table["lo"] <= table["accuracy"]).all() and (table["accuracy"] <= table["hi"]).all()
    with pytest.raises(ValueError, match="4 predictions, 2 labels"):
        curve_table(points, labels[:2], "accuracy")


def test_curve_of_takes_the_shared_prefix_and_pools_seeds() -> None:
    labels = np.zeros(6, dtype=np.int64)

    def point(site: str, sigma: float, seed: int, wrong: list[int], n: int = 6) -> Point:
        predictions = np.zeros(n, np.uint8)
        predictions[wrong] = 1
        return Point(site, "additive", sigma, seed, "software", predictions)

    points = [point("", 0.0, 0, [5]), point("a", 2.0, 0, [0, 1]), point("a", 1.0, 0, [0]),
              point("a", 1.0, 1, [1], n=4)]  # fmt: skip
    found = curve_of(points, labels, "a", Side.SOFTWARE)
    assert found is not None and found.images == 6
    assert found.levels.tolist() == [1.0, 2.0] and found.seeds.tolist() == [2, 1]
    np.testing.assert_equal(
        found.correct, np.float32([[0.5, 0.5, 1, 1, np.nan, np.nan], [0, 0, 1, 1, 1, 1]])
    )
    hwdraws = [Point(p.site, p.kind, p.sigma, p.seed, "software-hwdraws", p.predictions)
               for p in points[1:]]  # fmt: skip
    again = curve_of(points + hwdraws, labels, "a", Side.SOFTWARE_HARDWARE_RNG, images=3)
    assert again is not None and again.images == 3  # without noise, draws make no difference
    assert curve_of(points, labels, "b", Side.SOFTWARE) is None
