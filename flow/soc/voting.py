"""Adaptive repetition: images that are executed several times, and a vote that ends when decided.

At each site noise of its midpoint is put on. Execution e of an image draws the samples of
noise draw e, and most labels win; of equals the lowest. A vote over k executions costs k of them,
or, ended as soon as the rest cannot change the winner, fewer, and gives the same label. That is
measured on the golden model, and by the firmware on the simulated system, which must give the same
label after the same number of executions for every image.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from flow.callbacks import ProgressCallback, StageClock
from flow.experiments.repeats import midpoint_of_site
from flow.experiments.settings import VoteSettings
from flow.files import make_folder, write_json
from flow.report.plots import votes
from flow.soc import cosim, firmware
from flow.soc.cosim import Votes
from flow.soc.walk import check_sites, describe, ready
from flow.statistics.intervals import Z95, share
from flow.walks.engine.engine import Engine, SerialExecutor, Task
from flow.walks.loading import prepare_walk
from flow.walks.points.curves import write_curves
from flow.walks.points.point import NoisePoint
from flow.walks.points.side import Side
from flow.walks.walk import Walk

log = logging.getLogger(__name__)

RTL_IMAGES = 32
"""Images on the system, when not given."""

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class VoteRun:
    """A vote of every image on the system."""

    site: str
    sigma: float
    votes: Votes
    images: int


def vote(labels: Labels, classes: int, early: bool) -> tuple[Labels, npt.NDArray[np.int64]]:
    """Let images vote, as ``hw/soc/firmware/vote.c`` does.

    Args:
        labels: of each execution, [executions, images].
        classes: of the network.
        early: end a vote when it is decided.

    Returns:
        the winners and the executions, [images] each.
    """
    most, images = labels.shape
    counts = np.zeros((images, classes), dtype=np.int64)
    executions = np.zeros(images, dtype=np.int64)
    going, rows = np.ones(images, dtype=bool), np.arange(images)
    for number, given in enumerate(labels):
        counts[rows[going], given[going]] += 1
        executions += going
        if early:
            winner = counts.argmax(1)
            lead = counts[rows, winner][:, None]
            reach = counts + (most - number - 1)
            before = np.arange(classes) < winner[:, None]
            threat = (reach > lead) | ((reach == lead) & before)
            threat[rows, winner] = False
            going &= threat.any(1)
    return counts.argmax(1).astype(np.uint8), executions


def run(
    settings: VoteSettings,
    progress: ProgressCallback,
    command: str = "",
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Let images vote on both sides, and compare what it brings with what it costs.

    Args:
        settings: the user's choice.
        progress: called with the progress.
        command: how the user asked for it.
        engine: does the work; this process if not given.

    Returns:
        what ``votes.json`` holds.

    Raises:
        UserError: as for `flow.soc.walk.run`.
        SimulationError: the simulator failed, or the firmware met an error.
    """
    started = time.monotonic()
    firmware.require()
    opened = prepare_walk(settings, StageClock(), progress, engine or SerialExecutor())
    walk = opened.walk
    check_sites(walk.context.taps, opened.sites)
    images = settings.hw_images or min(RTL_IMAGES, len(walk.context.labels))
    progress("build simulator", 0, 1)
    built, simulation = ready(walk)
    progress("build simulator", 1, 1)
    golden: dict[tuple[str, float], Labels] = {}
    for number, site in enumerate(opened.sites):
        progress("golden", number, len(opened.sites))
        sigma = settings.sigma or midpoint_of_site(walk, site)
        draws = [NoisePoint(site, sigma, draw) for draw in range(settings.votes[-1])]
        points = walk.run(walk.wanted([Side.GOLDEN], draws)).points
        golden[site, sigma] = np.stack([point.predictions for point in points])
    progress("golden", len(opened.sites), len(opened.sites))
    ballots = [
        VoteRun(site, sigma, Votes(k, early), images)
        for site, sigma in golden
        for k in settings.votes
        # a single execution has nothing to end early
        for early in ((False, True) if k > 1 else (False,))
    ]
    rows = []
    progress("system", 0, len(ballots))
    for call, point in walk.engine.run(walk, [Task(cast, ballot) for ballot in ballots]):
        rows.append(_row(walk, call.item, golden[call.item.site, call.item.sigma], point))
        progress("system", len(rows), len(ballots), images)
    table = pd.DataFrame(rows)
    table = table.sort_values(["site", "most", "early"], kind="stable", ignore_index=True)
    (clean,) = walk.run(walk.wanted([Side.GOLDEN], [NoisePoint("", 0.0)])).points
    folder = make_folder(settings.build / "walk-soc" / opened.folder.name)
    result = {
        "model": walk.context.network.name,
        "dataset": settings.dataset,
        "noise": walk.context.setting.kind,
        "images": {"golden": len(walk.context.labels), "rtl": images},
        "clean": float(clean.correct(walk.context.labels).mean()),
        "unlike_golden": int(table["unlike_golden"].sum()),
        "rows": table.to_dict("records"),
        "system": describe(built, simulation),
        "command": command,
        "folder": str(folder),
        "seconds": round(time.monotonic() - started, 2),
    }
    write_curves(folder / "votes.parquet", table)
    write_json(folder / "votes.json", result)
    votes.write(folder / "votes.png", result, table)
    return result


def cast(walk: Walk, ballot: VoteRun) -> cosim.SocPoint:
    """Have the firmware let images vote."""
    built, simulation = ready(walk)
    workdir = Path(tempfile.mkdtemp(prefix="soc-", dir=make_folder(walk.context.build / "runs")))
    held = cosim.images_held(built)
    points = []
    for first in range(0, ballot.images, held):
        stream = walk.context.stream[first : min(first + held, ballot.images)]
        noise = walk.context.settings(NoisePoint(ballot.site, ballot.sigma), first)
        (point,), _ = cosim.simulate(
            built, simulation, stream, [noise], workdir, votes=ballot.votes
        )
        points.append(point)
    shutil.rmtree(workdir, ignore_errors=True)
    return cosim.joined(points)


def _row(walk: Walk, ballot: VoteRun, golden: Labels, point: cosim.SocPoint) -> dict[str, Any]:
    """Return what a vote brings and costs on both sides."""
    votes, classes = ballot.votes, walk.context.network.classes
    labels, executions = vote(golden[: votes.executions], classes, votes.early)
    part = slice(0, ballot.images)
    unlike = (labels[part] != point.labels) | (executions[part] != point.executions)
    if unlike.any():
        log.error("%s: the system differs from golden: %s", ballot, np.flatnonzero(unlike))
    return {
        "site": ballot.site,
        "sigma": ballot.sigma,
        "most": votes.executions,
        "early": votes.early,
        "golden": _accuracy(labels, walk),
        "golden_executions": _mean(executions),
        "rtl": _accuracy(point.labels, walk),
        "rtl_executions": _mean(point.executions),
        "device_clocks_per_image": point.device_clocks / ballot.images,
        "firmware_clocks_per_image": point.firmware_clocks / ballot.images,
        "unlike_golden": int(unlike.sum()),
    }


def _accuracy(labels: Labels, walk: Walk) -> list[float]:
    """Return an accuracy with its 95 % interval (Wilson)."""
    return share(int((labels == walk.labels[: len(labels)]).sum()), len(labels))


def _mean(values: Sequence[int] | npt.NDArray[np.int64]) -> list[float]:
    """Return a mean with its 95 % interval, over the images."""
    mean, error = float(np.mean(values)), float(np.std(values) / np.sqrt(len(values)))
    return [mean, mean - Z95 * error, mean + Z95 * error]
