"""FINN's own Python execution of one hardware layer, to hold kernels against."""

from collections.abc import Mapping
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
    constants: Mapping[str, npt.NDArray] | None = None,
    **attributes,
) -> npt.NDArray[np.int64]:
    """Run whole numbers through a FINN operator with these attributes; FINN works in ``folder``.

    Args:
        operator: FINN's name of it.
        values: the input.
        out_shape: of the output.
        folder: for FINN's files.
        constants: further inputs, such as weights, in the order of the operator.
        attributes: of the node.
    """
    constants = constants or {}
    initialise(folder)
    from qonnx.custom_op.registry import getCustomOp

    node = helper.make_node(
        operator,
        ["in", *constants],
        ["out"],
        domain="finn.custom_op.fpgadataflow",
        backend="fpgadataflow",
        **attributes,
    )
    context = {name: array.astype(np.float32) for name, array in constants.items()}
    context |= {"in": values.astype(np.float32), "out": np.zeros(out_shape, np.float32)}
    getCustomOp(node).execute_node(context, None)
    return context["out"].astype(np.int64)
