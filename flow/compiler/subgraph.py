"""Subgraph of an accelerator downstream of one of its streams, as an accelerator itself."""

import json
from collections.abc import Collection
from pathlib import Path

from flow.compiler.accelerator import Accelerator, open_or_build
from flow.compiler.finn import working_in
from flow.compiler.folding.target import Target

PARTS = "parts"
"""Name of the folder of subgraphs in an accelerator's folder."""


def downstream(accelerator: Accelerator, stream: str, weights: Collection[str]) -> Accelerator:
    """Compile the subgraph downstream of a stream, or open it if it was compiled before.

    Its images are the values of the stream. It is folded again, for the fastest simulation: a layer
    that waits for slower ones in the whole accelerator need not wait here, and folding changes no
    value. Layers, matrix-vector units, weights and the numbers of the sites are those of the whole.
    It neither quantises images nor has a golden model of its own.

    Args:
        accelerator: the whole accelerator.
        stream: a tensor of its graph of hardware layers, which no other tensor may bypass.
        weights: weight sites downstream of the stream.
    """
    folder = accelerator.folder / PARTS / stream

    def build(scratch: Path) -> None:
        with working_in(scratch / "finn"):
            _build(accelerator, stream, weights, scratch)

    return open_or_build(folder, build)


def _build(accelerator: Accelerator, stream: str, weights: Collection[str], folder: Path) -> None:
    # FINN registers operators on import, so its settings come first
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.custom_op.registry import getCustomOp
    from qonnx.transformation.general import RemoveUnusedTensors

    from flow.compiler.generate import generate_rtl
    from flow.compiler.graph.passes import begin_at

    model = ModelWrapper(str(accelerator.hardware_graph))
    reached, front = {stream}, []
    for node in model.graph.node:
        if reached.isdisjoint(node.input):
            front.append(node)
        else:
            reached.update(node.output)
    begin_at(model, stream, front)
    model = model.transform(RemoveUnusedTensors())
    shape = model.get_tensor_shape(stream)[1:]
    whole = accelerator.manifest
    written = {site: accelerator.weights[site] for site in accelerator.weights if site in weights}
    built, model = generate_rtl(model, Target(), whole["mvu"], written, folder)
    taps = {
        getCustomOp(node).get_nodeattr("SiteName"): node.name
        for node in model.get_nodes_by_op_type("NoiseTap_rtl")
    }
    manifest = {name: whole[name] for name in ("network", "classes", "versions", "kinds")} | built
    manifest["image_shape"] = shape
    manifest["sites"] = [
        site | {"node": taps[site["name"]]} for site in whole["sites"] if site["name"] in taps
    ]
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
