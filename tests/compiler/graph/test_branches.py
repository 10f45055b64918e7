"""Graphs that fork and join: what is refused, which branch gets the FIFO, and sites by weights."""

import shutil

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flow.compiler.accelerator import Accelerator
from flow.compiler.finn import register_operators
from flow.compiler.pipeline import compile_network
from flow.errors import Defect, UserError
from flow.models.blocks import Conv, Last
from flow.models.network import Network
from flow.models.quantisers import identity, input_identity, stepped
from flow.noise import Noise, NoiseTap
from flow.noise.hardware.registers import TapSettings
from flow.rtl import equivalence, simulate
from flow.rtl.nodes import matching_nodes

SHAPE = (8, 8, 2)


class Requantised(nn.Module):
    """quant → act."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = stepped(4, 0.25, signed=False)
        self.act = NoiseTap(requantise=self.quant)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.quant(x))


class Block(Network):
    """A convolution of which the graph holds a fork, two branches and an addition.

    Args:
        step: of the second operand; the first has 0.25.
        swap: whether the longer branch is the second operand.
        one_bit: layers whose activations are −1 and 1.
    """

    def __init__(
        self, step: float = 0.25, *, swap: bool = False, one_bit: tuple[str, ...] = ()
    ) -> None:
        # the branches have the same weights in either order: only the name tells the two apart
        super().__init__("swapped" if swap else "block", SHAPE, 3)
        bits = {"weight_bits": 4, "act_bits": 4}
        self.swap = swap
        self.input_quant = input_identity()
        self.input = NoiseTap(requantise=self.input_quant)
        quants = {"conv": stepped(4, 0.25, signed=True), "long": stepped(4, 0.25, signed=True)}
        quants["short"] = stepped(4, step, signed=True)
        quants |= {layer: identity(1) for layer in one_bit}
        self.conv = Conv(2, 4, kernel=3, padding=1, quant=quants["conv"], **bits)
        self.long = Conv(4, 4, kernel=3, padding=1, quant=quants["long"], **bits)
        self.short = Conv(4, 4, kernel=1, quant=quants["short"], **bits)
        self.sum = Requantised()
        self.fc = Last(256, 3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.input(self.input_quant(x)))
        terms = [self.long(x), self.short(x)]
        if self.swap:
            terms.reverse()
        return self.fc(self.sum(terms[0] + terms[1]).flatten(1))


def settled(network: nn.Module) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(3)
    images = torch.rand(64, SHAPE[2], *SHAPE[:2]) * 2 - 1
    with torch.no_grad():
        for _ in range(5):
            network.train()(images)
    return network.eval(), images


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"one_bit": ("long", "short")}, r"node Add_0 joins a stream of −1 and 1.*2 bits or more"),
        (
            {"one_bit": ("conv",)},
            r"node \S+ pads a stream of −1 and 1 with 0",
        ),
    ],
)
def test_what_no_hardware_does_is_refused_by_name(options, message, tmp_path):
    network, _ = settled(Block(**options))
    (tmp_path / "finn").mkdir()
    register_operators()
    from flow.compiler.graph import dataflow

    exported = dataflow.export(network, tmp_path / "network.onnx")
    with pytest.raises(UserError, match=message):
        dataflow.to_hardware_layers(exported, "lut")


@pytest.mark.parametrize("swap", [False, True])
def test_the_shorter_branch_waits_in_a_fifo_of_one_image(swap, built):
    network, images = settled(Block(swap=swap))
    accelerator = compile_network(
        network, images, sites=network.all_sites, cycles=256, root=built / "accelerators"
    )
    nodes = {node["name"]: node for node in accelerator.manifest["nodes"]}
    fifos = [node for node in nodes.values() if node["operator"] == "StreamingFIFO_rtl"]
    assert [fifo["depth"] for fifo in fifos] == [np.prod(fifos[0]["folded_input"][:-1])]
    # on the stream of the tap behind the shorter branch, whichever operand that is
    top = (accelerator.folder / "rtl" / "accelerator.sv").read_text()
    behind = f"{accelerator.sites['short.act'].node}_out0"
    instance = top[top.index(f" u_{fifos[0]['name']} (") :]
    assert f".in0_V_TDATA({behind}_data)" in instance[: instance.index(");")]
    adder = next(node for node in nodes.values() if node["operator"] == "AddStreams_rtl")
    assert adder["folded_input"] == fifos[0]["folded_output"]
    # folding orders the branches anew, and each layer is found all the same
    golden = accelerator.golden_model()
    found = matching_nodes(accelerator, golden)
    layers = {layer.output: layer for layer in golden.layers}
    giving = {stream: node for node in nodes.values() for stream in node["outputs"]}
    for site, tap in golden.taps.items():
        assert found[tap.name]["name"] == accelerator.sites[site].node
        if site != "input":
            source = giving[found[tap.name]["inputs"][0]]
            while "Converter" in source["name"]:
                source = giving[source["inputs"][0]]
            assert source == found[layers[tap.inputs[0]].name]
    names = [node["name"] for node in found.values()]
    assert len(set(names)) == len(golden.layers)
    wires = ("FIFO", "Converter", "InputGenerator", "Duplicate")
    assert set(nodes) - set(names) == {n for n in nodes if any(wire in n for wire in wires)}


@pytest.mark.slow
def test_branches_run_under_stalls_and_lock_up_with_a_shallower_fifo(built, tmp_path):
    network, images = settled(Block())
    accelerator = compile_network(
        network, images, sites=network.all_sites, cycles=256, root=built / "accelerators"
    )
    golden, stream = accelerator.golden_model(), accelerator.quantise(images[:6])
    points = [{}, {"short.acc": TapSettings.of(Noise.at("additive", 3.0), 1.0, seed=2)}]
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    for stall in (False, True):
        results, _ = simulate.simulate(
            accelerator, simulation, stream, points, tmp_path / "run", stall=stall
        )
        for noise, result in zip(points, results, strict=True):
            assert not equivalence.differing_images(golden, stream, noise, result).any()

    shallow = tmp_path / "shallow"
    shutil.copytree(accelerator.folder, shallow)
    (fifo,) = (shallow / "rtl").glob("StreamingFIFO_rtl_*.sv")
    text = fifo.read_text()
    assert ".DEPTH(256)" in text
    fifo.write_text(text.replace(".DEPTH(256)", ".DEPTH(1)"))
    other = Accelerator.open(shallow)
    simulation = simulate.build(other, root=built / "sim", optimise=False)
    with pytest.raises(RuntimeError, match="SimTimeoutError"):
        simulate.simulate(other, simulation, stream, points[:1], tmp_path / "locked")


@pytest.mark.slow
def test_a_unit_is_known_by_its_weights_whatever_its_place_and_sign(tmp_path):
    network, _ = settled(Block())
    (tmp_path / "finn").mkdir()
    register_operators()
    from flow.compiler.graph import dataflow
    from flow.compiler.graph.sites import SiteFingerprints, find_sites

    exported = dataflow.export(network, tmp_path / "network.onnx")
    model, _ = dataflow.to_hardware_layers(exported, "lut")
    marks = SiteFingerprints.of(network)
    edges = find_sites(model, marks)
    assert list(edges) == network.sites and len(set(edges.values())) == len(edges)
    for site, edge in edges.items():
        if site.endswith(".acc"):
            weights = model.get_initializer(model.find_producer(edge).input[1])
            layer = network.get_submodule(site.removesuffix(".acc"))
            linear = layer.linear if site == "fc.acc" else layer.conv
            ours = linear.quant_weight().int().flatten(1).abs().sort().values.T
            theirs = torch.from_numpy(weights.copy()).abs().sort(0).values
            assert torch.equal(ours.float(), theirs), site
    with pytest.raises(Defect, match="has the weights of no layer"):
        del marks.weights["short"]
        find_sites(model, marks)
