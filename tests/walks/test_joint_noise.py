"""Noise at several sites together: global, and of a map, on every side."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flow.noise import Additive, Multiplicative, Noise
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.weights import WeightSite
from flow.noise.site import GLOBAL, MAP
from flow.rtl import simulate
from flow.walks.context import WalkContext
from flow.walks.crosscheck.check import cross_check
from flow.walks.levels import SEARCH_REACH
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import INTEGER, SOFTWARE, Side
from flow.walks.points.store import Store
from flow.walks.walk import Walk

SITES = ("fc0.acc", "fc1.acc", "fc2.acc", "fc3.acc")
LEVELS = (2.0, 4.0, 6.0, 8.0, 11.0, 15.0, 22.0)
NOISES: Mapping[str, Noise] = {
    "fc0.acc": Additive(4.0),
    "fc1.act": Multiplicative(sigma_mul=0.2),
    "fc2.acc": Additive(8.0),
    "fc3.weight": Additive(0.3),
}


@pytest.fixture
def walk_of(network, accelerator, inputs, digits, built, tmp_path):
    def make(setting: NoiseSetting, images: int = 500, **placed) -> Walk:
        return Walk(
            network=network,
            accelerator=accelerator,
            inputs=inputs[:images],
            labels=digits.labels[:images],
            placement=Placement(setting, SITES, **placed),
            store=Store(tmp_path / "points"),
            build=built,
        )

    return make


def samples(tmp_path: Path) -> str:
    path = tmp_path / "samples.txt"
    np.savetxt(path, np.random.default_rng(3).gamma(2, size=999))
    return str(path)


def test_a_search_reaches_beyond_values_that_are_wide(walk_of):
    """As accumulators of 8-bit operands are: from 4 LSB it would end below their deviation."""
    context = walk_of(NoiseSetting("additive")).context
    assert context.likely_level("fc1.acc", SEARCH_REACH) == 4 * context.sites["fc1.acc"].scale
    narrow = context.largest_level("fc1.acc")
    context.sites["fc1.acc"] = replace(context.taps["fc1.acc"], std=30_000.0, in_bits=20)
    assert SEARCH_REACH * context.likely_level("fc1.acc", SEARCH_REACH) == 120_000
    assert context.largest_level("fc1.acc") == pytest.approx(256 * narrow)
    assert context.likely_level("fc1.acc") == 4 * context.sites["fc1.acc"].scale


def simulated(walk: Walk, places: list[NoisePoint], images: int = 6) -> list[Point]:
    found = walk.run(walk.wanted([Side.RTL], places, images))
    assert not found.failures and [point.site for point in found.points] == [
        place.site for place in places
    ]
    return found.points


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("additive", {}),
        ("multiplicative", {}),
        ("mixed", {}),
        ("mixed", {"order": "add-mul"}),
        ("additive", {"options": {"executions": 3}}),
        ("fixed-pattern", {}),
        ("drift", {"options": {"gain_rate": -20.0, "sigma_rate": 50.0}}),
        ("empirical", {}),
    ],
)
def test_rtl_equals_golden_with_global_noise_of_every_kind(kind, options, walk_of, tmp_path):
    if kind == "empirical":
        options = {"options": {"file": samples(tmp_path)}}
    walk = walk_of(NoiseSetting(kind, seed=5, **options), 6)
    sigma = 0.9 if kind == "multiplicative" else 6.0
    place = NoisePoint(GLOBAL, sigma)
    (point,) = simulated(walk, [place])
    assert point.bit_mismatches == 0
    settings = walk.context.settings(place)
    assert list(settings) == [*SITES] and all(one.enable for one in settings.values())
    # each tap counts, and so does each tap's own stream of samples
    golden, stream = walk.context.golden, walk.context.stream
    scores = [
        golden_scores(golden, stream, {s: settings[s] for s in SITES if s != without})
        for without in ("", *SITES)
    ]
    assert all((scores[0] != fewer).any() for fewer in scores[1:])


def golden_scores(golden, stream, settings):
    from flow.golden.model import Record

    record = Record([golden.scores])
    golden.run(stream, settings, record=record)
    return record.streams[golden.scores]


def test_a_map_and_a_walk_on_top_of_it_are_the_same_on_every_side(walk_of):
    setting = NoiseSetting("additive", seed=2)
    on_top = walk_of(setting, 200, noise_map=NOISES)
    places = [NoisePoint("", 0.0), NoisePoint("fc0.acc", 0.0), NoisePoint("fc0.acc", 9.0)]
    whole = walk_of(setting, 200, noise_map=NOISES, walks_map=True)
    factors = [NoisePoint(MAP, 1.0), NoisePoint(MAP, 2.0)]
    for walk, wanted in ((on_top, places), (whole, factors)):
        assert [point.bit_mismatches for point in simulated(walk, wanted, 4)] == [0] * len(wanted)
        sides = [Side.GOLDEN, Side.SOFTWARE_HARDWARE_RNG, Side.SOFTWARE]
        found = walk.run(walk.wanted(sides, wanted)).points
        size = len(wanted)
        golden, hwdraws, software = found[:size], found[size : 2 * size], found[2 * size :]
        for ours, theirs, torchs in zip(golden, hwdraws, software, strict=True):
            assert (ours.predictions == theirs.predictions).mean() > 0.97, ours.site
            assert (theirs.predictions != torchs.predictions).any(), ours.site
            assert ours.shared  # programmed weights are those of a device
    # the map as it is written is what walks on top of it have at all other sites
    assert whole.context.settings(factors[0]) == on_top.context.settings(places[0])
    (written,), (all_of_it,) = (
        walk.run(walk.wanted([Side.GOLDEN], [place])).points
        for walk, place in ((on_top, places[0]), (whole, factors[0]))
    )
    assert (written.predictions == all_of_it.predictions).all()


def test_the_integer_graph_has_global_noise_too(walk_of):
    walk = walk_of(NoiseSetting("mixed", seed=2), 300)
    place = NoisePoint(GLOBAL, 5.0)
    found = walk.run(walk.wanted([*INTEGER, Side.GOLDEN, *SOFTWARE], [place])).points
    labels = {point.side: point.predictions for point in found}
    for one, other in (
        (Side.INTEGER, Side.SOFTWARE),
        (Side.INTEGER_HARDWARE_RNG, Side.GOLDEN),
        (Side.SOFTWARE_HARDWARE_RNG, Side.GOLDEN),
    ):
        assert (labels[one] == labels[other]).mean() > 0.98, (one, other)
    assert (labels[Side.INTEGER] != labels[Side.INTEGER_HARDWARE_RNG]).mean() > 0.02


def large(factor: float, site: str):
    """Multiply one tap's σ by a factor, in golden and RTL alike."""
    registers = WalkContext.settings

    def wrong(self: WalkContext, *arguments) -> dict[str, TapSettings]:
        found = registers(self, *arguments)
        if site in found:
            found[site] = replace(found[site], sigma_add=round(factor * found[site].sigma_add))
        return found

    return wrong


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "agree"), (2.0, "disagree")], ids=["none", "a tap's σ"]
)
def test_the_verdict_on_global_sees_a_fault_of_one_tap(factor, verdict, walk_of, monkeypatch):
    walk = walk_of(NoiseSetting("additive", seed=1))
    monkeypatch.setattr(WalkContext, "settings", large(factor, "fc0.acc"))
    places = [NoisePoint(GLOBAL, s, d) for d in range(2) for s in LEVELS]
    points = walk.run_models([NoisePoint("", 0.0), *places])
    points += walk.run(walk.wanted([Side.RTL], [NoisePoint("", 0.0), places[3]], 4)).points
    check = cross_check(points, walk.labels, 0.1, margin=0.08, resamples=299)
    (site,) = check.sites
    assert site.site == GLOBAL and site.figures.bit_mismatches == 0
    assert site.verdict == verdict, site.reason
    assert check.random_numbers is not None and check.random_numbers.sites == (GLOBAL,)


def test_rtl_of_which_one_tap_differs_is_found_at_global(walk_of, monkeypatch):
    walk = walk_of(NoiseSetting("additive", seed=1), 4)
    start = simulate.start_job

    def wrong(accelerator, stream, points, workdir, **options):
        off = [
            one | {"fc2.acc": replace(one["fc2.acc"], seed=one["fc2.acc"].seed ^ 1)} if one else one
            for one in points
        ]
        return start(accelerator, stream, off, workdir, **options)

    monkeypatch.setattr(simulate, "start_job", wrong)
    clean, noisy = simulated(walk, [NoisePoint("", 0.0), NoisePoint(GLOBAL, 4.0)], 4)
    assert clean.bit_mismatches == 0 and noisy.bit_mismatches == 4


def test_levels_and_units_are_those_that_the_registers_of_every_site_hold(walk_of):
    walk = walk_of(NoiseSetting("additive"), 4)
    context, sites = walk.context, walk.context.taps
    assert context.largest_level(GLOBAL) == min(context.largest_level(site) for site in SITES)
    units = {site: sites[site].std for site in SITES}
    in_std = walk_of(NoiseSetting("additive"), 4, units=units, unit_name="std").context
    for site, one in in_std.settings(NoisePoint(GLOBAL, 0.5)).items():
        assert one.sigma_add == round(0.5 * sites[site].std / sites[site].scale * 2**16)
    ratio = context.largest_level("fc1.acc") / in_std.largest_level("fc1.acc")
    assert ratio == pytest.approx(units["fc1.acc"])


def test_the_manifest_has_the_std_and_range_of_every_site(accelerator, network, inputs):
    from flow.compiler.calibration import real_streams

    seen = real_streams(network, inputs[:200], list(accelerator.sites))
    for name, site in accelerator.sites.items():
        assert site.std == pytest.approx(seen[name].std(ddof=1), rel=1e-4)
        assert site.range == pytest.approx(np.abs(seen[name]).max(), rel=1e-5)
    weight: WeightSite = accelerator.weights["fc1.weight"]
    assert weight.range == pytest.approx(weight.high * weight.scale) and weight.std > 0
