"""Equivalence checks of the golden model.

L0 compares it with FINN's execution and with the Brevitas network, L1 with the simulated RTL, bit
for bit.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from flow.compiler.accelerator import Accelerator
from flow.errors import Defect
from flow.golden.layers import LabelSelect
from flow.golden.model import GoldenModel, Record
from flow.noise.hardware.registers import TapSettings
from flow.rtl.simulate import RtlPoint


@dataclass(frozen=True)
class FinnCheck:
    """Comparison of golden with FINN's Python execution of the hardware graph, without noise."""

    images: int
    tensors: int
    """Number of intermediate tensors compared for each image."""
    differing: list[str]
    """Nodes whose output differs for any image; empty if all are equal."""

    def to_json(self) -> dict:
        """Return the entry of ``summary.json``."""
        return asdict(self) | {"mismatches": len(self.differing)}


@dataclass(frozen=True)
class LabelCheck:
    """Comparison of golden's labels with Brevitas' labels, without noise."""

    images: int
    differing: list[dict] = field(default_factory=list)
    """Number, both labels and the margin in LSB of each image that differs."""


def against_finn(accelerator: Accelerator, golden: GoldenModel, stream: Tensor) -> FinnCheck:
    """Run FINN's execution on images, and compare every intermediate tensor that golden has.

    Args:
        accelerator: the compiled accelerator.
        golden: its golden model.
        stream: integers [images, elements]; FINN takes about half a second per image.
    """
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    model = ModelWrapper(str(accelerator.hardware_graph))
    entry = model.graph.input[0].name
    shape = model.get_tensor_shape(entry)
    record = Record([layer.output for layer in golden.layers])
    golden.run(stream, record=record)
    differing: set[str] = set()
    for image in range(len(stream)):
        values = stream[image].numpy().astype(np.float32).reshape(shape)
        context = execute_onnx(model, {entry: values}, return_full_exec_context=True)
        for layer in golden.layers:
            ours = record.streams[layer.output][image].numpy().ravel()
            theirs = context[layer.output].ravel()
            if not np.array_equal(ours, theirs.astype(np.int64)):
                differing.add(layer.name)
    return FinnCheck(len(stream), len(record.streams), sorted(differing))


def against_brevitas(
    golden: GoldenModel, stream: Tensor, brevitas: npt.NDArray[np.unsignedinteger[Any]]
) -> LabelCheck:
    """Compare labels; each difference has its margin, which float rounding may explain.

    Args:
        golden: the golden model.
        stream: integers [images, elements].
        brevitas: the network's labels, [images].
    """
    record = Record([golden.scores])
    labels = golden.run(stream, record=record).numpy()
    select = golden.layers[-1]
    if not isinstance(select, LabelSelect):
        raise Defect("the last layer selects no label")
    scores = select.compared(record.streams[golden.scores].flatten(1))
    # LSB of the class with the largest gain
    lsb = 2 ** (select.shift + list(golden.taps.values())[-1].format.frac)
    if select.gains is not None:
        lsb *= int(select.gains.abs().max())
    differing = []
    for image in np.flatnonzero(labels != brevitas):
        row = scores[image]
        single = len(row) == 1
        margin = int(row[0].abs() if single else row[labels[image]] - row[int(brevitas[image])])
        differing.append(
            {
                "image": int(image),
                "golden": int(labels[image]),
                "brevitas": int(brevitas[image]),
                "margin": margin / lsb,
            }
        )
    return LabelCheck(len(stream), differing)


def differing_images(
    golden: GoldenModel, stream: Tensor, noise: Mapping[str, TapSettings], rtl: RtlPoint
) -> npt.NDArray[np.bool_]:
    """Return which images differ in label, in a score, or in the digest of a tap's stream.

    Args:
        golden: the golden model that the RTL must equal.
        stream: integers [images, elements].
        noise: settings by site.
        rtl: the results of the RTL.
    """
    record = Record([golden.scores], list(rtl.digests))
    labels = golden.run(stream, noise, record=record).numpy()
    scores = record.streams[golden.scores].flatten(1).numpy()
    differs = (labels != rtl.labels) | (scores != rtl.scores).any(1)
    for site, digests in rtl.digests.items():
        differs |= record.digests[site].numpy() != digests
    return differs


def first_divergence(
    golden: GoldenModel, stream: Tensor, noise: dict[str, TapSettings], rtl: RtlPoint
) -> str | None:
    """Return the first site whose stream differs, with the first such image, or None."""
    record = Record(sites=list(rtl.digests))
    labels = golden.run(stream, noise, record=record).numpy()
    for site, digests in rtl.digests.items():
        images = np.flatnonzero(record.digests[site].numpy() != digests)
        if len(images):
            return f"site {site}, image {images[0]} ({len(images)} of {len(stream)} images)"
    images = np.flatnonzero(labels != rtl.labels)
    return f"label, image {images[0]}" if len(images) else None
