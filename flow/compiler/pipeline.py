"""Compilation of a trained Brevitas network to an RTL accelerator with noise taps."""

import copy
import hashlib
import json
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from flow.compiler.accelerator import Accelerator, open_or_build
from flow.compiler.finn import working_in
from flow.compiler.folding.target import NOMINAL_MHZ, Nodes, Target
from flow.compiler.graph.compatibility import reject_unfit
from flow.errors import Defect, UserError, unknown
from flow.models import Network, SiteValues, site_values
from flow.models.network import QuantWeightBiasInputOutputLayer
from flow.models.qonnx.network import ImportedNetwork
from flow.noise.hardware.kinds import KINDS, parameter, parts_of
from flow.noise.hardware.sites import TapSite
from flow.noise.site import INPUT
from flow.numerics import code_digest
from flow.paths import HW

if TYPE_CHECKING:
    from flow.compiler.calibration import Scale

log = logging.getLogger(__name__)

KERNELS = (HW / "kernels", HW / "noise")
"""Folders of this project's hardware modules."""
MVUS = ("lut", "dsp")
CHECKED_IMAGES = 64
"""Random images for which `check` compiles a network."""


def check(network: Network, images: Tensor | None = None) -> None:
    """Check that a network, trained or not, can be compiled.

    A network of this package is converted to hardware layers, which takes seconds. One that was
    read from a file is compiled, with the default folding, and the result is thrown away.

    Args:
        network: the network.
        images: images for the proof of the scales, float32 [N, C, H, W]; random ones if None.

    Raises:
        UserError: the network cannot be compiled; the message names the node.
    """
    with tempfile.TemporaryDirectory() as name, working_in(Path(name) / "finn"):
        if not isinstance(network, ImportedNetwork):
            _to_hardware_layers(copy.deepcopy(network), Path(name))
            return
        given = random_images(network, CHECKED_IMAGES) if images is None else images
        try:
            sites = network.accumulator_sites
            _compile(network, given, sites, Target(), MVUS[0], KINDS, Path(name))
        except Defect as error:
            if images is not None:
                raise
            # random images may leave most of a network without any change
            raise UserError(
                f"{network.name} cannot be checked on random images ({error}): give images that it "
                "was made for, as a data set"
            ) from error


def random_images(network: Network, count: int) -> Tensor:
    """Return images in a network's range, [N, C, H, W], half of them of nothing but its ends."""
    height, width, channels = network.image_shape
    low, high = network.image_range or (-1.0, 1.0)
    generator = torch.Generator().manual_seed(0)
    shares = torch.rand((count, channels, height, width), generator=generator)
    shares[1::2] = shares[1::2].round()
    return shares * (high - low) + low


def _to_hardware_layers(network: Network, folder: Path, mvu: str = "lut"):
    """Export a network and convert it to FINN's hardware layers, using a scratch folder."""
    for name, module in network.named_modules():
        layer = isinstance(module, nn.Linear | nn.Conv2d)
        if layer and not isinstance(module, QuantWeightBiasInputOutputLayer):
            raise UserError(
                f"{network.name} cannot be compiled: the weights of {name} are not quantised; "
                "walk it in software, or take a quantised network"
            )
    if isinstance(network, ImportedNetwork):
        reject_unfit(network.name, network.graph)
    # FINN registers operators on import, so its settings come first
    from flow.compiler.graph import dataflow

    try:
        exported = dataflow.export(network.eval(), folder / "network.onnx")
        return dataflow.to_hardware_layers(exported, mvu)
    except UserError:
        raise
    except Exception as error:
        if not isinstance(network, ImportedNetwork):
            raise
        # a graph that none of our checks covers
        raise UserError(
            f"{network.name} passes every check, but FINN refuses it: {error}"
        ) from error


def compile_network(
    network: Network,
    calibration: Tensor,
    *,
    sites: Iterable[str] = (),
    every_accumulator: bool = True,
    cycles: int | None = None,
    fps: float | None = None,
    nodes: Nodes | None = None,
    mhz: float = NOMINAL_MHZ,
    mvu: str = "lut",
    kinds: Sequence[str] = (),
    root: Path = Path("build/accelerators"),
) -> Accelerator:
    """Compile a network, or open the accelerator that was compiled from equal arguments before.

    Args:
        network: the trained network, with tiles or without.
        calibration: real images on which each tap's scale is verified, float32 [N, C, H, W].
        sites: sites to tap; for a ``.weight`` site, memory and accumulator are widened to hold
            weights with errors.
        every_accumulator: whether every accumulator site has a tap as well.
        cycles: target of cycles per image. At most one of this and the next two may be given; the
            folding's default applies otherwise.
        fps: target of images per second.
        nodes: content of a FINN folding file, from `flow.compiler.folding.target.read`.
        mhz: clock of the accelerator, for ``fps``.
        mvu: ``lut`` for our matrix-vector unit if operands have up to 16 bits, or ``dsp`` for
            FINN's everywhere.
        kinds: what taps are built for, of `flow.noise.hardware.kinds.KINDS`; everything if empty.
        root: folder of compiled accelerators.

    Raises:
        UserError: the network cannot be compiled or folded as requested; the message names the
            node.
    """
    target = Target(cycles, fps, nodes, mhz)
    chosen = set(sites)
    tapped = [
        s for s in network.all_sites if s in chosen or (every_accumulator and s.is_accumulator)
    ]
    for site in chosen:
        network.tap(site)
    if mvu not in MVUS:
        raise unknown("matrix-vector unit", mvu, MVUS)
    built_for = [kind for kind in KINDS if not kinds or kind in kinds]
    parts_of(kinds)
    key = _key(network, calibration, tapped, target, mvu, built_for)
    folder = root / f"{network.name}-{key}"

    def build(scratch: Path) -> None:
        with working_in(scratch / "finn"):
            _compile(network, calibration, tapped, target, mvu, built_for, scratch)

    return open_or_build(folder, build)


def _key(
    network: Network,
    calibration: Tensor,
    tapped: Sequence[str],
    target: Target,
    mvu: str,
    kinds: Sequence[str],
) -> str:
    """Hash everything that the result depends on."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    digest.update(network.definition)
    digest.update(calibration.numpy().tobytes())
    tools = {name: version(name) for name in ("brevitas", "finn-plus", "qonnx", "torch")}
    chosen = [network.name, asdict(network.array), tapped, asdict(target), mvu, kinds, tools]
    digest.update(json.dumps(chosen).encode())
    digest.update(code_digest(__name__).encode())
    for path in kernel_sources():
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def kernel_sources() -> list[Path]:
    """Return the SystemVerilog files that an accelerator may contain; never empty."""
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
    kinds: Sequence[str],
    folder: Path,
) -> None:
    model, quantiser = _to_hardware_layers(network, folder, mvu)
    from qonnx.custom_op.registry import getCustomOp

    from flow.compiler import weights
    from flow.compiler.calibration import input_of, verify_scales
    from flow.compiler.generate import generate_rtl
    from flow.compiler.graph.sites import SiteFingerprints, find_sites
    from flow.compiler.graph.taps import InsertNoiseTaps
    from flow.compiler.graph.tiles import TileUnits
    from flow.golden.model import GoldenModel

    marks = SiteFingerprints.of(network)
    edges = find_sites(model, marks)
    grids = weights.grids(network, tapped)
    model = model.transform(weights.HoldWeights(edges, grids))
    if network.array:
        planes = {s: network.planes_at(s) for s in network.accumulator_sites if s.is_tile}
        model = model.transform(TileUnits(edges, network.array.rows, planes))
    model = model.transform(InsertNoiseTaps(edges, tapped, quantiser.levels))
    golden = GoldenModel.of(model)
    streams = find_sites(model, marks)
    if INPUT in streams:
        quantiser = quantiser.rounding_as(input_of(network), tuple(calibration.shape[1:]))
    stream = torch.from_numpy(quantiser(calibration.numpy()))
    proof = verify_scales(network, golden, calibration, stream, streams)
    scales = proof.scales
    for node in model.get_nodes_by_op_type("NoiseTap"):
        tap = getCustomOp(node)
        offsets = scales[tap.get_nodeattr("SiteName")].offset * 2 ** tap.get_nodeattr("FracBits")
        if offsets.any():
            tap.set_nodeattr("Offsets", [int(o) for o in offsets])
        tap.set_nodeattr("Kinds", parameter(kinds))
    numbers = {site: number for number, site in enumerate(edges)}
    values = site_values(network, calibration)
    programmable = weights.find_weights(network, model, streams, grids, numbers, values)
    model.save(str(folder / "hardware.onnx"))

    built, model = generate_rtl(model, target, mvu, programmable, folder)
    manifest = {
        "network": network.name,
        **asdict(network.array),
        "image_shape": network.image_shape,
        "classes": network.classes,
        "versions": {n: version(n) for n in ("brevitas", "finn-plus", "qonnx", "torch")},
        "host_quantiser": asdict(quantiser) | {"thresholds": quantiser.thresholds.tolist()},
        "on_thresholds": proof.on_thresholds,
        "kinds": kinds,
        **built,
        "sites": sorted(
            (
                asdict(_site(getCustomOp(node), scales, values))
                for node in model.get_nodes_by_op_type("NoiseTap_rtl")
            ),
            key=lambda site: site["number"],
        ),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))


def _site(tap, scales: Mapping[str, "Scale"], values: Mapping[str, SiteValues]) -> TapSite:
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
        negated=[int(c) for c in np.flatnonzero(scales[name].scale < 0)],
        std=values[name].std,
        range=values[name].range,
        clip=values[name].clip,
        # a channel that FINN negated has the other sign
        signed=values[name].signed or bool((scales[name].scale < 0).any()),
    )
