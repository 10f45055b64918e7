"""Checkpoints: what comes back is what went in, and a bad file says so in one message."""

import json
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from flow import data, models
from flow.errors import UserError
from flow.models.evaluation import evaluate
from flow.noise import Mixed, Noise
from flow.paths import ZOO
from flow.training import checkpoint
from flow.training.checkpoint import Metadata
from flow.training.zoo import file_name, finished, noise_name, write_index, zoo_path

METADATA = Metadata("tfc-w2a2", "digits", None, 3, 0, 0.9, 500)


def trained_a_little(name: str) -> models.Network:
    """Take a network off its starting point, weights as well as norms."""
    train = data.load("digits", "train", limit=300)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = models.build(name, (8, 8, 1))
        optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
        for _ in range(5):
            logits = network(data.to_input(train.images))
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(train.labels))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return checkpoint.save(models.build("tfc", (8, 8, 1)), tmp_path / "n.safetensors", METADATA)


@pytest.mark.parametrize(
    "name", ["tfc-w1a1", "tfc-w1a2", "tfc-w2a2", "lfc-w2a2", "float-mlp", "float-mlp-bn"]
)
def test_a_loaded_network_gives_exactly_the_outputs_of_the_saved_one(
    name: str, tmp_path: Path
) -> None:
    network = trained_a_little(name)
    metadata = Metadata(name, "digits", {"kind": "additive"}, 3, 7, 0.875, 500, 0.5)
    path = checkpoint.save(network, tmp_path / "new" / "n.safetensors", metadata)
    assert network.training, "saving changed the mode"
    loaded, told = checkpoint.load(path, expect_model=name)
    assert told == metadata
    assert not loaded.training
    inputs = data.to_input(data.load("digits").images)
    with torch.no_grad():
        assert torch.equal(loaded(inputs), network.eval()(inputs))


def test_loading_does_not_disturb_the_random_state(path: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    checkpoint.load(path)
    assert torch.equal(torch.rand(3), expected)


def test_files_are_small_readable_and_alone(path: Path) -> None:
    assert path.stat().st_size < 64 * 64 + 2 * 64 * 64 + 10 * 64 + 10_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_the_smallest_network_fits_in_80_kb(tmp_path: Path) -> None:
    path = checkpoint.save(models.build("tfc"), tmp_path / "n.safetensors", METADATA)
    assert path.stat().st_size < 80_000


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no checkpoint"):
        checkpoint.load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 300, -1])
def test_a_truncated_file(keep: int, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"n.safetensors is corrupt or truncated"):
        checkpoint.load(path)


def test_a_flipped_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="corrupt: its contents do not match its digest"):
        checkpoint.load(path)


def test_a_file_of_another_kind(path: Path) -> None:
    path.write_bytes(b"\x80\x04N." * 100)
    with pytest.raises(UserError, match="corrupt or truncated"):
        checkpoint.load(path)
    checkpoint.write_tensors({"w": torch.zeros(3)}, path, {})
    with pytest.raises(UserError, match="not a checkpoint of this program"):
        checkpoint.load(path)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def test_nothing_is_unpickled(path: Path) -> None:
    marker = path.with_name("marker")
    torch.save(Bomb(marker), path)
    with pytest.raises(UserError, match="corrupt or truncated"):
        checkpoint.load(path)
    assert not marker.exists()
    with path.open("rb") as file:
        torch.load(file, weights_only=False)
    assert marker.exists(), "the bomb is a dud"


def test_a_spoilt_header_is_an_error_that_names_the_file(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(whole.index(b"tfc-w2a2"), whole.index(b"tfc-w2a2") + 8):
        path.write_bytes(whole[:place] + b"!" + whole[place + 1 :])
        with pytest.raises(UserError, match=r"n\.safetensors holds the network"):
            checkpoint.load(path)
    for place in range(0, whole.index(b"fc0.bn"), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x80]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"n\.safetensors"):
            checkpoint.load(path)


def test_a_checkpoint_of_another_network(path: Path) -> None:
    with pytest.raises(UserError, match="holds the network tfc-w2a2, not lfc-w1a1"):
        checkpoint.load(path, expect_model="lfc-w1a1")


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_tensors_that_do_not_fit_the_network(change: str, path: Path) -> None:
    tensors, fields = checkpoint.read_tensors(path)
    if change == "missing":
        del tensors["fc3.linear.weight"]
    else:
        tensors["fc0.linear.weight"] = tensors["fc0.linear.weight"][:-1].contiguous()
    header = json.loads(fields["noisewalk"]) | {"digest": checkpoint._digest(tensors)}
    checkpoint.write_tensors(tensors, path, {"noisewalk": json.dumps(header)})
    with pytest.raises(UserError, match="does not fit the network tfc-w2a2"):
        checkpoint.load(path)


def test_a_folder_that_cannot_be_written(path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        checkpoint.save(models.build("tfc"), path / "n.safetensors", METADATA)


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr("flow.training.checkpoint.os.replace", full)
    with pytest.raises(UserError, match="No space left"):
        checkpoint.save(models.build("tfc"), path, METADATA)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_names_of_noise() -> None:
    assert noise_name(None) == "clean"
    assert noise_name(Noise.at("additive", 2.5)) == "additive-2.5"
    assert noise_name(Mixed(1, 2, order="add-mul")) == "mixed-1-2-add-mul"
    by_site = {"conv0.acc": Noise.at("additive", 2), "fc0.acc": Noise.at("additive", 8)}
    assert noise_name(by_site) == "additive-2@conv0.acc+additive-8@fc0.acc"
    many = {f"conv{number}.acc": Noise.at("additive", 1.25) for number in range(20)}
    names = {noise_name(many), noise_name(many | by_site)}
    assert len(names) == 2 and all(len(name) < 130 for name in names)


def test_a_kind_alone_means_the_same_noise_at_every_site_and_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flow.training.zoo.ZOO", tmp_path)
    monkeypatch.setattr("flow.training.zoo.LOCAL", tmp_path / "none")
    noise = Noise.at("additive", 8)
    for name in (
        file_name("tfc", "digits", {"fc0.acc": noise}),
        file_name("tfc", "digits", noise, spread=0.5),
    ):
        (tmp_path / name).touch()
        assert zoo_path("tfc", "digits", "additive") is None, name
    plain = tmp_path / file_name("tfc", "digits", noise)
    plain.touch()
    assert zoo_path("tfc", "digits", "additive") == plain


def test_the_zoo_comes_before_what_was_trained_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo, local = tmp_path / "zoo", tmp_path / "local"
    monkeypatch.setattr("flow.training.zoo.ZOO", zoo)
    monkeypatch.setattr("flow.training.zoo.LOCAL", local)
    noise = Noise.at("additive", 8)
    assert zoo_path("tfc", "mnist") is None
    for folder in (local, zoo):
        folder.mkdir()
        for trained in (None, noise):
            path = folder / file_name("tfc", "mnist", trained)
            path.touch()
            assert zoo_path("tfc", "mnist", trained) == path
    assert zoo_path("tfc", "mnist", "additive") == zoo / path.name
    assert zoo_path("tfc", "mnist", "multiplicative") is None
    assert zoo_path("tfc", "mnist", Noise.at("additive", 4)) is None
    with pytest.raises(UserError, match="unknown noise 'addtive'"):
        zoo_path("tfc", "mnist", "addtive")


def test_a_run_that_is_not_finished_is_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flow.training.zoo.ZOO", tmp_path)
    monkeypatch.setattr("flow.training.zoo.LOCAL", tmp_path)
    (tmp_path / "tfc-w2a2_mnist_additive-8.state.safetensors").touch()
    assert zoo_path("tfc", "mnist", "additive") is None
    assert json.loads(write_index(tmp_path).read_text()) == []


SHIPPED = finished(ZOO)


@pytest.mark.slow
def test_the_index_says_what_the_shipped_files_say(tmp_path: Path) -> None:
    for path in SHIPPED:
        (tmp_path / path.name).symlink_to(path)
    fresh = write_index(tmp_path).read_text()
    assert fresh == (ZOO / "index.json").read_text()
    entries = json.loads(fresh)
    for entry in entries:
        low, high = entry["interval"]
        assert low < entry["accuracy"] < high
    assert {"tfc-w2a2", "tfc-w1a2"} <= {e["model"] for e in entries}


@pytest.mark.parametrize("path", [p for p in SHIPPED if "digits" in p.name], ids=lambda p: p.stem)
def test_shipped_accuracies_on_digits_are_true(path: Path) -> None:
    network, metadata = checkpoint.load(path)
    test = data.load("digits")
    correct = evaluate(network, data.to_input(test.images, network.image_shape)) == test.labels
    assert np.mean(correct) == metadata.accuracy


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in SHIPPED if "fashion" in p.name], ids=lambda p: p.stem)
def test_shipped_accuracies_on_fashion_mnist_hold_on_the_shipped_images(path: Path) -> None:
    network, metadata = checkpoint.load(path)
    large = metadata.model.startswith(("cnv", "mobilenet"))
    images = 500 if large else data.BUNDLED_IMAGES
    test = data.load("fashion-mnist", limit=images)
    correct = evaluate(network, data.to_input(test.images, network.image_shape)) == test.labels
    # of the 10,000: four standard errors of a share of 0.85
    assert abs(np.mean(correct) - metadata.accuracy) < 4 * (0.85 * 0.15 / images) ** 0.5
