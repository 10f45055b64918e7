"""Set-up of FINN without vendor tools: its settings, and our operators in its registries."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import ModuleType

_FOLDER = "FINN_BUILD_DIR"
_LOOPS = "finn.transformation.fpgadataflow.loop_rolling"
"""FINN's rolling of loops, of which its operators on import need one name."""


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Set the folder for FINN's generated files for a ``with`` block.

    Args:
        folder: folder, created if missing, in which FINN's ``PrepareIP`` makes one per node.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = os.environ.get(_FOLDER)
    _settle(str(folder.resolve()))
    try:
        register_operators()
        yield
    finally:
        _settle(before or tempfile.gettempdir())


def _settle(folder: str) -> None:
    os.environ[_FOLDER] = folder
    from finn.util.settings import initialize_dummy_settings

    initialize_dummy_settings()


@contextmanager
def _without_loops() -> Iterator[None]:
    """Import FINN's operators in a ``with`` block without its rolling of loops.

    That imports onnxscript and SymPy, which takes longer than all else of FINN. No loop is rolled
    here; whatever imports the module later gets it.
    """
    if _LOOPS in sys.modules:
        yield
        return
    stand_in = ModuleType(_LOOPS)
    vars(stand_in)["LoopBodyInputType"] = Enum("LoopBodyInputType", ["PARAMETER"])
    sys.modules[_LOOPS] = stand_in
    try:
        yield
    finally:
        del sys.modules[_LOOPS]


def register_operators() -> None:
    """Make FINN find this project's operators; whatever reads a compiled graph needs them."""
    if _FOLDER not in os.environ:
        # FINN's operators cannot be imported before FINN has its settings
        _settle(tempfile.gettempdir())
    with _without_loops():
        import finn.custom_op.fpgadataflow as hardware_layers
        import finn.custom_op.fpgadataflow.rtl as rtl_layers
    from qonnx.custom_op.registry import add_op_to_domain

    from flow.compiler.operators.label_select import LabelSelect, LabelSelect_rtl
    from flow.compiler.operators.mvau import MVAU_rtl
    from flow.compiler.operators.noise_tap import NoiseTap, NoiseTap_rtl
    from flow.compiler.operators.pool import Pool_rtl
    from flow.compiler.operators.streams import (
        AddStreams,
        AddStreams_rtl,
        DuplicateStreams_rtl,
        MultiplyStreams,
        MultiplyStreams_rtl,
        StreamingConcat,
        StreamingConcat_rtl,
        StreamingFIFO_rtl,
    )
    from flow.compiler.operators.thresholding import Thresholding, Thresholding_rtl
    from flow.compiler.operators.tiles import (
        MVAU,
        VVAU,
        TileAccumulator,
        TileAccumulator_rtl,
    )
    from flow.compiler.operators.upsample import (
        UpsampleNearestNeighbour,
        UpsampleNearestNeighbour_rtl,
    )
    from flow.compiler.operators.vvau import VVAU_rtl

    ours = {
        hardware_layers: (
            *(NoiseTap, AddStreams, LabelSelect, MVAU, VVAU, TileAccumulator),
            *(MultiplyStreams, StreamingConcat, Thresholding, UpsampleNearestNeighbour),
        ),
        rtl_layers: (
            AddStreams_rtl,
            DuplicateStreams_rtl,
            LabelSelect_rtl,
            MVAU_rtl,
            MultiplyStreams_rtl,
            NoiseTap_rtl,
            Pool_rtl,
            StreamingConcat_rtl,
            StreamingFIFO_rtl,
            Thresholding_rtl,
            TileAccumulator_rtl,
            UpsampleNearestNeighbour_rtl,
            VVAU_rtl,
        ),
    }
    for layers, operators in ours.items():
        for operator in operators:
            layers.custom_op[operator.__name__] = operator
            # QONNX remembers FINN's own where a graph was read before
            add_op_to_domain(layers.__name__, operator)
