"""Simulation of an accelerator's RTL on images, under one noise setting after another."""

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from flow.compiler.accelerator import Accelerator
from flow.models.network import label_type
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.weights import program
from flow.noise.quantile_table import QuantileTable
from sim import runner

log = logging.getLogger(__name__)

MAX_IMAGES = 512
MEMORY_BITS = 1 << 28
"""Largest number of images, and of their bits, in the bench's memory, which holds at least one."""

START_SECONDS = 300.0
CYCLE_SECONDS = 5e-3
"""Time limits for a simulator's start and for each cycle: a thousand times the usual."""

BENCH_PORTS = (
    "clk", "rst_n", "load", "stall", "images", "limit",
    "cfg_valid", "cfg_site", "cfg_addr", "cfg_data", "pending", "done", "completed",
)  # fmt: skip

DATA = "data"


@dataclass(frozen=True)
class RtlPoint:
    """Results of the RTL for every image under one setting."""

    labels: npt.NDArray[np.unsignedinteger]
    """Predicted labels, [images]."""
    scores: npt.NDArray[np.int64]
    """Inputs of label select, [images, classes], in LSB · 2^−F."""
    digests: dict[str, npt.NDArray[np.uint32]]
    """Digests by site of the stream downstream of the tap, [images]."""


def images_held(accelerator: Accelerator) -> int:
    """Return the number of images that the bench's memory holds; more take several runs."""
    stream = accelerator.manifest["input"]
    return min(MAX_IMAGES, max(1, MEMORY_BITS // (_stream_bits(stream) * stream["beats"])))


def build(accelerator: Accelerator, observers: Sequence[Path] = (), **options) -> runner.Simulation:
    """Compile the bench around an accelerator, unless an unchanged one is compiled already.

    Args:
        accelerator: the accelerator to simulate.
        observers: further HDL, which binds itself into the accelerator.
        options: options of `sim.runner.build`.
    """
    stream, last = accelerator.manifest["input"], accelerator.manifest["nodes"][-1]
    bench = Path(runner.__file__).with_name("bench.sv")
    options = {"main": bench.with_name("bench_main.cpp")} | options
    return runner.build(
        "bench",
        [*accelerator.sources, bench, *observers],
        parameters={
            "IN_BITS": _stream_bits(stream),
            "OUT_BITS": 8 * -(-_type_bits(last["output_type"]) // 8),
            "SCORE_BITS": 8 * -(-_type_bits(last["input_type"]) * last["PE"] // 8),
            "BEATS": stream["beats"],
            "TAPS": len(accelerator.manifest["sites"]),
            "MAX_IMAGES": images_held(accelerator),
        },
        defines={"FINN_SIMULATION": 1},
        public=BENCH_PORTS,
        flags=["-Wno-lint", "-Wno-style", *options.pop("flags", ())],
        **options,
    )


def simulate(
    accelerator: Accelerator,
    simulation: runner.Simulation,
    stream: Tensor,
    points: Sequence[Mapping[str, TapSettings]],
    workdir: Path,
    *,
    data: Path | None = None,
    stall: bool = False,
) -> tuple[list[RtlPoint], float]:
    """Run the same images once for each setting, in one simulator process.

    A process reads its weights at the start, so each setting with noise on weights takes its own.

    Args:
        accelerator: the simulated accelerator.
        simulation: from ``build``.
        stream: integers [images, elements], from `Accelerator.quantise`, of at most `images_held`
            images.
        points: settings by site, of taps and of weights; other sites have no noise.
        workdir: working folder of the processes.
        data: folder of weights and thresholds; the accelerator's if None.
        stall: whether to withhold valid and ready at random on both sides.

    Returns:
        The results for each setting, and the seconds of simulation.

    Raises:
        SimulationError: a simulator failed; the message ends with its log.
        ValueError: there are too many images, or the accelerator has no such site.
    """
    results: list[RtlPoint] = []
    seconds = 0.0
    for noise, group in groupby(points, partial(_noise_on_weights, accelerator)):
        same = list(group)
        content = programmed(accelerator, noise, workdir, data) if noise else data
        start_job(accelerator, stream, same, workdir, data=content, stall=stall)
        started = time.monotonic()
        limit = START_SECONDS + CYCLE_SECONDS * _most_cycles(accelerator, same) * len(stream)
        run = simulation.run("sim.accelerator_bench", workdir=workdir, timeout_s=limit)
        seconds += time.monotonic() - started
        try:
            results += read_results(accelerator, len(stream), len(same), workdir)
        except (ValueError, IndexError, OSError) as error:
            raise runner.SimulationError(str(error), run.again) from error
    return results, seconds


def _most_cycles(accelerator: Accelerator, points: Sequence[Mapping[str, TapSettings]]) -> int:
    """Return an upper bound of the cycles of an image over all points."""
    most = max((v.executions for point in points for v in point.values()), default=1)
    return most * accelerator.manifest["cycles_per_image"] * len(points)


def _noise_on_weights(
    accelerator: Accelerator, point: Mapping[str, TapSettings]
) -> dict[str, TapSettings]:
    """Return the settings of a point that change the contents of weight memories."""
    return {
        site: replace(point[site], image_base=0)
        for site in accelerator.weights
        if site in point and point[site].enable
    }


def programmed(
    accelerator: Accelerator,
    noise: Mapping[str, TapSettings],
    workdir: Path,
    data: Path | None = None,
) -> Path:
    """Write all memory files, with noise on weights, to a new folder, and return it."""
    from flow.compiler import weights as memories

    graph, sites = memories.specialised(accelerator), accelerator.weights
    folder = memories.copy_of(data or accelerator.folder / DATA, workdir / "programmed")
    content = {
        site: program(memories.clean_weights(graph, sites[site]), sites[site], settings, {})
        for site, settings in noise.items()
    }
    memories.write_memories(graph, sites, content, folder)
    return folder


def start_job(
    accelerator: Accelerator,
    stream: Tensor,
    points: Sequence[Mapping[str, TapSettings]],
    workdir: Path,
    *,
    data: Path | None = None,
    stall: bool = False,
) -> None:
    """Write the input files of a simulator process: images, settings, weights, thresholds."""
    images = len(stream)
    if not 0 < images <= images_held(accelerator):
        raise ValueError(f"{images} images: the bench holds 1 to {images_held(accelerator)}")
    sites = accelerator.sites
    known = sites.keys() | accelerator.weights.keys()
    absent = {site for point in points for site in point} - known
    if absent:
        raise ValueError(f"no such site in the simulated part: {', '.join(sorted(absent))}")
    accelerator.require(points)
    workdir.mkdir(parents=True, exist_ok=True)
    link = workdir / DATA
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.abspath(data or accelerator.folder / DATA), target_is_directory=True)
    lines = stream_lines(accelerator, stream)
    (workdir / "stream.hex").write_text("\n".join(lines) + "\n")
    writes = []
    loaded: dict[str, QuantileTable] = {}
    for index, point in enumerate(points):
        settings = {site: point.get(site, TapSettings()) for site in sites}
        tables = {
            site: values
            for site, values in settings.items()
            if values.table is not None and values.table != loaded.get(site)
        }
        loaded |= {site: values.table for site, values in tables.items() if values.table}
        writes.append(
            {
                "tables": [
                    (sites[site].number, *write)
                    for site, values in tables.items()
                    for write in values.table_registers()
                ],
                "settings": [
                    (sites[site].number, *write)
                    for site, values in settings.items()
                    for write in values.registers(start=index * images)
                ],
            }
        )
    most = max((v.executions for point in points for v in point.values()), default=1)
    cycles = accelerator.manifest["cycles_per_image"]
    job = {
        "images": images,
        "points": writes,
        "stall": stall,
        # limit for one point, including stalls and the filling of the pipeline
        "cycle_limit": 20 * most * cycles * (images + len(accelerator.manifest["nodes"]) + 4),
    }
    (workdir / "job.json").write_text(json.dumps(job))


def read_results(
    accelerator: Accelerator, images: int, points: int, workdir: Path
) -> list[RtlPoint]:
    """Read the bench's output files, one `RtlPoint` per setting."""
    labels: list[str] = []
    scores: list[str] = []
    sites = list(accelerator.sites)
    digests: list[list[str]] = [[] for _ in sites]
    for line in (workdir / "results.txt").read_text().splitlines():
        kind, *fields = line.split()
        if kind == "l":
            labels.append(fields[0])
        elif kind == "s":
            scores.append(fields[0])
        else:
            digests[int(fields[0])].append(fields[1])
    last = accelerator.manifest["nodes"][-1]
    score_beats = last["folded_input"][-2]
    total = images * points
    counts = {"labels": len(labels), "score beats": len(scores) // score_beats}
    counts |= {f"digests of {site}": len(d) for site, d in zip(sites, digests, strict=True)}
    for what, count in counts.items():
        if count != total:
            raise ValueError(f"the simulator gave {count} {what}, not {total} ({workdir})")
    label_array = np.array(labels, dtype=label_type(accelerator.manifest["classes"]))
    label_array = label_array.reshape(points, images)
    score_array = _unpack(scores, last["PE"], _type_bits(last["input_type"]))
    score_array = score_array.reshape(points, images, -1)
    digest_array = np.array(digests, dtype=np.uint64).astype(np.uint32)
    digest_array = digest_array.reshape(len(sites), points, images)
    return [
        RtlPoint(
            labels=label_array[p],
            scores=score_array[p],
            digests={site: digest_array[s, p] for s, site in enumerate(sites)},
        )
        for p in range(points)
    ]


def _type_bits(name: str) -> int:
    from qonnx.core.datatype import DataType

    return DataType[name].bitwidth()


def _stream_bits(stream: Mapping[str, int]) -> int:
    return 8 * -(-stream["bits"] * stream["elements_a_beat"] // 8)


def stream_lines(accelerator: Accelerator, stream: Tensor) -> list[str]:
    """Return the beats of images in hexadecimal, the first element in the lowest bits.

    Args:
        accelerator: the accelerator that takes them.
        stream: integers [images, elements].
    """
    shape = accelerator.manifest["input"]
    bits, lanes = shape["bits"], shape["elements_a_beat"]
    values = stream.numpy().astype(np.int64).reshape(-1, lanes)
    # a bit of 0 stands for −1 in a bipolar stream
    values = (values > 0).astype(np.int64) if bits == 1 else values & ((1 << bits) - 1)
    planes = (values[..., None] >> np.arange(bits)) & 1
    packed = np.packbits(planes.reshape(len(values), -1).astype(np.uint8), 1, bitorder="little")
    return [row.tobytes()[::-1].hex() for row in packed]


def _unpack(beats: list[str], lanes: int, bits: int) -> npt.NDArray[np.int64]:
    """Read signed lanes from beats in hexadecimal, the first lane in the lowest bits."""
    size = -(-lanes * bits // 8)
    raw = b"".join(int(beat, 16).to_bytes(size, "little") for beat in beats)
    planes = np.unpackbits(np.frombuffer(raw, np.uint8).reshape(-1, size), 1, bitorder="little")
    planes = planes[:, : lanes * bits].reshape(-1, lanes, bits).astype(np.int64)
    values = (planes << np.arange(bits)).sum(-1)
    return values - ((values >> (bits - 1)) << bits)
