"""Common parts of the summaries of all walks, and their reading."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    JsonValue,
    ValidationError,
    computed_field,
    model_validator,
)

from flow.data.reference import Measure
from flow.errors import UserError, unknown
from flow.statistics.estimate import Estimate
from flow.walks.summaries.ranking import effective_bits, relative_to_values, snr
from flow.walks.summaries.upgrade import upgraded


class Part(BaseModel):
    """Base of a summary and of its parts: frozen, without unknown keys, nan and infinity."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        serialize_by_alias=True,
        validate_by_alias=True,
        validate_by_name=True,
    )


class Level(Part):
    """Accuracy or agreement at one noise level."""

    sigma: float
    """Noise level σ, in the unit of the site"""
    images: int
    """Images of each noise draw"""
    draws: int
    """Noise draws"""
    value: Estimate | None
    """Accuracy or agreement over all draws, with its Wilson interval for one draw's images: 0 to 1;
    null in results of schema version 1"""


_RELATIVE = (
    "Noise at μ divided by the standard deviation of the site's values, for additive noise "
    "μ / std; null if either is unknown"
)
_SNR = "Signal-to-noise ratio at μ, dB: −20 log10(relative)"
_BITS = "Effective bits at μ: (SNR − 1.76) / 6.02"


class Bearing(Part):
    """Noise that a site tolerates, relative to its own values."""

    noise_share: float | None = None
    """Noise at σ = 1 divided by the standard deviation of the site's values; null if unknown. μ
    times this compares layers"""
    std: float | None = None
    """Standard deviation of the site's values without noise, in the unit of the layer's output;
    null for several sites and in older results. With a network trained for each level: in the one
    of the level next to μ"""
    range: float | None = None
    """Largest absolute value of the site without noise, in the unit of the layer's output; null for
    several sites and in older results"""

    @model_validator(mode="before")
    @classmethod
    def _without_derived(cls, content: Any) -> Any:
        """Drop what is computed from the rest."""
        if not isinstance(content, Mapping):
            return content
        return {k: value for k, value in content.items() if k not in cls.model_computed_fields}

    @property
    def best(self) -> Estimate | None:
        """The midpoint by which sites are compared."""
        raise NotImplementedError

    @computed_field(description=_RELATIVE)  # type: ignore[prop-decorator]  # as pydantic wants
    @property
    def relative(self) -> Estimate | None:
        """Noise at μ divided by the standard deviation of the site's values."""
        return relative_to_values(self.best, self.noise_share)

    @computed_field(description=_SNR)  # type: ignore[prop-decorator]
    @property
    def snr(self) -> Estimate | None:
        """Signal-to-noise ratio at μ, dB."""
        return self.relative and snr(self.relative)

    @computed_field(description=_BITS)  # type: ignore[prop-decorator]
    @property
    def effective_bits(self) -> Estimate | None:
        """Effective bits at μ."""
        return self.snr and effective_bits(self.snr)


class Progress(Part):
    """Progress of an unfinished walk."""

    running: bool
    """Whether the walk was running when this was written; false if it was stopped"""
    done: dict[str, int]
    """Measured points by side, in walk the finished curves by kind of noise"""
    planned: dict[str, int]
    """Planned points or curves, by the same names; empty during the search for noise levels"""

    @property
    def share(self) -> float | None:
        """Share of what was planned that was measured; None while noise levels were searched for.

        Points that are planned later count from then on.
        """
        planned = sum(self.planned.values())
        return sum(self.done.values()) / planned if planned else None


class WalkSummary(Part):
    """Summary of a walk: the parts common to all kinds of walks.

    ``summary["fc0.acc"]`` is the entry of a site, and a loop over the summary yields the names of
    the sites, in the order of the data.
    """

    schema_version: Literal[3] = 3
    """Version of this schema"""
    made_by: Literal["walk", "walk-hw", "walk-bits"]
    """Command that made the results"""
    complete: bool = True
    """Whether the walk has ended; false for preliminary results"""
    progress: Progress | None = None
    """Progress of an unfinished walk; null for a complete one"""
    model: str
    """Name of the network"""
    dataset: str
    """Name of the data set"""
    seed: int
    """Seed of the noise"""
    classes: int
    """Classes of the network"""
    measure: Measure
    """What was measured: accuracy, the share of images with the right label; agreement, for images
    without labels, the share with the label that golden, in walk the network, gives without noise;
    or a user's metric by its name, and in place of accuracy in what follows"""
    guessing: float
    """What guessing reaches, 0 to 1: one in the number of classes; of agreement the share of the
    most frequent label; of a metric its floor"""
    images: dict[str, int]
    """Test images per point, by side; of RTL those simulated"""
    clean: dict[str, Estimate]
    """Accuracy or agreement without noise, 0 to 1, by side; software is Brevitas"""
    training_noise: dict[str, JsonValue] | None
    """Noise that the network was trained with; null for none"""
    checkpoint: str | None
    """File name of the trained weights; null if an old version did not record it"""
    command: str
    """Command line; empty if called from Python"""
    seconds: dict[str, float]
    """Wall time of each stage in seconds, and the total of the run until its results were written.
    From the command line, start is the time from the start of the process to that of the walk"""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ``summary.json`` of any version.

        Args:
            path: path of the file.

        Returns:
            The summary, as an object of the class that fits its command.

        Raises:
            UserError: the file cannot be read, or is of another command.
        """
        classes: list[type[Self]] = cls.__subclasses__() or [cls]
        makers = {one.model_fields["made_by"].default: one for one in classes}
        try:
            content = upgraded(json.loads(path.read_text(encoding="utf-8")))
            maker = makers.get(content.get("made_by"))
            if maker is not None:
                return maker.model_validate(content)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path.parent} is not the folder of a finished walk: {_reason(error)}; give one "
                f"in which {' or '.join(sorted(makers))} wrote summary.json"
            ) from error
        wanted = " or ".join(sorted(makers))
        raise UserError(f"{path.parent} holds no results of {wanted}: give a folder that does")


def _reason(error: Exception) -> str:
    """Return the reason why a file is not a summary, in one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


Entry = TypeVar("Entry")


def entry_of(entries: Mapping[str, Entry], site: str) -> Entry:
    """Return the entry of a site; UserError naming the nearest if there is none."""
    if site not in entries:
        raise unknown("site", site, entries)
    return entries[site]
