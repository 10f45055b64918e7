"""What a walk in software found."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, JsonValue

from flow.errors import UserError
from flow.noise.site import GLOBAL
from flow.statistics.curve_models import Method
from flow.statistics.estimate import Estimate
from flow.statistics.level_search import Search, State
from flow.walks.summaries.base import Bearing, Level, Part, WalkSummary, entry_of
from flow.walks.summaries.ranking import Ranked, ranked

if TYPE_CHECKING:
    import pandas as pd

    from flow.models import SiteValues


class SoftwareSite(Bearing):
    """Results at one site, or with noise at all sites."""

    mu_sw: Estimate | None
    """Midpoint noise level μ, in the unit of σ: value, low, high; for a bound, only one end. Null
    if nothing was measured"""
    k_sw: float | None
    """Steepness of the fitted curve; null without a midpoint, and for a monotone curve"""
    method_sw: Method | None = "logistic"
    """Model of the curve that gave μ: logistic, logistic with a floor, or monotone; null if the
    network only guesses or nothing was measured"""
    floor_sw: float | None = None
    """Floor of the fitted logistic, in accuracy or agreement, 0 to 1; null for other models and
    without a midpoint"""
    misfit: float | None
    """Largest difference between fit and points, 0 to 1; null without a fit"""
    step: bool
    """Whether the whole fall lies between two levels, which are then the ends of the interval"""
    devices: int | None
    """Devices behind μ; null where each image has its own noise"""
    ended: State
    """Why the search ended: precise, bound, exhausted, given (levels) or budget"""
    images: int
    """Images behind μ"""
    draws: int
    """Noise draws per point"""
    levels: list[Level]
    """Requested levels, or those of the fit, if measured: ascending in σ"""

    @classmethod
    def of(
        cls,
        search: Search,
        asked: Search,
        table: "pd.DataFrame",
        share: float | None,
        values: "SiteValues | None",
    ) -> Self:
        """Return what a search found.

        Args:
            search: the search of the site.
            asked: what measured the requested levels; the search itself if none were given.
            table: its points, from `flow.walks.points.curves.side_table`.
            share: noise at σ = 1 as a share of the site's values; None for several sites unlike.
            values: what these are; None for several sites.
        """
        found = search.midpoint
        levels = [
            Level(
                sigma=row.sigma,
                images=int(row.images),
                draws=round(row.trials / row.images),
                value=Estimate(row.accuracy, row.lo, row.hi),
            )
            for row in table.itertuples()
            if row.sigma in asked.wanted.levels
        ]
        return cls(
            mu_sw=None if found is None else found.estimate,
            k_sw=None if found is None else found.k,
            method_sw=None if found is None else found.method,
            floor_sw=None if found is None else found.floor,
            misfit=None if found is None else found.misfit,
            step=found is not None and found.step,
            devices=None if found is None else found.devices,
            ended="budget" if asked.state == "budget" else search.state,
            images=search.images_used,
            draws=search.wanted.draws,
            levels=levels,
            noise_share=share,
            std=None if values is None else values.std,
            range=None if values is None else values.range,
        )

    @property
    def best(self) -> Estimate | None:
        """The midpoint by which sites are compared."""
        return self.mu_sw

    @property
    def midpoint(self) -> Estimate | None:
        """The midpoint in software."""
        return self.mu_sw

    @property
    def method(self) -> Method | None:
        """The model of the curve that gave the midpoint."""
        return self.method_sw


class SoftwareKind(Part):
    """Results for one kind of noise."""

    unit: str
    """Unit of σ: real (that of the layer's output), none (σ is a factor), lsb, real or lsb, std or
    range (of the site's values), or map (σ is a factor on the noise map)"""
    order: str | None
    """Order of mixed noise; null for other kinds"""
    ratio: float | None
    """Additive share r of noise with σₐ and σₘ, 0 to 1; null for other kinds"""
    options: dict[str, JsonValue]
    """Further options of the noise"""
    formula: str | None = None
    """Noisy value y' in terms of the value y; null in results of schema version 1"""
    origin: dict[str, str] | None = None
    """File, class and code of a user's kind of noise; null for the others"""
    sites: dict[str, SoftwareSite]
    """By site, in the order of the data"""
    global_: SoftwareSite | None = Field(validation_alias=GLOBAL, serialization_alias=GLOBAL)
    """Noise at all default sites of the network together; null if it was not requested. In results
    of schema version 1: at all sites that were walked"""

    @property
    def ranking(self) -> list[Ranked]:
        """The sites, the most sensitive first."""
        return ranked((site, one.midpoint, one.noise_share) for site, one in self.sites.items())

    @property
    def entries(self) -> dict[str, SoftwareSite]:
        """The entries of the sites, and then that of ``global`` if there is one."""
        return self.sites | ({GLOBAL: self.global_} if self.global_ else {})

    def __getitem__(self, site: str) -> SoftwareSite:
        """Return the entry of a site, or of ``global``; UserError if there is none."""
        return entry_of(self.entries, site)

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        """Iterate over the names of the sites, in the order of the data."""
        return iter(self.sites)


class SoftwareWalkSummary(WalkSummary):
    """Result of ``walk``, for each kind of noise."""

    made_by: Literal["walk"] = "walk"
    """Command that made the results"""
    noise: list[str]
    """Kinds of noise"""
    precision: float
    """Relative half width of μ's interval at which a search ends"""
    max_seconds: float | None
    """Time limit in seconds; null for none"""
    max_noisy_images: int | None
    """Limit on noisy images; null for none"""
    images_evaluated: int
    """Noisy images behind the results"""
    kinds: dict[str, SoftwareKind]
    """By kind of noise"""
    metric: dict[str, str] | None = None
    """File, function and code of a user's metric; null for accuracy and agreement"""
    recipe: str | None = None
    """Recipe by which the network was trained, such as paper; null for its own"""
    converters: dict[str, int] | None = None
    """Bits of the ADCs that are in place at every point, by site; null without ADCs"""
    noise_map: dict[str, dict[str, JsonValue]] | None = None
    """Noise of each site of the noise map, σₐ in the unit of the layer's output; null if none"""
    image_range: tuple[float, float] | None = None
    """Values of a black and a white pixel at the site input, 0 and 1 for MNIST by the recipe paper;
    null where channels are standardised, for other inputs, and in older results"""
    retrain: int
    """Epochs of training with a point's noise before it was measured; 0 for none"""
    retrain_from: Literal["checkpoint", "random"] | None = None
    """Weights with which each of these trainings began; null without, and in older results"""
    clamp: bool | None = None
    """Whether weights were limited to −1..1 in these trainings; null for the network's own way"""
    identity: dict[str, JsonValue]
    """Everything that the points depend on, except noise and images"""
    folder: str
    """Folder of the results"""

    @property
    def sites(self) -> dict[str, SoftwareSite]:
        """The entries by site, in the order of the data; UserError for several kinds of noise."""
        return self._only.sites

    @property
    def _only(self) -> SoftwareKind:
        if len(self.kinds) > 1:
            names = " or ".join(f'summary.kinds["{kind}"]' for kind in self.kinds)
            raise UserError(f"the walk has several kinds of noise: choose {names}")
        (only,) = self.kinds.values()
        return only

    def __getitem__(self, site: str) -> SoftwareSite:
        """Return the entry of a site, or of ``global``, for a walk with one kind of noise.

        Raises:
            UserError: there is no such site, or there are several kinds of noise.
        """
        return self._only[site]

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        """Iterate over the names of the sites; UserError for several kinds of noise."""
        return iter(self._only)
