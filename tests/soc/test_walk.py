"""The whole system, firmware on its core, against the golden model, bit for bit."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.errors import UserError
from flow.experiments.settings import SocWalkSettings, VoteSettings
from flow.golden.model import Record
from flow.models.planes import Array
from flow.models.tiles import tile
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.soc import cosim, firmware, system, voting
from flow.soc import walk as soc_walk
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint
from flow.walks.points.side import Side
from flow.walks.points.store import Store
from flow.walks.walk import Walk
from sim.runner import SimulationError

IMAGES = 4

# with NEED_FIRMWARE, as in .ci/run, a cross compiler that is missing is a failure
pytestmark = pytest.mark.skipif(
    bool(firmware.missing()) and not os.environ.get("NEED_FIRMWARE"), reason=firmware.missing()
)


@pytest.fixture(scope="module")
def built_system(accelerator, built):
    return system.build(accelerator, built / "soc")


@pytest.fixture(scope="module")
def simulation(built_system, built):
    return system.simulator(built_system, root=built / "sim", optimise=False)


@pytest.fixture(scope="module")
def stream(accelerator, inputs):
    return accelerator.quantise(inputs[:IMAGES])


def settings(accelerator, site, sigma, kind="additive", seed=9, bits=0, **options):
    noise, tap = Noise.at(kind, sigma, **options), accelerator.sites[site]
    if bits:
        noise = replace(noise, adc=tap.adc(bits, tap.clip))
    return {site: TapSettings.of(noise, tap.scale, seed, image_base=0)}


def golden_of(accelerator, stream, noise):
    golden = accelerator.golden_model()
    record = Record([golden.scores])
    labels = golden.run(stream, noise, record=record).numpy()
    return labels, record.streams[golden.scores].numpy()


@pytest.mark.slow
def test_labels_and_logits_equal_golden_clean_noisy_and_repeated(
    accelerator, built_system, simulation, stream, tmp_path
):
    everywhere = {}
    for site in accelerator.sites:
        everywhere |= settings(accelerator, site, 1.0, "mixed", seed=1 << 40)
    points = [
        {},
        everywhere,
        settings(accelerator, "fc1.acc", 2.0, executions=3),
        settings(accelerator, "fc0.act", 2.0, "fixed-pattern"),
        settings(accelerator, "input", 2.0, "drift", gain_rate=-20.0, sigma_rate=50.0),
        settings(accelerator, "fc3.acc", 0.0, bits=2) | settings(accelerator, "input", 2.0, bits=1),
        {},
    ]
    results, _ = cosim.simulate(built_system, simulation, stream, points, tmp_path)
    for noise, result in zip(points, results, strict=True):
        labels, scores = golden_of(accelerator, stream, noise)
        assert (result.labels == labels).all() and (result.scores == scores).all(), noise
        assert result.runs == IMAGES and 0 < result.device_clocks < result.firmware_clocks
    assert (results[0].scores == results[-1].scores).all()
    assert (results[1].scores != results[0].scores).any()
    assert len(np.unique(results[-2].scores)) <= 4


@pytest.mark.slow
def test_partial_sums_of_tiles_and_planes(network, inputs, built, tmp_path):
    """Registers reach a tap on partial sums as any other."""
    array = tile(network, Array(24, 1))
    accelerator = compile_network(array, inputs[:32], cycles=256, root=built / "accelerators")
    assert {site.rpartition(".")[2] for site in accelerator.sites} == {"tile"}
    whole = system.build(accelerator, built / "soc")
    simulation = system.simulator(whole, root=built / "sim", optimise=False)
    stream = accelerator.quantise(inputs[:IMAGES])
    site = next(iter(accelerator.sites))
    points = [{}, settings(accelerator, site, 2.0), settings(accelerator, site, 1.0, bits=4)]
    results, _ = cosim.simulate(whole, simulation, stream, points, tmp_path)
    scores = []
    for noise, result in zip(points, results, strict=True):
        labels, logits = golden_of(accelerator, stream, noise)
        assert (result.labels == labels).all()
        assert (result.scores == logits).all()
        scores.append(logits)
    assert not np.array_equal(scores[0], scores[1]) and not np.array_equal(scores[0], scores[2])


@pytest.mark.slow
def test_a_reset_in_mid_image_starts_anew(accelerator, built_system, simulation, stream, tmp_path):
    noise = settings(accelerator, "fc1.acc", 2.0)
    # images are inside: the firmware has set the noise of 8 taps, at least 500 clocks
    points = [noise, {}]
    for clocks in (2500, 3001):
        workdir = tmp_path / str(clocks)
        results, _ = cosim.simulate(
            built_system, simulation, stream, points, workdir, reset_after=clocks
        )
        text = (workdir / "serial.txt").read_text()
        assert text.count("\nreset\n") == 2 and text.count("end\n") == 1
        for point, result in zip(points, results, strict=True):
            labels, scores = golden_of(accelerator, stream, point)
            assert (result.labels == labels).all() and (result.scores == scores).all()


@pytest.mark.slow
def test_votes_equal_those_of_golden_and_end_early(
    accelerator, built_system, simulation, stream, tmp_path
):
    noise = settings(accelerator, "fc1.acc", 6.0)
    (site,) = noise
    seeds = [replace(noise[site], seed=noise[site].seed + (e << 32)) for e in range(5)]
    labels = np.stack([golden_of(accelerator, stream, {site: one})[0] for one in seeds])
    for early in (False, True):
        (result,), _ = cosim.simulate(
            built_system, simulation, stream, [noise], tmp_path, votes=cosim.Votes(5, early)
        )
        winners, executions = voting.vote(labels.astype(np.uint8), 10, early)
        assert (result.labels == winners).all() and (result.executions == executions).all()
        assert result.runs == executions.sum()
    assert executions.sum() < 5 * IMAGES


def _job_word(number, change):
    def apply(content):
        content[firmware.ROOM // 4 + number] = change

    return apply


def _elsewhere(content):
    """Let the firmware look for the registers where nothing is: lui a5, 0x80010."""
    loads = np.flatnonzero(content[: firmware.ROOM // 4] == 0x800007B7)
    assert len(loads)
    content[loads] = 0x800107B7


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil, line",
    [
        pytest.param(_job_word(0, 0), "error job 4 0", id="no job"),
        pytest.param(_job_word(2, 10), "error run 6 0", id="busy for too long"),
        pytest.param(_job_word(9, 2), "error run 7 3", id="images not at a whole word"),
        pytest.param(_elsewhere, "error init 8 0", id="no device"),
    ],
)
def test_what_goes_wrong_ends_the_firmware_with_the_driver_s_error(
    spoil, line, built_system, simulation, stream, tmp_path, monkeypatch
):
    content = cosim.memory(built_system, stream, [{}])
    spoil(content)
    monkeypatch.setattr(cosim, "memory", lambda *_: content)
    with pytest.raises(SimulationError, match=f"the firmware reported an error: {line}"):
        cosim.simulate(built_system, simulation, stream, [{}], tmp_path)


def test_firmware_that_is_too_large_for_its_memory_is_an_error_at_build_time(tmp_path):
    with pytest.raises(UserError, match=r"does not fit into its 4096 bytes .* it needs \d+ more"):
        firmware.build(tmp_path, room=4096)


def test_a_missing_cross_compiler_is_told_with_its_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sudo apt-get install gcc-riscv64-unknown-elf picolibc"):
        firmware.build(tmp_path)


@pytest.mark.slow
def test_jobs_that_memory_does_not_hold_are_refused(built_system, stream):
    held = cosim.images_held(built_system)
    with pytest.raises(ValueError, match=f"holds 1 to {held}"):
        cosim.memory(built_system, stream[:1].expand(held + 1, -1), [{}])
    with pytest.raises(ValueError, match=r"no tap at fc9\.acc"):
        cosim.memory(built_system, stream, [{"fc9.acc": TapSettings()}])
    assert len(cosim.memory(built_system, stream[:1].expand(held, -1), [{}])) * 4 < 1 << 20


@pytest.mark.parametrize(
    "text, match",
    [
        ("noisewalk taps 1 classes 2\npoint 0\nimage 0 1 a", "stopped before its end"),
        ("point 0\nimage 0 1 a b\nrun 1 2 3\nend\n", "printed 1 results, not 2"),
        ("garbage\nend\n", "no known kind"),
        ("end\n", "printed 0 points"),
    ],
)
def test_serial_lines_that_are_no_whole_job_are_an_error(text, match):
    with pytest.raises(ValueError, match=match):
        cosim.read_serial(text, 2, 1, 2)


def test_serial_lines_are_read():
    text = "point 9\nreset\nnoisewalk taps 1 classes 2\npoint 0\nimage 0 1 fffffffe 3\n"
    (point,) = cosim.read_serial("\n" + text + "run 1 20 300\nend\n", 1, 1, 2)
    assert point.labels.tolist() == [1] and point.scores.tolist() == [[-2, 3]]
    assert (point.runs, point.device_clocks, point.firmware_clocks) == (1, 20, 300)


@pytest.fixture
def walk(network, accelerator, inputs, digits, built_system, simulation, tmp_path, monkeypatch):
    monkeypatch.setattr(soc_walk, "_ready", lambda *_: (built_system, simulation))
    return Walk(
        network=network,
        accelerator=accelerator,
        inputs=inputs[:40],
        labels=digits.labels[:40],
        placement=Placement(NoiseSetting("additive", seed=3)),
        store=Store(tmp_path / "points"),
        build=tmp_path,
    )


@pytest.mark.slow
def test_a_walk_is_measured_once_and_its_mismatches_are_seen(
    walk, accelerator, simulation, tmp_path, monkeypatch
):
    scale = accelerator.sites["fc1.acc"].scale
    places = [NoisePoint("", 0.0), *(NoisePoint("fc1.acc", x * scale) for x in (3.0, 30.0))]
    told = []
    first = soc_walk.measure_all(walk, places, IMAGES, lambda *said: told.append(said))
    assert [one.bit_mismatches for one in first] == [0, 0, 0]
    golden = walk.run(walk.wanted([Side.GOLDEN], places)).points
    for one, point in zip(first, golden, strict=True):
        assert one.labels == point.predictions[:IMAGES].tolist()
    assert told[0][1:3] == (0, 3) and told[-1] == ("system", 3, 3, 3 * IMAGES)

    def refuse(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr(cosim, "simulate", refuse)
    assert soc_walk.measure_all(walk, places, IMAGES, lambda *said: None) == first
    monkeypatch.undo()
    # the same system with wrong weights in the memory of its last layer
    folder = tmp_path / "planted"
    shutil.copytree(accelerator.folder, folder)
    memory = folder / "data" / "MVAU_rtl_3_memblock.dat"
    words = [f"{int(word, 16) ^ 0b10:0{len(word)}x}" for word in memory.read_text().split()]
    memory.write_text("\n".join(words) + "\n")
    planted = system.build(Accelerator.open(folder), tmp_path / "soc")
    monkeypatch.setattr(soc_walk, "_ready", lambda *_: (planted, simulation))
    (wrong,) = soc_walk.measure_all(walk, places[:1], IMAGES, lambda *said: None)
    assert wrong.bit_mismatches > 0


@pytest.mark.slow
def test_votes_of_a_walk_are_golden_s(walk, accelerator):
    sigma = 60.0 * accelerator.sites["fc1.acc"].scale
    draws = [NoisePoint("fc1.acc", sigma, draw) for draw in range(3)]
    golden = np.stack([p.predictions for p in walk.run(walk.wanted([Side.GOLDEN], draws)).points])
    assert (golden[0] != golden[1]).any()
    ballot = voting.VoteRun("fc1.acc", sigma, cosim.Votes(3), IMAGES)
    row = voting._row(walk, ballot, golden, voting.cast(walk, ballot))
    assert row["unlike_golden"] == 0
    assert 2 <= row["rtl_executions"][0] <= 3
    # of other draws they are not
    row = voting._row(walk, ballot, (golden + 1) % 10, voting.cast(walk, ballot))
    assert row["unlike_golden"] > 0


@pytest.mark.parametrize(
    "votes, match",
    [("0,3", "from 1 to 99"), ("1,x", "whole numbers"), ("100", "from 1 to 99"), ("", "votes is")],
)
def test_votes_that_cannot_be_are_refused(votes, match):
    with pytest.raises(UserError, match=match):
        VoteSettings(votes=votes)


def test_a_scope_and_noise_on_weights_are_refused(accelerator):
    for cls in (SocWalkSettings, VoteSettings):
        with pytest.raises(UserError, match="scope is no option here: a system has the whole"):
            cls(dataset="digits", scope="site")
    with pytest.raises(UserError, match=r"fc1\.weight has no tap"):
        soc_walk.check_sites(accelerator.sites, ["fc1.acc", "fc1.weight"])
