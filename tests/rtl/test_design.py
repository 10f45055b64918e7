"""RTL from a noisy site on: labels, scores and digests of the whole network, bit for bit."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.errors import UserError
from flow.golden.model import GoldenModel
from flow.models import Network
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.weights import settings_of
from flow.rtl import simulate
from flow.rtl.design import Design
from flow.rtl.divergence import localise
from flow.rtl.equivalence import differing_images
from flow.rtl.scope import FULL, SITE, check
from flow.rtl.simulate import RtlPoint
from flow.walks.points.measurement import propagate_mismatches
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import Side
from flow.walks.points.store import Store
from flow.walks.walk import Walk
from tests.compiler.graph.test_branches import Block, settled
from tests.compiler.test_weights import convolutional

IMAGES = 6
SIMULATED = {
    "dense": ("fc2.act",),
    "convolutional": ("conv1.weight",),
    "residual": ("long.acc", "short.weight"),
}
"""By network: the sites simulated; ``long.acc`` and ``short.weight`` have one part."""
ENTRIES = {
    "dense": {
        "input": "the input",
        "fc0.weight": "the tap at input",
        "fc0.acc": "the matrix-vector unit of fc0.acc",
        "fc0.act": "behind fc0.acc",
        "fc1.weight": "the tap at fc0.act",
        "fc1.acc": "the matrix-vector unit of fc1.acc",
        "fc3.acc": "the matrix-vector unit of fc3.acc",
    },
    "convolutional": {
        "conv0.weight": "the tap at input",
        "conv0.acc": "the matrix-vector unit of conv0.acc",
        "conv1.weight": "behind conv0.act",
        "conv1.acc": "the depth-wise unit of conv1.acc",
        "fc0.weight": "the tap at conv1.act",
        "fc0.acc": "the matrix-vector unit of fc0.acc",
    },
    # from the fork on, both branches are needed
    "residual": {
        "conv.acc": "the matrix-vector unit of conv.acc",
        "long.acc": "the tap at conv.act",
        "short.weight": "the tap at conv.act",
        "short.act": "the tap at conv.act",
        "sum.act": "behind long.act and short.act",
        "fc.weight": "the tap at sum.act",
        "fc.acc": "the matrix-vector unit of fc.acc",
    },
}
"""By network and site: behind what the part begins."""


@dataclass(frozen=True)
class Case:
    name: str
    network: Network
    accelerator: Accelerator
    inputs: Tensor

    @property
    def golden(self) -> GoldenModel:
        return self.accelerator.golden_model()

    def noise(self, site: str, kind: str) -> dict[str, TapSettings]:
        """Noise of 2 LSB, or of 90 %, for images from the third hundred on."""
        noise = Noise.at(kind, 0.9)
        if site in self.accelerator.weights:
            weights = self.accelerator.weights[site]
            return {site: settings_of(Noise.at(kind, 2 * weights.scale), weights, seed=9)}
        if kind == "additive":
            noise = Noise.at(kind, 2 * self.accelerator.sites[site].scale)
        return {site: TapSettings.of(noise, self.accelerator.sites[site].scale, 1 << 40, 300)}


@pytest.fixture(scope="module", params=ENTRIES)
def case(request, built, inputs) -> Case:
    if request.param == "dense":
        network = request.getfixturevalue("network")
        accelerator = request.getfixturevalue("accelerator")
        return Case(request.param, network, accelerator, inputs)
    network, images = convolutional(inputs[:200]), inputs
    if request.param == "residual":
        network, images = settled(Block())
    # the accelerators of tests/compiler/test_weights.py and .../test_branches.py
    accelerator = compile_network(
        network, images[:200], sites=network.all_sites, cycles=256, root=built / "accelerators"
    )
    return Case(request.param, network, accelerator, images)


def part_of(accelerator: Accelerator, golden: GoldenModel, site: str, built: Path) -> Design:
    """Return what is simulated for a site, with a simulator that is built quickly."""
    entry = golden.narrowest(site) if site else golden.entry
    return quickly_built(Design(accelerator, golden, entry, built / "sim"))


def quickly_built(hardware: Design) -> Design:
    hardware.simulation = simulate.build(hardware.accelerator, root=hardware.root, optimise=False)
    return hardware


def run(hardware: Design, stream: Tensor, points, workdir, **options) -> list[RtlPoint]:
    results, _ = simulate.simulate(
        hardware.accelerator,
        hardware.simulation,
        hardware.feed(stream),
        points,
        workdir,
        **options,
    )
    return results


def test_a_part_begins_where_all_its_noise_passes(case, built):
    golden, whole = case.golden, case.accelerator
    stream = whole.quantise(case.inputs[:3])
    for site, entry in ENTRIES[case.name].items():
        part = Design(whole, golden, golden.narrowest(site), built / "sim")
        assert part.begins == entry, site
        if part.scope == FULL:
            assert part.accelerator is whole and part.golden is golden
            continue
        units = [a.manifest["nodes"] for a in (part.accelerator, whole)]
        ours, every = ([n for n in nodes if "weight_type" in n] for nodes in units)
        assert len(ours) < len(every) or entry == "the tap at input"
        # the sites that are left, with the numbers that their noise is drawn by
        left = list(part.accelerator.sites)
        assert left == list(whole.sites)[-len(left) :]
        for name, tap in part.accelerator.sites.items():
            assert replace(tap, node="") == replace(whole.sites[name], node="")
        assert site in {**part.accelerator.sites, **part.accelerator.weights}
        # golden's own part, fed so, gives what the whole gives
        noise = case.noise(site, "additive")
        labels = part.golden.run(part.feed(stream), noise)
        assert torch.equal(labels, golden.run(stream, noise))


def test_rtl_of_a_part_gives_what_the_whole_gives(case, built, tmp_path):
    """Labels, scores and the digest at every site from the noisy one on, with stalls too."""
    golden = case.golden
    whole = part_of(case.accelerator, golden, "", built)
    stream = case.accelerator.quantise(case.inputs[:IMAGES])
    noises = {
        site: [{}, *(case.noise(site, kind) for kind in ("additive", "multiplicative")), {}]
        for site in SIMULATED[case.name]
    }
    every = run(
        whole, stream, [one for some in noises.values() for one in some], tmp_path / "whole"
    )
    for number, (site, points) in enumerate(noises.items()):
        expected = every[number * len(points) : (number + 1) * len(points)]
        part = part_of(case.accelerator, golden, site, built)
        assert part.scope == SITE
        for stall in (False, True):
            found = run(part, stream, points, tmp_path / "part", stall=stall)
            for ours, theirs, noise in zip(found, expected, points, strict=True):
                assert (ours.labels == theirs.labels).all(), site
                assert (ours.scores == theirs.scores).all(), site
                assert list(ours.digests) == list(part.accelerator.sites)
                for tap, digests in ours.digests.items():
                    assert (digests == theirs.digests[tap]).all(), (site, tap)
                fed = part.feed(stream)
                assert not differing_images(part.golden, fed, noise, ours).any()
            # noise reaches the scores, else little was compared
            assert (found[1].scores != found[0].scores).any(), site


def test_noise_in_front_of_a_part_is_refused(case, built, tmp_path):
    site = list(case.accelerator.sites)[-1]
    golden = case.golden
    part = Design(case.accelerator, golden, golden.narrowest(site), built / "sim")
    stream = part.feed(case.accelerator.quantise(case.inputs[:1]))
    first = next(iter(case.accelerator.sites))
    with pytest.raises(ValueError, match=f"no such site in the simulated part: {first}"):
        simulate.start_job(part.accelerator, stream, [case.noise(first, "additive")], tmp_path)


def test_a_stream_that_fills_the_bench_goes_in_several_runs(case, monkeypatch):
    shape = case.accelerator.manifest["input"]
    assert simulate.images_held(case.accelerator) == simulate.MAX_IMAGES
    image = -(-shape["bits"] * shape["elements_a_beat"] // 8) * 8 * shape["beats"]
    monkeypatch.setattr(simulate, "MEMORY_BITS", 3 * image + 1)
    assert simulate.images_held(case.accelerator) == 3
    monkeypatch.setattr(simulate, "MEMORY_BITS", 1)
    assert simulate.images_held(case.accelerator) == 1


def rtl(site: str, mismatches: int | None, scope: str) -> Point:
    labels = np.zeros(10, dtype=np.uint8)
    return Point(site, "additive", float(bool(site)), 0, "rtl", labels, mismatches, scope)


def test_what_the_whole_network_shows_counts_for_every_part():
    parts = [rtl("a", 0, SITE), rtl("b", 3, SITE), rtl("c", 9, SITE), rtl("d", 0, FULL)]
    for clean, expected in ((0, [0, 0, 3, 9, 0]), (2, [2, 2, 5, 10, 0])):
        found = propagate_mismatches([rtl("", clean, FULL), *parts])
        assert [point.bit_mismatches for point in found] == expected
    assert propagate_mismatches(parts[3:]) == parts[3:]
    for without in (parts, [rtl("", None, FULL), *parts]):
        with pytest.raises(ValueError, match="simulate it as well"):
            propagate_mismatches(without)


def test_a_walk_simulates_parts_and_keeps_them_apart(
    network, accelerator, inputs, digits, built, tmp_path
):
    """The labels of both scopes are the same, and no point of one is taken for the other's."""
    sites = ["input", "fc1.weight", "fc2.act"]
    full, part = (
        Walk(
            network=network,
            accelerator=accelerator,
            inputs=inputs[:20],
            labels=digits.labels[:20],
            placement=Placement(NoiseSetting("additive", seed=3)),
            store=Store(tmp_path / "points"),
            build=built,
            scope=scope,
        )
        for scope in (FULL, SITE)
    )
    for walk in (full, part):
        for site in ("", *sites):
            quickly_built(walk.context.designs.at(site))
    places = [NoisePoint("", 0.0)]
    places += [NoisePoint(s, x * full.context.sites[s].scale) for s in sites for x in (2.0, 5.0)]
    runs = {}
    for name, walk in (("full", full), ("site", part), ("again", part)):
        found = walk.run(walk.wanted([Side.RTL], places, 12))
        assert found.speed.images == {"full": 7 * 12, "site": 4 * 12, "again": 0}[name]
        assert all(point.bit_mismatches == 0 for point in found.points)
        runs[name] = found.points
    assert [point.scope for point in runs["full"]] == [FULL] * 7
    assert [point.scope for point in runs["site"]] == [FULL] * 3 + [SITE] * 4
    for points in (runs["site"], runs["again"]):
        for ours, theirs in zip(points, runs["full"], strict=True):
            assert (ours.predictions == theirs.predictions).all()
    with pytest.raises(ValueError, match="simulate it as well"):
        part.run(part.wanted([Side.RTL], places[-1:], 12))


def test_an_error_in_a_part_is_found_and_its_layer_named(accelerator, inputs, built, tmp_path):
    golden = accelerator.golden_model()
    part = part_of(accelerator, golden, "fc2.act", built)
    data = tmp_path / "data"
    shutil.copytree(part.accelerator.folder / simulate.DATA, data)
    memory = data / "MVAU_rtl_0_memblock.dat"
    words = memory.read_text().split()
    words[0] = f"{int(words[0], 16) ^ 0b10:0{len(words[0])}x}"
    memory.write_text("\n".join(words) + "\n")
    stream = part.feed(accelerator.quantise(inputs[:IMAGES]))
    (wrong,), _ = simulate.simulate(
        part.accelerator, part.simulation, stream, [{}], tmp_path / "run", data=data
    )
    found = localise(
        part.accelerator,
        part.golden,
        stream,
        {},
        wrong,
        tmp_path / "divergence",
        data=data,
        root=built / "sim",
        optimise=False,
    )
    assert found is not None and found.divergence is not None
    assert found.divergence.place == "the matrix-vector unit of fc3.acc"
    assert found.divergence.waveform.exists()


def test_an_unknown_scope_is_named_with_those_there_are():
    with pytest.raises(UserError, match="unknown scope 'part': known: full, site"):
        check("part")
