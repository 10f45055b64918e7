"""From a trained Brevitas network to one accelerator in RTL, with noise taps in its datapath."""

import copy
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from brevitas.nn.quant_layer import QuantWeightBiasInputOutputLayer
from torch import Tensor, nn

from flow.compiler.finn import initialise
from flow.compiler.folding.target import CLOCK_HZ, Nodes, Target
from flow.compiler.graph.compatibility import reject_unfit
from flow.errors import UserError, unknown
from flow.models import Network
from flow.models.qonnx.network import ImportedNetwork
from flow.noise.hardware.sites import TapSite
from flow.noise.hardware.weights import WeightSite
from flow.numerics import code_digest
from flow.paths import HW
from flow.walk.points import store

if TYPE_CHECKING:
    from flow.golden.model import GoldenModel

log = logging.getLogger(__name__)

KERNELS = (HW / "kernels", HW / "noise")
"""Folders of the hardware written here."""
FPGA_PART = "xczu7ev-ffvc1156-2-e"
"""Decides only which DSP slice FINN's matrix-vector unit models; nothing is synthesised."""
CLOCK_NS = 1e9 / CLOCK_HZ
MVUS = ("lut", "dsp")


@dataclass(frozen=True)
class Accelerator:
    """A compiled network, in a folder of its own.

    The folder holds ``manifest.json``, ``hardware.onnx`` (FINN's graph with taps, before
    specialisation), ``rtl/`` and ``data/``; where weights may have noise also
    ``specialised.onnx``, by which their memories are written; and where parts of it were asked for
    ``parts/`` (`flow.compiler.subgraph`).
    """

    folder: Path
    manifest: dict

    @classmethod
    def open(cls, folder: Path) -> "Accelerator":
        """Open a compiled accelerator."""
        return cls(folder, json.loads((folder / "manifest.json").read_text()))

    @property
    def sites(self) -> dict[str, TapSite]:
        """The taps by name, in the order of the data."""
        return {site["name"]: TapSite(**site) for site in self.manifest["sites"]}

    @property
    def weights(self) -> dict[str, WeightSite]:
        """The weights that may be programmed with an error, by name, in the order of the data."""
        return {
            site["name"]: WeightSite(
                **site | {"shape": tuple(site["shape"]), "flipped": tuple(site["flipped"])}
            )
            for site in self.manifest["weights"]
        }

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of an image: (H, W, C), or (C,) behind a dense layer."""
        return tuple(self.manifest["image_shape"])

    @property
    def sources(self) -> list[Path]:
        """HDL in compile order."""
        return [self.folder / "rtl" / name for name in self.manifest["sources"]]

    @property
    def hardware_graph(self) -> Path:
        """FINN's graph of hardware layers, which FINN can execute."""
        return self.folder / "hardware.onnx"

    def golden_model(self) -> "GoldenModel":
        """Return the bit-exact model of the hardware graph."""
        initialise(self.folder / "finn")
        from qonnx.core.modelwrapper import ModelWrapper

        from flow.golden.model import GoldenModel

        return GoldenModel.of(ModelWrapper(str(self.hardware_graph)), self.weights)

    def quantise(self, inputs: Tensor) -> Tensor:
        """Turn images into the integer stream, as the host does.

        Args:
            inputs: float32 [N, C, H, W], as the network takes them.

        Returns:
            int32 [N, elements], in the order of the accelerator's input stream.
        """
        from flow.compiler.graph.dataflow import HostQuantiser

        quantiser = dict(self.manifest["host_quantiser"])
        thresholds = np.array(quantiser.pop("thresholds"), dtype=np.float32)
        values = HostQuantiser(thresholds=thresholds, **quantiser)(inputs.numpy())
        return torch.from_numpy(values)


def check(network: Network) -> None:
    """Find out in seconds whether a network can be compiled, trained or not.

    Raises:
        UserError: it cannot; the message names the node.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _to_hardware_layers(copy.deepcopy(network), folder)


def _to_hardware_layers(network: Network, folder: Path, mvu: str = "lut"):
    """Export a network and turn it into FINN's hardware layers, with ``folder`` to work in."""
    for name, module in network.named_modules():
        layer = isinstance(module, nn.Linear | nn.Conv2d)
        if layer and not isinstance(module, QuantWeightBiasInputOutputLayer):
            raise UserError(
                f"{network.name} cannot be compiled: the weights of {name} are not quantised; "
                "walk it in software, or take a quantised network"
            )
    if isinstance(network, ImportedNetwork):
        reject_unfit(network.name, network.graph)
    (folder / "finn").mkdir()
    initialise(folder / "finn")
    # FINN registers operators when imported, so only after it has its settings
    from flow.compiler.graph import dataflow

    exported = dataflow.export(network.eval(), folder / "network.onnx")
    try:
        return dataflow.to_hardware_layers(exported, mvu)
    except (AssertionError, ValueError, RuntimeError, KeyError, TypeError) as error:
        if not isinstance(network, ImportedNetwork):
            raise
        # a graph that no rule here has foreseen
        raise UserError(
            f"{network.name} fits no rule that is known here, but FINN refuses it: {error}"
        ) from error


def compile_network(
    network: Network,
    calibration: Tensor,
    *,
    sites: Iterable[str] = (),
    cycles: int | None = None,
    fps: float | None = None,
    nodes: Nodes | None = None,
    mvu: str = "lut",
    root: Path = Path("build/accelerators"),
) -> Accelerator:
    """Compile a network, or open what an earlier call compiled from the same things.

    Args:
        network: trained; every ``.acc`` site gets a tap.
        calibration: float32 [N, C, H, W], real images on which each tap's scale is proved.
        sites: further sites to tap; of a ``.weight`` site, memory and accumulator get room for
            weights with an error.
        cycles: target of cycles per image. Of this and the next two, at most one; the folding's
            default when none is given.
        fps: images a second at 200 MHz.
        nodes: a FINN folding file's content, from ``folding_target.read``.
        mvu: ``lut`` for our matrix-vector unit where operands have up to 8 bits, or ``dsp`` for
            FINN's everywhere.
        root: the folder of compiled accelerators.

    Raises:
        UserError: the network cannot be compiled, or not folded so; the message names the node.
    """
    target = Target(cycles, fps, nodes)
    chosen = set(sites)
    tapped = [s for s in network.all_sites if s.is_accumulator or s in chosen]
    for site in chosen:
        network.tap(site)
    if mvu not in MVUS:
        raise unknown("matrix-vector unit", mvu, MVUS)
    key = _key(network, calibration, tapped, target, mvu)
    folder = root / f"{network.name}-{key}"
    return open_or_build(
        folder, lambda scratch: _compile(network, calibration, tapped, target, mvu, scratch)
    )


def open_or_build(folder: Path, build: Callable[[Path], None]) -> Accelerator:
    """Open a folder of an accelerator, or have it built beside and renamed into place.

    Args:
        folder: where it is to lie, whichever process builds it first.
        build: fills a folder with it; ``finn/`` in there is left out.
    """

    def build_alone(scratch: Path) -> None:
        build(scratch)
        shutil.rmtree(scratch / "finn")

    store.built_once(folder, build_alone)
    return Accelerator.open(folder)


def _key(
    network: Network, calibration: Tensor, tapped: Sequence[str], target: Target, mvu: str
) -> str:
    """Hash everything the result depends on."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    digest.update(network.definition)
    digest.update(calibration.numpy().tobytes())
    tools = {name: version(name) for name in ("brevitas", "finn-plus", "qonnx", "torch")}
    digest.update(json.dumps([network.name, tapped, asdict(target), mvu, tools]).encode())
    digest.update(code_digest(__name__).encode())
    for path in kernel_sources():
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def kernel_sources() -> list[Path]:
    """Return the SystemVerilog that an accelerator may be made of; never empty."""
    found = [path for folder in KERNELS for path in sorted(folder.glob("*.sv"))]
    if not found:
        raise FileNotFoundError(f"no SystemVerilog in {', '.join(map(str, KERNELS))}")
    return found


def _compile(
    network: Network,
    calibration: Tensor,
    tapped: Sequence[str],
    target: Target,
    mvu: str,
    folder: Path,
) -> None:
    model, quantiser = _to_hardware_layers(network, folder, mvu)
    from qonnx.custom_op.registry import getCustomOp

    from flow.compiler import weights
    from flow.compiler.calibration import prove
    from flow.compiler.generate import realise
    from flow.compiler.graph.sites import Marks, find_sites
    from flow.compiler.graph.taps import InsertNoiseTaps
    from flow.golden.model import GoldenModel

    marks = Marks.of(network)
    edges = find_sites(model, marks)
    grids = weights.grids(network, tapped)
    model = model.transform(weights.HoldWeights(edges, grids))
    model = model.transform(InsertNoiseTaps(edges, tapped, quantiser.levels))
    golden = GoldenModel.of(model)
    streams = find_sites(model, marks)
    stream = torch.from_numpy(quantiser(calibration.numpy()))
    proof = prove(network, golden, calibration, stream, streams)
    scales = proof.scales
    for node in model.get_nodes_by_op_type("NoiseTap"):
        tap = getCustomOp(node)
        offsets = scales[tap.get_nodeattr("SiteName")].offset * 2 ** tap.get_nodeattr("FracBits")
        if offsets.any():
            tap.set_nodeattr("Offsets", [int(o) for o in offsets])
    numbers = {site: number for number, site in enumerate(edges)}
    programmable = weights.find_weights(network, model, streams, grids, numbers)
    model.save(str(folder / "hardware.onnx"))

    built, model = realise(model, target, mvu, programmable, folder)
    manifest = {
        "network": network.name,
        "image_shape": network.image_shape,
        "classes": network.classes,
        "versions": {n: version(n) for n in ("brevitas", "finn-plus", "qonnx", "torch")},
        "host_quantiser": asdict(quantiser) | {"thresholds": quantiser.thresholds.tolist()},
        "on_thresholds": proof.on_thresholds,
        **built,
        "sites": sorted(
            (
                asdict(_site(getCustomOp(node), scales))
                for node in model.get_nodes_by_op_type("NoiseTap_rtl")
            ),
            key=lambda site: site["number"],
        ),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))


def _site(tap, scales) -> TapSite:
    name = tap.get_nodeattr("SiteName")
    return TapSite(
        name=name,
        number=tap.get_nodeattr("Site"),
        scale=scales[name].magnitude,
        scale_error=scales[name].error,
        node=tap.onnx_node.name,
        channels=tap.get_nodeattr("NumChannels"),
        pixels=int(np.prod(tap.get_nodeattr("numInputVectors"))),
        in_bits=tap.get_input_datatype().bitwidth(),
        out_bits=tap.get_output_datatype().bitwidth(),
        fraction_bits=tap.get_nodeattr("FracBits"),
        flipped=[int(c) for c in np.flatnonzero(scales[name].scale < 0)],
    )
