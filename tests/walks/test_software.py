"""The walk in software: right midpoints, nothing lost or repeated, mistakes told in one message."""

import json
import multiprocessing
import os
import signal

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from flow.callbacks import StageClock, no_progress
from flow.cli.reference import SCHEMA
from flow.errors import OptionError, UserError
from flow.experiments import software_walk
from flow.experiments.settings import SoftwareWalkSettings
from flow.models import Levels, Network, evaluate, evaluate_groups
from flow.noise import Noise, NoiseTap, TorchSampler
from flow.settings import MidpointLevels
from flow.statistics.midpoint import Midpoint
from flow.training import checkpoint, trainer
from flow.walks import software
from flow.walks.levels import in_midpoints
from flow.walks.points.curves import side_table
from flow.walks.points.store import Store
from flow.walks.summaries import SoftwareWalkSummary, WalkSummary
from flow.walks.summaries.software import GLOBAL

SETTINGS = {"model": "tfc-w2a2", "dataset": "digits", "seeds": 2, "precision_of_mu": 0.1}


class LeNet(Network):
    """A small float LeNet with a tap after every module."""

    def __init__(self) -> None:
        super().__init__("lenet", (16, 16, 1), 10)
        self.input = NoiseTap()
        self.max0, self.max1 = nn.MaxPool2d(2), nn.MaxPool2d(2)
        self.conv0, self.bn0 = nn.Conv2d(1, 4, 5), nn.BatchNorm2d(4)
        self.conv1, self.bn1 = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)
        self.fc = nn.Linear(24, 10)
        for name in ("acc0", "norm0", "act0", "pool0", "acc1", "act1", "pool1", "last"):
            self.add_module(name, NoiseTap())

    def forward(self, x: Tensor) -> Tensor:
        x = self.act0(torch.relu(self.norm0(self.bn0(self.acc0(self.conv0(self.input(x)))))))
        x = self.pool0(self.max0(x))
        x = self.act1(torch.relu(self.bn1(self.acc1(self.conv1(x)))))
        return self.last(self.fc(self.pool1(self.max1(x)).flatten(1)))


def test_clean_part_shared_by_sites_gives_the_bits_of_whole_forwards():
    """Logits, not only labels; every site, all sites at once, and the clean network, together."""
    torch.manual_seed(0)
    network, inputs = LeNet(), torch.randn(25, 1, 16, 16)
    network.train()(inputs)
    logits: list[Tensor] = []
    network.last.register_forward_hook(lambda module, arguments, output: logits.append(output))
    noises = [Noise.at("mixed", sigma) for sigma in (0.3, 2.0)]
    groups = [Levels([{}], TorchSampler(1))]
    groups += [Levels([{s: n} for n in noises], TorchSampler(1)) for s in network.sites]
    groups += [Levels([dict.fromkeys(network.sites, n) for n in noises], TorchSampler(2))]
    found = evaluate_groups(network, inputs, groups, batch=10, first_image=1000)
    shared = [out for out in logits if len(out) != 1]  # one image only fixes Brevitas' scales
    assert len(shared) == 3 * (1 + 2 * (len(network.sites) + 1))
    shared_of = {batch: iter(shared[batch * 21 : (batch + 1) * 21]) for batch in range(3)}
    for group, labels in zip(groups, found, strict=True):
        for noise, row in zip(group.levels, labels, strict=True):
            for batch in range(3):
                rows = slice(batch * 10, min(batch * 10 + 10, 25))
                group.sampler.start_batch(1000 + rows.start)
                network.eval().set_noise(noise, group.sampler)
                with torch.inference_mode():
                    whole = network(inputs[rows].contiguous(memory_format=torch.channels_last))
                assert torch.equal(next(shared_of[batch]), whole)
                assert np.array_equal(row[rows], whole.argmax(1).numpy())
    assert (found[0][0] != found[-1][1]).any()
    network.clear_noise()
    assert np.array_equal(found[0][0], evaluate(network, inputs, batch=10))


def killed(settings: SoftwareWalkSettings, after: int) -> None:
    """A process that dies as `kill -9` has it, once so many points are stored."""
    torch.set_num_threads(1)
    real, count = Store.put, []

    def put(self, key, point):
        real(self, key, point)
        count.append(1)
        if len(count) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    Store.put = put
    software_walk.walk(settings, lambda *a: None)


class Stopped(KeyboardInterrupt):
    """Ctrl-C."""


@pytest.mark.slow
@pytest.mark.pictures
def test_a_stopped_walk_leaves_what_it_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(software, "BLOCK", 250)
    settings = SoftwareWalkSettings(**SETTINGS, sites="fc0.acc,fc3.acc", out=tmp_path)
    real, blocks, seen = software.Inference.__call__, [], []

    def stopping(self, block, noises):
        blocks.append(block)
        if len(blocks) > 3:
            raise Stopped
        return real(self, block, noises)

    monkeypatch.setattr(software.Inference, "__call__", stopping)
    with pytest.raises(Stopped):
        software_walk.walk(settings, lambda *a: None, tell=seen.append)
    early = seen[-1]
    assert early == WalkSummary.read(tmp_path / "summary.json") and not early.complete
    assert early.progress.planned == {"additive": 2} and not early.progress.running
    assert early["fc0.acc"].ended == "running" and early["fc0.acc"].midpoint is not None
    table = pd.read_parquet(tmp_path / "curves.parquet")
    assert {"", "fc0.acc", "fc3.acc"} == set(table.site)
    stored = [Store(tmp_path / "points").named(p.name) for p in tmp_path.rglob("*.npz")]
    assert table[table.site == "fc0.acc"].images.sum() == sum(
        point.images for point in stored if point.site == "fc0.acc"
    )
    assert (tmp_path / "midpoints.png").stat().st_size > 1000


def comparable(summary):
    return summary.model_dump(exclude={"seconds", "folder"})


@pytest.mark.pictures
@pytest.mark.slow
def test_a_killed_walk_goes_on_and_two_runs_are_identical(tmp_path, monkeypatch):
    monkeypatch.setattr(software, "BLOCK", 250)
    settings = SoftwareWalkSettings(
        **SETTINGS, sites="fc0.acc,fc3.acc,global", out=tmp_path / "killed"
    )
    process = multiprocessing.get_context("fork").Process(target=killed, args=(settings, 15))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    points = settings.out / "points"
    kept = {path.name: path.stat().st_mtime_ns for path in points.rglob("*.npz")}
    assert len(kept) == 15 and not (settings.out / "summary.json").exists()
    measured, real = [], software.Inference.__call__

    def counting(self, block, noises):
        measured.extend((block, place) for place in noises)
        return real(self, block, noises)

    monkeypatch.setattr(software.Inference, "__call__", counting)
    resumed = software_walk.walk(settings, lambda *a: None)
    now = {path.name: path.stat().st_mtime_ns for path in points.rglob("*.npz")}
    assert kept.items() < now.items(), "a point that was there was written again"
    assert len(set(measured)) == len(measured) == len(now) - 15
    measured.clear()
    whole = software_walk.walk(settings.changed(out=tmp_path / "whole"), lambda *a: None)
    assert comparable(whole) == comparable(resumed) and len(measured) == len(now)
    for name in ("curves.parquet", "curves.png", "midpoints.png"):
        one, two = (tmp_path / run / name for run in ("killed", "whole"))
        assert one.read_bytes() == two.read_bytes(), name


@pytest.mark.slow
def test_results_have_every_site_and_all_at_once(tmp_path):
    settings = SoftwareWalkSettings(
        **SETTINGS, noise="additive,multiplicative", levels="1,10,100", images=200, out=tmp_path
    )
    summary = software_walk.walk(settings, lambda *a: None)
    file = tmp_path / "summary.json"
    assert summary.model_dump(mode="json") == json.loads(file.read_text())
    assert WalkSummary.read(file) == SoftwareWalkSummary.read(file) == summary
    sites = ["fc0.acc", "fc1.acc", "fc2.acc", "fc3.acc", GLOBAL]
    table = pd.read_parquet(tmp_path / "curves.parquet")
    for kind in ("additive", "multiplicative"):
        found = summary.kinds[kind]
        assert list(found.entries) == sites and list(found) == sites[:-1]
        for site in sites:
            same_as_the_table(found[site], side_table(table, site, "software", kind))
            rows = table[(table.kind == kind) & (table.site == site)]
            assert sorted(set(rows.sigma)) == [1, 10, 100] and len(rows) == 2 * 3
            assert (rows.images == 200).all()
    assert summary.images_evaluated == 2 * 5 * 3 * 2 * 200
    everywhere, one = (
        table[(table.site == s) & (table.sigma == 10) & (table.kind == "additive")].accuracy.mean()
        for s in (GLOBAL, "fc2.acc")
    )
    assert everywhere < one - 0.1
    assert (table.site == "").sum() == 1
    middle = table[(table.sigma == 10) & (table.kind == "additive")]
    assert middle.groupby("site").accuracy.nunique().max() == 2, "the draws differ"


def same_as_the_table(entry, rows):
    """The levels of an entry are those of the curve, accuracy and interval included."""
    assert [level.sigma for level in entry.levels] == rows.sigma.tolist() == [1, 10, 100]
    for level, row in zip(entry.levels, rows.itertuples(), strict=True):
        assert (level.images, level.draws) == (200, 2)
        assert level.value == (row.accuracy, row.lo, row.hi)


@pytest.mark.slow
def test_global_noise_is_that_of_all_default_sites_and_walked_when_asked_for(tmp_path):
    options = {**SETTINGS, "levels": "10,30,100", "images": 60}
    whole, alone, both, one = (
        software_walk.walk(
            SoftwareWalkSettings(**options, sites=sites, out=tmp_path / (sites or "all")),
            no_progress,
        )
        for sites in ("", GLOBAL, f"fc1.acc,{GLOBAL}", "fc1.acc")
    )
    assert list(alone) == [] and list(both) == list(one) == ["fc1.acc"]
    assert alone[GLOBAL] == both[GLOBAL] == whole[GLOBAL]
    assert both["fc1.acc"] == one["fc1.acc"] == whole["fc1.acc"]
    assert one.kinds["additive"].global_ is None
    with pytest.raises(UserError, match=r"unknown site 'global': .*fc1.acc"):
        one[GLOBAL]
    table = pd.read_parquet(tmp_path / "fc1.acc" / "curves.parquet")
    assert set(table.site) == {"", "fc1.acc"}
    keys = [
        {path.name for path in (tmp_path / name / "points").rglob("*.npz")}
        for name in ("all", "fc1.acc", GLOBAL)
    ]
    assert keys[1] < keys[0] and keys[2] < keys[0]


@pytest.mark.slow
def test_a_site_is_asked_for_by_its_name(tmp_path):
    settings = SoftwareWalkSettings(**SETTINGS, levels="1,12,100", images=200, out=tmp_path)
    summary = software_walk.walk(settings, no_progress)
    assert list(summary) == list(summary.sites) == [f"fc{number}.acc" for number in range(4)]
    mu = summary["fc2.acc"].midpoint
    assert (
        mu.low < mu.value < mu.high and str(mu) == f"{mu.value:.3g} [{mu.low:.3g}, {mu.high:.3g}]"
    )
    with pytest.raises(UserError, match=r"unknown site 'fc2.ac': did you mean fc2.acc"):
        summary["fc2.ac"]
    several = summary.model_copy(
        update={"kinds": summary.kinds | {"mixed": summary.kinds["additive"]}}
    )
    with pytest.raises(UserError, match=r"several kinds of noise: .*summary.kinds\[.mixed.\]"):
        several["fc2.acc"]
    assert several.kinds["mixed"]["fc2.acc"] == summary["fc2.acc"]
    jsonschema.validate(summary.model_dump(mode="json"), json.loads(SCHEMA.read_text()))


@pytest.mark.slow
def test_levels_in_midpoints_follow_a_search(tmp_path):
    settings = SoftwareWalkSettings(**SETTINGS, sites="fc1.acc,fc2.acc", images=200, out=tmp_path)
    searched = software_walk.walk(settings, no_progress)
    found = software_walk.walk(settings.changed(levels="0.5mu,1mu,2mu"), no_progress)
    table = pd.read_parquet(tmp_path / "curves.parquet")
    for site in found:
        entry, mu = found[site], searched[site].midpoint
        assert entry.midpoint == mu and entry.ended == searched[site].ended
        sigmas = [level.sigma for level in entry.levels]
        assert sigmas == pytest.approx([0.5 * mu.value, mu.value, 2 * mu.value], rel=1e-3)
        assert all((level.images, level.draws) == (200, 2) for level in entry.levels)
        shares = [level.value.value for level in entry.levels]
        assert shares == sorted(shares, reverse=True)
        assert shares[1] == pytest.approx((searched.clean["software"].value + 0.1) / 2, abs=0.1)
        assert set(sigmas) < set(table[table.site == site].sigma)


def test_levels_in_midpoints_need_midpoints():
    bounds = {"a": Midpoint(2.0, 1.9, 2.1, 2.0), "b": Midpoint(None, 9.0, np.inf, None, "above")}
    levels = MidpointLevels((0.5, 1.0))
    assert in_midpoints(levels, {"a": bounds["a"]}) == {"a": [1.0, 2.0]}
    with pytest.raises(OptionError, match=r"levels is 0.5mu,1mu, but μ of b is > 9, of c was not"):
        in_midpoints(levels, bounds | {"c": None})


@pytest.mark.slow
def test_the_clock_of_a_command_counts_from_its_start(tmp_path):
    settings = SoftwareWalkSettings(**SETTINGS, levels="10", images=50, out=tmp_path)
    alone = software_walk.walk(settings, no_progress).seconds
    assert list(alone) == ["load", "walk", "total"]
    told = software_walk.walk(settings, no_progress, clock=StageClock(100.0)).seconds
    assert told["start"] == 100 and 100 < told["total"] < 200
    assert sum(told.values()) - told["total"] == pytest.approx(told["total"], abs=0.5)


@pytest.mark.slow
def test_a_folder_of_another_network_is_refused_and_kept(tmp_path):
    settings = SoftwareWalkSettings(**SETTINGS, levels="10", images=50, out=tmp_path / "r")
    software_walk.walk(settings, lambda *a: None)
    before = {path: path.read_bytes() for path in settings.out.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="another network"):
        software_walk.walk(settings.changed(model="tfc-w1a1"), lambda *a: None)
    with pytest.raises(UserError, match="another network"):
        software_walk.walk(settings.changed(retrain=1), lambda *a: None)
    assert before == {path: path.read_bytes() for path in settings.out.rglob("*") if path.is_file()}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="something else"):
        software_walk.walk(settings.changed(out=tmp_path / "other"), lambda *a: None)


@pytest.mark.slow
def test_retraining_gives_each_point_a_network_trained_with_its_noise(tmp_path, monkeypatch):
    calls = []

    def train(model, dataset, *, noise, epochs, seed, start, out, **more):
        assert more == {"recipe": None, "clamp": None, "device": "cpu"}
        calls.append((noise, epochs, seed))
        network, metadata = checkpoint.load(start)
        with torch.no_grad():  # a network that can be told from the one it began with
            list(network.parameters())[-1].add_(len(calls))
        return checkpoint.save(network, out, metadata)

    monkeypatch.setattr(trainer, "train", train)
    settings = SoftwareWalkSettings(
        **SETTINGS, levels="5,50", sites="fc1.acc", images=50, retrain=3, out=tmp_path
    )
    software_walk.walk(settings, lambda *a: None)
    noises = [Noise.at("additive", sigma) for sigma in (5.0, 50.0)]
    first, second = 0, 1 << 32
    assert calls[0] == (None, 3, first)
    assert sorted(calls[1:], key=repr) == sorted(
        [({"fc1.acc": noise}, 3, seed) for noise in noises for seed in (first, second)], key=repr
    )
    software_walk.walk(settings, lambda *a: None)
    assert len(calls) == 5, "trained again"
