"""FINN's own Python execution of one hardware layer, to hold kernels against."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import helper

from flow.compile.finn_setup import initialise


def execute(
    operator: str,
    values: npt.NDArray,
    out_shape: tuple[int, ...],
    folder: Path,
    *,
    parameters: Sequence[npt.NDArray] = (),
    **attributes,
) -> npt.NDArray[np.int64]:
    """Run whole numbers through a FINN operator with these attributes.

    Args:
        operator: its name, e.g. ``MVAU``.
        values: the stream in.
        out_shape: of the stream out.
        folder: where FINN works.
        parameters: the further inputs, such as weights.
        attributes: of the node.
    """
    initialise(folder)
    from qonnx.custom_op.registry import getCustomOp

    names = [f"parameter{i}" for i in range(len(parameters))]
    node = helper.make_node(
        operator,
        ["in", *names],
        ["out"],
        domain="finn.custom_op.fpgadataflow",
        backend="fpgadataflow",
        **attributes,
    )
    context = {"in": values.astype(np.float32), "out": np.zeros(out_shape, np.float32)}
    context |= {n: p.astype(np.float32) for n, p in zip(names, parameters, strict=True)}
    getCustomOp(node).execute_node(context, None)
    return context["out"].astype(np.int64)
