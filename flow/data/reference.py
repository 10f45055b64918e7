"""What predictions are compared with: the labels of images, or a network's own without noise."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from flow.data.parquet import Labels

Measure = str
"""What is measured: ``accuracy`` or ``agreement``, the share of images whose prediction equals the
reference; or a user's metric, by its name."""


TAKEN = (
    "accuracy", "agreement", "site", "kind", "sigma", "seed", "side", "images", "correct", "lo",
    "hi", "bit_mismatches", "scope",
)  # fmt: skip
"""Names that no user's metric may have: those of other measures, and of columns beside it."""


def above_guessing(measure: Measure) -> str:
    """Return what half of is lost at a midpoint, in words."""
    known = measure in ("accuracy", "agreement")
    return f"{measure} above {'guessing' if known else 'its floor'}"


@dataclass(frozen=True, eq=False)
class Reference:
    """Labels that predictions are compared with."""

    labels: Labels
    """int64 [N]."""
    measure: Measure
    """What the share of equal predictions is called."""
    guess: float
    """Largest share that a guess reaches which does not see the images, 0 to 1."""

    @classmethod
    def of_labels(cls, labels: Labels, classes: int) -> Self:
        """Return the labels of images, of which guessing finds one in ``classes``."""
        return cls(labels, "accuracy", 1 / classes)

    @classmethod
    def of_metric(cls, name: str, floor: float, images: int) -> Self:
        """Return what stands for a user's metric: it compares by itself, so its labels are all 0.

        Args:
            name: name of the metric.
            floor: its value for outputs that do not depend on the images, 0 to 1.
            images: number of images.
        """
        return cls(np.zeros(images, dtype=np.int64), name, floor)

    @classmethod
    def of_network(cls, predictions: np.ndarray) -> Self:
        """Return what a network predicts without noise, as the reference of images without labels.

        Its classes are as frequent as they happen to be. A guess reaches the share of the most
        frequent one; more takes the images (docs/explanation/method.md).

        Args:
            predictions: predicted class of each image, whole numbers [N].
        """
        labels = predictions.astype(np.int64)
        return cls(labels, "agreement", float(np.bincount(labels).max() / len(labels)))
