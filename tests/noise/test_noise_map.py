"""Files that give each site noise of its own."""

import pytest

from flow.errors import UserError
from flow.noise import Additive, Drift, FixedPattern, Mixed
from flow.noise.noise_map import NoiseMap

FULL = """
unit: std
sites:
  fc0.acc: 0.3
  fc1.acc: {kind: mixed, sigma: 2, ratio: 0.25, order: add-mul, unit: lsb}
  fc2.acc: {kind: fixed-pattern, sigma: 1, device_seed: 7}
  fc3.acc: {kind: drift, sigma: 1e-1, gain_rate: 0.5}
"""


def read(text, tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text(text, encoding="utf-8")
    return NoiseMap.read(path)


def test_a_map_has_kinds_levels_and_units(tmp_path):
    found = read(FULL, tmp_path)
    assert found.sites == {
        "fc0.acc": Additive(0.3),
        "fc1.acc": Mixed(0.5, 1.5, order="add-mul"),
        "fc2.acc": FixedPattern(0.5, 0.5, device=7),
        "fc3.acc": Drift(0.05, 0.05, gain_rate=0.5),
    }
    assert found.units == dict.fromkeys(found.sites, "std") | {"fc1.acc": "lsb"}
    real = found.in_layers_unit(lambda site, unit: {"std": 4.0, "lsb": 0.5}[unit])
    assert real["fc0.acc"] == Additive(1.2) and real["fc1.acc"].sigma_add == 0.25
    assert real["fc1.acc"].sigma_mul == 1.5 and real["fc2.acc"].sigma_add == 2.0


def test_a_map_is_read_as_it_was_written(tmp_path):
    found = read(FULL, tmp_path)
    assert NoiseMap.read(found.write(tmp_path / "folder")) == found
    plain = NoiseMap.of({"fc0.acc": Additive(2.0)})
    assert plain.write(tmp_path) == plain.write(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sites: {a: 1, a: 2}", "a occurs twice: give it once"),
        ("sites: {a: -1}", "site a: sigma is -1: give a number of at least 0"),
        ("sites: {a: .inf}", "site a: sigma is inf: give a number of at least 0"),
        ("sites: {a: {kind: additive}}", "site a: it has no sigma"),
        ("sites: {a: {sigma: 1, sigm: 1}}", "site a: sigm is no option here: did you mean sigma"),
        ("sites: {a: {sigma: 1, kind: aditive}}", "site a: unknown noise 'aditive': did you mean"),
        ("sites: {a: {sigma: 1, gain_rate: 1}}", "site a: additive noise has no gain rate"),
        ("sites: {a: {sigma: 1, unit: sdt}}", "site a: unit is sdt: did you mean std"),
        ("unit: 5\nsites: {a: 1}", "unit is 5: give real or lsb or std or range"),
        ("site: {a: 1}", "it has no mapping named sites"),
        ("sites: {a: 1}\nunits: std", "unknown key 'units': did you mean unit"),
        ("a: b: c", "is not YAML"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(text, said, tmp_path):
    with pytest.raises(UserError) as error:
        read(text, tmp_path)
    assert said in str(error.value) and str(tmp_path / "map.yaml") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_map_has_sites_of_the_network_and_noise(tmp_path):
    with pytest.raises(UserError, match=r"unknown site 'fc0.ac': did you mean fc0.acc"):
        read("sites: {fc0.ac: 1}", tmp_path).check(["fc0.acc", "fc1.acc"])
    with pytest.raises(UserError, match="no site of the map has noise"):
        read("sites: {fc0.acc: 0}", tmp_path).check(["fc0.acc"])
    with pytest.raises(UserError, match="cannot read"):
        NoiseMap.read(tmp_path / "missing.yaml")
