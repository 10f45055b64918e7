"""Noise on programmed weights in hardware: the golden model, the RTL's memories, and a walk."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.compiler.weights import clean_weights, specialised, write_memories
from flow.errors import UserError
from flow.golden.model import Record
from flow.models import Network, evaluate
from flow.models.blocks import Conv, Last
from flow.models.quantisers import identity
from flow.noise import Noise, NoiseTap
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.sampler import HardwareSampler
from flow.noise.hardware.weights import KINDS, WeightSampler, WeightSite, program, settings_of
from flow.rtl import simulate
from flow.rtl.equivalence import differing_images
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint
from flow.walks.points.side import Side
from flow.walks.points.store import Store
from flow.walks.sides.golden import first_images
from flow.walks.walk import SOFTWARE, Walk

BITS = {"tfc-w2a2": 2, "tfc-w1a1": 1, "convolutional": 4}
"""Of the weights of each network."""
RTL_IMAGES = 8


class Convolutional(Network):
    """A convolution, one by channels with pooling, and a dense layer, which reads channels last.

    Weights have 4 bits.
    """

    def __init__(self, groups: int) -> None:
        super().__init__("convolutional", (8, 8, 1), 10)
        self.input_quant = identity(4)
        self.input = NoiseTap(requantise=self.input_quant)
        self.conv0 = Conv(1, 4, kernel=3, weight_bits=4, act_bits=2)
        more = {"weight_bits": 4, "act_bits": 2, "pool": 2, "padding": 1}
        self.conv1 = Conv(4, 4, kernel=2, groups=groups, **more)
        self.fc0 = Last(36, 10, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.conv0(self.input(self.input_quant(x))))
        return self.fc0(x.flatten(1))


@dataclass(frozen=True)
class Case:
    network: Network
    accelerator: Accelerator
    inputs: Tensor
    labels: np.ndarray

    @property
    def sites(self) -> dict[str, WeightSite]:
        return self.accelerator.weights

    def noise(self, site: str, kind: str = "additive", sigma: float = 1.5) -> TapSettings:
        """Noise of so many LSB."""
        scale = self.sites[site].scale if kind == "additive" else 1.0
        return settings_of(Noise.at(kind, sigma * scale), self.sites[site], seed=9)

    def programmed(self, site: str, settings: TapSettings) -> Tensor:
        """What golden's layer has in place of its weights."""
        layer = self.accelerator.golden_model().layer_of(site)
        return program(layer.matrix, self.sites[site], settings, {})


def convolutional(images: Tensor, groups: int = 4) -> Network:
    """A network that has only seen its batch norm's statistics; weights of less than 3 bits."""
    torch.manual_seed(7)
    network = Convolutional(groups)
    with torch.no_grad():
        for block in (network.conv0, network.conv1):
            block.conv.weight.clamp_(-0.35, 0.35)
            block.bn.weight[::3] *= -1
        for _ in range(20):
            network.train()(images)
    return network.eval()


@pytest.fixture(scope="module", params=BITS)
def case(request, built, digits, inputs) -> Case:
    """A network with room for noise on all weights."""
    if request.param != "convolutional":
        bipolar = "bipolar_" * (request.param == "tfc-w1a1")
        network = request.getfixturevalue(f"{bipolar}network")
        accelerator = request.getfixturevalue(f"{bipolar}accelerator")
    else:
        network = convolutional(inputs[:200])
        accelerator = compile_network(
            network,
            inputs[:200],
            sites=network.all_sites,
            cycles=256,
            root=built / "accelerators",
        )
    return Case(network, accelerator, inputs[:300], digits.labels[:300])


def test_sites_of_weights_are_in_the_manifest(case):
    bits = BITS[case.network.name]
    high = max(1, 2 ** (bits - 1) - 1)
    assert list(case.sites) == case.network.weight_sites
    negated = 0
    for name, site in case.sites.items():
        tap = case.network.tap(name)
        assert site.number == case.accelerator.sites[name.replace("weight", "acc")].number
        assert (site.scale, site.low, site.high) == (tap.grid.scale, -high, high)
        assert site.scale_error < 1e-6
        layer = case.network.get_submodule(case.network.entry(name))
        assert site.elements == layer.weight.numel()
        negated += len(site.negated)
    assert negated or case.network.name != "convolutional"
    units = [n for n in case.accelerator.manifest["nodes"] if "weight_type" in n]
    types = {1: "BIPOLAR", 2: "INT2", 4: "INT4"}
    assert {unit["weight_type"] for unit in units} == {types[bits]}


def test_clean_weights_are_written_as_they_were_compiled(case, tmp_path):
    graph = specialised(case.accelerator)
    content = {name: clean_weights(graph, site) for name, site in case.sites.items()}
    write_memories(graph, case.sites, content, tmp_path)
    written = sorted(tmp_path.iterdir())
    assert len(written) == len(case.sites)
    for path in written:
        compiled = case.accelerator.folder / simulate.DATA / path.name
        assert path.read_bytes() == compiled.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_golden_is_brevitas_with_the_same_integers(case, kind):
    """The network with golden's weights in place of its own, and golden with noise: same labels."""
    golden = case.accelerator.golden_model()
    stream = case.accelerator.quantise(case.inputs)
    clean = golden.run(stream)
    changed = 0
    for name, site in case.sites.items():
        noise = {name: case.noise(name, kind)}
        record = Record([golden.scores])
        labels = golden.run(stream, noise, record=record)
        assert torch.equal(golden.run(golden.before([name], stream), noise), labels)
        matrix = case.programmed(name, noise[name])
        assert matrix.min() >= site.low and matrix.max() <= site.high
        assert ((matrix - site.low) % site.step == 0).all()
        matrix[:, list(site.negated)] *= -1
        layer = case.network.get_submodule(case.network.entry(name))
        own = layer.weight.data
        layer.weight.data = site.in_network_order(matrix.reshape(-1)).view(own.shape) * site.scale
        software = evaluate(case.network, case.inputs)
        layer.weight.data = own
        # float32 sums may part at a tie
        scores = record.streams[golden.scores]
        theirs = scores.gather(1, torch.from_numpy(software).long()[:, None])
        assert torch.equal(theirs, scores.max(1, keepdim=True).values)
        changed += int((labels != clean).sum())
    assert changed > 20


def test_software_with_the_hardware_s_samples_is_programmed_alike(case):
    """But for weights whose error ends half way between two values."""
    sampler = WeightSampler(case.sites, 9, HardwareSampler(case.accelerator.sites, 9))
    for name, site in case.sites.items():
        tap, layer = case.network.tap(name), case.network.get_submodule(case.network.entry(name))
        for kind in KINDS:
            sigma = 1.5 * site.scale if kind == "additive" else 1.5
            tap.set(name, Noise.at(kind, sigma), sampler)
            ours = tap(layer.quant_weight().value.detach()).reshape(-1) / site.scale
            tap.clear()
            noise = settings_of(Noise.at(kind, sigma), site, seed=9)
            matrix = case.programmed(name, noise)
            matrix[:, list(site.negated)] *= -1
            theirs = site.in_network_order(matrix.reshape(-1))
            assert ((ours - theirs).abs() > 0.5).float().mean() < 0.02, (name, kind)


def test_rtl_equals_golden_and_a_walk_goes_through_it(case, built, tmp_path):
    accelerator, golden = case.accelerator, case.accelerator.golden_model()
    stream = accelerator.quantise(case.inputs[:RTL_IMAGES])
    simulation = simulate.build(accelerator, root=built / "sim", optimise=False)
    every = {
        name: case.noise(name, kind) for name, kind in zip(case.sites, KINDS * 2, strict=False)
    }
    # a tap's noise beside that of weights, and twice the same weights in one process
    tap = {f"{next(iter(every)).split('.')[0]}.acc": TapSettings(9, sigma_add=1 << 17, enable=True)}
    points = [{}, dict(list(every.items())[:1]), every, every | tap, {}]
    results, _ = simulate.simulate(accelerator, simulation, stream, points, tmp_path / "rtl")
    for point, result in zip(points, results, strict=True):
        assert not differing_images(golden, stream, point, result).any(), point
    scores = [result.scores.tobytes() for result in results]
    assert len(set(scores)) == len(points) - 1 and scores[0] == scores[-1]

    name, scale = "fc0.weight", case.sites["fc0.weight"].scale
    walk = Walk(
        network=case.network,
        accelerator=accelerator,
        inputs=case.inputs,
        labels=case.labels,
        placement=Placement(NoiseSetting("additive", seed=3)),
        store=Store(tmp_path / "points"),
        build=built,
    )
    walk.context.designs.whole.simulation = simulation
    places = [NoisePoint(name, level * scale, draw) for draw in (0, 1) for level in (0.5, 2.0)]
    ours, theirs = (
        walk.run(walk.wanted(side, [NoisePoint("", 0.0), *places])).points
        for side in ([Side.GOLDEN], SOFTWARE)
    )
    rtl = walk.run(walk.wanted([Side.RTL], places[:2], RTL_IMAGES)).points
    assert [point.bit_mismatches for point in rtl] == [0, 0]
    assert all(
        (p.predictions == q.predictions[:8]).all() for p, q in zip(rtl, ours[1:3], strict=True)
    )
    same = {p.side: [] for p in theirs}
    golden_labels = {(p.site, p.sigma, p.seed): p.predictions for p in ours}
    for p in theirs:
        twin = golden_labels[p.site, p.sigma, p.seed]
        same[p.side].append(float((p.predictions == twin).mean()))
    assert np.mean(same[Side.SOFTWARE_HARDWARE_RNG]) > 0.9 > np.mean(same[Side.SOFTWARE])
    labels = first_images(walk.context, name, 100)(NoisePoint(name, 1e3 * scale))
    assert (labels == walk.labels[:100]).mean() < 0.5


@pytest.mark.slow
def test_weights_of_a_convolution_that_is_padded_with_zeros_are_refused(inputs, tmp_path):
    network = convolutional(inputs[:200], groups=2)
    with pytest.raises(UserError, match=r"site conv1\.weight: its grouped convolution is compiled"):
        compile_network(network, inputs[:64], sites=["conv1.weight"], root=tmp_path)


def test_a_site_the_network_lacks_is_named_with_its_nearest(case, built):
    with pytest.raises(UserError, match=r"unknown site 'fc9\.weight': did you mean .*\.weight"):
        compile_network(case.network, case.inputs[:8], sites=["fc9.weight"], root=built)
    with pytest.raises(UserError, match=r"fc0\.weight: weights have no fixed-pattern noise"):
        settings_of(Noise.at("fixed-pattern", 1.0), case.sites["fc0.weight"], seed=0)
