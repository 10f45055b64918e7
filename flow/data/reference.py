"""What predictions are compared with: the labels of images, or a network's own without noise."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from flow.data.parquet import Labels

Measure = Literal["accuracy", "agreement"]
"""Name of the share of images whose prediction equals the reference."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Labels that predictions are compared with."""

    labels: Labels
    """int64 [N]."""
    measure: Measure
    """What the share of equal predictions is called."""
    guess: float
    """Largest share that a guess reaches which does not see the images: its measure, 0 to 1."""

    @classmethod
    def of_labels(cls, labels: Labels, classes: int) -> Self:
        """Return the labels of images, of which guessing finds one in ``classes``."""
        return cls(labels, "accuracy", 1 / classes)

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
