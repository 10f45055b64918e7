"""The command line as a user meets it: bad input ends with status 2 and one message."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from flow.cli import main
from flow.models import registry
from flow.models.quantised import FullyConnected
from flow.training.zoo import zoo_path
from sim.runner import REPOSITORY


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command line in this process, in a folder of its own."""

    def runner(*arguments: str, **environment: str) -> Ended:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["noisewalk", *arguments])
        monkeypatch.setenv("COLUMNS", "300")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        status = 0
        try:
            main.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return Ended(status, out, err)

    return runner


BAD = {
    "model": (["--model", "tfc-w2a3"], "unknown model 'tfc-w2a3': did you mean tfc-w2a2"),
    "dataset": (["--dataset", "fashon-mnist"], "--dataset: unknown dataset"),
    "noise": (["--noise", "aditive"], "--noise: unknown noise 'aditive': did you mean additive"),
    "drift without a rate": (["--noise", "drift"], "--noise: drift without a rate is mixed noise"),
    "rate of another kind": (["--gain-rate", "0.1"], "--gain-rate is no option of additive noise"),
    "rate beyond the register": (
        ["--noise", "drift", "--gain-rate", "1e6"],
        "--gain-rate: the gain drifts by 1e+06 over",
    ),
    "no samples": (["--noise", "empirical"], "give a file"),
    "no execution": (["--executions", "0"], "--executions is 0: give a whole number from 1 to 64"),
    "too many executions": (["--executions", "65"], "--executions is 65"),
    "order": (["--order", "add"], "--order is add: did you mean"),
    "ratio": (["--ratio", "1.5"], "--ratio is 1.5: give a number from 0 to 1"),
    "site": (["--sites", "fc0.ac"], "--sites: unknown site 'fc0.ac'"),
    "negative level": (["--levels", "1,-2"], "--levels is 1,-2: a noise level cannot be neg"),
    "nan level": (["--levels", "nan"], "finite"),
    "unparsable levels": (["--levels", "1;2"], "not a number"),
    "double level": (["--levels", "2,2.0"], "twice"),
    "level beyond the register": (["--levels", "1e6"], "--levels: the additive noise level 1e+06"),
    "no images": (["--images", "0"], "--images is 0"),
    "no rtl images": (["--hw-images", "0"], "--hw-images is 0"),
    "more rtl images": (
        ["--images", "10", "--hw-images", "11"],
        "--hw-images is 11, more than the 10 images",
    ),
    "too many images": (["--images", "501"], "--images is 501, "),
    "seed": (["--seed", "-1"], "--seed is -1: give a whole number from 0 to 2^64"),
    "negative budget": (["--budget", "-1"], "--budget is -1"),
    "no number as budget": (["--budget", "nan"], "--budget is nan"),
    "scope": (["--scope", "part"], "--scope is part: give full or site"),
    "two targets": (["--fps", "1000"], "--cycles and --fps exclude each other"),
    "a target and a folding": (
        ["--folding", "nowhere.json"],
        "--cycles and --folding exclude each other",
    ),
    "no checkpoint": (
        ["--checkpoint", "nowhere.safetensors"],
        "--checkpoint: there is no checkpoint nowhere",
    ),
}


BAD_TABLES = {
    "wrong length": (np.zeros((2, 500, 2), dtype=np.int64), "[2, 512, 2]"),
    "not whole numbers": (np.zeros((2, 512, 2)), "whole numbers"),
    "not monotone": (np.stack([np.arange(1024).reshape(2, 512)[:, ::-1] * 99] * 2, 2), "monotone"),
    "beyond the samples": (np.full((2, 512, 2), 1 << 20), "between −8 and 8"),
}


@pytest.mark.parametrize(("entries", "message"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_bad_table_of_quantiles(entries, message, run, tmp_path):
    np.savez(tmp_path / "table.npz", entries=entries, unit=1.0)
    base = ["walk-hw", "--model", "tfc-w2a2", "--dataset", "digits"]
    found = run(*base, "--noise", "empirical", "--samples", "table.npz")
    assert found.status == 2 and message in found.err and found.err.count("error:") == 1


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(arguments, message, run, results_folder, tmp_path):
    results_folder(tmp_path / "build")
    base = ["walk-hw", "--model", "tfc-w2a2", "--dataset", "digits", "--cycles", "256"]
    found = run(*base, *arguments)
    assert found.status == 2, found.out + found.err
    assert message in found.err
    assert found.err.startswith("error:") and found.err.count("error:") == 1


BAD_WALK = {
    name: BAD[name]
    for name in (
        "model", "dataset", "noise", "order", "ratio", "site", "negative level", "nan level",
        "double level", "unparsable levels", "no images", "too many images", "seed",
        "no checkpoint",
    )
} | {
    "site twice": (["--sites", "fc0.acc,fc1.acc,fc0.acc"], "--sites: site fc0.acc is named twice"),
    "kind twice": (["--noise", "additive,additive"], "is additive,additive: name each once"),
    "no seeds": (["--seeds", "0"], "--seeds is 0"),
    "no rate": (["--noise", "drift"], "drift without a rate"),
    "no samples": (["--noise", "empirical"], "give a file of them"),
    "samples of additive noise": (["--samples", __file__], "--samples is no option of"),
    "not samples": (["--noise", "empirical", "--samples", __file__], "--samples: cannot read"),
    "empty samples": (["--noise", "empirical", "--samples", "/dev/null"], "--samples: /dev/null"),
    "no execution": (["--executions", "0"], "--executions is 0"),
    "precision": (["--precision-of-mu", "nan"], "--precision-of-mu is nan"),
    "old budget": (["--budget", "600s"], "did you mean --max-seconds or --max-noisy-images?"),
    "budget": (["--max-seconds", "ten"], "--max-seconds is ten: give a number above 0"),
    "no budget": (["--max-noisy-images", "0"], "--max-noisy-images is 0"),
    "less than no retraining": (["--retrain", "-1"], "--retrain is -1"),
    "a file for a folder": (["--out", __file__], "--out is "),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), BAD_WALK.values(), ids=BAD_WALK.keys())
def test_bad_input_of_a_walk_in_software(arguments, message, run, tmp_path):
    found = run("walk", "--model", "tfc-w2a2", "--dataset", "digits", *arguments)
    assert found.status == 2, found.out + found.err
    assert message in found.err
    assert found.err.startswith("error:") and found.err.count("error:") == 1
    assert not list(tmp_path.rglob("*"))


@pytest.mark.slow
def test_a_results_folder_of_another_network_is_refused(run):
    base = ["walk", "--dataset", "digits", "--levels", "10", "--images", "20", "--out", "results"]
    assert run(*base, "--model", "tfc-w2a2").status == 0
    found = run(*base, "--model", "tfc-w1a1")
    assert found.status == 2 and "holds the results of another network" in found.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folding", "message"),
    [
        ("{", "folding.json is not JSON"),
        (
            '{"MVAU_rtl_1": {"PE": 3}}',
            "node MVAU_rtl_1: PE is 3, which does not divide its",
        ),
        (
            '{"MVAU_rtl_4": {"PE": 2}}',
            "unknown node in the folding 'MVAU_rtl_4': did you",
        ),
        ('{"MVAU_rtl_0": {"resType": "bram"}}', "give auto or lut or dsp"),
    ],
)
def test_bad_folding(folding, message, run, tmp_path):
    (tmp_path / "folding.json").write_text(folding)
    found = run(
        "walk-hw", "--model", "tfc-w2a2", "--dataset", "digits", "--folding", "folding.json"
    )
    assert found.status == 2, found.out + found.err
    assert message in found.err


class WithSigmoid(FullyConnected):
    """A network with an operator that no hardware here computes."""

    def forward(self, x):
        return torch.sigmoid(super().forward(x))


@pytest.mark.slow
def test_a_network_without_rtl_is_not_trained_first(run, tmp_path, monkeypatch):
    factory = partial(WithSigmoid, width=8, weight_bits=2, act_bits=2)
    monkeypatch.setitem(registry._FACTORIES, "with-sigmoid", factory)
    found = run("walk-hw", "--model", "with-sigmoid", "--dataset", "digits")
    assert found.status == 2
    assert "node Sigmoid_0 is a Sigmoid" in found.err
    assert "training" not in found.out
    assert not list(tmp_path.rglob("*.safetensors"))


def digits_checkpoint() -> Path:
    path = zoo_path("tfc-w2a2", "digits")
    assert path is not None
    return path


@pytest.mark.parametrize("what", ["truncated", "corrupt", "other network", "other data set"])
def test_bad_checkpoint(what, tmp_path, run):
    path = tmp_path / "network.safetensors"
    shutil.copy(digits_checkpoint(), path)
    dataset = "digits"
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    elif what == "corrupt":
        content = bytearray(path.read_bytes())
        content[-100] ^= 0x55
        path.write_bytes(content)
    elif what == "other data set":
        dataset = "fashion-mnist"
    model = "tfc-w1a2" if what == "other network" else "tfc-w2a2"
    found = run("walk-hw", "--model", model, "--dataset", dataset, "--checkpoint", str(path))
    assert found.status == 2, found.out + found.err
    assert "network.safetensors" in found.err


def test_results_folder_that_cannot_be_written(tmp_path, run):
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "walk-hw").write_text("a file where the folder should be")
    found = run("walk-hw", "--model", "tfc-w2a2", "--dataset", "digits")
    assert found.status == 2, found.out + found.err
    assert "cannot use" in found.err


def test_data_that_cannot_be_found(tmp_path, run, monkeypatch):
    path = tmp_path / "network.safetensors"
    shipped = zoo_path("tfc-w2a2", "mnist")
    assert shipped is not None
    shutil.copy(shipped, path)
    monkeypatch.setattr("flow.data.sources.on_hub", lambda *arguments: None)
    found = run(
        "walk-hw", "--model", "tfc-w2a2", "--dataset", "mnist", "--checkpoint", str(path),
        DATA_DIR="",
    )  # fmt: skip
    assert found.status == 2, found.out + found.err
    for way in ("DATA_DIR", "on this machine", "hub"):
        assert way in found.err


def test_help_has_examples(run):
    for command in ("walk-hw", "train", "bench", "compile", "synth"):
        found = run(command, "--help")
        assert found.status == 0 and "Example: noisewalk" in found.out


@pytest.mark.slow
def test_the_main_job_through_the_makefile(results_folder, tmp_path):
    """`make walk-hw` on `digits`, in a folder that has of the repository what the set-up needs."""
    folder = results_folder(tmp_path / "build")
    for name in ("Makefile", "variables.mk", "pyproject.toml", ".constraints.txt", "flow", ".venv"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    arguments = [
        "make", "-s", "walk-hw", "MODEL=tfc-w2a2", "DATASET=digits", "IMAGES=100", "HW_IMAGES=4",
        "LEVELS=8,32", "NOISE=mixed", "SITES=fc1.acc,fc3.acc", "SEED=3", "JOBS=2",
        "BUDGET=0.02",
    ]  # fmt: skip
    found = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "bit_mismatches: 0" in found.stdout
    assert "fc1.acc" in found.stdout and "fc2.acc" not in found.stdout
    report = folder / "walk-hw" / "tfc-w2a2-digits-mixed" / "report.html"
    assert "mixed" in report.read_text() and "BUDGET=0.02" in report.read_text()
