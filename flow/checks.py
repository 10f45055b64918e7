"""L0: the golden model against FINN's own execution, and against the Brevitas network."""

from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from flow.compile import Accelerator
from flow.golden import GoldenModel, Record


@dataclass(frozen=True)
class FinnCheck:
    """Golden against FINN's Python execution of the hardware graph, without noise."""

    images: int
    tensors: int
    """Intermediate tensors compared, for each image."""
    differing: list[str]
    """Nodes whose output differs on some image; empty when all is well."""

    def to_json(self) -> dict:
        """Return the entry of ``summary.json``."""
        return asdict(self) | {"mismatches": len(self.differing)}


@dataclass(frozen=True)
class LabelCheck:
    """Golden against Brevitas, label for label, without noise."""

    images: int
    differing: list[dict] = field(default_factory=list)
    """For each image that differs: its number, both labels, and the margin in LSB."""


def against_finn(accelerator: Accelerator, golden: GoldenModel, stream: Tensor) -> FinnCheck:
    """Run FINN's own execution on images and compare every intermediate tensor.

    Args:
        accelerator: what was compiled.
        golden: its golden model.
        stream: integers [images, elements]; FINN takes about half a second an image.
    """
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    model = ModelWrapper(str(accelerator.hardware_graph))
    entry = model.graph.input[0].name
    shape = model.get_tensor_shape(entry)
    record = Record()
    golden.run(stream, record=record)
    differing: set[str] = set()
    for image in range(len(stream)):
        values = stream[image].numpy().astype(np.float32).reshape(shape)
        context = execute_onnx(model, {entry: values}, return_full_exec_context=True)
        for node in model.graph.node:
            ours = record.streams[node.name][image].numpy().ravel()
            theirs = context[node.output[0]].ravel()
            if not np.array_equal(ours, theirs.astype(np.int64)):
                differing.add(node.name)
    return FinnCheck(len(stream), len(model.graph.node), sorted(differing))


def against_brevitas(
    golden: GoldenModel, stream: Tensor, brevitas: npt.NDArray[np.uint8]
) -> LabelCheck:
    """Compare labels; a difference is told with its margin, which float rounding may explain.

    Args:
        golden: the golden model.
        stream: integers [images, elements].
        brevitas: the network's labels, [images].
    """
    scores = golden.run(stream, stop=len(golden.layers) - 1)
    labels = scores.argmax(1).numpy()
    differing = []
    for image in np.flatnonzero(labels != brevitas):
        row = scores[image]
        margin = int(row[labels[image]] - row[int(brevitas[image])])
        differing.append(
            {
                "image": int(image),
                "golden": int(labels[image]),
                "brevitas": int(brevitas[image]),
                "margin": margin / 2 ** golden.taps[list(golden.taps)[-1]].format.frac,
            }
        )
    return LabelCheck(len(stream), differing)
