"""Kinds of noise in a user's own file that cannot be: each is told in one sentence."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from flow.cli import main
from flow.errors import OptionError, UserError
from flow.experiments import settings as experiments
from flow.experiments.settings import DynamicsSettings, SoftwareWalkSettings
from flow.noise import (
    Noise,
)
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.settings import HardwareWalkSettings
from tests.helpers.user_noise import UNIFORM, rewritten, walked

HARDWARE = [
    HardwareWalkSettings,
    experiments.RepeatSettings,
    experiments.RobustnessSettings,
    experiments.SocWalkSettings,
    experiments.VoteSettings,
]


@pytest.mark.parametrize("settings", HARDWARE)
def test_hardware_refuses_it_with_the_reason(settings, here):
    with pytest.raises(OptionError, match=r"noise: Uniform \(uniform.py, line 7\) has no fixed-po"):
        settings(model="tfc-w2a2", dataset="digits", noise="uniform.py:Uniform")


BODY = UNIFORM[UNIFORM.index("    def once") :]


BAD = {
    "no such file": (None, "there is no file uniform.py"),
    "no Python": (("@dataclass", "@@dataclass"), r"uniform.py, line 6: SyntaxError"),
    "fails": (("@dataclass", "1 / 0\n@dataclass"), "uniform.py, line 6: ZeroDivisionError"),
    "ends": (("@dataclass", "exit()\n@dataclass"), "uniform.py, line 6: SystemExit"),
    "not frozen": (("(frozen=True)", ""), "uniform.py, line 6: TypeError: cannot inherit non-fr"),
    "no dataclass": (
        ("@dataclass(frozen=True)\n", ""),
        r"Uniform \(uniform.py, line 6\) is not a dataclass: write @dataclass\(frozen=True\)",
    ),
    "other name": (("class Uniform", "class Uniforn"), "unknown class in .*: did you mean Uniforn"),
    "no class": (("class Uniform", "# class"), "IndentationError|SyntaxError"),
    "no noise": (("(Noise):", ":"), r"Uniform in uniform.py is not a class derived from"),
    "no method": ((BODY, ""), r"line 7\) has no method once\(self, y, source\)"),
    "built-in": (("    width", '    kind = "mixed"\n    width'), "name of a built-in kind, mixed"),
    "clean": (("    width", '    kind = "clean"\n    width'), "the kind of Uniform .* is 'clean'"),
    "a bad name": (("    width", '    kind = "a/b"\n    width'), "is 'a/b': give words of"),
    "a field of all": (
        ("    width", "    adds: bool = True\n    width"),
        "has a field adds, which",
    ),
    "not JSON": (("width: float = 1.0", "width: object = Noise"), "a field that JSON cannot hold"),
    "needs a field": (
        ("width: float = 1.0", "width: float = field(kw_only=True)"),
        "cannot be made: .*missing 1 required",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_kind_is_told_in_one_sentence(name, here):
    change, message = BAD[name]
    if change is None:
        (here / "uniform.py").unlink()
    else:
        text = UNIFORM.replace("import dataclass", "import dataclass, field").replace(*change)
        assert text != UNIFORM
        (here / "uniform.py").write_text(text)
    for made in (SoftwareWalkSettings, DynamicsSettings):
        with pytest.raises(OptionError, match=f"^noise: .*({message})") as raised:
            made(model="tfc-w2a2", dataset="digits", noise="uniform.py:Uniform")
        assert "\n" not in str(raised.value)
    arguments = ["train", "--model", "float-mlp", "--dataset", "digits", "--sigma", "1"]
    with pytest.raises(UserError, match=message):
        CliRunner().invoke(
            main.cli, [*arguments, "--noise", "uniform.py:Uniform"], catch_exceptions=False
        )


RAISING = {
    "fails": (
        "return y",
        "return y + [1][3] * y",
        r"failed: .*uniform.py, line 16: IndexError: list index out of range$",
    ),
    "another shape": ("return y", "return y[:1] * 0 + y.sum(); y", "returned a Tensor of shape"),
    "no tensor": ("return y", "return None; y", "returned a NoneType of shape"),
    "torch's own": ("return y", "return y + torch.rand(1) + y", "random numbers from torch"),
    "of images": ("return y", "return y + source.normal(2) + y", "no sample 2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RAISING)
def test_what_fails_in_the_middle_of_a_walk_is_told_and_nothing_is_lost(name, here):
    old, new, message = RAISING[name]
    kind = "uniform.py:Uniform"
    first = walked(noise="additive", out=here / "out")
    points = sorted(here.rglob("*.npz"))
    Path("uniform.py").write_text("import torch\n" + UNIFORM.replace(old, new))
    with pytest.raises(UserError, match=message):
        walked(noise=kind, out=here / "out")
    assert sorted(here.rglob("*.npz")) == points
    assert walked(noise="additive", out=here / "out").kinds == first.kinds


def test_two_classes_of_one_kind_are_not_walked_together(here):
    rewritten("3**0.5", "2**0.5", "other.py")
    both = ("uniform.py:Uniform", "other.py:Uniform")
    for settings in (SoftwareWalkSettings, DynamicsSettings):
        with pytest.raises(OptionError, match="noise: two classes are of the kind uniform"):
            settings(model="tfc-w2a2", dataset="digits", noise=both)
    # one after the other they are two kinds
    one, other = (NoiseSetting(kind) for kind in both)
    assert one.noise(1.0) != other.noise(1.0) and one.noise(1.0).name != other.noise(1.0).name


def test_a_class_without_source_is_refused_and_one_of_a_notebook_cannot_be_read_back():
    space: dict = {"__name__": "__nowhere__"}
    exec(UNIFORM, space)
    with pytest.raises(UserError, match=r"code of Uniform \(not in a file\) cannot be read"):
        NoiseSetting.of(space["Uniform"](1.0))
    with pytest.raises(UserError, match="uniform noise is not in a file"):
        Noise.from_json({"kind": "uniform", "origin": {"file": "", "code": "1"}})
