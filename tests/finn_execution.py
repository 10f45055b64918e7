"""FINN's own Python execution of one hardware layer, to hold kernels against."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import helper

from flow.compile.finn_setup import initialise


def execute(
    operator: str, values: npt.NDArray, out_shape: tuple[int, ...], folder: Path, **attributes
) -> npt.NDArray[np.int64]:
    """Run whole numbers through a FINN operator with these attributes; FINN works in ``folder``."""
    initialise(folder)
    from qonnx.custom_op.registry import getCustomOp

    node = helper.make_node(
        operator,
        ["in"],
        ["out"],
        domain="finn.custom_op.fpgadataflow",
        backend="fpgadataflow",
        **attributes,
    )
    context = {"in": values.astype(np.float32), "out": np.zeros(out_shape, np.float32)}
    getCustomOp(node).execute_node(context, None)
    return context["out"].astype(np.int64)
