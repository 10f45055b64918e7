"""Speed of a network's RTL simulation and of its models, against the alternatives."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import MVUS, compile_network
from flow.experiments.benchmarks.draws import by_numpy
from flow.experiments.benchmarks.measure import Figure, in_turn
from flow.models import Network, evaluate
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.sampler import HardwareSampler
from flow.rtl import simulate
from flow.training.zoo import TrainedNetwork
from flow.walks.context import images_at_a_time
from flow.walks.loading import CALIBRATION_IMAGES
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint
from flow.walks.points.side import Side
from flow.walks.points.store import Store
from flow.walks.settings import HardwareWalkSettings
from flow.walks.walk import Walk
from sim import runner

MODEL_IMAGES = 2000
"""Number of images in a measurement of golden or Brevitas."""
MEMORY_IMAGES = 512
MEMORY_CYCLES = 120_000
"""A simulator's memory takes the images of this many clocks, at least one and at most
`MEMORY_IMAGES`."""
PASSES = 8
"""Number of times that a simulator runs the images of its memory in one measurement."""
DRIVEN_CLOCKS = 20_000
"""Python drives the images of this many clocks, at least two, clock by clock; our bench runs the
same images once, to compare."""
WALK_IMAGES, WALK_LEVELS = 1000, 8
"""Number of images and of levels in the golden model's walk."""

BENCH = "RTL, cocotb, additive noise at every tap"
IDLE = "RTL, cocotb, taps idle"
BARE = "RTL, bare C++ loop, taps idle"
FINNS = "RTL, cocotb, additive noise at every tap, FINN's MVU"
PAIR = "RTL, two workers, additive noise at every tap"
DRIVEN = "RTL, Python at every clock, a few images from an empty pipeline"
FEW = "RTL, cocotb, the same few images"
GOLDEN, NOISY_GOLDEN, BREVITAS = "golden, clean", "golden, noise on", "Brevitas, clean"
HWDRAWS = "Brevitas, noise on, the hardware's draws"
BY_NUMPY = {name: f"{name}, by NumPy" for name in (NOISY_GOLDEN, HWDRAWS)}
"""Names of the same without the compiled kernel."""
PAIRS = (
    (IDLE, BARE),
    (BENCH, FINNS),
    (PAIR, BENCH),
    (FEW, DRIVEN),
    (GOLDEN, BREVITAS),
    (NOISY_GOLDEN, BREVITAS),
    *BY_NUMPY.items(),
)
"""Pairs of measurements whose ratio is a figure too."""
Measures = dict[str, Callable[[], float]]
"""Functions that measure images per second, by name."""
Noises = Mapping[str, TapSettings]


@dataclass(frozen=True)
class Rtl:
    """A compiled accelerator, its simulator, and images for it."""

    accelerator: Accelerator
    simulation: runner.Simulation
    stream: Tensor
    """Integers [images, elements], as the accelerator takes them."""

    def rate(self, noise: Noises, passes: int = PASSES) -> float:
        """Return images per second between the first clock and the last, without start-up."""
        return self._run("sim.accelerator_bench", self.simulation, [noise] * passes)

    def driven(self, simulation: runner.Simulation) -> float:
        """Return the same with Python driving the accelerator's own ports in every clock."""
        return self._run("sim.driven_bench", simulation, [{}])

    def bare(self, simulation: runner.Simulation) -> float:
        """Return the same without cocotb."""
        with tempfile.TemporaryDirectory() as folder:
            workdir = Path(folder)
            simulate.start_job(self.accelerator, self.stream, [{}], workdir)
            count = len(self.stream) * PASSES
            command = [str(simulation.binary), str(len(self.stream)), str(count)]
            out = subprocess.run(command, cwd=workdir, capture_output=True, text=True, check=True)
        return count / float(out.stdout.splitlines()[-1])

    def pair(self, noise: Noises) -> float:
        """Return images per second of two processes side by side."""
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(self.rate, [noise, noise]))

    def _run(self, bench: str, simulation: runner.Simulation, points: list[Noises]) -> float:
        with tempfile.TemporaryDirectory() as folder:
            workdir = Path(folder)
            simulate.start_job(self.accelerator, self.stream, points, workdir)
            simulation.run(bench, workdir=workdir)
            seconds = json.loads((workdir / "seconds.json").read_text())
        return len(self.stream) * len(points) / seconds


def missing() -> dict[str, str]:
    """Return the measurements that this machine cannot make, each with the reason."""
    found = {}
    if find_spec("cocotbext") is None or find_spec("cocotbext.axi") is None:
        found[DRIVEN] = "the Python package cocotbext-axi is not installed"
    if len(os.sched_getaffinity(0)) < 2:
        found[PAIR] = "there is only one core"
    return found


def run(settings: HardwareWalkSettings, rounds: int = 5) -> list[Figure]:
    """Measure the speed of a network's simulation and of its models.

    Args:
        settings: model, dataset and folding are used.
        rounds: number of times that everything is measured, in turn.

    Returns:
        The figures, without those of ``missing``; ratios are taken within a round.
    """
    trained = TrainedNetwork.load(settings, default=MODEL_IMAGES)
    root = settings.build / "sim"
    ours, finns = (_compiled(settings, trained, mvu) for mvu in MVUS)
    accelerator = ours.accelerator
    measures = {
        **_simulated(ours, finns, root),
        **_modelled(accelerator, trained),
        **_driven(ours, root),
    }
    for name in missing():
        measures.pop(name, None)
    pairs = [pair for pair in PAIRS if set(pair) <= set(measures)]
    walked = _golden_walk(
        accelerator,
        trained.network,
        trained.inputs[:WALK_IMAGES],
        trained.images.known_labels[:WALK_IMAGES],
    )
    name = f"golden walk, {len(accelerator.sites)} sites × {WALK_LEVELS} levels × {WALK_IMAGES}"
    return [
        *in_turn(measures, pairs, rounds),
        Figure.of("Verilator build, nothing stored", "s", [_cold_build(accelerator)]),
        Figure.of(f"{name} images", "s", [walked]),
    ]


def _compiled(settings: HardwareWalkSettings, trained: TrainedNetwork, mvu: str) -> Rtl:
    """Compile a network with one kind of matrix-vector unit, and build its simulator."""
    accelerator = compile_network(
        trained.network,
        trained.inputs[:CALIBRATION_IMAGES],
        **settings.target,
        mvu=mvu,
        root=settings.build / "accelerators",
    )
    simulation = simulate.build(accelerator, root=settings.build / "sim")
    return Rtl(accelerator, simulation, in_memory(accelerator, trained.inputs))


def _simulated(ours: Rtl, finns: Rtl, root: Path) -> Measures:
    """Return the measurements of the simulator at full speed."""
    main = Path(runner.__file__).with_name("bare_main.cpp")
    bare = simulate.build(ours.accelerator, root=root, main=main)
    additive = _everywhere(ours.accelerator, "additive")
    multiplicative = _everywhere(ours.accelerator, "multiplicative")
    finns_additive = _everywhere(finns.accelerator, "additive")
    return {
        IDLE: lambda: ours.rate({}),
        BARE: lambda: ours.bare(bare),
        BENCH: lambda: ours.rate(additive),
        PAIR: lambda: ours.pair(additive),
        "RTL, cocotb, multiplicative noise at every tap": lambda: ours.rate(multiplicative),
        FINNS: lambda: finns.rate(finns_additive),
    }


def _driven(ours: Rtl, root: Path) -> Measures:
    """Return the measurements of a few images, driven by Python and by our bench."""
    if DRIVEN in missing():
        return {}
    count = max(2, DRIVEN_CLOCKS // ours.accelerator.manifest["cycles_per_image"])
    few = Rtl(ours.accelerator, ours.simulation, ours.stream[:count])
    driven = build_driven(ours.accelerator, root)
    return {DRIVEN: lambda: few.driven(driven), FEW: lambda: few.rate({}, passes=1)}


def _modelled(accelerator: Accelerator, trained: TrainedNetwork) -> Measures:
    """Return the measurements of the golden model and of Brevitas."""
    network, inputs = trained.network, trained.inputs
    stream, golden = accelerator.quantise(inputs), accelerator.golden_model()
    additive = _everywhere(accelerator, "additive")
    batch = images_at_a_time(accelerator.sites)
    noise = {name: Noise.at("additive", 4 * site.scale) for name, site in accelerator.sites.items()}

    def on() -> object:
        return golden.run(stream, additive)

    def hwdraws() -> object:
        sampler = HardwareSampler(accelerator.sites, 1)
        return evaluate(network, inputs, noise=noise, sampler=sampler, batch=batch)

    return {
        GOLDEN: lambda: _timed(len(stream), lambda: golden.run(stream)),
        NOISY_GOLDEN: lambda: _timed(len(stream), on),
        BY_NUMPY[NOISY_GOLDEN]: lambda: _timed(len(stream), by_numpy(on)),
        BREVITAS: lambda: _timed(len(inputs), lambda: evaluate(network, inputs, batch=batch)),
        HWDRAWS: lambda: _timed(len(inputs), hwdraws),
        BY_NUMPY[HWDRAWS]: lambda: _timed(len(inputs), by_numpy(hwdraws)),
    }


def build_driven(accelerator: Accelerator, root: Path, **options) -> runner.Simulation:
    """Compile an accelerator without a bench around it, for ``sim.driven_bench``."""
    streams = [f"{port}_T*" for port in ("in0_V", "out0_V")]
    return runner.build(
        "accelerator",
        accelerator.sources,
        defines={"FINN_SIMULATION": 1},
        public=("ap_clk", "ap_rst_n", "cfg_valid", *streams),
        flags=["-Wno-lint", "-Wno-style"],
        root=root,
        **options,
    )


def in_memory(accelerator: Accelerator, inputs: Tensor) -> Tensor:
    """Return the images that a simulator's memory takes, of float ones, as `Rtl` takes them."""
    images = MEMORY_CYCLES // accelerator.manifest["cycles_per_image"]
    return accelerator.quantise(inputs[: min(MEMORY_IMAGES, max(1, images))])


def _everywhere(accelerator: Accelerator, kind: str) -> dict[str, TapSettings]:
    """Return noise at every tap: additive of 4 LSB, or multiplicative of 0.3."""
    return {
        name: TapSettings.of(
            Noise.at(kind, 4 * site.scale if kind == "additive" else 0.3),
            site.scale,
            1,
            sigma_bits=site.sigma_bits,
        )
        for name, site in accelerator.sites.items()
    }


def _timed(images: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    with torch.inference_mode():
        work()
    return images / (time.perf_counter() - started)


def _cold_build(accelerator: Accelerator) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        simulate.build(accelerator, root=Path(folder))
        return time.perf_counter() - started


def _golden_walk(accelerator: Accelerator, network: Network, inputs: Tensor, labels) -> float:
    """Return the seconds of a walk with additive noise of 0.5 to 64 LSB, nothing stored before."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        walk = Walk(
            network,
            accelerator,
            inputs,
            labels,
            Placement(NoiseSetting("additive")),
            store,
            Path(folder),
        )
        places = [
            NoisePoint(name, site.scale * 2.0 ** (level - 1))
            for name, site in walk.context.sites.items()
            for level in range(WALK_LEVELS)
        ]
        started = time.perf_counter()
        walk.run(walk.wanted([Side.GOLDEN], places))
        return time.perf_counter() - started
