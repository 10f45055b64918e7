"""Whole walks with noise at several sites together: global, and of a map."""

import json

import jsonschema
import pandas as pd
import pytest

import flow
from flow.cli.reference import SCHEMA
from flow.errors import UserError
from flow.experiments import hardware_walk, software_walk
from flow.experiments.settings import RepeatSettings, SoftwareWalkSettings
from flow.experiments.training import made_noise
from flow.training.settings import TrainingOptions
from flow.walks.settings import HardwareWalkSettings
from flow.walks.summaries import WalkSummary

NETWORK = {"model": "tfc-w2a2", "dataset": "digits", "images": 150}
HARDWARE = NETWORK | {"draws": 1, "hw_images": 2, "cycles": 256, "budget": 0}
MAP = """
unit: std
sites:
  fc1.acc: 1.5
  fc2.acc: {kind: multiplicative, sigma: 0.8}
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory, results_folder):
    return results_folder(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def noise_map(tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "map.yaml"
    path.write_text(MAP, encoding="utf-8")
    return path


def silent(stage: str, done: int, total: int, images: int = 0) -> None:
    pass


def of_level_0(folder) -> dict[str, int]:
    """Return the draws of golden's points of level 0, by site."""
    table = pd.read_parquet(folder / "curves.parquet")
    clean = table[(table.sigma == 0) & (table.side == "golden")]
    return clean.groupby("site").size().to_dict()


def test_global_and_a_site_are_walked_on_top_of_a_map(build, noise_map):
    asked = {"sites": "fc0.acc,global", "levels": "0.3,1,3", "unit": "std", "noise_map": noise_map}
    found = hardware_walk.walk_hw(HardwareWalkSettings(**HARDWARE, **asked, build=build), silent)
    folder = build / "walk-hw" / "tfc-w2a2-digits-map-map"
    dumped = json.loads((folder / "summary.json").read_text())
    jsonschema.validate(dumped, json.loads(SCHEMA.read_text()))
    assert WalkSummary.read(folder / "summary.json") == found
    assert list(found) == ["fc0.acc", "global"] and found.noise == "additive"
    assert found.rtl.bit_mismatches == 0 and found.unit == found["global"].unit == "std"
    assert found.noise_map is not None and list(found.noise_map) == ["fc1.acc", "fc2.acc"]
    # in units of each site's own deviation, σ is the share itself, at several sites too
    for site in found:
        assert found[site].noise_share == pytest.approx(1.0)
        assert found[site].relative == pytest.approx(found[site].best)
        assert found[site].effective_bits.level == pytest.approx(
            (found[site].snr.level - 1.76) / 6.02
        )
        assert found[site].rtl_runs >= 6 and found[site].verdict
    assert found["global"].scale is None and found["fc0.acc"].std > 0
    assert found["global"].best.level < found["fc0.acc"].best.level
    assert [one.site for one in found.ranking] == ["fc0.acc"]
    # global's curve falls from no noise, the site's from the map's
    assert of_level_0(folder) == {"": 1, "global": 1}
    clean = pd.read_parquet(folder / "curves.parquet").query("sigma == 0 and side == 'golden'")
    correct = clean.set_index("site")["correct"]
    assert correct["global"] > correct[""]
    page = (folder / "report.html").read_text()
    assert (
        "additive noise at one site at a time and at all sites at once on top of a noise map"
        in page
    )
    assert "fc2.acc multiplicative σₘ = 0.8" in page and "noise at every accumulator" in page


def test_a_map_is_walked_as_a_whole(build, noise_map):
    asked = {"sites": "map", "levels": "1,4,16", "noise_map": noise_map}
    found = hardware_walk.walk_hw(HardwareWalkSettings(**HARDWARE, **asked, build=build), silent)
    assert list(found) == ["map"] and found.noise == found.unit == "map"
    assert found["map"].midpoint is not None and found["map"].relative is None
    assert found.rtl.bit_mismatches == 0 and found.rtl.images == 2 * 4
    table = pd.read_parquet(build / "walk-hw" / "tfc-w2a2-digits-map-map" / "curves.parquet")
    assert set(table.site) == {"", "map"} and set(table.kind) == {"map"}


def test_in_software_too(build, noise_map, network, inputs, digits):
    common = NETWORK | {"seeds": 1, "levels": "0.3,1,3"}
    asked = {"sites": "fc1.acc,global", "unit": "std", "noise_map": noise_map}
    found = software_walk.walk(SoftwareWalkSettings(**common, **asked, build=build), silent)
    assert found.kinds["additive"].unit == "std"
    assert found["fc1.acc"].relative == pytest.approx(found["fc1.acc"].midpoint)
    assert found["global"].noise_share == pytest.approx(1.0) and found["global"].std is None
    table = pd.read_parquet(build / "walk" / "tfc-w2a2-digits-map-map" / "curves.parquet")
    assert set(table[table.sigma == 0].site) == {"", "fc1.acc", "global"}
    noises = {"fc1.acc": flow.Additive(sigma_add=2.0)}
    walk = flow.walk(
        network, inputs[:100], digits.labels[:100], sites=["map"], noise_map=noises,
        levels=[1, 8], seeds=1, build=build,
    )  # fmt: skip
    same = flow.walk(
        network, inputs[:100], digits.labels[:100], sites=["fc1.acc"], levels=[2, 16], seeds=1,
        build=build, out=build / "same",
    )  # fmt: skip
    mapped, alone = (one.to_pandas().sort_values("sigma").correct.tolist() for one in (walk, same))
    assert mapped == alone and mapped[0] > mapped[-1]


def test_a_map_of_no_noise_leaves_a_walk_as_it_is(build, network, inputs, digits):
    common = {"sites": ["fc0.acc"], "levels": [5.0, 20.0], "seeds": 1, "build": build}
    some = network, inputs[:100], digits.labels[:100]
    quiet = flow.Additive(sigma_add=1e-9)
    plain = flow.walk(*some, **common, out=build / "plain")
    on_top = flow.walk(*some, **common, noise_map={"fc3.acc": quiet}, out=build / "quiet")
    assert plain.to_pandas().equals(on_top.to_pandas())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"sites": "map"}, r"sites has map, but there is none"),
        ({"sites": "map,fc0.acc", "noise_map": "FILE"}, "sites has map and others"),
        ({"sites": "map", "noise_map": "FILE", "unit": "std"}, "unit given, but the level of"),
        ({"noise_map": "FILE", "scope": "site"}, "scope is site, but noise of a map"),
        ({"noise": "multiplicative", "unit": "std"}, "unit given, but multiplicative noise"),
        ({"unit": "volts"}, "unit is volts: "),
        ({"noise_map": "missing.yaml"}, "noise_map: cannot read missing.yaml"),
        ({"noise_map": "sites: {fc9.acc: 1}"}, "unknown site 'fc9.acc': did you mean fc"),
        ({"noise_map": "sites: {fc0.weight: {kind: drift, sigma: 1, gain_rate: 1}}"}, "no drift"),
        ({"noise_map": "sites: {fc0.acc: {kind: 'FILE:Own', sigma: 1}}"}, "no fixed-point twin"),
        ({"noise_map": "sites: {fc0.acc: 1e9}"}, "site fc0.acc: .*beyond the register"),
        ({"noise_map": "FILE", "sites": "glbal"}, "unknown site 'glbal'"),
    ],
)  # fmt: skip
def test_what_cannot_be_walked_is_said_in_one_line(asked, said, build, noise_map, tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "from dataclasses import dataclass\nfrom flow.noise import Noise\n\n"
        "@dataclass(frozen=True)\nclass Own(Noise):\n"
        "    def once(self, y, source):\n        return y\n"
    )
    given = dict(asked)
    text = given.get("noise_map", "")
    if text == "FILE":
        given["noise_map"] = noise_map
    elif text.startswith("sites"):
        given["noise_map"] = tmp_path / "map.yaml"
        given["noise_map"].write_text(text.replace("FILE", str(own)), encoding="utf-8")
    with pytest.raises(UserError, match=said) as error:
        hardware_walk.walk_hw(HardwareWalkSettings(**HARDWARE, **given, build=build), silent)
    assert "\n" not in str(error.value)


def test_training_takes_a_map_of_levels_that_do_not_change(noise_map, tmp_path):
    levels = tmp_path / "levels.yaml"
    levels.write_text("sites: {fc0.acc: 4, fc1.acc: {kind: multiplicative, sigma: 0.5}}")
    wanted = {
        "fc0.acc": flow.Additive(sigma_add=4.0),
        "fc1.acc": flow.Multiplicative(sigma_mul=0.5),
    }
    assert made_noise(TrainingOptions(noise_map=levels, spread=0.2)) == wanted
    with pytest.raises(UserError, match=r"noise_map: site fc1.acc has σ in std, whose size"):
        made_noise(TrainingOptions(noise_map=noise_map))
    with pytest.raises(UserError, match="noise and noise_map exclude each other"):
        TrainingOptions(noise_map=levels, noise="additive")


def test_commands_that_noise_one_site_at_a_time_refuse_several(noise_map):
    with pytest.raises(UserError, match="noise_map is no option here"):
        RepeatSettings(noise_map=noise_map)
    with pytest.raises(UserError, match="unit given, but networks are retrained"):
        SoftwareWalkSettings(**NETWORK, retrain=1, unit="std")
