"""Localisation of the first difference between RTL and golden model, with a waveform.

The images of a walk are compared by labels, scores and digests. On a mismatch, the first image that
differs is simulated again, in a binary that records the beats of every stream that the golden model
also has. The first stream to differ, in the order of the data flow, identifies the node. Noise is a
pure function of the image's number, so the image is first run alone. If it then agrees, earlier
images matter, and all images from the first one on are run.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qonnx.core.datatype import DataType
from torch import Tensor

from flow import hdl
from flow.compiler.accelerator import Accelerator
from flow.compiler.stitch import TOP
from flow.golden.layers import Tap
from flow.golden.model import GoldenModel, Record
from flow.noise.hardware.registers import TapSettings
from flow.rtl import simulate
from flow.rtl.equivalence import differing_images
from flow.rtl.nodes import matching_nodes, place
from flow.rtl.simulate import RtlPoint
from sim import runner
from sim.accelerator_bench import CLOCK_NS
from sim.streams import unpack

CLOCKS_BEFORE, CLOCKS_AFTER = 200, 50
"""Clocks of the waveform before and after the edge that transfers the beat."""
WAVEFORM = "window.fst"

_OBSERVERS = [
    Path(runner.__file__).with_name(name) for name in ("stream_recorder.sv", "wave_window.sv")
]
_INSTANCE = f"bench.u_{TOP}"
"""Scope of the waveform: every stream of the accelerator, and its ports."""


@dataclass(frozen=True)
class Divergence:
    """First value of an image in which RTL and golden differ."""

    place: str
    """Place in the network, by the sites nearest to the node."""
    node: str
    """Name of the node, instance ``u_<node>`` of the top."""
    stream: str
    """Output stream of the node: ``<stream>_valid``, ``_ready`` and ``_data`` in the top."""
    image: int
    pixel: tuple[int, int] | None
    """Row and column; None if the layer has no pixels."""
    channel: int
    rtl: int | None
    """Integer in the RTL's stream; None if its beat is missing."""
    golden: int
    fraction_bits: int
    """Fractional bits of both values."""
    time_ns: int | None = None
    """Simulation time of the beat's transfer, ns."""
    waveform: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``summary.json``."""
        return asdict(self) | {"waveform": str(self.waveform) if self.waveform else None}

    def __str__(self) -> str:
        """Return a description in one line."""
        pixel = "" if self.pixel is None else "pixel (row {}, column {}), ".format(*self.pixel)
        rtl = "no value" if self.rtl is None else f"{self.rtl:,}"
        unit = f", in LSB / 2^{self.fraction_bits}" if self.fraction_bits else ""
        return (
            f"image {self.image}, {self.place} ({self.node}), {pixel}channel {self.channel}: "
            f"RTL {rtl}, golden {self.golden:,}{unit}"
        )


@dataclass(frozen=True)
class Localisation:
    """Result of the search in the first image that differs."""

    rerun: str
    """Description of the images that were simulated again."""
    divergence: Divergence | None
    """First difference; None if the mismatch did not occur again."""
    point: str = ""
    """Point of the walk: noise, level and site."""

    @property
    def command(self) -> str | None:
        """Command that opens the waveform."""
        found = self.divergence
        return f"gtkwave {found.waveform}" if found and found.waveform else None

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``summary.json``."""
        return {
            "point": self.point,
            "rerun": self.rerun,
            "sentence": str(self),
            "divergence": self.divergence.to_json() if self.divergence else None,
            "command": self.command,
        }

    def __str__(self) -> str:
        """Return a description in one or two sentences."""
        point = f"{self.point}: " if self.point else ""
        if self.divergence is not None:
            return f"{point}{self.divergence}; seen when simulating {self.rerun}."
        return (
            f"{point}the mismatch did not occur again when simulating {self.rerun}. So it depends "
            "on more than these images: on earlier images, or on when settings took effect."
        )


def localise(
    accelerator: Accelerator,
    golden: GoldenModel,
    stream: Tensor,
    noise: Mapping[str, TapSettings],
    rtl: RtlPoint,
    workdir: Path,
    *,
    data: Path | None = None,
    first_image: int = 0,
    **options: Any,
) -> Localisation | None:
    """Find the first value that differs in the first such image, and record a waveform of it.

    Args:
        accelerator: the simulated accelerator.
        golden: the golden model that it must equal.
        stream: integers [images, elements].
        noise: settings by site.
        rtl: the results of the RTL.
        workdir: folder for the simulator's files and ``WAVEFORM``.
        data: folder of weights and thresholds; the accelerator's if None.
        first_image: number of the first of these images, for messages.
        options: options of the simulator's build, as for `sim.runner.build`.

    Returns:
        The result of the search; None if no image differs.

    Raises:
        RuntimeError: the simulator failed.
    """
    differing = np.flatnonzero(differing_images(golden, stream, noise, rtl))
    if not len(differing):
        return None
    image = int(differing[0])
    number = first_image + image
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / WAVEFORM).unlink(missing_ok=True)
    simulation = build_recorder(accelerator, golden, workdir, **options)
    record = Record([layer.output for layer in golden.layers])
    golden.run(stream[image : image + 1], _later(noise, image), record=record)
    rerun = f"image {number} alone"
    for start in dict.fromkeys((image, 0)):
        if start != image:
            rerun += f", then images {first_image} to {number} in a row"
        images, settings = stream[start : image + 1], _later(noise, start)
        simulate.start_job(accelerator, images, [settings], workdir, data=data)
        simulation.run(
            "sim.accelerator_bench", workdir=workdir, plusargs={"record_image": image - start}
        )
        found = _first_difference(golden, matching_nodes(accelerator, golden), record, workdir)
        if found is not None:
            if found.time_ns is not None:
                _record_waveform(simulation, found.time_ns, workdir)
                found = replace(found, waveform=workdir / WAVEFORM)
            return Localisation(rerun, replace(found, image=number))
    return Localisation(rerun, None)


def _later(noise: Mapping[str, TapSettings], images: int) -> dict[str, TapSettings]:
    """Return settings that begin later by a number of images."""
    return {
        site: replace(settings, image_base=settings.image_base + images)
        for site, settings in noise.items()
    }


@dataclass(frozen=True)
class Recorder:
    """Recorder of one stream of the top."""

    number: int
    """Number of the layer that produces the stream."""
    stream: str
    beats: int
    """Beats per image."""


@dataclass(frozen=True)
class Observers:
    """Values of the template ``observers.sv.j2``."""

    top: str
    """Name of the observed module."""
    recorders: Sequence[Recorder]


def build_recorder(
    accelerator: Accelerator, golden: GoldenModel, workdir: Path, **options: Any
) -> runner.Simulation:
    """Compile the accelerator with a recorder, numbered by layer, on each of golden's streams.

    Args:
        accelerator: the accelerator to simulate.
        golden: its golden model.
        workdir: folder for the recorders' HDL.
        options: options of `sim.runner.build`.
    """
    nodes = matching_nodes(accelerator, golden)
    recorders = []
    for number, layer in enumerate(golden.layers):
        node = nodes[layer.name]
        (stream,), beats = node["outputs"], math.prod(node["folded_output"][:-1])
        recorders.append(Recorder(number, stream, beats))
    observers = workdir / "observers.sv"
    observers.write_text(hdl.render(__file__, "observers.sv.j2", Observers(TOP, recorders)))
    return simulate.build(accelerator, [*_OBSERVERS, observers], traced=[_INSTANCE], **options)


def _first_difference(
    golden: GoldenModel, nodes: Mapping[str, Mapping[str, Any]], record: Record, workdir: Path
) -> Divergence | None:
    """Compare the recorded beats of one image with golden's streams, in the data flow's order."""
    for number, layer in enumerate(golden.layers):
        node, expected = nodes[layer.name], record.streams[layer.output][0].numpy()
        words = (workdir / f"beats_{number}.txt").read_text().split()
        times, got = words[::2], _values(words[1::2], node)
        flat = expected.astype(np.int64).ravel()
        equal = np.zeros(flat.shape, dtype=bool)
        equal[: len(got)] = got[: len(flat)] == flat[: len(got)]
        if equal.all():
            continue
        first = int(equal.argmin())
        came = first < len(got)
        *pixel, channel = (int(i) for i in np.unravel_index(first, expected.shape))
        fraction = layer.format.frac if isinstance(layer, Tap) and not layer.format.rounds else 0
        return Divergence(
            place=place(golden.layers, layer),
            node=node["name"],
            stream=node["outputs"][0],
            image=0,
            pixel=(pixel[0], pixel[1]) if pixel else None,
            channel=channel,
            rtl=int(got[first]) if came else None,
            golden=int(flat[first]),
            fraction_bits=fraction,
            time_ns=int(times[first // node["folded_output"][-1]]) if came else None,
        )
    return None


def _values(beats: Sequence[str], node: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """Read a node's output, int64 [elements], from its beats in hexadecimal."""
    datatype, lanes = DataType[node["output_type"]], node["folded_output"][-1]
    bipolar = datatype == DataType["BIPOLAR"]
    signed = datatype.signed() and not bipolar
    rows = [unpack(int(beat, 16), lanes, datatype.bitwidth(), signed) for beat in beats]
    values = np.array(rows, dtype=np.int64).ravel()
    # a bit of 0 stands for −1 in a bipolar stream
    return 2 * values - 1 if bipolar else values


def _record_waveform(simulation: runner.Simulation, time_ns: int, workdir: Path) -> None:
    """Repeat the last run, and record the clocks around a time."""
    simulation.run(
        "sim.window_bench",
        workdir=workdir,
        env={"WINDOW_END_NS": str(time_ns + CLOCKS_AFTER * CLOCK_NS)},
        plusargs={"wave_from": max(0, time_ns - CLOCKS_BEFORE * CLOCK_NS)},
    )
