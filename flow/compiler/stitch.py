"""Top module of an accelerator: only wiring between FINN's nodes."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finn.util.settings import get_settings
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow import hdl
from flow.compiler.operators.kernel import SHARED
from flow.errors import Defect, UserError
from flow.golden.units import is_unit, operator_kind, planes
from flow.paths import HW

TOP = "accelerator"
DATA = "data"
"""Folder of weight and threshold files, relative to the simulator's working directory."""

KERNELS = HW / "kernels"
_REPLACED = ("vpc.sv",)
"""FINN's sources that are used only by modules with a drop-in replacement."""
LAST_SITE = 254
"""Largest number of a tap on the settings bus; 255 addresses all taps."""


@dataclass(frozen=True)
class Stream:
    """A stream of the top, named after FINN's tensor."""

    name: str
    bits: int
    """Bits per beat, whole bytes."""
    cut: bool = False
    """Whether a FIFO on it cuts paths, if asked for: of images, at taps, behind units, memories."""

    @property
    def produced(self) -> str:
        """Name of the stream at its producer."""
        return f"{self.name}_produced" if self.cut else self.name


@dataclass(frozen=True)
class Node:
    """A node's instance in the top: the values of the template ``node.sv.j2``."""

    name: str
    module: str
    kind: str
    """FINN's operator without its variant."""
    inputs: Sequence[Stream]
    """Streams in the order of the ports."""
    outputs: Sequence[Stream]
    weights: Stream | None
    """Stream of a unit's weights out of its memory; None for other nodes."""
    tap: int | None
    """Position of a tap among the taps in the order of the data flow; None for other nodes."""
    short_paths: bool = False
    """Whether it is a unit with registers in it, if paths are to be cut."""

    def instance(self) -> str:
        """Return the text of the instance."""
        return hdl.render(__file__, "node.sv.j2", self)


@dataclass(frozen=True)
class Top:
    """Values of the template ``accelerator.sv.j2``."""

    name: str
    taps: int
    """Number of taps."""
    nodes: Sequence[Node]
    streams: Sequence[Stream]
    entry: Stream
    """Stream of images."""
    scores: Stream
    """Stream into label select, exposed for observation only."""
    end: Stream
    """Stream of labels."""


def stitch(model: ModelWrapper, folder: Path) -> list[Path]:
    """Copy every node's HDL and memory files into one folder and write the top.

    Args:
        model: the specialised graph, after FINN's ``PrepareIP``.
        folder: folder for ``rtl/`` with the sources and ``data/`` with the memory files.

    Returns:
        The sources in compile order, packages first.
    """
    rtl, data = folder / "rtl", folder / DATA
    rtl.mkdir(parents=True)
    data.mkdir()
    names: list[str] = []
    for node in model.graph.node:
        for source in (*(HW / name for name in SHARED), *_sources(node)):
            if source.name not in names:
                names.append(source.name)
                (rtl / source.name).write_text(_with_relative_memories(source.read_text(), node))
        _copy_memories(node, data)
    (rtl / f"{TOP}.sv").write_text(top_text(model))
    names.append(f"{TOP}.sv")
    names.sort(key=lambda name: not name.endswith("_pkg.sv"))
    return [rtl / name for name in names]


def _sources(node) -> list[Path]:
    """Return a node's HDL files."""
    operator = getCustomOp(node)
    folder = Path(operator.get_nodeattr("code_gen_dir_ipgen"))
    if not node.op_type.startswith("MVAU"):
        files = [Path(name) for name in operator.get_rtl_file_list(abspath=True)]
        return [_ours(path) for path in files if path.name not in _REPLACED]
    # FINN lists the weight streamer of MVAU only in block-design commands
    library = Path(get_settings().finn_rtllib)
    mvu = ("mvu_pkg.sv", "mvu_vvu_axi.sv", "replay_buffer.sv", "mvu.sv", "mvu_vvu_8sx9_dsp58.sv")
    kernel = [*(library / "mvu" / name for name in mvu), KERNELS / "add_multi.sv"]
    if operator.uses_luts:
        names = ["input_planes"] * (planes(operator).count > 1) + [
            "lut_operands",
            "lut_sums",
            "lut_mvu",
        ]
        kernel = [KERNELS / f"{name}.sv" for name in names]
    return [
        *kernel,
        KERNELS / "memstream_axi.sv",
        folder / f"{node.name}_memstream_wrapper.v",
        folder / f"{node.name}_wrapper.v",
    ]


def _ours(path: Path) -> Path:
    """Return our drop-in replacement of one of FINN's sources, or the source itself."""
    drop_in = KERNELS / path.name
    return drop_in if drop_in.exists() else path


def _with_relative_memories(text: str, node) -> str:
    """Return HDL with the paths of its memory files replaced by paths in ``data/``."""
    folder = getCustomOp(node).get_nodeattr("code_gen_dir_ipgen")
    text = text.replace(f"{folder}/memblock.dat", f"{DATA}/{node.name}_memblock.dat")
    return text.replace(f'"./{node.name}_', f'"{DATA}/{node.name}_')


def _copy_memories(node, data: Path) -> None:
    folder = Path(getCustomOp(node).get_nodeattr("code_gen_dir_ipgen"))
    for path in folder.glob("*.dat"):
        name = f"{node.name}_memblock.dat" if path.name == "memblock.dat" else path.name
        shutil.copyfile(path, data / name)


def _nodes(model: ModelWrapper) -> list[Node]:
    numbers = sorted(
        getCustomOp(node).get_nodeattr("Site")
        for node in model.get_nodes_by_op_type("NoiseTap_rtl")
    )
    if numbers and numbers[-1] > LAST_SITE:
        raise UserError(
            f"the network has a tap at site {numbers[-1]}, counted from 0, and the settings bus "
            f"numbers sites up to {LAST_SITE}: take a network with fewer layers"
        )
    found = []
    for node in model.graph.node:
        operator = getCustomOp(node)
        kind = node.op_type.removesuffix("_rtl")
        streams = [name for name in node.input if model.get_initializer(name) is None]
        found.append(
            Node(
                name=node.name,
                module=operator.get_nodeattr("gen_top_module"),
                kind=kind,
                inputs=[
                    Stream(name, operator.get_instream_width_padded(i), _is_cut(model, name))
                    for i, name in enumerate(streams)
                ],
                outputs=[
                    Stream(name, operator.get_outstream_width_padded(i), _is_cut(model, name))
                    for i, name in enumerate(node.output)
                ],
                weights=Stream(
                    f"{node.name}_weights", operator.get_instream_width_padded(1), cut=True
                )
                if is_unit(node)
                else None,
                tap=numbers.index(operator.get_nodeattr("Site")) if kind == "NoiseTap" else None,
                short_paths=kind == "MVAU" and operator.uses_luts,
            )
        )
    return found


def _is_cut(model: ModelWrapper, stream: str) -> bool:
    """Whether a stream has images, a tap produces or consumes it, or a unit produces it."""
    producer, consumer = model.find_producer(stream), model.find_consumer(stream)
    if producer is None or is_unit(producer):
        return True
    return any(n is not None and operator_kind(n) == "NoiseTap" for n in (producer, consumer))


def top_text(model: ModelWrapper) -> str:
    """Return the top with FINN's ports, the taps' settings bus, digests, and the scores' stream.

    Args:
        model: the specialised graph, after FINN's ``PrepareIP``.

    Raises:
        UserError: there are more sites than the settings bus can number.
    """
    nodes = _nodes(model)
    taken = {stream.name: stream for node in nodes for stream in node.inputs}
    given = {stream.name: stream for node in nodes for stream in node.outputs}
    for name, stream in taken.items():
        if (source := given.get(name, stream)) != stream:
            raise Defect(
                f"stream {name} has {source.bits} bits per beat at its producer, "
                f"{stream.bits} at its consumer"
            )
    (scores,) = nodes[-1].inputs
    values = Top(
        name=TOP,
        taps=sum(node.tap is not None for node in nodes),
        nodes=nodes,
        streams=[*(taken | given).values(), *(node.weights for node in nodes if node.weights)],
        entry=taken[model.graph.input[0].name],
        scores=scores,
        end=given[model.graph.output[0].name],
    )
    return hdl.render(__file__, "accelerator.sv.j2", values)
