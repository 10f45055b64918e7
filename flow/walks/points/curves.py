"""The points of a run as curves, and as the table of ``curves.parquet``."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flow.data.reference import Measure
from flow.files import replacing
from flow.noise import shared_by_images
from flow.statistics.devices import by_device
from flow.statistics.intervals import wilson
from flow.statistics.midpoint import Curve
from flow.walks.points.point import Point
from flow.walks.points.side import Side


def curve_of(
    points: Sequence[Point],
    labels: NDArray[np.int64],
    site: str,
    side: Side,
    images: int = 0,
) -> Curve | None:
    """Gather one side's points of one site.

    Args:
        points: of one run and kind.
        labels: int64 [at least as many as any point's images].
        site: the tap.
        side: who predicted them; its accuracy without noise may be that of `Side.without_noise`.
        images: use at most this many of the first images (0: all that level 0 has).

    Returns:
        The curve, or None if the side has no point there, or none of level 0.
    """
    levels: dict[float, list[Point]] = defaultdict(list)
    for p in points:
        if p.side == side and p.site == site and p.sigma:
            levels[p.sigma].append(p)
    clean = _clean(points, site, side)
    if not levels or not clean:
        return None
    n = min([p.images for p in clean] + ([images] if images else []))
    order = sorted(levels)

    def right(p: Point) -> NDArray[np.float32]:
        return padded(p.correct(labels)[:n], n)

    whole, devices = np.mean([right(p) for p in clean], axis=0), None
    if _shared(levels[order[0]][0]):
        rows = [{p.seed: float(np.nanmean(right(p))) for p in levels[s]} for s in order]
        draws = sorted(set.intersection(*(set(row) for row in rows)))
        accuracy = np.array([[row[draw] for row in rows] for draw in draws])
        devices = by_device(accuracy.reshape(len(draws), len(rows)), float(whole.mean()))
    return Curve(
        levels=np.array(order),
        correct=np.stack([np.mean([right(p) for p in levels[s]], axis=0) for s in order]),
        clean=whole,
        seeds=np.array([len(levels[s]) for s in order]),
        devices=devices,
    )


def padded(right: NDArray[Any], images: int) -> NDArray[np.float32]:
    """Return the results of a point, with NaN for further images, as `Curve.correct` has them."""
    missing = (0, images - len(right))
    return np.pad(right.astype(np.float32), missing, constant_values=np.nan)


def _clean(points: Sequence[Point], site: str, side: Side) -> list[Point]:
    """Return the points of level 0 from which a curve falls, one for each noise draw.

    They are the side's own at the site if it has some, then those without a site; and those of the
    side which is the same without noise.
    """
    found: dict[tuple[str, Side], list[Point]] = defaultdict(list)
    for p in points:
        if not p.sigma:
            found[p.site, p.side].append(p)
    places = ((name, one) for one in (side, side.without_noise) for name in (site, ""))
    return next((found[place] for place in places if place in found), [])


def _shared(point: Point) -> bool:
    """Return whether the images of a noise draw share noise."""
    if point.shared is None:
        return shared_by_images(point.site, point.kind)
    return point.shared


def curve_table(
    points: Iterable[Point], labels: NDArray[np.int64], measure: Measure
) -> pd.DataFrame:
    """Count the points: one row per site, kind, sigma, seed and side, sorted.

    Columns: site, kind, sigma, seed, side, images, correct (those with the label of the reference),
    accuracy or agreement, lo and hi (its 95 % Wilson interval), bit_mismatches and scope (rtl; else
    missing).

    Args:
        points: the points.
        labels: int64 [at least as many as any point's images].
        measure: name of the column that is ``correct`` / ``images``.
    """
    table = pd.DataFrame(
        [
            (p.site, p.kind, p.sigma, p.seed, p.side.value, p.images,
             p.correct(labels).sum().item(), p.bit_mismatches, p.scope)
            for p in points
        ],
        columns=["site", "kind", "sigma", "seed", "side", "images", "correct", "bit_mismatches",
                 "scope"],
    )  # fmt: skip
    table["bit_mismatches"] = table["bit_mismatches"].astype("Int64")
    lo, hi = wilson(table["correct"], table["images"])
    table.insert(7, measure, table["correct"] / table["images"])
    table.insert(8, "lo", lo)
    table.insert(9, "hi", hi)
    order = ["site", "kind", "sigma", "seed", "side"]
    return table.sort_values(order, kind="stable", ignore_index=True)


def write_curves(path: Path, table: pd.DataFrame) -> None:
    """Write `curve_table` as parquet, whole or not at all; UserError if it cannot be written."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def levels_of(curves: pd.DataFrame, site: str) -> pd.Series:
    """Return the levels above 0 of every point at a site."""
    return curves.loc[(curves["site"] == site) & (curves["sigma"] > 0), "sigma"]


def clean_of(curves: pd.DataFrame, site: str, side: str, usual: float) -> float:
    """Return the accuracy from which a side's curve falls.

    Args:
        curves: table from `curve_table`.
        site: the site, whose own points of level 0 count if it has some.
        side: the side.
        usual: accuracy where all sites have the same points of level 0.
    """
    rows = curves[(curves["site"] == site) & (curves["side"] == side) & (curves["sigma"] == 0)]
    return float(rows["correct"].sum() / rows["images"].sum()) if len(rows) else usual


def side_table(curves: pd.DataFrame, site: str, side: str, kind: str) -> pd.DataFrame:
    """One side of one site, seeds pooled: sigma, accuracy, lo, hi."""
    here = (curves["site"] == site) & (curves["sigma"] > 0)
    rows = curves[here & (curves["side"] == side) & (curves["kind"] == kind)]
    pooled = rows.groupby("sigma", as_index=False).agg(
        correct=("correct", "sum"), trials=("images", "sum"), images=("images", "min")
    )
    pooled["accuracy"] = pooled["correct"] / pooled["trials"]
    pooled["lo"], pooled["hi"] = wilson(pooled["accuracy"] * pooled["images"], pooled["images"])
    return pooled
