"""Where the noise of a walk's points enters."""

import pytest

from flow.noise import Additive, FixedPattern, Multiplicative
from flow.noise.site import GLOBAL, MAP
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint

SITES = ("a.acc", "b.acc", "c.acc")
ADDITIVE = NoiseSetting("additive")
OTHERS = {"b.acc": Multiplicative(sigma_mul=0.5), "d.weight": Additive(sigma_add=0.1)}


def test_global_noise_is_at_every_site_and_a_sites_own_at_it_alone():
    placement = Placement(ADDITIVE, SITES)
    assert placement.at(NoisePoint("", 0.0)) == {}
    assert placement.at(NoisePoint("b.acc", 2.0)) == {"b.acc": Additive(2.0)}
    assert placement.at(NoisePoint(GLOBAL, 2.0)) == dict.fromkeys(SITES, Additive(2.0))
    assert placement.noisy("") == [] and placement.noisy("b.acc") == ["b.acc"]
    assert placement.noisy(GLOBAL) == [*SITES]
    assert {placement.without(name) for name in (*SITES, GLOBAL)} == {""}


@pytest.mark.parametrize(
    ("kind", "sigma_add", "sigma_mul"),
    [("additive", 1.5, 0.0), ("multiplicative", 0.0, 0.5), ("mixed", 0.375, 0.375)],
)
def test_a_unit_is_of_the_additive_level_alone(kind, sigma_add, sigma_mul):
    units = {"a.acc": 3.0, "b.acc": 1.0, "c.acc": 0.5}
    setting = NoiseSetting(kind, ratio=0.25)
    found = Placement(setting, SITES, units, unit_name="std").at(NoisePoint(GLOBAL, 0.5))
    assert found["a.acc"].sigma_add == pytest.approx(sigma_add)
    assert found["a.acc"].sigma_mul == pytest.approx(sigma_mul)
    assert found["b.acc"] == setting.noise(0.5)
    assert found["c.acc"].sigma_add == pytest.approx(found["b.acc"].sigma_add / 2)


def test_on_top_of_a_map_each_point_has_its_noise_but_at_the_site_that_is_walked():
    placement = Placement(ADDITIVE, SITES, noise_map=OTHERS)
    assert placement.kind == "additive" and placement.at(NoisePoint("", 0.0)) == OTHERS
    assert placement.at(NoisePoint("a.acc", 2.0)) == OTHERS | {"a.acc": Additive(2.0)}
    assert placement.at(NoisePoint("b.acc", 2.0)) == OTHERS | {"b.acc": Additive(2.0)}
    # at level 0, the site that is walked has no noise
    assert placement.without("a.acc") == "" and placement.without("b.acc") == "b.acc"
    weight = {"d.weight": OTHERS["d.weight"]}
    assert placement.at(NoisePoint("b.acc", 0.0)) == weight
    assert placement.without(GLOBAL) == GLOBAL and placement.at(NoisePoint(GLOBAL, 0.0)) == weight
    assert set(placement.noisy(GLOBAL)) == {*SITES, "d.weight"}


def test_a_map_is_walked_by_a_factor_on_its_levels():
    placement = Placement(ADDITIVE, SITES, noise_map=OTHERS, walks_map=True)
    assert placement.kind == MAP and placement.at(NoisePoint("", 0.0)) == {}
    assert placement.at(NoisePoint(MAP, 1.0)) == OTHERS
    assert placement.at(NoisePoint(MAP, 2.0)) == {s: one.scaled(2) for s, one in OTHERS.items()}
    assert placement.without(MAP) == "" and placement.noisy(MAP) == list(OTHERS)
    assert placement.share_of(MAP, dict.fromkeys(OTHERS, 1.0)) is None


def test_images_share_noise_where_any_noisy_site_has_noise_of_a_device():
    assert not Placement(ADDITIVE, SITES).shared(GLOBAL)
    assert Placement(NoiseSetting("fixed-pattern"), SITES).shared(GLOBAL)
    pattern = {"b.acc": FixedPattern(1.0)}
    assert Placement(ADDITIVE, SITES, noise_map=pattern).shared("a.acc")
    assert not Placement(ADDITIVE, SITES, noise_map=pattern).shared("b.acc")
    assert Placement(ADDITIVE, SITES, noise_map=pattern, walks_map=True).shared(MAP)
    assert Placement(ADDITIVE, SITES, noise_map=OTHERS).shared("")


def test_several_sites_have_a_share_of_noise_if_all_have_the_same():
    stds = {"a.acc": 1.0, "b.acc": 2.0, "c.acc": 4.0}
    assert Placement(ADDITIVE, SITES).share_of("b.acc", stds) == 0.5
    assert Placement(ADDITIVE, SITES).share_of(GLOBAL, stds) is None
    assert Placement(ADDITIVE, SITES, stds, unit_name="std").share_of(GLOBAL, stds) == 1.0
    assert Placement(NoiseSetting("multiplicative"), SITES).share_of(GLOBAL, stds) == 1.0
