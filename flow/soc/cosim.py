"""Co-simulation: the whole system runs its firmware, with images and a job in its memory."""

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from flow.errors import UserError
from flow.noise.hardware.registers import TapSettings
from flow.soc import firmware
from flow.soc.system import System
from sim import runner

log = logging.getLogger(__name__)

MAGIC = 0x31424F4A
DIVIDER = 2
"""Clocks of a bit on the serial line."""
TIME_LIMIT = 100_000_000
"""Clocks that a run of the device may take."""
_HEADER = 11
"""Words of a job in front of its noise."""
_NOISE = 9
"""Words of a tap's settings: those of addresses 0 to 6, 8 and 12."""
_ADDRESSES = (0, 1, 2, 3, 4, 5, 6, 8, 12)
_CLOCKS_A_LINE = 20_000
"""More than the core takes to print a result, or to set noise and start a run."""
_SECONDS_A_CLOCK = 2e-4
"""A simulator that takes longer hangs."""
_START_SECONDS = 300.0

Words = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Votes:
    """How often each image may be executed, and when its vote ends."""

    executions: int
    """At most."""
    early: bool = True
    """Whether a vote ends as soon as it is decided."""

    def __post_init__(self) -> None:
        if not 1 <= self.executions <= 1000:
            raise UserError(f"{self.executions} executions of an image: give 1 to 1000")


@dataclass
class SocPoint:
    """What the firmware printed of one noise setting."""

    labels: npt.NDArray[np.uint8]
    """[images]."""
    scores: npt.NDArray[np.int64]
    """[images, classes], LSB · 2^-F; of a vote none."""
    executions: npt.NDArray[np.int64]
    """Number of executions of each image, [images]."""
    runs: int = 0
    """Total number of executions."""
    device_clocks: int = 0
    """Clock cycles of its runs, as register CYCLES counts them."""
    firmware_clocks: int = 0
    """Clock cycles as the core counts them, with setting noise, start and interrupt."""


def joined(points: Sequence[SocPoint]) -> SocPoint:
    """Return one setting's results of images that were run in several processes."""
    return SocPoint(
        np.concatenate([point.labels for point in points]),
        np.concatenate([point.scores for point in points]),
        np.concatenate([point.executions for point in points]),
        sum(point.runs for point in points),
        sum(point.device_clocks for point in points),
        sum(point.firmware_clocks for point in points),
    )


@dataclass
class _Parsed:
    images: list[list[str]] = field(default_factory=list)
    votes: list[list[str]] = field(default_factory=list)
    run: list[str] = field(default_factory=list)


def images_held(system: System, points: int = 1) -> int:
    """Return the number of images that fit into memory with a job of this many points."""
    taps = len(system.accelerator.manifest["sites"])
    job = 4 * (_HEADER + _NOISE * taps * points)
    each = 4 * (system.image_words + system.classes + 1)
    return max(0, (system.memory_bytes - firmware.ROOM - job) // each)


def simulate(
    system: System,
    simulation: runner.Simulation,
    stream: Tensor,
    points: Sequence[Mapping[str, TapSettings]],
    workdir: Path,
    *,
    votes: Votes | None = None,
    reset_after: int = 0,
) -> tuple[list[SocPoint], float]:
    """Have the firmware run the same images once for each setting, in one simulator process.

    Args:
        system: what is simulated.
        simulation: from ``system.simulator``.
        stream: integers [images, elements], as ``Accelerator.quantise`` makes them.
        points: settings by site, of taps; sites not named are clean.
        workdir: working folder of the process.
        votes: execute each image several times, execution e with a seed that is e · 2^32 higher.
        reset_after: clocks after which the system is reset once more, 0 for none.

    Returns:
        the points, and the seconds the simulator took.

    Raises:
        SimulationError: the simulator failed, or the firmware did not come to its end.
        ValueError: more images than memory holds, or settings of a site that has no tap.
    """
    manifest = system.accelerator.manifest
    images = len(stream)
    workdir.mkdir(parents=True, exist_ok=True)
    link = workdir / "data"
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.abspath(system.accelerator.folder / "data"), target_is_directory=True)
    content = memory(system, stream, points, votes)
    (workdir / "memory.hex").write_text("\n".join(f"{word:x}" for word in content.tolist()) + "\n")
    runs = (votes.executions if votes else 1) * images * len(points)
    repeats = max((v.executions for point in points for v in point.values()), default=1)
    limit = 20 * repeats * runs * max(manifest["cycles_per_image"], system.image_words)
    limit += 1_000_000 + _CLOCKS_A_LINE * (runs + len(points))
    job = {"divider": DIVIDER, "cycle_limit": limit, "reset_after": reset_after}
    (workdir / "job.json").write_text(json.dumps(job))
    started = time.monotonic()
    timeout = _START_SECONDS + _SECONDS_A_CLOCK * limit
    run = simulation.run("sim.soc_bench", workdir=workdir, timeout_s=timeout)
    seconds = time.monotonic() - started
    try:
        text = (workdir / "serial.txt").read_text(errors="replace")
        return read_serial(text, images, len(points), system.classes, votes), seconds
    except (ValueError, IndexError, OSError) as error:
        raise runner.SimulationError(f"{error} ({workdir})", run.again) from error


def memory(
    system: System,
    stream: Tensor,
    points: Sequence[Mapping[str, TapSettings]],
    votes: Votes | None = None,
) -> Words:
    """Return what memory holds at start: firmware, job, images; results go behind them."""
    sites = system.accelerator.sites
    absent = {site for point in points for site in point} - sites.keys()
    if absent:
        raise ValueError(f"no tap at {', '.join(sorted(absent))}")
    system.accelerator.require(points)
    images, held = len(stream), images_held(system, len(points))
    if not 0 < images <= held:
        raise ValueError(f"{images} images: the memory holds 1 to {held}")
    tables = {v.table for point in points for v in point.values() if v.table is not None}
    if len(tables) > 1:
        raise ValueError("a job has one table of quantiles at most")
    table = np.array([w for t in tables for entry in t.words() for w in entry], dtype=np.uint32)
    noise = [
        word
        for point in points
        for site in sites
        for word in settings_words(point.get(site, TapSettings()))
    ]
    job_at = firmware.ROOM // 4
    table_at = job_at + _HEADER + len(noise)
    images_at = table_at + len(table)
    results_at = images_at + images * system.image_words
    header = [
        MAGIC,
        DIVIDER,
        TIME_LIMIT,
        len(points),
        images,
        votes.executions if votes else 0,
        int(votes.early) if votes else 0,
        len(table) // 2,
        4 * table_at,
        4 * images_at,
        4 * results_at,
    ]
    words = np.zeros(results_at, dtype=np.uint32)
    words[: len(system.firmware.words)] = system.firmware.words
    words[job_at:table_at] = header + noise
    words[table_at:images_at] = table
    words[images_at:] = packed(system, stream)
    if 4 * (results_at + images * (system.classes + 1)) > system.memory_bytes:
        raise ValueError("the table leaves too little memory for these images")
    return words


def settings_words(settings: TapSettings) -> list[int]:
    """Return a tap's settings as ``nw_noise`` of the driver holds them."""
    registers = dict(settings.registers(0))
    return [registers[address] for address in _ADDRESSES]


def packed(system: System, stream: Tensor) -> Words:
    """Return images as they lie in memory, beat by beat, the first element in the lowest bits."""
    shape = system.accelerator.manifest["input"]
    bits, lanes, beats = shape["bits"], shape["elements_a_beat"], shape["beats"]
    values = stream.numpy().astype(np.int64).reshape(-1, beats, lanes)
    # a bit that is 0 means −1 where the stream is bipolar
    values = (values > 0).astype(np.int64) if bits == 1 else values & ((1 << bits) - 1)
    planes = ((values[..., None] >> np.arange(bits)) & 1).astype(np.uint8)
    packed = np.packbits(planes.reshape(len(values), beats, -1), 2, bitorder="little")
    slot = 4 * system.words_of_beat // system.beats_of_word
    image = np.zeros((len(values), beats, slot), dtype=np.uint8)
    image[..., : packed.shape[2]] = packed
    flat = np.zeros((len(values), 4 * system.image_words), dtype=np.uint8)
    flat[:, : beats * slot] = image.reshape(len(values), -1)
    return flat.view("<u4").ravel().astype(np.uint32)


def read_serial(
    text: str, images: int, points: int, classes: int, votes: Votes | None = None
) -> list[SocPoint]:
    """Read what the firmware printed since the last reset.

    Raises:
        ValueError: it is not what a whole job prints.
    """
    lines = text.rpartition("\nreset\n")[2].splitlines()
    for line in lines:
        if line.startswith("error"):
            raise ValueError(f"the firmware reported an error: {line}")
    if not lines or lines[-1] != "end":
        raise ValueError(f"the firmware stopped before its end, after: {lines[-1:]}")
    parsed: list[_Parsed] = []
    for line in lines[:-1]:
        kind, *fields = line.split()
        if kind == "point":
            parsed.append(_Parsed())
        elif kind == "image":
            parsed[-1].images.append(fields)
        elif kind == "vote":
            parsed[-1].votes.append(fields)
        elif kind == "run":
            parsed[-1].run = fields
        elif kind != "noisewalk":
            raise ValueError(f"a line of no known kind: {line}")
    if len(parsed) != points:
        raise ValueError(f"the firmware printed {len(parsed)} points, not {points}")
    return [_point(one, images, classes, votes) for one in parsed]


def _point(one: _Parsed, images: int, classes: int, votes: Votes | None) -> SocPoint:
    rows = one.votes if votes else one.images
    if [int(row[0]) for row in rows] != list(range(images)):
        raise ValueError(f"the firmware printed {len(rows)} results, not {images} in order")
    labels = np.array([int(row[1]) for row in rows]).astype(np.uint8)
    if votes:
        scores = np.zeros((0, classes), dtype=np.int64)
        executions = np.array([int(row[2]) for row in rows])
    else:
        words = np.array([[int(word, 16) for word in row[2:]] for row in rows], dtype=np.int64)
        scores = words.reshape(images, classes)
        scores = scores - ((scores >> 31) << 32)
        executions = np.ones(images, dtype=np.int64)
    runs, device, core = (int(word) for word in one.run)
    return SocPoint(labels, scores, executions, runs, device, core)
