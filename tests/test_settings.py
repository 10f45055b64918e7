"""Settings: one default in one place, and messages that name an option as it was written."""

import inspect
import json
import os
import pickle
import subprocess
import sys

import pytest

from flow.cli import main as cli
from flow.cli import reference
from flow.cli.options import flag, variable
from flow.errors import OptionError, UserError
from flow.experiments.benchmarks.settings import BenchSettings
from flow.experiments.settings import (
    DynamicsSettings,
    MultiExecutionSettings,
    RepeatSettings,
    RobustnessSettings,
    SoftwareWalkSettings,
    SynthesisSettings,
)
from flow.experiments.studies import study
from flow.noise import KINDS
from flow.rtl import synthesis
from flow.settings import MidpointLevels, Settings
from flow.training import trainer as train
from flow.training.settings import TrainingOptions
from flow.walks.settings import HardwareWalkSettings
from sim.runner import REPOSITORY

COMMANDS = {one.whole_name: one for one in reference.commands()}
OPTIONS = [
    (one.whole_name, cls, name)
    for one in COMMANDS.values()
    for cls in one.settings
    for name in cls.options()
]
BAD = {
    "wrong type": ({"hw_images": "many"}, "{hw_images} is many: give a whole number of at least 1"),
    "a truth value": ({"hw_images": True}, "{hw_images} is true: give a whole number of at least"),
    "a list for one": ({"seed": [[1, 2]]}, "{seed} is 1,2: give a whole number from 0 to 2^64 − 1"),
    "a fraction": ({"images": 2.5}, "{images} is 2.5: give a whole number of at least 1"),
    "out of range": ({"hw_images": 0}, "{hw_images} is 0: give a whole number of at least 1"),
    "beyond both ends": ({"ratio": 1.5}, "{ratio} is 1.5: give a number from 0 to 1"),
    "no margin": ({"margin": 0}, "{margin} is 0: give a number above 0 and below 1"),
    "all within it": ({"margin": 1}, "{margin} is 1: give a number above 0 and below 1"),
    "a margin of nothing": ({"margin": "nan"}, "{margin} is nan: give a number above 0 and below"),
    "no such draws": ({"draws": "common"}, "{draws} is common: give a whole number of at"),
    "not finite": ({"budget": "nan"}, "{budget} is nan: give a number of at least 0"),
    "no such word": ({"mvu": "luts"}, "{mvu} is luts: did you mean lut?"),
    "of a list": ({"levels": "1,-2"}, "{levels} is 1,-2: a noise level cannot be negative"),
    "some in midpoints": ({"levels": "1mu,2"}, "{levels} is 1mu,2: give all levels in mu, such as"),
    "no number of midpoints": ({"levels": "xmu"}, "{levels} is xmu: 'x' is not a number"),
    "no such kind of tap": ({"kinds": "additiv"}, "{kinds}: unknown kind of a tap 'additiv': did"),
    "noise that taps lack": (
        {"kinds": "additive,adc", "noise": "multiplicative"},
        "{kinds}: taps that are built for additive and adc alone lack multiplicative: name that",
    ),
    "executions that taps lack": (
        {"kinds": "additive", "executions": 4},
        "{kinds}: taps that are built for additive alone lack executions: name that as well",
    ),
    "an ADC that taps lack": (
        {"kinds": "additive", "adc": "4"},
        "{kinds}: taps that are built for additive alone lack adc: name that as well",
    ),
    "exclusive": ({"cycles": 64, "fps": 3}, "{cycles} and {fps} exclude each other: give one"),
    "unknown": ({"hw_image": 3}, "{hw_image} is no option here: did you mean {hw_images}"),
    "of another kind": ({"gain_rate": 1}, "{gain_rate} is no option of additive noise"),
    "looked up": ({"model": "tfc-w2a3"}, "{model}: unknown model 'tfc-w2a3': did you mean tfc-"),
    "no such file": ({"folding": "no.json"}, "{folding}: cannot read the folding file no.json"),
    "both": (
        {"checkpoint": "a.safetensors", "training_noise": "additive"},
        "{checkpoint} and {training_noise} exclude each other",
    ),
}  # fmt: skip
"""Options of walk-hw, and what is said, with names in braces."""


@pytest.fixture
def main(tmp_path, monkeypatch, capsys):
    """Run the command line in a folder with a result; return its status and what it said."""
    kept = tmp_path / "build" / "points" / "00" / "kept.npz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"a point")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["noisewalk", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]
        assert kept.read_bytes() == b"a point"
        return ended.value.code, capsys.readouterr().err

    return run


class Names(dict):
    """Fills a message with names in a spelling."""

    def __init__(self, spell):
        super().__init__()
        self.spell = spell

    def __missing__(self, name):
        return self.spell(name)


def text_of(value: object) -> str:
    return ",".join(map(str, value[0])) if isinstance(value, list) else str(value).lower()


@pytest.mark.parametrize(("given", "said"), BAD.values(), ids=BAD)
def test_the_command_line_names_options_as_it_has_them(given, said, main):
    arguments = [f"{flag(name)}={text_of(value)}" for name, value in given.items()]
    status, told = main("walk-hw", *arguments)
    assert status == 2
    assert told.startswith("error: " + said.format_map(Names(flag)))


@pytest.mark.parametrize(("given", "said"), BAD.values(), ids=BAD)
def test_make_s_names_are_named_as_make_has_them(given, said, main):
    arguments = [f"{variable(name)}={text_of(value)}" for name, value in given.items()]
    status, told = main("walk-hw", *arguments)
    assert status == 2
    assert told.startswith("error: " + said.format_map(Names(variable)))


@pytest.mark.parametrize("spell", [str, lambda name: name.replace("_", "-")], ids=["_", "-"])
@pytest.mark.parametrize(("given", "said"), BAD.values(), ids=BAD)
def test_a_study_names_options_as_the_file_has_them(given, said, spell, tmp_path):
    options = ", ".join(f"{spell(name)}: {json.dumps(value)}" for name, value in given.items())
    file = tmp_path / "bad.yaml"
    file.write_text(f"runs: [{{walk-hw: {{{options}}}}}]")
    with pytest.raises(UserError) as caught:
        study.read(file, tmp_path / "build")
    assert str(caught.value).startswith("walk-hw: " + said.format_map(Names(spell)))
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(("given", "said"), BAD.values(), ids=BAD)
def test_python_has_its_own_names(given, said):
    values = {name: value[0] if isinstance(value, list) else value for name, value in given.items()}
    with pytest.raises(OptionError) as caught:
        HardwareWalkSettings(**values)
    assert str(caught.value).startswith(said.format_map(Names(str)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["walk-hw", "MODEL=tfc", "SEED=3", "IMAGES=x"], "error: IMAGES is x: give a whole number"),
        (["walk-hw", "IMGES=3"], "error: IMGES is no option here: did you mean IMAGES"),
        (["check", "DATASET=a; echo b"], "error: DATASET: unknown dataset 'a; echo b'"),
        (["walk", "BUDGET=600s"], "error: BUDGET has another name now: did you mean MAX_SECONDS"),
        (["study", "JOBS=0"], "error: JOBS is 0: give a whole number of at least 1"),
    ],
)  # fmt: skip
def test_make_ends_with_one_message(words, said, tmp_path):
    tool = tmp_path / "noisewalk"
    entry = "from flow.cli.main import main; main()"
    tool.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{entry}' \"$@\"\n")
    tool.chmod(0o755)
    ended = subprocess.run(
        ["make", "-s", *words, "READY=", f"BIN={tmp_path}"],
        cwd=REPOSITORY,
        env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
        | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2 and not ended.stdout
    first, *rest = ended.stderr.splitlines()
    assert first.startswith(said)
    assert all(line.startswith("make:") for line in rest)


def test_make_help_has_the_targets_and_their_variables():
    said = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    for name, one in COMMANDS.items():
        _, _, part = said.partition(f"\n  {name.split()[0]} ")
        words = part.split("\n  ", 1)[1].split("\n  s")[0].split()
        for cls in one.settings:
            assert {option.upper() for option in cls.options()} <= set(words), name


@pytest.mark.parametrize(("name", "cls", "option"), OPTIONS, ids=lambda value: str(value))
def test_the_command_line_s_default_is_the_model_s(name, cls, option):
    shown = next(one for one in COMMANDS[name].params if one.name == option)
    expected = cls.default(option)
    if shown.is_flag:
        assert shown.default is expected
    elif shown.default is None:
        assert expected in (None, ())
    else:
        assert getattr(cls(**{option: shown.default}), option) == expected
        assert type(getattr(cls(**{option: shown.default}), option)) is type(expected)


@pytest.mark.parametrize("path", reference.FILES, ids=lambda path: path.name)
def test_what_is_made_of_the_settings_is_fresh(path):
    assert path.read_text(encoding="utf-8") == reference.FILES[path](), (
        "run python -m flow.cli.reference"
    )


@pytest.mark.parametrize(("name", "cls", "option"), OPTIONS, ids=lambda value: str(value))
def test_every_option_is_described(name, cls, option):
    said = cls.options()[option].description
    assert said and said[0].isupper() and not said.endswith(".") and len(said) < 100


def test_kinds_of_noise_are_all_named():
    for cls in (HardwareWalkSettings, SoftwareWalkSettings, DynamicsSettings):
        assert all(kind in cls.options()["noise"].description for kind in KINDS)


@pytest.mark.parametrize("name", ["walk-hw", "multi-exec", "train", "vote-soc"])
def test_help_imports_neither_networks_nor_pydantic(name):
    code = (
        "import sys\nfrom flow.cli.main import main\n"
        f"sys.argv = ['noisewalk', {name!r}, '--help']\nmain()\n"
        "print([m for m in ('torch', 'pydantic', 'numpy', 'pandas') if m in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_settings_are_read_without_networks():
    modules = "flow.experiments.settings, flow.training.settings"
    code = f"import sys, {modules}\nprint('torch' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert said.stdout == "False\n", said.stderr


def test_functions_have_the_defaults_of_the_settings():
    parameters = inspect.signature(train.train).parameters
    for name in TrainingOptions.options().keys() & parameters.keys():
        default = parameters[name].default
        if default is not inspect.Parameter.empty:
            assert default == TrainingOptions.default(name), name
    assert SynthesisSettings.default("limit") == synthesis.LIMIT


def test_lists_are_lists_however_they_are_written():
    for sites in ("fc0.acc, fc1.acc,", ["fc0.acc", "fc1.acc"], ("fc0.acc", "fc1.acc")):
        assert HardwareWalkSettings(sites=sites).sites == ("fc0.acc", "fc1.acc")
    for repeats in ("4,1,4", [4, 1], "1, 4"):
        assert RepeatSettings(repeats=repeats).repeats == (1, 4)
    assert RepeatSettings(repeats=2).repeats == (2,)
    assert MultiExecutionSettings(budgets="2,1.5").budgets == (1.5, 2.0)
    # left out and empty are the same
    assert HardwareWalkSettings(sites="", checkpoint="") == HardwareWalkSettings()


def test_settings_are_values():
    one = HardwareWalkSettings(levels=[3, 1], sites="fc0.acc")
    assert one == pickle.loads(pickle.dumps(one)) and hash(one) == hash(one.changed())
    assert one.changed(seed=4).seed == 4 and one.changed(seed=4).levels == (1.0, 3.0)
    multiples = one.changed(levels="2mu, 0.5 mu")
    assert multiples.levels == one.changed(levels=["0.5mu", "2μ"]).levels
    assert multiples.levels == MidpointLevels((0.5, 2.0)) == multiples.changed(seed=4).levels
    assert str(multiples.levels) == "0.5mu,2mu" and multiples.levels.of(3.0) == [1.5, 6.0]
    # what tells a study's runs apart
    assert multiples.model_dump(mode="json")["levels"] != one.changed(levels="0.5,2").levels
    with pytest.raises(OptionError, match="levels is 1mu, but each level is a training"):
        DynamicsSettings(levels="1mu")
    with pytest.raises(ValueError, match="frozen"):
        one.seed = 3
    with pytest.raises(OptionError, match="seed is -1"):
        one.changed(seed=-1)


def test_an_error_survives_a_process():
    error = OptionError(("cycles", "fps"), "exclude each other", ("folding",))
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "cycles and fps exclude each other: did you mean folding?"


@pytest.mark.parametrize("cls", [RepeatSettings, RobustnessSettings, BenchSettings])
def test_what_a_command_cannot_use_is_refused_with_its_reason(cls):
    assert issubclass(cls, Settings) and cls.refused
    for name, reason in cls.refused.items():
        assert name in cls.model_fields and name not in cls.options()
        with pytest.raises(OptionError) as caught:
            cls(**{name: "something else"})
        assert str(caught.value) == f"{name} is no option here: {reason}"


def test_names_that_options_had_lead_to_the_new_ones():
    with pytest.raises(OptionError, match="did you mean precision_of_mu"):
        SoftwareWalkSettings(precision=0.1)
