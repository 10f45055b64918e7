"""Adaptive repetition: an image is executed several times, and a vote ends once it is decided.

The noise level at each site is the site's midpoint. Execution e of an image has the samples of
noise draw e. The most frequent label wins, of several the lowest. A vote over k executions costs k
of them. A vote that ends as soon as the rest cannot change the winner costs fewer, and has the same
result. The golden model measures both, and so does the firmware on the simulated system, which must
find the same label after the same number of executions for every image.
"""

import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from flow.callbacks import ProgressCallback, StageClock
from flow.experiments.repeats import clean_point, describe_walk, midpoint_of_site
from flow.experiments.results import ExperimentRun
from flow.experiments.settings import VoteSettings
from flow.files import make_folder
from flow.report.plots import votes
from flow.soc import cosim, firmware
from flow.soc.cosim import Votes
from flow.soc.walk import check_sites, describe, ready
from flow.statistics.intervals import Z95, share
from flow.walks.engine.engine import Engine, SerialExecutor, Task
from flow.walks.loading import prepare_walk
from flow.walks.points.point import NoisePoint
from flow.walks.points.side import Side
from flow.walks.walk import Walk

log = logging.getLogger(__name__)

RTL_IMAGES = 32
"""Number of images on the system, where the user does not say."""

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
        labels: labels of each execution, [executions, images].
        classes: number of classes.
        early: whether a vote ends once it is decided.

    Returns:
        The winners and the executions, [images] each.
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
    """Let images vote on both sides, and compare the gain in accuracy with its cost.

    Args:
        settings: the user's settings.
        progress: called with the progress.
        command: the command line.
        engine: runs the work; this process if not given.

    Returns:
        The content of ``votes.json``.

    Raises:
        UserError: as for `flow.soc.walk.run`.
        SimulationError: the simulator failed, or the firmware reported an error.
    """
    this = ExperimentRun(command)
    firmware.require()
    prepared = prepare_walk(settings, StageClock(), progress, engine or SerialExecutor())
    walk = prepared.walk
    check_sites(walk.context.taps, prepared.sites)
    images = settings.hw_images or min(RTL_IMAGES, len(walk.context.inputs))
    progress("build simulator", 0, 1)
    built, simulation = ready(walk)
    progress("build simulator", 1, 1)
    golden = _golden_labels(walk, prepared.sites, settings, progress)
    ballots = [
        VoteRun(place.site, place.sigma, Votes(k, early), images)
        for place in golden
        for k in settings.votes
        # a single execution has nothing to end early
        for early in ((False, True) if k > 1 else (False,))
    ]
    table = _run_votes(walk, ballots, golden, progress)
    found = {
        **describe_walk(walk, settings.dataset, images),
        "clean": float(clean_point(walk).correct(walk.labels).mean()),
        "unlike_golden": int(table["unlike_golden"].sum()),
        "rows": table.to_dict("records"),
        "system": describe(built, simulation),
    }
    folder = make_folder(settings.build / "walk-soc" / prepared.folder.name)
    return this.write(folder, "votes", found, table, votes.write)


def _golden_labels(
    walk: Walk, sites: Sequence[str], settings: VoteSettings, progress: ProgressCallback
) -> dict[NoisePoint, Labels]:
    """Return the golden model's labels at each site and its level, [executions, images]."""
    golden: dict[NoisePoint, Labels] = {}
    for number, site in enumerate(sites):
        progress("golden", number, len(sites))
        sigma = settings.sigma or midpoint_of_site(walk, site)
        draws = [NoisePoint(site, sigma, draw) for draw in range(settings.votes[-1])]
        points = walk.run(walk.wanted([Side.GOLDEN], draws)).points
        golden[NoisePoint(site, sigma)] = np.stack([point.predictions for point in points])
    progress("golden", len(sites), len(sites))
    return golden


def _run_votes(
    walk: Walk,
    ballots: Sequence[VoteRun],
    golden: Mapping[NoisePoint, Labels],
    progress: ProgressCallback,
) -> pd.DataFrame:
    """Run votes on the system, and return a row for each, sorted by site and executions."""
    rows: list[dict[str, Any]] = []
    progress("system", 0, len(ballots))
    for call, point in walk.engine.run(walk, [Task(cast, ballot) for ballot in ballots]):
        ballot = call.item
        rows.append(_row(walk, ballot, golden[NoisePoint(ballot.site, ballot.sigma)], point))
        progress("system", len(rows), len(ballots), ballot.images)
    order = ["site", "most", "early"]
    return pd.DataFrame(rows).sort_values(order, kind="stable", ignore_index=True)


def cast(walk: Walk, ballot: VoteRun) -> cosim.SocPoint:
    """Run a vote of every image on the system."""
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
    """Return the accuracy and the cost of a vote on both sides."""
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
