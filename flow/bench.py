"""Speed of the parts, measured side by side in one run: medians of several rounds, and ratios."""

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from flow import checkpoint, data, simulate
from flow.compile import Accelerator, compile_network
from flow.fixed_point import TapSettings
from flow.job import CALIBRATION_IMAGES, Settings, find_checkpoint
from flow.models import evaluate
from flow.noise import Noise
from sim import runner

IMAGES = 512
PASSES = 8
"""How often a simulator runs the images of its memory in one measurement."""


@dataclass(frozen=True)
class Figure:
    """One measured speed."""

    name: str
    unit: str
    median: float
    low: float
    high: float
    """Smallest and largest of the rounds."""


def run(settings: Settings, rounds: int = 5) -> list[Figure]:
    """Measure the speed of a network's simulation and of its models.

    Args:
        settings: model, dataset and folding are used.
        rounds: how often everything is measured, in turn.

    Returns:
        the figures; ratios are of the same round.
    """
    network, _ = checkpoint.load(find_checkpoint(settings), settings.model)
    found = data.load(settings.dataset, "test", 2000)
    inputs = data.to_input(found.images, network.image_shape)
    accelerator = compile_network(
        network,
        inputs[:CALIBRATION_IMAGES],
        **settings.target,
        mvu=settings.mvu,
        root=settings.build / "accelerators",
    )
    root = settings.build / "sim"
    bench = simulate.build(accelerator, root=root)
    main = Path(runner.__file__).with_name("bare_main.cpp")
    bare = simulate.build(accelerator, root=root, main=main)
    stream = accelerator.quantise(inputs)
    golden = accelerator.golden_model()
    noisy = {
        name: TapSettings.of(Noise.at("additive", 4 * site.scale), site.scale, 1)
        for name, site in accelerator.sites.items()
    }
    images = IMAGES // max(1, accelerator.manifest["cycles_per_image"] // 4096)
    measures: dict[str, Callable[[], float]] = {
        "RTL, cocotb, taps idle": lambda: _cocotb(accelerator, bench, stream[:images], {}),
        "RTL, cocotb, taps active": lambda: _cocotb(accelerator, bench, stream[:images], noisy),
        "RTL, bare C++ loop, taps idle": lambda: _bare(accelerator, bare, stream[:images]),
        "golden, noise on": lambda: _rate(len(stream), lambda: golden.run(stream, noisy)),
        "Brevitas, clean": lambda: _rate(len(inputs), lambda: evaluate(network, inputs)),
    }
    seen: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            seen[name].append(measure())
    figures = [_figure(name, "images/s", values) for name, values in seen.items()]
    pairs = [
        ("RTL, cocotb, taps idle", "RTL, bare C++ loop, taps idle"),
        ("golden, noise on", "Brevitas, clean"),
    ]
    for a, b in pairs:
        ratios = [x / y for x, y in zip(seen[a], seen[b], strict=True)]
        figures.append(_figure(f"{a} : {b}", "ratio", ratios))
    return figures


def _figure(name: str, unit: str, values: list[float]) -> Figure:
    return Figure(name, unit, statistics.median(values), min(values), max(values))


def _rate(images: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    with torch.inference_mode():
        work()
    return images / (time.perf_counter() - started)


def _cocotb(accelerator: Accelerator, simulation, stream, noise) -> float:
    """Return images a second between the first clock and the last, start-up left out."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        simulate.start_job(accelerator, stream, [noise] * PASSES, workdir)
        simulation.run("sim.accelerator_bench", workdir=workdir)
        seconds = json.loads((workdir / "seconds.json").read_text())
    return len(stream) * PASSES / seconds


def _bare(accelerator: Accelerator, simulation, stream) -> float:
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        simulate.start_job(accelerator, stream, [{}], workdir)
        count = len(stream) * PASSES
        command = [str(simulation.binary), str(len(stream)), str(count)]
        out = subprocess.run(command, cwd=workdir, capture_output=True, text=True, check=True)
    return count / float(out.stdout.splitlines()[-1])
