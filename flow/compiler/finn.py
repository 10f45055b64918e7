"""FINN without a vendor tool: the settings it wants, and our operators in its registries."""

import os
from pathlib import Path


def initialise(build_dir: Path) -> None:
    """Point FINN at a build folder and register our operators; safe to call again.

    Args:
        build_dir: where FINN's ``PrepareIP`` makes one folder a node; it makes the folder itself.
    """
    os.environ["FINN_BUILD_DIR"] = str(build_dir.resolve())
    from finn.util.settings import initialize_dummy_settings

    initialize_dummy_settings()

    import finn.custom_op.fpgadataflow as hardware_layers
    import finn.custom_op.fpgadataflow.rtl as rtl_layers

    from flow.compiler.operators.label_select import LabelSelect, LabelSelect_rtl
    from flow.compiler.operators.mvau import MVAU_rtl
    from flow.compiler.operators.noise_tap import NoiseTap, NoiseTap_rtl
    from flow.compiler.operators.pool import Pool_rtl
    from flow.compiler.operators.streams import (
        AddStreams,
        AddStreams_rtl,
        DuplicateStreams_rtl,
        StreamingFIFO_rtl,
    )
    from flow.compiler.operators.thresholding import Thresholding_rtl

    for operator in (NoiseTap, AddStreams, LabelSelect):
        hardware_layers.custom_op[operator.__name__] = operator
    for operator in (
        AddStreams_rtl,
        DuplicateStreams_rtl,
        LabelSelect_rtl,
        MVAU_rtl,
        NoiseTap_rtl,
        Pool_rtl,
        StreamingFIFO_rtl,
        Thresholding_rtl,
    ):
        rtl_layers.custom_op[operator.__name__] = operator
