"""What the tables of a study's page show of each row, as text.

What all rows have in common is said once above the table, and has no column.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: its heading and the text of a row."""

    heading: str
    text: Callable[[Row], str]
    number: bool = False
    """Whether its texts are numbers."""
    joint: bool = True
    """Whether it is left out where all rows have the same text."""
    missing: str = "–"
    """Text of a row without a value. The page does not list it as joint."""


@dataclass(frozen=True)
class Shown:
    """A table as the page shows it."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    joint: Mapping[str, str]
    """By heading, what all rows have in common."""


def _named(heading: str, key: str, missing: str = "–", number: bool = False) -> Column:
    def text(row: Row) -> str:
        return missing if pd.isna(row[key]) or row[key] == "" else str(row[key])

    return Column(heading, text, number, missing=missing)


def _count(heading: str, key: str) -> Column:
    return Column(heading, lambda row: f"{row[key]:,}", number=True, joint=False)


def _over_seeds(heading: str, key: str) -> Column:
    def text(row: Row) -> str:
        if row[key] is None or pd.isna(row[key]):
            return row.get(f"{key}_bound") or "–"
        return f"{row[key]:.3g} ({row[f'{key}_least']:.3g} to {row[f'{key}_most']:.3g})"

    return Column(heading, text, number=True, joint=False)


_NETWORK = (
    _named("Network", "model"),
    _named("Data", "dataset"),
    _named("Trained with", "training_noise", "no noise"),
    _named("Checkpoint", "checkpoint"),
)
_ARRAY = (
    _named("Rows of a tile", "rows", "whole", number=True),
    _named("Bits of a pass", "input_bits", "whole", number=True),
)
_SITE = Column("Site", lambda row: row["site"], joint=False)
_IN_RTL = (_count("RTL images", "rtl_images"), _count("Not bit-equal", "bit_mismatches"))
MIDPOINTS = (
    *_NETWORK,
    _named("Noise", "noise"),
    _named("Networks per point", "per_point", "one for all"),
    _named("Recipe", "recipe", "own"),
    _named("Images in", "images_in"),
    _named("Measure", "measure"),
    *_ARRAY,
    _named("Seeds", "seeds", number=True),
    _SITE,
    _over_seeds("μ software", "mu_sw"),
    _over_seeds("μ / std", "relative"),
)
"""Of `flow.experiments.studies.page.over_seeds`."""
HARDWARE = (
    _over_seeds("μ hardware", "mu_hw"),
    _over_seeds("hardware / software", "ratio"),
    _named("Verdicts", "verdicts"),
    *_IN_RTL,
)
"""The further columns where a row has hardware."""
BITS = (
    *_NETWORK,
    *_ARRAY,
    _SITE,
    _count("Images", "images"),
    _named("Points lost", "loss", number=True),
    _named("Software", "software_text", number=True),
    _named("Hardware", "golden_text", number=True),
    _named("Verdict", "verdict"),
    *_IN_RTL,
)
"""Of `flow.experiments.studies.tables.bits_table`."""
TRAININGS = (
    _named("Network", "model"),
    _named("Data", "dataset"),
    _named("Noise", "noise", "no noise"),
    _named("Recipe", "recipe", "own"),
    _named("Epochs", "epochs", number=True),
    _named("Seed", "seed", number=True),
    Column(
        "Accuracy without noise, %",
        lambda row: "{:.2f} [{:.2f}, {:.2f}]".format(
            *(100 * row[key] for key in ("accuracy", "low", "high"))
        ),
        number=True,
        joint=False,
    ),
    _count("Images", "images"),
)
"""Of `flow.experiments.studies.tables.trainings`."""


def shown(rows: pd.DataFrame, columns: Sequence[Column]) -> Shown:
    """Return a table with the columns in which its rows differ.

    Args:
        rows: the rows; with one row, every column stays.
        columns: what to show of them.
    """
    texts = [[column.text(row) for column in columns] for row in rows.to_dict("records")]
    joint = {
        column: values[0]
        for column, values in zip(columns, zip(*texts, strict=True), strict=True)
        if column.joint and len(values) > 1 and len(set(values)) == 1
    }
    kept = [index for index, column in enumerate(columns) if column not in joint]
    return Shown(
        [columns[index] for index in kept],
        [[row[index] for index in kept] for row in texts],
        {column.heading: text for column, text in joint.items() if text != column.missing},
    )
