"""From the float network to the RTL step by step: float noise in the integer graph, and what moves.

A planted error must be found at the step where it was planted.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flow import data
from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.golden.float_noise import classify
from flow.golden.layers import Thresholds
from flow.models import Network, evaluate
from flow.models.quantised import CNV
from flow.noise import Noise, Sampler, TorchSampler
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.sampler import HardwareSampler
from flow.statistics.midpoint import Midpoint
from flow.statistics.ratio import LogRatio
from flow.walks.crosscheck.ablation import Step, ablate, chosen_sites, sentence, steps_of
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint
from flow.walks.points.store import Store
from flow.walks.sides import integer
from flow.walks.walk import Walk
from tests.helpers.convolutional_networks import SHAPE
from tests.helpers.synthetic import walk

SITES = ["input", "fc0.acc", "fc1.act", "fc2.acc", "fc3.acc"]


def in_integers(accelerator, inputs, site, noise, sampler, batch=1000):
    golden, stream = accelerator.golden_model(), accelerator.quantise(inputs)
    taps, part = {site: accelerator.sites[site]}, golden.before([site], stream)
    return classify(golden, part, taps, [{site: noise}], sampler, batch)[0]


@pytest.fixture(scope="module")
def small(built) -> tuple[Network, Accelerator, torch.Tensor]:
    """A convolutional network, compiled, and further images."""
    torch.manual_seed(7)
    network = CNV("cnv-w2a2", SHAPE, 10, weight_bits=2, act_bits=2, width=4)
    images = np.random.default_rng(5).integers(0, 256, (64, *SHAPE), dtype=np.uint8)
    inputs = data.to_input(images, network.image_shape)
    with torch.no_grad():
        for _ in range(20):
            network.train()(inputs)
    accelerator = compile_network(
        network.eval(), inputs[:8], sites=network.sites, root=built / "accelerators"
    )
    further = np.random.default_rng(6).integers(0, 256, (400, *SHAPE), dtype=np.uint8)
    return network, accelerator, data.to_input(further, network.image_shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["accelerator", "bipolar_accelerator"])
@pytest.mark.parametrize("site", SITES)
def test_without_noise_it_is_golden(name, site, request, inputs):
    accelerator = request.getfixturevalue(name)
    clean = accelerator.golden_model().run(accelerator.quantise(inputs)).numpy()
    for kind in ("additive", "multiplicative"):
        silent = Noise.at(kind, 0.0)
        assert np.array_equal(
            in_integers(accelerator, inputs, site, silent, TorchSampler(1)), clean
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sigma"), [("additive", 6.0), ("multiplicative", 0.9), ("mixed", 4.0)]
)
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("bits", ["", "bipolar_"])
def test_a_dense_network_gives_the_labels_of_software(bits, site, kind, sigma, request, inputs):
    network = request.getfixturevalue(f"{bits}network")
    accelerator = request.getfixturevalue(f"{bits}accelerator")
    noise = Noise.at(kind, sigma if site.endswith(".acc") else 0.9)
    software = evaluate(network, inputs, noise={site: noise}, sampler=TorchSampler(3), batch=200)
    found = in_integers(accelerator, inputs, site, noise, TorchSampler(3), batch=200)
    other = in_integers(accelerator, inputs, site, noise, TorchSampler(4), batch=200)
    same = (found == software).mean()
    assert same >= 0.995 and same > (found == other).mean(), same


@pytest.mark.parametrize(
    ("kind", "sigma"), [("additive", 30.0), ("multiplicative", 2.0), ("mixed", 40.0)]
)
@pytest.mark.parametrize("site", ["input", "conv1.act", "conv4.acc", "fc0.acc"])
def test_a_convolutional_network_gives_the_labels_of_software(kind, sigma, site, small):
    """Thresholds to 1/256 LSB: an untrained network makes much of the last bit at small σ."""
    network, accelerator, inputs = small
    noise = Noise.at(
        kind, sigma * (1 if kind == "multiplicative" else accelerator.sites[site].scale)
    )
    samplers: list[Sampler] = [TorchSampler(3)]
    if site.endswith(".acc"):
        # with 12 fractional bits a value may lie half way, which Brevitas rounds to even
        samplers.append(HardwareSampler(accelerator.sites, 3))
    for sampler in samplers:
        software = evaluate(network, inputs, noise={site: noise}, sampler=sampler, batch=128)
        found = in_integers(accelerator, inputs, site, noise, sampler, batch=128)
        assert (found == software).mean() >= 0.995, (found == software).mean()


def test_executions_patterns_and_drift_are_the_same_noise(network, accelerator, inputs):
    for noise in (
        Noise.at("additive", 12.0, executions=4),
        Noise.at("fixed-pattern", 12.0),
        Noise.at("drift", 6.0, gain_rate=-800.0),
    ):
        software = evaluate(
            network, inputs, noise={"fc1.acc": noise}, sampler=TorchSampler(3), batch=200
        )
        found = in_integers(accelerator, inputs, "fc1.acc", noise, TorchSampler(3), batch=200)
        assert (found == software).mean() >= 0.995, noise


@pytest.fixture
def dense(network, accelerator, inputs, digits, tmp_path) -> Walk:
    return Walk(
        network=network,
        accelerator=accelerator,
        inputs=inputs,
        labels=digits.labels,
        placement=Placement(NoiseSetting("additive")),
        store=Store(tmp_path),
        build=tmp_path,
    )


def steps_at(walk: Walk, site: str, levels: tuple[float, ...]) -> dict[str, Step]:
    places = [NoisePoint("", 0.0), *(NoisePoint(site, s, d) for d in range(2) for s in levels)]
    points = walk.run_models(places)
    found = ablate(walk, [site], places, points, ignore)
    assert len(found.points) == 2 * 2 * len(levels)
    assert all(p.side.label for p in found.points)
    return {step.name: step for step in found.steps[site]}


def ignore(_: int) -> None:
    pass


LEVELS = (3.0, 6.0, 9.0, 12.0, 18.0, 24.0, 36.0, 48.0, 96.0)


def nothing(walk: Walk, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant no error."""


def wrong_registers(walk: Walk, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write σ by 15 % too large."""
    of = TapSettings.of

    def wrong(*arguments, **options):
        settings = of(*arguments, **options)
        return replace(settings, sigma_add=round(1.15 * settings.sigma_add))

    monkeypatch.setattr(TapSettings, "of", wrong)


def wrong_scale(walk: Walk, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take an LSB for 15 % more than it is worth."""
    tap = walk.context.taps[site]
    walk.context.taps[site] = walk.context.sites[site] = replace(tap, scale=1.15 * tap.scale)


def wrong_thresholds(walk: Walk, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the thresholds behind the tap half as large."""
    edge = walk.context.golden.taps[site].output
    walk.context.golden.layers = [
        replace(layer, thresholds=(0.5 * layer.thresholds).ceil())
        if isinstance(layer, Thresholds) and edge in layer.inputs
        else layer
        for layer in walk.context.golden.layers
    ]


@pytest.mark.parametrize(
    ("plant", "name", "ratio"),
    [
        (nothing, None, None),
        (wrong_registers, "fixed point", 1 / 1.15),
        (wrong_scale, "graph", 1.15),
        (wrong_thresholds, "graph", None),
    ],
)
def test_a_planted_error_is_found_at_its_step(plant, name, ratio, dense, monkeypatch):
    plant(dense, "fc1.acc", monkeypatch)
    steps = steps_at(dense, "fc1.acc", LEVELS)
    assert list(steps) == ["graph", "random numbers", "fixed point"]
    for step in steps.values():
        assert step.ratio is not None and step.draws == 2 and step.images == 500
        if step.name == name:
            assert step.moved
            if ratio is not None:
                assert np.exp(step.ratio.low) == pytest.approx(ratio, rel=0.03)
        elif step.name != "random numbers":
            assert step.most < 0.01 and not step.moved
    if name:
        # one step in twenty that changes only chance moves as well
        assert f"{name} by " in sentence(list(steps.values()), 0.1).partition("no other")[0]


def test_points_are_kept_and_taken_again(dense, monkeypatch):
    first = steps_at(dense, "fc2.acc", (6.0, 24.0))

    def never(*arguments, **options):
        raise AssertionError("computed again")

    monkeypatch.setattr(integer, "classify", never)
    assert steps_at(dense, "fc2.acc", (6.0, 24.0)) == first


def test_weights_are_left_out_and_it_is_said(dense):
    site = next(iter(dense.context.weights))
    found = ablate(dense, [site], [NoisePoint(site, 1.0)], [], ignore)
    assert found.points == [] and found.to_json()[site]["steps"] == []
    assert found.to_json()[site]["sentence"].startswith("not done for weights")


def test_simulated_rtl_is_the_last_step():
    """On its few images, with the golden points of its own draw."""
    points, labels = walk({"a": (2.0, 2.0)}, images=1000, rtl=400)
    further = [replace(p, seed=1) for p in points if p.side == "golden" and p.site]
    (step,) = steps_of(points + further, labels, "a", 0.1)
    assert (step.name, step.images, step.draws) == ("RTL", 400, 1)
    assert step.most == 0 and not step.moved
    assert sentence([step], 0.1) == "no step moves μ at all"
    broken = [
        replace(p, predictions=np.full(p.images, 11, np.uint8)) if p.site and p.sigma > 1 else p
        for p in points
        if p.side == "rtl"
    ]
    (step,) = steps_of([p for p in points if p.side != "rtl"] + broken, labels, "a", 0.1)
    assert step.moved and step.beyond(0.1)
    assert sentence([step], 0.1).startswith("moves at: RTL ")


def step(name: str, *percent: float) -> Step:
    """A step with its ratio, [estimate, lo, hi] − 1 in percent."""
    mu = Midpoint(1.0, 0.9, 1.1, 2.0)
    r, lo, hi = np.log1p(np.array(percent) / 100)
    return Step(name, mu, mu, LogRatio(r, r, lo, hi), 2000, 4)


def test_sentences():
    graph, fixed = step("graph", 0.1, -0.2, 0.31), step("fixed point", -13, -14, -12)
    chance, none = step("random numbers", 2, 0.5, 3.5), step("random numbers", 2, -0.5, 4.5)
    assert sentence([graph, none], 0.1) == (
        "no step moves μ by more than 0.4 %; other random numbers (chance) do not by more than "
        "4.5 %"
    )
    assert sentence([graph, chance, fixed], 0.1) == (
        "moves at: fixed point by -13.0 % [-14.0, -12.0], beyond ± 10 %; random numbers (chance) "
        "by +2.0 % [+0.5, +3.5], within ± 10 %; no other step moves μ by more than 0.4 %"
    )
    assert "[-14.0, -8.0], not surely beyond ±" in sentence([step("RTL", -11, -14, -8)], 0.1)


def test_a_change_that_is_sure_and_tiny_is_no_move():
    tiny = step("graph", -0.2, -0.3, -0.1)
    assert not tiny.moved
    assert sentence([tiny], 0.1) == "no step moves μ by more than 0.3 %"


def test_what_has_no_number_is_told():
    mu, bound = Midpoint(1.0, 0.9, 1.1, 2.0), Midpoint(None, 3.0, np.inf, None, "above")
    apart = Step("graph", mu, bound, LogRatio(1.0, 50.0, 0.9, 50.0), 2000, 4)
    assert sentence([apart], 0.1) == "moves at: graph to a ratio above 2.5, beyond ± 10 %"
    far = Step("graph", bound, bound, LogRatio(-50.0, 50.0, -50.0, 50.0), 2000, 4)
    assert sentence([far], 0.1) == "no step moves μ as far as can be told"
    assert sentence([replace(far, ratio=None)], 0.1) == "no ratio at: graph"
    assert far.to_json(0.1)["ratio"] is None and not far.moved


def test_sites_that_are_open_are_looked_into_unasked():
    checks = [
        SimpleNamespace(site=verdict, verdict=verdict)
        for verdict in ("agree", "disagree", "undecided")
    ]
    check = SimpleNamespace(sites=checks)
    assert chosen_sites(check, False, 0) == ["disagree"]
    assert chosen_sites(check, False, 10) == ["disagree", "undecided"]
    assert len(chosen_sites(check, True, 0)) == 3
