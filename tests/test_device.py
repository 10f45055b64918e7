"""What computes: a device that is not there, and how a device that rounds is found."""

import re
import sys

import pytest
import torch
from torch import Tensor

from flow import device
from flow.cli import main
from flow.device import CPU
from flow.errors import OptionError, UserError
from flow.experiments.settings import SoftwareWalkSettings
from flow.golden import device_check
from flow.golden.layers import Convolution, MatrixVector
from flow.training.settings import TrainingOptions
from flow.walks.settings import HardwareWalkSettings


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta", ""])
def test_a_device_that_is_not_there(name):
    with pytest.raises(UserError, match=f"there is no device {name} here.*: give cpu"):
        device.find(name)
    if name:
        for settings in (TrainingOptions, HardwareWalkSettings, SoftwareWalkSettings):
            with pytest.raises(OptionError, match=f"device: there is no device {name} here"):
                settings(device=name)


def test_the_command_line_says_which_devices_there_are(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["noisewalk", "walk", "--device", "cuda:99"])
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit) as ended:
        main.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert re.search(r"--device: there is no device cuda:99 here.*: give cpu", said), said
    assert "Traceback" not in said


def test_the_processor_passes_its_own_check():
    device_check.check_arithmetic.__wrapped__(CPU)


def _rounded(bits: int):
    """Return a rounding to so many significant bits, as tensor cores do."""

    def to(values: Tensor) -> Tensor:
        mantissa, exponent = torch.frexp(values)
        return torch.ldexp((mantissa * 2**bits).round() / 2**bits, exponent)

    return to


@pytest.mark.parametrize("layer", [MatrixVector, Convolution])
def test_a_device_that_rounds_factors_is_refused(layer, monkeypatch):
    """Numbers of 11 bits, as in TF32."""
    exact, tf32 = layer.__call__, _rounded(11)
    monkeypatch.setattr(layer, "__call__", lambda self, a: exact(self, tf32(a)))
    with pytest.raises(UserError, match=r"cpu does not compute (convolutions|matrix products)"):
        device_check.check_arithmetic.__wrapped__(CPU)


def test_a_device_whose_sums_round_is_refused(monkeypatch):
    """A sum a part in 2^23 too large, as a transformed convolution may give."""
    exact = Convolution.__call__
    monkeypatch.setattr(Convolution, "__call__", lambda self, a: exact(self, a) * (1 + 2**-23))
    with pytest.raises(UserError, match="convolutions exactly, bit for bit: leave the device out"):
        device_check.check_arithmetic.__wrapped__(CPU)
