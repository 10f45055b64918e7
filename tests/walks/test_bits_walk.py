"""Walks of ADC bits, and converters beneath the noise of a walk, on every side."""

import pytest

from flow.errors import UserError
from flow.experiments.settings import SocWalkSettings, SoftwareWalkSettings
from flow.noise import Additive
from flow.noise.noise_map import NoiseMap
from flow.noise.site import GLOBAL
from flow.walks.crosscheck.bits import bits_site
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint
from flow.walks.points.side import Side
from flow.walks.points.store import Store
from flow.walks.settings import HardwareWalkSettings
from flow.walks.walk import Walk

SITES = ("fc0.acc", "fc1.acc", "fc2.acc", "fc3.acc")


@pytest.fixture
def walk_of(network, accelerator, inputs, digits, built, tmp_path):
    taps = accelerator.sites

    def make(images: int, walks: bool, **placed) -> Walk:
        def converter_of(site: str, bits: int):
            return taps[site].adc(bits, taps[site].clip)

        fixed = {site: converter_of(site, bits) for site, bits in placed.pop("bits", {}).items()}
        return Walk(
            network=network,
            accelerator=accelerator,
            inputs=inputs[:images],
            labels=digits.labels[:images],
            placement=Placement(
                NoiseSetting("additive", seed=3),
                SITES,
                converters=fixed,
                converter_of=converter_of if walks else None,
                **placed,
            ),
            store=Store(tmp_path / "points"),
            build=built,
        )

    return make


def test_bits_walk_on_every_side(walk_of):
    walk = walk_of(400, True, bits={"fc1.acc": 6})
    places = [NoisePoint("", 0.0), NoisePoint("fc1.acc", 0.0)]
    places += [NoisePoint(s, b) for s in ("fc0.acc", "fc1.acc", GLOBAL) for b in (1.0, 3.0, 12.0)]
    wanted = walk.wanted([Side.SOFTWARE, Side.GOLDEN, Side.INTEGER], places)
    points = walk.run(wanted + walk.wanted([Side.RTL], places, 4)).points
    assert [p.bit_mismatches for p in points if p.side is Side.RTL] == [0] * len(places)
    labels = {(p.side, p.site, p.sigma): p.predictions for p in points}
    for place in places:
        where = place.site, place.sigma
        for side in (Side.SOFTWARE, Side.INTEGER):
            same = labels[side, *where] == labels[Side.GOLDEN, *where]
            assert same.mean() > 0.99, (side, place)
    # one bit is felt, twelve are not
    assert (labels[Side.GOLDEN, GLOBAL, 1.0] != labels[Side.GOLDEN, "", 0.0]).any()
    twelve = labels[Side.GOLDEN, "fc0.acc", 12.0] == labels[Side.GOLDEN, "", 0.0]
    assert twelve.mean() > 0.99
    known = {site: one.adc.bits for site, one in walk.context.placement.at(places[5]).items()}
    assert places[5] == NoisePoint("fc1.acc", 1.0) and known == {"fc1.acc": 1}
    known = walk.context.placement.at(NoisePoint("fc0.acc", 3.0))
    assert {site: one.adc.bits for site, one in known.items()} == {"fc0.acc": 3, "fc1.acc": 6}
    entry = bits_site(points, walk.labels, "fc0.acc", walk.context.placement, 0.01, 3)
    assert [p.bits for p in entry.points] == [1, 3, 12] and entry.best.value is not None
    assert entry.bit_mismatches == 0 and entry.rtl_runs == 12
    assert entry.verdict in ("agree", "undecided")


def test_noise_on_top_of_converters(walk_of):
    walk = walk_of(200, False, bits=dict.fromkeys(SITES, 5), noise_map={"fc2.acc": Additive(4.0)})
    places = [NoisePoint("", 0.0), NoisePoint("fc0.acc", 6.0), NoisePoint(GLOBAL, 2.0)]
    sides = [Side.GOLDEN, Side.SOFTWARE_HARDWARE_RNG]
    points = walk.run(walk.wanted(sides, places)).points
    rtl = walk.run(walk.wanted([Side.RTL], places, 4)).points
    assert [p.bit_mismatches for p in rtl] == [0, 0, 0]
    for golden, software in zip(points[:3], points[3:], strict=True):
        assert (golden.predictions == software.predictions).mean() > 0.97
    settings = walk.context.settings(places[1])
    assert [settings[site].adc_bits for site in SITES] == [5] * 4
    assert [settings[site].enable for site in SITES] == [True, False, True, False]


def test_the_range_is_calibrated(accelerator):
    for site in accelerator.sites.values():
        assert 0 < site.clip <= site.range
        step = site.adc(4, site.clip).real_step
        assert step == pytest.approx(site.clip * (1 + site.signed) / 16, rel=0.1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"adc": "0"}, "1 to 12"),
        ({"adc": "13"}, "1 to 12"),
        ({"adc": "4,13"}, "1 to 12"),
        ({"adc": "many"}, "adc"),
        ({"adc": "8-1"}, "adc"),
        ({"adc": 6, "adc_percentile": 0}, "adc_percentile|percentile"),
        ({"adc": 6, "adc_percentile": 101}, "adc_percentile|percentile"),
        ({"adc_percentile": 99}, "no site has an ADC"),
        ({"loss": 2}, "walk of ADC bits"),
        ({"adc": "1-8", "levels": (1.0,)}, "they are the levels"),
        ({"adc": "1-8", "noise": "mixed"}, "noise map"),
        ({"adc": "1-8", "executions": 2}, "ADC bits"),
    ],
)
def test_what_cannot_be(given, message):
    kinds = [HardwareWalkSettings, SoftwareWalkSettings]
    for settings in kinds:
        own = {k: (v,) if k == "noise" and settings is kinds[1] else v for k, v in given.items()}
        with pytest.raises(UserError, match=message):
            settings(model="tfc", dataset="digits", **own)


def test_bits_are_read_in_every_form():
    for given in ("1-4", "1,2,3,4", [4, 3, 2, 1], range(1, 5)):
        assert HardwareWalkSettings(adc=given).adc == (1, 2, 3, 4)
    assert HardwareWalkSettings(adc="6").adc == HardwareWalkSettings(adc=6).adc == (6,)
    assert SocWalkSettings(adc=6).adc == (6,)
    with pytest.raises(UserError, match="walk-hw"):
        SocWalkSettings(adc="1-8")


def test_a_map_has_converters(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text("sites:\n  fc0.acc: {sigma: 2, adc: 6}\n  fc1.acc: {adc: 4}\n")
    found = NoiseMap.read(path)
    assert found.adc == {"fc0.acc": 6, "fc1.acc": 4} and list(found.sites) == ["fc0.acc"]
    assert NoiseMap.read(found.write(tmp_path)) == found
    settings = HardwareWalkSettings(noise_map=path, adc=8)
    assert settings.converter_bits(SITES) == {"fc0.acc": 6, "fc1.acc": 4} | dict.fromkeys(
        SITES[2:], 8
    )
    for text, message in (
        ("fc0.acc: {adc: 13}", "1 to 12"),
        ("fc0.weight: {sigma: 1, adc: 4}", "not read by an ADC"),
        ("fc0.acc: {kind: mixed, adc: 4}", "no sigma"),
    ):
        path.write_text(f"sites:\n  {text}\n")
        with pytest.raises(UserError, match=message):
            NoiseMap.read(path)
