"""Images and labels from Python code."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from flow import data
from flow.data.samples import Samples
from flow.data.sets import shuffled
from flow.errors import UserError

LABELS = np.array([0, 0, 1, 1, 2, 2])
FLOATS = torch.arange(6 * 2 * 3 * 4, dtype=torch.float32).reshape(6, 2, 3, 4)
ORDER = [0, 2, 4, 1, 3, 5]
"""Order in which the classes take turns."""


def test_every_container_gives_the_same_samples():
    pairs = TensorDataset(FLOATS, torch.from_numpy(LABELS))
    for given in (
        (FLOATS, LABELS),
        (FLOATS.numpy(), LABELS.tolist()),
        (FLOATS.double(), torch.from_numpy(LABELS)),
        (pairs, None),
        (DataLoader(pairs, batch_size=4), None),
        ((FLOATS, LABELS), None),
    ):
        found = Samples.of(*given)
        assert torch.equal(found.inputs, FLOATS[ORDER]) and found.inputs.dtype == torch.float32
        assert np.array_equal(found.labels, LABELS[ORDER])


def test_every_container_may_lack_labels():
    order = shuffled(6)
    assert sorted(order) == list(range(6)) and list(order) != list(range(6))
    for given in (
        FLOATS,
        FLOATS.numpy(),
        TensorDataset(FLOATS),
        DataLoader(TensorDataset(FLOATS), batch_size=4),
        DataLoader(list(FLOATS), batch_size=4),
    ):
        found = Samples.of(given)
        assert found.labels is None and torch.equal(found.inputs, FLOATS[order])


def test_targets_may_be_any_numbers():
    targets = np.linspace(-1, 1, 12).reshape(6, 2)
    order = shuffled(6)
    for given in ((FLOATS, targets), (TensorDataset(FLOATS, torch.from_numpy(targets)), None)):
        found = Samples.of(*given, any_targets=True)
        assert found.labels is None and (found.image_set.targets == targets[order]).all()
    assert (Samples.of(FLOATS, LABELS, any_targets=True).labels == LABELS[ORDER]).all()
    with pytest.raises(UserError, match="give numbers"):
        Samples.of(FLOATS, ["a"] * 6, any_targets=True)


@pytest.mark.parametrize("shape", [(6, 4, 4), (6, 4, 4, 3), (6, 3, 4, 4)])
def test_bytes_are_seen_as_the_commands_see_them(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = Samples.of(images, LABELS)
    last = images.transpose(0, 2, 3, 1) if shape[1:] == (3, 4, 4) else images.reshape(6, 4, 4, -1)
    assert torch.equal(found.inputs, data.to_input(last[ORDER]))


@pytest.mark.parametrize("shape", [(6, 4, 4, 3), (6, 5)])
def test_a_file_holds_the_same(shape, tmp_path):
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    samples = Samples.of(images, LABELS)
    path = samples.write(tmp_path)
    read = data.load(str(path))
    assert np.array_equal(read.images, samples.image_set.images)
    assert np.array_equal(read.labels, samples.labels)
    assert samples.write(tmp_path) == path and read.name == samples.name


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (FLOATS, LABELS[:5], "6 images and 5 labels"),
        (FLOATS.log().sqrt(), LABELS, "not finite"),
        (FLOATS.long(), LABELS, "torch.int64: give uint8"),
        (FLOATS, LABELS / 2, "float64"),
        (FLOATS, LABELS - 1, "whole number from 0"),
        (FLOATS[:0], LABELS[:0], r"shape \[0, 2, 3, 4\]"),
        (torch.zeros(6, 5, 5, 5, dtype=torch.uint8), LABELS, "with 1 or 3 channels"),
        (object(), None, "give an array, a tensor, a Dataset or a DataLoader"),
        (TensorDataset(FLOATS, FLOATS, FLOATS), None, "neither images, .* nor pairs of an image"),
    ],
)
def test_what_is_no_samples(images, labels, said):
    with pytest.raises(UserError, match=said):
        Samples.of(images, labels)


def test_a_shuffling_loader_is_told():
    pairs = TensorDataset(FLOATS, torch.from_numpy(LABELS))
    with pytest.warns(UserWarning, match="shuffle=False"):
        Samples.of(DataLoader(pairs, shuffle=True))
