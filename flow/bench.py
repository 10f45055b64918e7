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
from torch import Tensor

from flow import checkpoint, data, simulate
from flow.compile import MVUS, Accelerator, compile_network
from flow.job import CALIBRATION_IMAGES
from flow.models import Network, evaluate
from flow.noise import Noise
from flow.points import Place, Setting
from flow.store import Store
from flow.tap_settings import TapSettings
from flow.trained import find_checkpoint
from flow.walk import Walk, images_at_a_time
from flow.walk_settings import Settings
from sim import runner

MODEL_IMAGES = 2000
"""Images of a measurement of golden and Brevitas."""
MEMORY_IMAGES = 512
MEMORY_CYCLES = 120_000
"""A simulator's memory gets up to so many images, and so many clocks' worth, one at least."""
WALK_IMAGES, WALK_LEVELS = 1000, 8
"""Of the golden model's walk."""
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
    network, _ = checkpoint.load(
        find_checkpoint(
            settings.model, settings.dataset, settings.training_noise, settings.checkpoint
        ),
        settings.model,
    )
    found = data.load(settings.dataset, "test", MODEL_IMAGES)
    inputs = data.to_input(found.images, network.image_shape)
    root = settings.build / "sim"
    accelerators = {
        mvu: compile_network(
            network,
            inputs[:CALIBRATION_IMAGES],
            **settings.target,
            mvu=mvu,
            root=settings.build / "accelerators",
        )
        for mvu in MVUS
    }
    ours, finns = (accelerators[mvu] for mvu in MVUS)
    cold = _figure("Verilator build, nothing stored", "s", [_cold_build(ours)])
    benches = {mvu: simulate.build(built, root=root) for mvu, built in accelerators.items()}
    main = Path(runner.__file__).with_name("bare_main.cpp")
    bare = simulate.build(ours, root=root, main=main)
    stream = ours.quantise(inputs)
    golden = ours.golden_model()
    noisy = _everywhere(ours)
    measures: dict[str, Callable[[], float]] = {
        "RTL, cocotb, taps idle": lambda: _cocotb(ours, benches["lut"], stream, {}),
        "RTL, cocotb, taps active": lambda: _cocotb(ours, benches["lut"], stream, noisy),
        "RTL, bare C++ loop, taps idle": lambda: _bare(ours, bare, stream),
        "RTL, cocotb, taps active, FINN's MVU": lambda: _cocotb(
            finns, benches["dsp"], finns.quantise(inputs), _everywhere(finns)
        ),
        "golden, clean": lambda: _rate(len(stream), lambda: golden.run(stream)),
        "golden, noise on": lambda: _rate(len(stream), lambda: golden.run(stream, noisy)),
        "Brevitas, clean": lambda: _rate(
            len(inputs), lambda: evaluate(network, inputs, batch=images_at_a_time(ours.sites))
        ),
    }
    seen: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            seen[name].append(measure())
    figures = [_figure(name, "images/s", values) for name, values in seen.items()]
    pairs = [
        ("RTL, cocotb, taps idle", "RTL, bare C++ loop, taps idle"),
        ("RTL, cocotb, taps active", "RTL, cocotb, taps active, FINN's MVU"),
        ("golden, clean", "Brevitas, clean"),
        ("golden, noise on", "Brevitas, clean"),
    ]
    for a, b in pairs:
        ratios = [x / y for x, y in zip(seen[a], seen[b], strict=True)]
        figures.append(_figure(f"{a} : {b}", "ratio", ratios))
    walked = _golden_walk(ours, network, inputs[:WALK_IMAGES], found.labels[:WALK_IMAGES])
    name = f"golden walk, {len(ours.sites)} sites × {WALK_LEVELS} levels × {WALK_IMAGES} images"
    return [*figures, cold, _figure(name, "s", [walked])]


def _golden_walk(accelerator: Accelerator, network: Network, inputs: Tensor, labels) -> float:
    """Return the seconds of a walk with additive noise of 0.5 to 64 LSB, nothing stored before."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        walk = Walk(network, accelerator, inputs, labels, Setting("additive"), store, Path(folder))
        places = [
            Place(name, site.scale * 2.0 ** (level - 1))
            for name, site in walk.sites.items()
            for level in range(WALK_LEVELS)
        ]
        started = time.perf_counter()
        walk.run(walk.wanted(["golden"], places))
        return time.perf_counter() - started


def _everywhere(accelerator: Accelerator) -> dict[str, TapSettings]:
    """Return additive noise of 4 LSB at every tap."""
    return {
        name: TapSettings.of(Noise.at("additive", 4 * site.scale), site.scale, 1)
        for name, site in accelerator.sites.items()
    }


def _cold_build(accelerator: Accelerator) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        simulate.build(accelerator, root=Path(folder))
        return time.perf_counter() - started


def _in_memory(accelerator: Accelerator, stream: Tensor) -> Tensor:
    images = MEMORY_CYCLES // accelerator.manifest["cycles_per_image"]
    return stream[: min(MEMORY_IMAGES, max(1, images))]


def _figure(name: str, unit: str, values: list[float]) -> Figure:
    return Figure(name, unit, statistics.median(values), min(values), max(values))


def _rate(images: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    with torch.inference_mode():
        work()
    return images / (time.perf_counter() - started)


def _cocotb(accelerator: Accelerator, simulation, stream, noise) -> float:
    """Return images a second between the first clock and the last, start-up left out."""
    stream = _in_memory(accelerator, stream)
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        simulate.start_job(accelerator, stream, [noise] * PASSES, workdir)
        simulation.run("sim.accelerator_bench", workdir=workdir)
        seconds = json.loads((workdir / "seconds.json").read_text())
    return len(stream) * PASSES / seconds


def _bare(accelerator: Accelerator, simulation, stream) -> float:
    stream = _in_memory(accelerator, stream)
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        simulate.start_job(accelerator, stream, [{}], workdir)
        count = len(stream) * PASSES
        command = [str(simulation.binary), str(len(stream)), str(count)]
        out = subprocess.run(command, cwd=workdir, capture_output=True, text=True, check=True)
    return count / float(out.stdout.splitlines()[-1])
