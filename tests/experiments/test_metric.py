"""A user's metric: regressions and autoencoders, which have no classes, walk in software."""

import io
import json
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from torch import nn

import flow
from flow import data, user_code
from flow.cli.printing import walk_tables
from flow.cli.reference import SCHEMA
from flow.errors import OptionError, UserError
from flow.experiments import software_walk
from flow.experiments.settings import SoftwareWalkSettings
from flow.models import evaluation
from flow.models.metric import Metric
from flow.models.qonnx.file import export_qonnx
from flow.models.qonnx.network import open_network
from flow.noise import Additive, TorchSampler
from flow.walks import software
from flow.walks.summaries import WalkSummary

CODE = """
import brevitas.nn as qnn
import torch
from torch import nn


def autoencoder():
    torch.manual_seed(0)
    weight = {"bias": False, "weight_bit_width": 4}
    return nn.Sequential(
        nn.Flatten(),
        qnn.QuantIdentity(bit_width=8),
        qnn.QuantLinear(64, 24, **weight),
        qnn.QuantReLU(bit_width=4),
        qnn.QuantLinear(24, 64, **weight),
    ).eval()


def maps():
    torch.manual_seed(0)
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=8),
        qnn.QuantConv2d(1, 1, 3, padding=1, bias=False, weight_bit_width=4),
    ).eval()


def likeness(outputs, images):
    assert outputs.shape[0] == images.shape[0] and images.shape[1:] == (1, 8, 8)
    error = (outputs.flatten(1) - images.flatten(1)).square().mean(1)
    return torch.exp(-error)


def close(outputs, targets):
    assert targets.shape == outputs.shape[:1] and targets.dtype == torch.float32
    return ((outputs[:, 0] - targets).abs() < 0.2).float()


def confidence(outputs, labels):
    return outputs.softmax(1)[torch.arange(len(labels)), labels]


def halved(outputs, images):
    return torch.ones(len(outputs) // 2)


def unbounded(outputs, images):
    return outputs.square().sum(1) + 2


def undefined(outputs, images):
    return torch.full((len(outputs),), torch.nan)


def failing(outputs, images):
    return outputs[:, 1000]


def accuracy(outputs, images):
    return torch.ones(len(outputs))
"""


@pytest.fixture
def here(tmp_path, monkeypatch, digits) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(CODE)
    np.savez("images.npz", x=digits.images[:120])
    brightness = data.to_input(digits.images[:120]).flatten(1).mean(1).numpy()
    np.savez("numbers.npz", x=digits.images[:120], y=brightness)
    return tmp_path


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory) -> bytes:
    """The file of the network of that name."""
    folder = tmp_path_factory.mktemp("autoencoder")
    (folder / "own.py").write_text(CODE)
    made = user_code.function(f"{folder / 'own.py'}:autoencoder")()
    export_qonnx(made, (8, 8, 1), folder / "net.onnx")
    return (folder / "net.onnx").read_bytes()


@pytest.fixture
def model(here, autoencoder) -> str:
    Path("net.onnx").write_bytes(autoencoder)
    return "net.onnx"


def walked(**settings):
    chosen = {"levels": [0.1, 10.0], "seeds": 2, "sites": ["fc1.acc"]} | settings
    return software_walk.walk(SoftwareWalkSettings(**chosen), lambda *step: None)


@pytest.mark.slow
def test_an_autoencoder_is_measured_by_the_user_s_function(model, here):
    summary = walked(model=model, dataset="images.npz", metric="own.py:likeness")
    assert (summary.measure, summary.guessing) == ("likeness", 0)
    assert summary.metric["file"] == "own.py:likeness" and len(summary.metric["code"]) > 8
    dumped = json.loads((Path(summary.folder) / "summary.json").read_text())
    jsonschema.validate(dumped, json.loads(SCHEMA.read_text()))
    assert WalkSummary.read(Path(summary.folder) / "summary.json") == summary
    # what a plain evaluation of the network finds
    found = data.load("images.npz")
    inputs = data.to_input(found.images)
    network, likeness = open_network(Path(model), (8, 8, 1)), Metric.load("own.py:likeness")
    network.set_noise({"fc1.acc": Additive(10.0)}, sampler := TorchSampler(0))
    with torch.inference_mode():
        sampler.start_batch(0)
        noisy = likeness(network(inputs), inputs)
        network.clear_noise()
        clean = likeness(network(inputs), inputs)
    assert summary.clean["software"].value == pytest.approx(clean.mean(), rel=1e-4)
    table = pd.read_parquet(Path(summary.folder) / "curves.parquet")
    (row,) = table[(table.sigma == 10) & (table.seed == 0)].itertuples()
    assert row.likeness == pytest.approx(noisy.mean(), rel=1e-4) and row.images == 120
    assert row.lo < row.likeness < row.hi and "accuracy" not in table
    console = Console(file=io.StringIO(), width=1000)
    walk_tables.print_walk(console, summary)
    said = console.file.getvalue()
    assert "likeness without noise" in said and "of the metric in own.py:likeness" in said
    assert "accuracy" not in said and "agreement" not in said


def test_stored_points_are_taken_unless_the_function_changes(model, monkeypatch):
    options = {"model": model, "dataset": "images.npz", "metric": "own.py:likeness"}
    first = walked(**options)
    evaluated = []
    evaluate = evaluation.evaluate_groups
    monkeypatch.setattr(
        software, "evaluate_groups", lambda *a, **k: evaluated.append(a) or evaluate(*a, **k)
    )
    assert walked(**options)["fc1.acc"] == first["fc1.acc"] and not evaluated
    Path("own.py").write_text(CODE.replace("exp(-error)", "exp(-2 * error)"))
    with pytest.raises(OptionError, match="holds the results of another network"):
        walked(**options)
    again = walked(**options, out="other")
    assert evaluated and again.clean["software"].value < first.clean["software"].value


def test_a_regression_has_numbers_in_place_of_labels(model):
    summary = walked(model=model, dataset="numbers.npz", metric="own.py:close", floor=0.05)
    assert summary.measure == "close" and summary.guessing == 0.05
    with pytest.raises(UserError, match="for a regression, `walk` with METRIC takes y"):
        walked(model=model, dataset="numbers.npz")


def test_outputs_may_have_any_shape(here):
    model = str(exported("maps"))
    found = walked(model=model, dataset="images.npz", metric="own.py:likeness", sites=())
    assert list(found) == ["conv0.acc"] and 0 < found.clean["software"].value < 1
    with pytest.raises(UserError, match=r"as an autoencoder .* can be walked without a METRIC"):
        walked(model=model, dataset="images.npz", sites=())


def exported(name: str) -> Path:
    path = Path(f"{name}.onnx")
    export_qonnx(user_code.function(f"own.py:{name}")(), (8, 8, 1), path)
    return path


def test_a_classifier_may_have_a_metric_too(here):
    summary = walked(
        model="tfc-w2a2", dataset="digits", images=100, metric="own.py:confidence", floor=0.1,
        levels="auto", precision_of_mu=0.2,
    )  # fmt: skip
    assert 0.5 < summary.clean["software"].value < 1
    site = summary["fc1.acc"]
    half = (summary.clean["software"].value + 0.1) / 2
    below = [level.value.value < half for level in site.levels if level.sigma > site.midpoint.high]
    above = [level.value.value > half for level in site.levels if level.sigma < site.midpoint.low]
    assert below and above and all(below) and all(above)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("own.py:halved", r"own.py:halved returns \[60\] for 120 images: .* one number for each"),
        ("own.py:unbounded", "must return numbers from 0 to 1, larger is better"),
        ("own.py:undefined", "own.py:undefined returns nan for an image"),
        ("own.py:failing", r"own.py:failing fails: own.py, line \d+: IndexError"),
        ("own.py:liknes", "unknown function in own.py 'liknes': did you mean likeness"),
        ("own.py:accuracy", "results have a column accuracy already: rename the function"),
        ("none.py:likeness", "there is no file none.py"),
        ("likeness", "likeness names no function: write it as file.py:function"),
    ],
)
def test_mistakes_are_one_sentence(model, metric, said):
    with pytest.raises(UserError, match=said) as caught:
        walked(model=model, dataset="images.npz", metric=metric)
    assert "\n" not in str(caught.value)


def test_options_that_do_not_go_together(model):
    with pytest.raises(OptionError, match="floor applies to a metric"):
        SoftwareWalkSettings(model=model, dataset="images.npz", floor=0.1)
    with pytest.raises(OptionError, match="metric cannot be measured on networks retrained"):
        SoftwareWalkSettings(model="tfc", dataset="digits", metric="own.py:likeness", retrain=1)


class Halves(nn.Module):
    """The sums of an image's halves."""

    def __init__(self) -> None:
        super().__init__()
        self.sums = nn.Linear(64, 2, bias=False)
        with torch.no_grad():
            self.sums.weight.zero_()[0, :32] = 1
            self.sums.weight[1, 32:] = 1

    def forward(self, x):
        return self.sums(x.flatten(1)).reshape(-1, 1, 2)


def test_from_python_with_a_function_and_numbers(tmp_path):
    images = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    sums = torch.stack([images[:, :, :4].sum((1, 2, 3)), images[:, :, 4:].sum((1, 2, 3))], 1)

    def near(outputs, targets):
        return (-(outputs[:, 0] - targets).abs().mean(1)).exp()

    walk = flow.walk(
        Halves().eval(), images, sums, metric=near, sites=["sums.acc"], levels=[1e-6, 4.0],
        seeds=1, build=tmp_path,
    )  # fmt: skip
    low, high = (level.value.value for level in walk["sums.acc"].levels)
    assert walk.summary.clean["software"].value == pytest.approx(1, abs=1e-4)
    assert low > 0.999 and high < 0.3
    assert "near" in walk.to_pandas() and walk.folder.name.endswith("-near")
    assert walk.figures()["curves"].axes[0].get_ylabel() == "near (%)"
    for wrong in (lambda a, b: b, 3):
        with pytest.raises(UserError, match="give a function with another name"):
            flow.walk(Halves().eval(), images, sums, metric=wrong, build=tmp_path)
    with pytest.raises(UserError, match=r"of other outputs, flow\.walk measures a metric"):
        flow.walk(Halves().eval(), images, build=tmp_path)
