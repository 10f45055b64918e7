"""Settings of a board, and the progress of place and route."""

import pytest

from flow.errors import OptionError, UserError
from flow.fpga.board_system import pll_of
from flow.fpga.place import Phases
from flow.fpga.settings import BoardSettings, ExportSettings, FpgaSettings
from flow.rtl import ecp5
from flow.walks.settings import AcceleratorSettings

LOG = """Info: Packing LUTs...
Info: iter=480 steplen=0.827555 a=54.496048 penalty=[0.00, 0.00, 0.00, 0.00]
Info: overlap: COMB=41.3%, FF=35.0%, RAM=36.0%, MUL=5.6%
Info:   at iteration #5: temp = 0.000000, timing cost = 2731, wirelen = 325142
Info: Running main router loop...
Info:     iter=1 wires=603430 overused=45011 overuse=55245 archfail=NA
Info:     iter=12 wires=650001 overused=12 overuse=12 archfail=0
"""


def test_phases_of_place_and_route():
    told = []
    phases = Phases(lambda stage, done, total, images=0: told.append((stage, done, total)))
    for line in LOG.splitlines():
        phases(line)
    assert told == [
        ("place", 0, 100),
        ("place", 59, 100),
        ("place", 100, 100),
        ("route", 558419, 603430),
        ("place", 100, 100),
        ("route", 649989, 650001),
    ]


def test_the_clock_is_that_of_the_board_unless_one_is_given():
    assert FpgaSettings().mhz == 25
    assert FpgaSettings(clock=50).mhz == 50
    assert FpgaSettings(fps=1000, clock=50).target["mhz"] == 50
    assert FpgaSettings(cycles=1000, clock=50).target == AcceleratorSettings(cycles=1000).target


def test_taps_are_at_the_chosen_sites_alone_where_each_takes_logic():
    assert AcceleratorSettings.taps_every_accumulator
    for settings in (FpgaSettings, BoardSettings, ExportSettings):
        assert not settings.taps_every_accumulator


def test_an_unknown_board_is_told_under_its_option():
    with pytest.raises(OptionError, match=r"board: unknown board 'ulx4': did you mean ulx3s"):
        _ = FpgaSettings(board="ulx4").chosen_board


def test_a_tool_that_is_missing():
    with pytest.raises(UserError, match=r"yowasp-none is not installed: run `pip install 'noisew"):
        ecp5.require("yowasp-none")


def test_a_clock_that_no_pll_makes_is_told_before_anything_is_compiled():
    with pytest.raises(OptionError, match="clock: the PLL does not make 47 MHz"):
        pll_of(FpgaSettings().chosen_board, 47)
    assert pll_of(FpgaSettings().chosen_board, 25) is None
