"""Images without labels: the noise-free labels take their place, and all speaks of agreement."""

import io
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from rich.console import Console

import flow
from flow import data, models
from flow.api.inputs import as_files
from flow.cli.printing import check, training, walk_tables
from flow.data.samples import Samples
from flow.errors import UserError
from flow.experiments import multi_execution, repeats, software_walk
from flow.experiments.settings import (
    CheckSettings,
    MultiExecutionSettings,
    RepeatSettings,
    SoftwareWalkSettings,
)
from flow.experiments.studies import page, study, tables
from flow.models.qonnx.file import export_qonnx
from flow.noise import TorchSampler
from flow.report import comparison_page
from flow.report.files import Results
from flow.report.plots.walk_hw import plot_curves
from flow.training.settings import TrainingOptions
from flow.walks.engine.engine import SerialExecutor
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.store import Store
from flow.walks.summaries import WalkSummary
from flow.walks.walk import Walk
from tests.helpers import custom_networks
from tests.report.test_files import finished

IMAGES = 200
WALK = {"sites": ["fc0.acc", "fc3.acc"], "levels": [4.0, 30.0, 400.0]}
HARDWARE = {"cycles": 256, "draws": 1, "hw_images": 8, "budget": 0}


@pytest.fixture(scope="module")
def images(digits):
    """Images of which half are of one class."""
    zeros = digits.images[digits.labels == 0]
    return np.concatenate([zeros, zeros, digits.images[digits.labels > 0]])[:IMAGES]


@pytest.fixture(scope="module")
def build(tmp_path_factory, results_folder):
    return results_folder(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def hardware(network, images, build):
    return flow.walk_hw(network, images, build=build, **WALK, **HARDWARE)


@pytest.fixture(scope="module")
def files(network, images, build):
    """Settings that name the network and its images."""
    return as_files(network, Samples.of(images), build)


def printed(print_it, found) -> str:
    console = Console(file=io.StringIO(), width=1000)
    print_it(console, found)
    return console.file.getvalue()


def speaks_of_agreement(text: str) -> bool:
    return "agreement" in text.lower() and "accurac" not in text.lower()


def reference(network, images):
    """What the network gives without noise, and the share of the most frequent label."""
    labels = models.evaluate(network, Samples.of(images).inputs)
    return labels, np.bincount(labels).max() / len(labels)


@pytest.mark.pictures
def test_software_agrees_with_itself_without_noise(network, images, build):
    walk = flow.walk(network, images, build=build, seeds=2, **WALK)
    labels, share = reference(network, images)
    summary, table = walk.summary, walk.to_pandas()
    assert summary.measure == "agreement" and share > 0.35
    assert summary.guessing == pytest.approx(share)
    assert summary.clean["software"].value == 1
    assert "accuracy" not in table and (table.agreement == table.correct / table.images).all()
    noise, sampler = {"fc0.acc": flow.Additive(30.0)}, TorchSampler(0)
    noisy = models.evaluate(network, Samples.of(images).inputs, noise=noise, sampler=sampler)
    (row,) = table.query("site == 'fc0.acc' and sigma == 30 and seed == 0").itertuples()
    assert row.correct == (noisy == labels).sum() < IMAGES
    text = (walk.folder / "summary.json").read_text()
    assert json.loads(text)["measure"] == "agreement"
    assert speaks_of_agreement(text) and speaks_of_agreement(
        printed(walk_tables.print_walk, summary)
    )
    figure = walk.figures()["curves"]
    assert figure.axes[0].get_ylabel() == "agreement (%)"
    assert imread(walk.folder / "curves.png").size


@pytest.mark.slow
def test_every_display_of_a_hardware_walk_says_agreement(hardware, network, images):
    summary, folder = hardware.summary, hardware.folder
    _, share = reference(network, images)
    assert summary.measure == "agreement" and summary.guessing == pytest.approx(share)
    assert summary.clean["golden"].value == summary.clean["rtl"].value == 1
    differing = len(summary.checks.golden.labels_differing)
    assert summary.clean["brevitas"].value == 1 - differing / IMAGES
    for name in ("report.html", "summary.json", "curves.csv"):
        assert speaks_of_agreement((folder / name).read_text()), name
    page = (folder / "report.html").read_text()
    assert "with the label that golden gives without noise" in page
    assert f"guessing reaches {100 * share:.2f} %" in page
    assert (
        plot_curves(summary.model_dump(), hardware.points).axes[0].get_ylabel() == "agreement (%)"
    )
    said = printed(walk_tables.print_summary, summary)
    assert speaks_of_agreement(said) and "golden gives without noise" in " ".join(said.split())
    assert list(pd.read_parquet(folder / "curves.parquet")) == list(hardware.points)
    assert WalkSummary.read(folder / "summary.json") == summary
    for side in ("software", "golden"):
        table = hardware.points
        means = table[(table.side == side) & (table.site == "fc0.acc")].agreement
        assert means.iloc[0] > 0.9 > 0.6 > means.iloc[-1]


@pytest.mark.slow
def test_repeats_join_the_page(hardware, files, build):
    settings = RepeatSettings(
        **files, build=build, out=hardware.folder, sites=["fc0.acc"], repeats=[1, 8], sigma=30.0,
        cycles=256, hw_images=8,
    )  # fmt: skip
    found = repeats.run(settings, lambda *step: None)
    assert found["measure"] == "agreement" and found["clean"][0] == 1
    one, many = found["rows"]
    assert many["golden"][1] > one["golden"][2]
    page = (hardware.folder / "report.html").read_text()
    assert "Agreement golden" in page and speaks_of_agreement(page)
    assert speaks_of_agreement(printed(walk_tables.print_repeats, found))


@pytest.mark.slow
def test_walks_of_different_measures_are_not_compared(hardware, tmp_path):
    labelled = Results.read(finished(tmp_path / "walk"))
    own = Results.read(hardware.folder)
    with pytest.raises(
        UserError, match="the walks measured accuracy and agreement: compare walks of one"
    ):
        comparison_page.write(tmp_path / "page.html", [labelled, own])
    assert not (tmp_path / "page.html").exists()


@pytest.mark.slow
def test_the_hardware_s_reference_is_golden_s(accelerator, inputs, tmp_path):
    """Even if the network in software were another: all its labels may differ."""
    other = models.build("tfc-w2a2", (8, 8, 1))
    walk = Walk(
        other,
        accelerator,
        inputs[:50],
        None,
        Placement(NoiseSetting("additive")),
        Store(tmp_path),
        tmp_path,
    )
    golden = accelerator.golden_model().run(accelerator.quantise(inputs[:50])).numpy()
    assert (walk.labels == golden).all()
    assert (walk.labels != models.evaluate(other, inputs[:50])).any()
    # other noise, and another process, take it from the store
    (stored,) = list(tmp_path.rglob("*.npz"))
    before = stored.stat().st_mtime_ns
    assert walk.with_setting(NoiseSetting("multiplicative")).reference is walk.reference
    assert stored.stat().st_mtime_ns == before


@pytest.mark.slow
def test_executions_are_compared_by_agreement(files, tmp_path):
    settings = MultiExecutionSettings(
        **files, out=tmp_path, budgets=[1, 2], draws=1, seeds=1, precision_of_mu=0.3
    )
    found = multi_execution.run(settings, lambda *step: None)
    assert found["measure"] == "agreement" and found["clean"][0] == 1
    assert all(0 < row["agreement"] < 1 for row in found["rows"])
    assert speaks_of_agreement((tmp_path / "executions.json").read_text())
    assert speaks_of_agreement(printed(walk_tables.print_executions, found))
    assert "agreement" in pd.read_parquet(tmp_path / "executions.parquet")


@pytest.fixture(scope="module")
def own_network(tmp_path_factory, images) -> tuple[Path, Path]:
    """A QONNX file, and images without labels."""
    folder = tmp_path_factory.mktemp("own")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_qonnx(custom_networks.flat(), (8, 8, 1), folder / "net.onnx")
    np.savez(folder / "set.npz", x=images)
    return folder / "net.onnx", folder / "set.npz"


@pytest.mark.slow
def test_check_tells_that_there_are_no_labels(own_network):
    model, dataset = own_network
    said = printed(check.run, CheckSettings(model=str(model), dataset=str(dataset)))
    assert "agreement 1.0000 [" in said and "with the network's own labels" in said
    assert "no better than guessing" not in said and speaks_of_agreement(said)


@pytest.mark.slow
def test_one_label_for_all_images_is_no_better_than_guessing(own_network, images, tmp_path):
    model, _ = own_network
    labels = models.evaluate(flow.tap(model, image_shape=(8, 8, 1)), data.to_input(images))
    np.savez(tmp_path / "alike.npz", x=images[labels == np.bincount(labels).argmax()])
    settings = CheckSettings(model=str(model), dataset=str(tmp_path / "alike.npz"))
    assert "no better than guessing" in printed(check.run, settings)
    walk = SoftwareWalkSettings(
        model=str(model), dataset=settings.dataset, levels=[1.0], seeds=1, build=tmp_path
    )
    summary = software_walk.walk(walk, lambda *step: None)
    assert summary.guessing == 1
    assert all(summary[site].method is None for site in summary)


@pytest.mark.slow
def test_a_study_lists_measures_apart(own_network, images, tmp_path):
    model, dataset = own_network
    np.savez(tmp_path / "set.npz", x=images, y=np.arange(len(images)) % 10)
    options = f"{{model: {model}, levels: [0.1, 3.0], seeds: 1, dataset: "
    text = f"runs:\n  - walk: {options}{dataset}}}\n  - walk: {options}{tmp_path / 'set.npz'}}}\n"
    (tmp_path / "two.yaml").write_text(text)
    found = study.read(tmp_path / "two.yaml", tmp_path / "build")
    assert not study.run_study(found, lambda *step: None, SerialExecutor(), lambda run: None)
    rows = tables.table(found)
    assert rows.groupby("measure").size().to_dict() == {"agreement": 2, "accuracy": 2}
    assert len(page.over_seeds(rows)) == len(rows)
    html = page.write(found, tmp_path / "build" / "points").read_text()
    assert "agreement and accuracy: compare only midpoints of the same measure." in html


def test_training_needs_labels(own_network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = {"model": "tfc", "dataset": str(own_network[1])}
    with pytest.raises(UserError, match="cannot be trained on images without labels"):
        training.run(Console(), TrainingOptions(**chosen))
    with pytest.raises(UserError, match="cannot be trained on images without labels"):
        training.ensure_checkpoint(SoftwareWalkSettings(**chosen), Console())


def test_training_from_python_needs_labels(images):
    with pytest.raises(UserError, match=r"images-\w+ has no labels, which this needs"):
        flow.train(custom_networks.flat(), images, epochs=1)


def test_order_is_a_sample_and_a_file_keeps_it(tmp_path):
    first = np.arange(60, dtype=np.uint8).repeat(4).reshape(60, 2, 2)
    samples = Samples.of(first)
    assert samples.labels is None and len(samples) == 60
    found = data.load(str(samples.write(tmp_path)))
    assert found.labels is None and (found.images == samples.images.numpy()).all()
    assert samples.name == found.name and re.fullmatch(r"images-\w{8}", samples.name)
    # a file sorted by class would have one class in front
    assert found.images[:10, 0, 0, 0].std() > 10
    assert sorted(found.images[:, 0, 0, 0]) == list(range(60))
    assert (data.load(str(samples.write(tmp_path)), limit=7).images == found.images[:7]).all()
    with pytest.raises(UserError, match="has no labels"):
        _ = found.known_labels
