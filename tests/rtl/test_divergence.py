"""A planted error is found: its layer, pixel, channel, both values, and a waveform around it."""

import re
import shutil
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.golden.layers import Layer, MatrixVector, Tap, Thresholds
from flow.golden.model import GoldenModel, Record
from flow.models.blocks import Conv, Dense, Last
from flow.models.network import Network
from flow.models.quantisers import input_identity
from flow.noise import Noise, NoiseTap
from flow.noise.hardware.registers import TapSettings
from flow.rtl import divergence, simulate
from flow.rtl.divergence import Localisation, build_recorder, localise
from flow.rtl.scope import FULL
from flow.rtl.simulate import RtlPoint
from flow.walks.crosscheck.localise import localise_point
from flow.walks.points.point import NoisePoint
from sim.accelerator_bench import CLOCK_NS
from sim.runner import Simulation

IMAGES = 6


@dataclass(frozen=True)
class Case:
    """An accelerator, and the binary with recorders in place of the ordinary one."""

    accelerator: Accelerator
    golden: GoldenModel
    simulation: Simulation
    stream: Tensor
    root: Path

    @classmethod
    def of(cls, accelerator: Accelerator, images: Tensor, root: Path) -> "Case":
        golden = accelerator.golden_model()
        simulation = build_recorder(
            accelerator, golden, accelerator.folder, root=root, optimise=False
        )
        stream = accelerator.quantise(images[:IMAGES])
        return cls(accelerator, golden, simulation, stream, root)

    def run(self, workdir: Path, noise: dict[str, TapSettings], data: Path | None) -> RtlPoint:
        (point,), _ = simulate.simulate(
            self.accelerator, self.simulation, self.stream, [noise], workdir, data=data
        )
        return point

    def localise(
        self,
        workdir: Path,
        noise: dict[str, TapSettings] | None = None,
        data: Path | None = None,
        **options,
    ) -> Localisation | None:
        """Simulate, and localise what differs; ``golden`` and ``rtl`` take the place of its own."""
        golden = options.pop("golden", self.golden)
        rtl = options.pop("rtl", None) or self.run(workdir / "run", noise or {}, data)
        return localise(
            self.accelerator,
            golden,
            self.stream,
            noise or {},
            rtl,
            workdir / "divergence",
            data=data,
            root=self.root,
            optimise=False,
            **options,
        )

    def streams(self, noise: dict[str, TapSettings] | None = None) -> dict[str, Tensor]:
        record = Record([self.golden.entry, *(layer.output for layer in self.golden.layers)])
        self.golden.run(self.stream, noise, record=record)
        return record.streams

    def layer(self, number: int, of: type[Layer]) -> Layer:
        return [layer for layer in self.golden.layers if isinstance(layer, of)][number]

    def negated(self, workdir: Path, file: str, word: int, bit: int) -> Path:
        """Copy the memories, with one bit of one word of a file flipped."""
        data = workdir / "data"
        shutil.copytree(self.accelerator.folder / simulate.DATA, data)
        words = (data / file).read_text().split()
        words[word] = f"{int(words[word], 16) ^ 1 << bit:0{len(words[word])}x}"
        (data / file).write_text("\n".join(words) + "\n")
        return data


class Flat(Network):
    """Two dense layers, and one bit between them."""

    def __init__(self) -> None:
        super().__init__("flat", (8, 8, 1), 4)
        self.input_quant = input_identity()
        self.input = NoiseTap(requantise=self.input_quant)
        self.fc0 = Dense(64, 8, weight_bits=2, act_bits=1)
        self.fc1 = Last(8, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc1(self.fc0(self.input(self.input_quant(x.flatten(1)))))


class Small(Network):
    """A convolution with pooling, and a dense layer."""

    def __init__(self) -> None:
        super().__init__("small", (8, 8, 1), 4)
        self.input_quant = input_identity()
        self.input = NoiseTap(requantise=self.input_quant)
        self.conv = Conv(1, 4, kernel=3, pool=2, weight_bits=3, act_bits=2)
        self.fc = Last(36, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(self.input(self.input_quant(x))).flatten(1))


LEAKS_FROM = 4
"""Labels behind which the convolution of ``convolutional`` is wrong."""


def compiled(network: Network, inputs: Tensor, built: Path) -> Accelerator:
    """Compile a network that has only seen its batch norms' statistics."""
    with torch.no_grad():
        for _ in range(5):
            network.train()(inputs[:64])
    return compile_network(network.eval(), inputs[:64], cycles=512, root=built / "accelerators")


@pytest.fixture(scope="module")
def dense(inputs, built) -> Case:
    torch.manual_seed(3)
    return Case.of(compiled(Flat(), inputs, built), inputs, built / "sim")


@pytest.fixture(scope="module")
def convolutional(inputs, built, tmp_path_factory) -> Case:
    """The small network, on whose images those before it have an influence from the fifth on."""
    torch.manual_seed(3)
    right = compiled(Small(), inputs, built)
    folder = tmp_path_factory.mktemp("leaking") / right.folder.name
    shutil.copytree(right.folder, folder)
    top = folder / "rtl" / "accelerator.sv"
    text = top.read_text()
    (stream,) = re.findall(r"\.out0_V_TDATA\((MVAU_rtl_0_out0\w*)_data\)", text)
    port = f".out0_V_TDATA({stream}_data)"
    leak = f"""
  logic [$bits({stream}_data)-1:0] right_data;
  int unsigned labels;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) labels <= 0;
    else if (out0_V_TVALID && out0_V_TREADY) labels <= labels + 1;
  end
  assign {stream}_data = right_data ^ $bits(right_data)'(labels >= {LEAKS_FROM});
endmodule
"""
    text = text.replace(port, ".out0_V_TDATA(right_data)").replace("\nendmodule\n", leak)
    top.write_text(text)
    return Case.of(Accelerator.open(folder), inputs, built / "sim")


def check_waveform(found: Localisation, stream: str) -> None:
    """Read the FST's header and hierarchy: the window's ends, in ps, and the signals."""
    assert found.divergence is not None and found.divergence.waveform is not None
    path, time_ns = found.divergence.waveform, found.divergence.time_ns
    assert time_ns is not None and found.command == f"gtkwave {path}"
    content = path.read_bytes()
    assert len(content) < 100_000
    kind, _, start, end = struct.unpack(">BQQQ", content[:25])
    (scale,) = struct.unpack(">b", content[73:74])
    assert (kind, scale) == (0, -12)
    window = divergence.CLOCKS_BEFORE + divergence.CLOCKS_AFTER
    assert start <= 1000 * time_ns < end
    assert end - start <= 1000 * CLOCK_NS * window
    for name in ("valid", "ready", "data"):
        assert f"{stream}_{name}".encode() in content


def test_a_weight_bit_in_a_dense_layer(dense, tmp_path):
    channel, fold, lane = 5, 2, 0
    node = next(n for n in dense.accelerator.manifest["nodes"] if n["name"] == "MVAU_rtl_0")
    folds, simd = node["folded_input"][-2:]
    assert (node["PE"], node["weight_type"]) == (1, "INT2")
    data = dense.negated(tmp_path, "MVAU_rtl_0_memblock.dat", channel * folds + fold, 2 * lane)
    layer, streams = dense.layer(0, MatrixVector), dense.streams()
    row = fold * simd + lane
    # two's complement: the lowest bit goes up where it was 0
    change = 1 if int(layer.weights[row, channel]) % 2 == 0 else -1
    right = streams[layer.output][:, channel]
    wrong = right + change * streams[layer.inputs[0]][:, row]
    # an image differs where the tap, which saturates, lets it
    form = dense.golden.taps["fc0.acc"].format
    low, high = form.out_min / 2**form.frac, form.out_max / 2**form.frac
    image = int(torch.nonzero(right.clip(low, high) != wrong.clip(low, high))[0])

    located = dense.localise(tmp_path, data=data, first_image=100)
    assert located is not None and located.divergence is not None
    found = located.divergence
    assert (found.node, found.place) == ("MVAU_rtl_0", "the matrix-vector unit of fc0.acc")
    assert (found.image, found.pixel, found.channel) == (100 + image, None, channel)
    assert (found.golden, found.rtl) == (int(right[image]), int(wrong[image]))
    assert located.rerun == f"image {100 + image} alone"
    assert located.to_json()["divergence"]["waveform"] == str(found.waveform)
    check_waveform(located, "MVAU_rtl_0_out0")


def test_a_threshold_bit_in_a_convolution(convolutional, tmp_path):
    """Its pixel is where a value first lies between the threshold and the changed one."""
    case, fold, lane, step, bit = convolutional, 2, 0, 1, 15
    node = next(
        n for n in case.accelerator.manifest["nodes"] if n["operator"] == "Thresholding_rtl"
    )
    wrapper = next((case.accelerator.folder / "rtl").glob(f"{node['name']}*.sv")).read_text()
    width = int(re.search(r"\.THRESHOLD_WIDTH\((\d+)\)", wrapper)[1])
    channel = fold * node["PE"] + lane
    layer, streams = case.layer(0, Thresholds), case.streams()
    steps = len(layer.thresholds)
    data = case.negated(
        tmp_path, f"{node['name']}_thresholds.dat", fold, (lane * steps + step) * width + bit
    )
    threshold = int(layer.thresholds[step, channel])
    changed = threshold ^ 1 << bit
    values = streams[layer.inputs[0]][..., channel]
    differs = torch.nonzero((values >= threshold) != (values >= changed))
    assert len(differs)
    image, row, column = (int(i) for i in differs[0])
    assert image < LEAKS_FROM - 1

    located = case.localise(tmp_path, data=data)
    assert located is not None and located.divergence is not None
    found = located.divergence
    golden = int(streams[layer.output][image, row, column, channel])
    assert (found.node, found.place) == (node["name"], "behind conv.acc")
    assert (found.image, found.pixel, found.channel) == (image, (row, column), channel)
    assert (found.golden, found.rtl) == (golden, golden + (1 if changed < threshold else -1))
    check_waveform(located, found.stream)


def test_what_images_before_it_cause(convolutional, tmp_path):
    """A point of a walk whose image is right by itself is run behind the others."""
    hardware = SimpleNamespace(**vars(convolutional), scope=FULL, feed=lambda images: images)
    context = SimpleNamespace(
        stream=convolutional.stream,
        designs=SimpleNamespace(at=lambda site: hardware),
        settings=lambda place, first: {},
    )
    walk = SimpleNamespace(context=context)
    located = localise_point(
        walk,
        NoisePoint("", 0.0),
        IMAGES,
        tmp_path / "divergence",
        root=convolutional.root,
        optimise=False,
    )
    assert located.divergence is not None
    found = located.divergence
    assert found.image >= LEAKS_FROM
    assert located.rerun == (f"image {found.image} alone, then images 0 to {found.image} in a row")
    assert str(located).startswith(f"without noise: image {found.image}, the matrix-vector unit of")
    assert (found.node, found.pixel is not None) == ("MVAU_rtl_0", True)
    assert found.rtl == found.golden ^ 1
    check_waveform(located, found.stream)


def test_other_noise_in_a_tap(dense, tmp_path):
    """Golden draws it for another site: named is the tap, in its own fractional bits."""
    scale = dense.accelerator.sites["fc1.acc"].scale
    noise = {"fc1.acc": TapSettings.of(Noise.at("additive", 4.0), scale, 9, image_base=7)}
    streams = dense.streams(noise)
    layers = [
        replace(layer, number=layer.number + 1)
        if isinstance(layer, Tap) and layer.site == "fc1.acc"
        else layer
        for layer in dense.golden.layers
    ]
    other = GoldenModel(layers, dense.golden.entry, dense.golden.input_shape)
    located = dense.localise(tmp_path, noise, golden=other)
    assert located is not None and located.divergence is not None
    found = located.divergence
    tap = dense.golden.taps["fc1.acc"]
    assert (found.node, found.place) == ("NoiseTap_rtl_1", "the tap at fc1.acc")
    assert (found.image, found.fraction_bits) == (0, 8)
    assert found.rtl == int(streams[tap.output][0, found.channel]) != found.golden
    assert str(found).endswith(f"RTL {found.rtl:,}, golden {found.golden:,}, in LSB / 2^8")


def test_no_divergence(dense, tmp_path):
    assert dense.localise(tmp_path) is None


def test_what_does_not_show_again_is_said_plainly(dense, tmp_path):
    rtl = dense.run(tmp_path / "run", {}, None)
    labels = rtl.labels.copy()
    labels[3] += 1
    located = dense.localise(tmp_path, rtl=replace(rtl, labels=labels), first_image=10)
    assert located is not None and located.divergence is None and located.command is None
    assert (
        "the mismatch did not occur again when simulating image 13 alone, then images 10 to 13 "
        "in a row. So it depends on more than these images"
    ) in str(located)


def test_bipolar_and_unsigned_beats_are_read():
    node = {"output_type": "BIPOLAR", "folded_output": [1, 2, 3]}
    assert divergence._values(["5", "2"], node).tolist() == [1, -1, 1, -1, 1, -1]
    node = {"output_type": "UINT2", "folded_output": [1, 1, 2]}
    assert divergence._values(["e"], node).tolist() == [2, 3]
    node = {"output_type": "INT2", "folded_output": [1, 1, 2]}
    assert np.array_equal(divergence._values(["e"], node), [-2, -1])
