"""Boards and their pins: what is wrong with one is told in one sentence."""

import pytest

from flow.errors import UserError
from flow.fpga import boards
from flow.fpga.place import too_large, too_slow, until_met
from flow.rtl.ecp5 import Cells


def test_every_board_that_ships_has_a_pin_for_each_port():
    assert "ulx3s-85f" in boards.names()
    for name in boards.names():
        assert boards.find(name).capacity.sites > 20_000


def test_an_unknown_board():
    with pytest.raises(UserError, match="unknown board 'ulx3s-80f': did you mean ulx3s-85f"):
        boards.find("ulx3s-80f")


@pytest.fixture
def own(tmp_path):
    """A user's own board, with lines of its files replaced."""

    def make(old: str = "", new: str = "") -> str:
        for name in ("ulx3s-85f.yaml", "ulx3s.lpf"):
            text = (boards.FOLDER / name).read_text()
            (tmp_path / name).write_text(text.replace(old, new) if old else text)
        return str(tmp_path / "ulx3s-85f.yaml")

    return make


def test_a_board_of_ones_own(own):
    assert boards.find(own()).device == "85k"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"L4"', '"M1"', "pin M1 is given 2 times, to rx and tx"),
        ('COMP "tx"', 'COMP "rx"', "port rx has 2 pins"),
        ('COMP "tx"', 'COMP "txd"', "no pin for tx"),
        ("device: 85k", "device: 86k", "unknown device '86k': did you mean 85k"),
        ("speed: 6", "speed: 5", "speed: Input should be greater than or equal to 6"),
        ("mhz: 25", "megahertz: 25", "mhz: Field required"),
        ("ulx3s.lpf", "none.lpf", "cannot be read: No such file"),
    ],
)
def test_a_board_that_is_wrong(own, old, new, message):
    with pytest.raises(UserError, match=message):
        boards.find(own(old, new))


def test_a_network_too_large_names_the_resource_and_the_number():
    board = boards.find("ulx3s-25f")
    assert not too_large(Cells(lut4=100, sites=24_288, ff=24_288, mult18=28, ebr=56), board)
    found = too_large(Cells(lut4=100, sites=25_000, ff=100, mult18=92, ebr=56), board)
    assert "25,000 LUTs of 24,288 (712 too many) and 92 multipliers of 28 (64 too many)" in found


def test_a_clock_that_the_slowest_path_does_not_allow():
    assert not too_slow(50.0, 50.0)
    assert "49.9 MHz, less than the clock of 50 MHz: choose a clock of 49" in too_slow(49.9, 50.0)


def test_seeds_are_tried_until_the_clock_is_met():
    mhz = {1: 57.5, 2: 61.0, 3: 55.7, 4: 70.0}
    given = {seed: {"seed": seed, "mhz": reached} for seed, reached in mhz.items()}
    met = until_met(60.0, (1, 2, 3), given.__getitem__)
    assert (met["seed"], met["seeds"]) == (2, {1: 57.5, 2: 61.0})
    missed = until_met(65.0, (1, 2, 3), given.__getitem__)
    assert (missed["mhz"], list(missed["seeds"])) == (61.0, [1, 2, 3])
