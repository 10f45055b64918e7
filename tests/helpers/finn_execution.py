"""FINN's own Python execution of one hardware layer, to hold kernels against."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import helper, numpy_helper

from flow.compiler.finn import register_operators


def operator(
    kind: str,
    inputs: Sequence[str],
    folder: Path,
    *,
    outputs: Sequence[str] = ("out",),
    **attributes,
):
    """Return a FINN operator with these streams and attributes; FINN works in ``folder``."""
    register_operators()
    from qonnx.custom_op.registry import getCustomOp

    node = helper.make_node(
        kind,
        inputs,
        outputs,
        domain="finn.custom_op.fpgadataflow",
        backend="fpgadataflow",
        **attributes,
    )
    return getCustomOp(node)


def execute(
    kind: str,
    values: npt.NDArray,
    out_shape: tuple[int, ...],
    folder: Path,
    *,
    parameters: Sequence[npt.NDArray] = (),
    **attributes,
) -> npt.NDArray[np.int64]:
    """Run whole numbers through a FINN operator of one stream in and one out.

    Args:
        kind: the operator's name, e.g. ``MVAU``.
        values: the stream in.
        out_shape: of the stream out.
        folder: where FINN works.
        parameters: the further inputs, such as weights.
        attributes: of the node.
    """
    names = [f"parameter{i}" for i in range(len(parameters))]
    context = {"in": values.astype(np.float32), "out": np.zeros(out_shape, np.float32)}
    context |= {n: p.astype(np.float32) for n, p in zip(names, parameters, strict=True)}
    # some operators read their parameters from the graph
    constants = [numpy_helper.from_array(context[name], name) for name in names]
    graph = helper.make_graph([], "parameters", [], [], constants)
    operator(kind, ["in", *names], folder, **attributes).execute_node(context, graph)
    return context["out"].astype(np.int64)
