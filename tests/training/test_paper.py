"""The paper's recipe: settings of its public code, images in 0..1, and walks that know it."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from flow import data, models
from flow.data.augment import augmented
from flow.errors import UserError
from flow.experiments import software_walk
from flow.experiments.settings import SoftwareWalkSettings
from flow.noise import Noise
from flow.training import checkpoint, trainer
from flow.training import run as training_run
from flow.training.layer_statistics import values_at
from flow.training.run import class_weights
from flow.training.settings import TrainingOptions, TrainingSettings
from flow.training.zoo import TrainedNetwork, file_name, zoo_path


@pytest.mark.parametrize(
    ("model", "dataset", "epochs", "augment", "zero_to_one"),
    [
        ("float-mlp", "mnist", 100, False, True),
        ("float-lenet5-bn", "mnist", 50, False, True),
        ("float-mlp-bn", "fashion-mnist", 250, True, False),
        ("float-lenet5", "cifar10", 300, True, False),
        ("float-lenet5", "svhn", 200, True, False),
        ("float-cnn-s", "speech-commands", 150, False, False),
    ],
)
def test_the_recipe_says_what_the_public_code_does(model, dataset, epochs, augment, zero_to_one):
    found = TrainingSettings.of(model, dataset, None, None, 0, "paper")
    assert (found.epochs, found.augment, found.zero_to_one) == (epochs, augment, zero_to_one)
    assert (found.schedule, found.border, found.clamp) == ("epoch", "black", False)
    keywords = dataset == "speech-commands"
    assert (found.lr, found.batch) == ((5e-4, 512) if keywords else (1e-3, 128))
    assert found.weighted == keywords
    own = TrainingSettings.of(model, dataset, None, None, 0)
    assert (own.epochs, own.recipe, own.zero_to_one) == (60, None, False)
    given = TrainingSettings.of(model, dataset, None, 7, 0, "paper", clamp=True, batch=50)
    assert (given.epochs, given.clamp, given.batch) == (7, True, 50)


def test_other_networks_and_sets_have_no_such_recipe():
    with pytest.raises(UserError, match=r"recipe: the paper's recipe is for its float networks"):
        TrainingOptions(model="tfc", dataset="mnist", recipe="paper")
    with pytest.raises(UserError, match="recipe is papers: did you mean paper"):
        TrainingOptions(model="float-mlp", dataset="mnist", recipe="papers")
    with pytest.raises(UserError, match="checkpoint and recipe exclude each other"):
        SoftwareWalkSettings(model="float-mlp", dataset="mnist", recipe="paper", checkpoint="a")


def trained(folder: Path, **changes) -> Path:
    own = {"recipe": "paper", "epochs": 2, "out": folder / "n.safetensors"} | changes
    return trainer.train("float-mlp", "digits", **own)


def test_images_are_in_0_to_1_and_the_checkpoint_keeps_it(tmp_path):
    network, metadata = checkpoint.load(trained(tmp_path), "float-mlp")
    assert metadata.recipe == "paper" and network.zero_to_one
    test = data.load("digits", "test")
    inputs = data.to_input(test.images)
    seen = values_at(network, inputs, ["input"])["input"]
    wanted = torch.from_numpy(test.images).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(seen, wanted)
    assert seen.min() == 0 and seen.max() == 1
    # its accuracy is that of images in 0..1: the same weights at −1..1 are another network
    again = (models.evaluate(network, inputs) == test.labels).mean()
    assert again == pytest.approx(metadata.accuracy)
    before = network.digest
    network.zero_to_one = False
    assert values_at(network, inputs, ["input"])["input"].min() == -1
    assert network.digest != before
    assert not checkpoint.load(trained(tmp_path, recipe=None))[0].zero_to_one


def test_fine_tuning_keeps_the_range_of_the_images(tmp_path):
    start = trained(tmp_path)
    again = trained(tmp_path, recipe=None, epochs=1, start=start, out=tmp_path / "again")
    assert checkpoint.load(again)[0].zero_to_one


def test_the_step_size_stays_for_an_epoch(tmp_path, monkeypatch):
    rates: list[float] = []
    step = torch.optim.Adam.step

    def spy(self, *arguments, **keywords):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments, **keywords)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    trained(tmp_path, epochs=4)
    # 1,297 images are 11 steps of 128
    assert len(rates) == 44
    for epoch in range(4):
        wanted = 1e-3 * (1 + math.cos(math.pi * epoch / 4)) / 2
        assert rates[11 * epoch : 11 * epoch + 11] == pytest.approx([wanted] * 11)


def test_images_are_cropped_with_a_black_border(tmp_path, monkeypatch):
    images = torch.rand(100, 1, 6, 6)
    torch.manual_seed(0)
    changed = augmented(images, margin=2, border="black")
    for image, wide in zip(changed, F.pad(images, (2,) * 4, value=-1.0), strict=True):
        windows = [wide[:, y : y + 6, x : x + 6] for y in range(5) for x in range(5)]
        assert any(torch.equal(image, w) or torch.equal(image, w.flip(2)) for w in windows)
    borders: list[str] = []
    monkeypatch.setattr(
        training_run, "augmented", lambda images, border: borders.append(border) or images
    )
    trained(tmp_path, epochs=1, augment=True)
    assert set(borders) == {"black"}


def test_rare_classes_weigh_more_and_unknown_words_less():
    found = class_weights(torch.tensor([0, 0, 0, 1, 2, 2, 2, 2]), 3)
    wanted = torch.tensor([5 / 8, 7 / 8, 4 / 8 / 3.6])
    torch.testing.assert_close(found, wanted / wanted.sum())


def test_checkpoints_of_recipes_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("flow.training.zoo.ZOO", tmp_path / "none")
    monkeypatch.setattr("flow.training.zoo.LOCAL", tmp_path)
    noise = Noise.at("additive", 8)
    for recipe in (None, "paper"):
        for one in (None, noise):
            (tmp_path / file_name("float-mlp", "digits", one, recipe=recipe)).touch()
            path = zoo_path("float-mlp", "digits", one, recipe)
            assert path is not None and ("-recipe-paper" in path.name) == (recipe == "paper")
            if one is not None:
                assert zoo_path("float-mlp", "digits", "additive", recipe) == path


@pytest.mark.slow
def test_a_walk_takes_the_range_of_its_checkpoint_and_says_so(tmp_path, monkeypatch, capsys):
    from flow.cli.options import console
    from flow.cli.printing import walk_tables
    from flow.report.plots.software_walk import plot_midpoints

    monkeypatch.setattr("flow.training.zoo.LOCAL", tmp_path)
    chosen = {"model": "float-mlp", "dataset": "digits", "images": 100, "sites": "fc0.acc"}
    chosen |= {"levels": "1,100", "seeds": 1, "build": tmp_path}
    with pytest.raises(UserError, match="by the recipe paper: train one with `noisewalk train --"):
        software_walk.walk(SoftwareWalkSettings(**chosen, recipe="paper"), lambda *a: None)
    path = trained(tmp_path, out=tmp_path / file_name("float-mlp", "digits", None, 0, "paper"))
    by_name = SoftwareWalkSettings(**chosen, recipe="paper")
    found = software_walk.walk(by_name, lambda *a: None)
    assert found.recipe == "paper" and found.image_range == (0, 1)
    assert found.folder.endswith("float-mlp-digits-recipe-paper")
    by_file = SoftwareWalkSettings(**chosen, checkpoint=path, out=tmp_path / "file")
    assert software_walk.walk(by_file, lambda *a: None).kinds == found.kinds
    with console.capture() as captured:
        walk_tables.print_walk(console, found)
    assert "trained by the recipe paper: images in 0..1" in captured.get()
    assert "(recipe paper) on digits, images in 0..1" in plot_midpoints(found).get_suptitle()


@pytest.mark.slow
def test_a_network_is_trained_for_each_level_and_site(tmp_path):
    path = trained(tmp_path, seed=5)
    chosen = {"model": "float-mlp", "dataset": "digits", "checkpoint": path, "images": 100}
    chosen |= {"sites": "fc1.acc,global", "levels": "1,64", "seeds": 1, "retrain": 4}
    chosen |= {"retrain_from": "random", "clamp": True, "out": tmp_path / "walk"}
    settings = SoftwareWalkSettings(**chosen)
    found = software_walk.walk(settings, lambda *a: None)
    assert (found.retrain_from, found.clamp, found.recipe) == ("random", True, "paper")
    networks = list((tmp_path / "walk" / "retrained").glob("*.safetensors"))
    assert len(networks) == 5  # without noise, and two levels at a site and at all of them
    told = [checkpoint.load(one)[1] for one in networks]
    assert {one.recipe for one in told} == {"paper"} and {one.start for one in told} == {None}
    noisy = sorted(len(one.noise_by_site or {}) for one in told)
    assert noisy == [0, 1, 1, 8, 8]
    weights = [checkpoint.load(one)[0].fc1.linear.weight for one in networks]
    # networks that began with the checkpoint's weights would be like it
    start = checkpoint.load(path)[0].fc1.linear.weight
    assert all((one - start).abs().mean() > 0.05 for one in weights)
    # the site's values are those of a network that was trained for it, not of the checkpoint
    inputs = TrainedNetwork.load(settings, 100).inputs
    stds = {
        one.noise_by_site["fc1.acc"]["sigma_add"]: models.site_values(network, inputs)[
            "fc1.acc"
        ].std
        for network, one in map(checkpoint.load, networks)
        if set(one.noise_by_site or ()) == {"fc1.acc"}
    }
    nearest = min(stds, key=lambda sigma: abs(math.log(sigma / found["fc1.acc"].mu_sw.level)))
    assert len(stds) == 2 and found["fc1.acc"].std == stds[nearest]
    assert found["fc1.acc"].noise_share == pytest.approx(1 / stds[nearest])


def test_a_point_far_beside_the_curve_is_named(tmp_path):
    from flow.cli.printing import walk_tables

    chosen = {"model": "tfc", "dataset": "digits", "levels": [10.0], "sites": "fc0.acc,fc1.acc"}
    settings = SoftwareWalkSettings(**chosen, images=50, seeds=1, out=tmp_path)
    entries = software_walk.walk(settings, lambda *a: None).kinds["additive"].entries
    assert not list(walk_tables.uneven(entries, True))
    doubtful = {"fc1.acc": entries["fc1.acc"].model_copy(update={"misfit": 0.33})}
    (said,) = walk_tables.uneven(entries | doubtful, True)
    assert said.startswith("fc1.acc: a measured point lies 33.0 points beside the curve")
    assert "may not have learned" in said
    assert "learned" not in next(walk_tables.uneven(doubtful, False))


@pytest.mark.parametrize(("option", "value"), [("retrain_from", "random"), ("clamp", False)])
def test_options_of_retraining_need_it(option, value):
    with pytest.raises(UserError, match=f"{option} applies to retraining: give its epochs as well"):
        SoftwareWalkSettings(model="float-mlp", dataset="mnist", **{option: value})


def test_weights_are_clamped_where_the_walk_says_so(tmp_path, monkeypatch):
    clamped: list[bool] = []
    monkeypatch.setattr(
        training_run.TrainingRun, "_clamp_weights", lambda self: clamped.append(True)
    )
    steps, paths = [], set()
    for clamp in (None, False, True):
        before = len(clamped)
        paths.add(trainer.train_once(tmp_path, "float-mlp", "digits", {}, 1, seed=0, clamp=clamp))
        steps.append(len(clamped) - before)
    assert steps == [0, 0, 11] and len(paths) == 3
