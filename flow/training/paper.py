"""The training recipe of the public code of *Walking Noise*.

The code is in the repository UniHD-CEG/walking-noise (Borras, Klein, Fröning, arXiv 2212.10430).
Its configurations say how long each network is trained on each set. Those of VGG-11 are not among
them, so it is trained as long as LeNet-5. `digits` is not in the paper; it is treated as MNIST.
"""

from dataclasses import dataclass
from typing import Any, Literal

from flow.errors import UserError

RecipeName = Literal["paper"]
"""Recipes in addition to the networks' own."""

FLOAT = "float-"
"""Beginning of the names of the paper's networks."""
_EPOCHS = {
    "mnist": (100, 50),
    "digits": (100, 50),
    "fashion-mnist": (250, 200),
    "cifar10": (200, 300),
    "svhn": (300, 200),
    "speech-commands": (150, 150),
}
"""Passes over the training images of each set: of the MLP, and of convolutional networks."""
_CROPPED = ("fashion-mnist", "cifar10", "svhn")
"""Sets whose images are cropped at random with a black border, and mirrored."""
_NOT_NORMALISED = ("mnist", "digits")
"""Sets whose images stay in 0..1."""


@dataclass(frozen=True)
class PaperRecipe:
    """Settings of the paper for one network on one data set."""

    epochs: int
    lr: float
    batch: int
    augment: bool
    zero_to_one: bool
    """Whether the images stay in 0..1."""
    weighted: bool
    """Whether rare classes weigh more in the loss."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a training, without its epochs."""
        return {
            "recipe": "paper",
            "lr": self.lr,
            "batch": self.batch,
            "clamp": False,
            "augment": self.augment,
            "border": "black",
            "zero_to_one": self.zero_to_one,
            "weighted": self.weighted,
            "schedule": "epoch",
        }


def paper_recipe(model: str, dataset: str) -> PaperRecipe:
    """Return how the paper trains a network.

    Args:
        model: a full or short name.
        dataset: a data set.

    Raises:
        UserError: the paper has no such network or data set.
    """
    # takes seconds to import, which reading settings should not
    from flow import models

    name = models.resolve(model)
    if not name.startswith(FLOAT):
        known = ", ".join(one for one in models.names() if one.startswith(FLOAT))
        raise UserError(f"the paper's recipe is for its float networks, not for {name}: {known}")
    if dataset not in _EPOCHS:
        raise UserError(
            f"the paper's recipe knows no data set {dataset}: give one of {', '.join(_EPOCHS)}"
        )
    keywords = dataset == "speech-commands"
    return PaperRecipe(
        epochs=_EPOCHS[dataset][not name.startswith("float-mlp")],
        lr=5e-4 if keywords else 1e-3,
        batch=512 if keywords else 128,
        augment=dataset in _CROPPED,
        zero_to_one=dataset in _NOT_NORMALISED,
        weighted=keywords,
    )
