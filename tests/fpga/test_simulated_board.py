"""The whole path to a board: host, serial port, cable with faults, firmware, accelerator, back."""

import os
from dataclasses import replace

import numpy as np
import pytest

from flow.errors import OptionError, UserError
from flow.experiments.settings import SocWalkSettings
from flow.fpga import board_system, board_walk, boards, on_board, simulated_board
from flow.fpga.board_walk import SimulatedBoard
from flow.fpga.link import Board, open_port
from flow.fpga.noise_points import points
from flow.rtl import simulate
from flow.soc import firmware, system
from flow.soc import walk as soc_walk
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint
from flow.walks.points.side import Side
from flow.walks.points.store import Store
from flow.walks.walk import Walk

# with NEED_FIRMWARE, as in .ci/run, a cross compiler that is missing is a failure
pytestmark = pytest.mark.skipif(
    bool(firmware.missing()) and not os.environ.get("NEED_FIRMWARE"), reason=firmware.missing()
)

IMAGES = 6
DIVIDER = 40
"""Clocks of a bit at the board."""
FAR_DIVIDER = 41
"""Clocks of a bit at the other end, 2.5 % slower, as two clocks may differ."""
TIMEOUT = 2.0


def quiet(stage, done, total, images=0):
    pass


@pytest.fixture(scope="module")
def board(one_layer, built):
    made = system.build(one_layer, built / "soc")
    return board_system.build(made, DIVIDER, made.folder / f"board-{DIVIDER}")


@pytest.fixture(scope="module")
def simulation(board, built):
    return simulated_board.build(replace(board, divider=FAR_DIVIDER), built / "sim")


def test_labels_and_logits_are_goldens_in_spite_of_faults_on_the_cable(
    board, simulation, one_layer, inputs, built, tmp_path
):
    """And so they are those of the accelerator alone, as ``walk-hw`` simulates it."""
    stream = one_layer.quantise(inputs[:IMAGES])
    # a request has 10 bytes at least, so each of these hits another one
    faults = {
        "to": {3: "flip", 130: "lose", 300: "pull"},
        "from": {40: "flip", 75: "lose", 0: "lose"},
    }
    with simulated_board.running(board, simulation, tmp_path / "run", faults) as port:
        asked = Board(open_port(port), TIMEOUT, attempts=8)
        found = on_board.compare(asked, board.system, stream, quiet)
        last = asked.digest(0)
    assert len(found["differing"]) == 3 and not any(found["differing"].values())
    assert found["repeated"] >= 5
    settings = points(one_layer)
    bench = simulate.build(one_layer, root=built / "sim")
    alone, _ = simulate.simulate(
        one_layer, bench, stream, list(settings.values()), tmp_path / "alone"
    )
    assert found["labels"] == {
        name: one.labels.tolist() for name, one in zip(settings, alone, strict=True)
    }
    # noise changed labels, so the points are not one
    assert len({tuple(labels) for labels in found["labels"].values()}) > 1
    assert last


def test_walk_soc_on_the_board_s_top_finds_what_walk_hw_finds(
    board, simulation, one_layer, open_one_layer, inputs, digits, built, tmp_path, monkeypatch
):
    monkeypatch.setattr(board_walk, "_ready", lambda *_: (board, simulation))
    (site,) = one_layer.sites
    walk = Walk(
        network=open_one_layer,
        accelerator=one_layer,
        inputs=inputs[:IMAGES],
        labels=digits.labels[:IMAGES],
        placement=Placement(NoiseSetting("additive", seed=3)),
        store=Store(tmp_path / "points"),
        build=built,
    )
    places = [NoisePoint("", 0.0), NoisePoint(site, 30 * one_layer.sites[site].scale)]
    top = SimulatedBoard(boards.find("ulx3s-85f"))
    seen = soc_walk.measure_all(walk, places, IMAGES, quiet, top)
    alone = walk.run(walk.wanted([Side.RTL], places, IMAGES)).points
    assert [one.labels for one in seen] == [point.predictions.tolist() for point in alone]
    assert seen[0].labels != seen[1].labels
    assert all(not one.bit_mismatches and one.device_clocks for one in seen)


def test_samples_are_not_loaded_over_the_serial_line(tmp_path):
    samples = tmp_path / "samples.npy"
    np.save(samples, np.linspace(-1, 1, 100))
    settings = SocWalkSettings(board="ulx3s-85f", samples=samples, noise="empirical")
    with pytest.raises(OptionError, match="samples cannot be loaded over the serial line"):
        SimulatedBoard.of(settings)


def test_what_a_board_refuses(board, simulation, one_layer, tmp_path):
    with simulated_board.running(board, simulation, tmp_path / "run") as port:
        asked = Board(open_port(port), TIMEOUT)
        hello = asked.hello()
        assert hello.memory_bytes == board_system.MEMORY_BYTES
        with pytest.raises(UserError, match="BAD_ARGUMENT"):
            asked.read(hello.first - 4, 1)
        with pytest.raises(UserError, match="BAD_ARGUMENT"):
            asked.read(hello.memory_bytes - 4, 2)
        with pytest.raises(UserError, match="NO_SUCH_TAP"):
            asked.digest(1)
        with pytest.raises(UserError, match=r"REFUSED, cause 3"):
            asked.run(10**6, hello.first, hello.first)
        with pytest.raises(UserError, match="holds another network"):
            on_board.check_same(board.system, replace(hello, classes=9))
