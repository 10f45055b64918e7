"""Where the noise of a walk's points enters: at one site, at several, or on top of a noise map.

Converters (`flow.noise.adc`) are at sites of their own, whatever noise is there. In a walk of
converters the level of a point is the number of bits at its site, and level 0 is no converter.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from flow.errors import about
from flow.models import Network
from flow.noise import Adc, Additive, Noise, shared_by_images
from flow.noise.noise_map import NoiseMap
from flow.noise.site import GLOBAL, MAP
from flow.settings import Unit
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.point import NoisePoint

ADC = "adc"
"""Kind of a walk of converters, which has no kind of noise."""
_NO_NOISE = Additive()


@dataclass(frozen=True)
class Placement:
    """The noise of every site at each point of a walk."""

    setting: NoiseSetting
    """Noise of the walk, except its level."""
    together: Sequence[str] = ()
    """Sites that are noisy together in `GLOBAL`."""
    units: Mapping[str, float] = field(default_factory=dict)
    """Size of the unit of σ by site, in the unit of the layer's output; 1 where it is not given."""
    noise_map: Mapping[str, Noise] = field(default_factory=dict)
    """Noise of a map by site."""
    unit_name: Unit = "real"
    """Name of those units."""
    walks_map: bool = False
    """Whether the map is walked as one site; otherwise every point has its noise."""
    converters: Mapping[str, Adc] = field(default_factory=dict)
    """Converters in place at every point, by site."""
    converter_of: Callable[[str, int], Adc] | None = None
    """In a walk of converters, the one of a site and a number of bits; None in any other."""

    @classmethod
    def of(
        cls,
        setting: NoiseSetting,
        together: Sequence[str],
        sites: Iterable[str],
        noise_map: NoiseMap | None,
        size: Callable[[str, Unit], float],
        *,
        unit: Unit,
        walks_map: bool,
        converters: Mapping[str, Adc] | None = None,
        converter_of: Callable[[str, int], Adc] | None = None,
    ) -> Self:
        """Place noise in units and with a map.

        Args:
            setting: noise of the walk.
            together: sites that are noisy together in `GLOBAL`.
            sites: sites whose unit is requested.
            noise_map: the map, if there is one.
            size: size of a unit at a site, in the unit of the layer's output.
            unit: unit of the walk's levels.
            walks_map: whether the map is walked as one site.
            converters: converters that are there at every point, by site.
            converter_of: in a walk of converters, the one of a site and a number of bits.

        Raises:
            OptionError: a site does not have a unit.
        """
        with about("unit"):
            units = {} if unit == "real" else {site: size(site, unit) for site in sites}
        with about("noise_map"):
            noises = {} if noise_map is None else noise_map.in_layers_unit(size)
        return cls(
            setting, together, units, noises, unit, walks_map, converters or {}, converter_of
        )

    @property
    def kind(self) -> str:
        """Name of the walk's kind of noise; `MAP` where the map gives each site its own.

        A walk of converters is of the kind `ADC`.
        """
        if self.converter_of is not None:
            return ADC
        return MAP if self.walks_map else self.setting.kind

    @property
    def background(self) -> Mapping[str, Noise]:
        """Noise present at every point, at sites that the point does not walk."""
        return {} if self.walks_map else self.noise_map

    def walking(self, name: str) -> Sequence[str]:
        """Return the sites whose noise follows the level at a site, `GLOBAL` or `MAP`."""
        joint = {GLOBAL: self.together, MAP: list(self.noise_map), "": ()}
        return joint.get(name, (name,))

    def noisy(self, name: str) -> list[str]:
        """Return every site with noise or a converter at some level of a name, as of `walking`."""
        return list(dict.fromkeys([*self.walking(name), *self.background, *self.converters]))

    def name_of_unit(self, names: Sequence[str], network: Network) -> str:
        """Return the unit of σ at sites, `GLOBAL` or `MAP`, for results.

        Returns:
            ``none`` for noise that is only relative, ``map`` for a factor on the map, or the unit's
            name; that of the layer's output may be the LSB (`Network.unit`).
        """
        if self.converter_of is not None:
            return "bits"
        if self.walks_map:
            return MAP
        if not self.setting.made.adds:
            return "none"
        if self.unit_name != "real":
            return self.unit_name
        return network.unit([site for name in names for site in self.walking(name)])

    def unit(self, site: str) -> float:
        """Return the size of the unit of σ at a site, in the unit of the layer's output."""
        return self.units.get(site, 1.0)

    def at(self, place: NoisePoint) -> dict[str, Noise]:
        """Return the noise of each noisy site at a point, with the site's converter."""
        noises = self._noises(place)
        for site, adc in self._converters(place).items():
            noises[site] = replace(noises.get(site, _NO_NOISE), adc=adc)
        return noises

    def _converters(self, place: NoisePoint) -> dict[str, Adc]:
        if self.converter_of is None:
            return dict(self.converters)
        walking, bits = self.walking(place.site), int(place.sigma)
        rest = {site: adc for site, adc in self.converters.items() if site not in walking}
        return rest | ({s: self.converter_of(s, bits) for s in walking} if bits else {})

    def _noises(self, place: NoisePoint) -> dict[str, Noise]:
        if self.converter_of is not None:
            return dict(self.background)
        walking = self.walking(place.site)
        noises = {site: one for site, one in self.background.items() if site not in walking}
        if place.sigma == 0:
            return noises
        if place.site == MAP:
            return noises | {s: one.scaled(place.sigma) for s, one in self.noise_map.items()}
        made = {site: self.setting.noise(place.sigma, self.unit(site)) for site in walking}
        return noises | made

    def without(self, name: str) -> str:
        """Return the site of the points of level 0 from which the curve of a site falls.

        That is "" for all sites alike, unless the background has noise at this one.
        """
        changed = {*self.background, *self.converters} if self.converter_of else self.background
        return name if any(site in changed for site in self.walking(name)) else ""

    def shared(self, name: str) -> bool:
        """Return whether all images of a noise draw share some of their noise."""
        walking, own = self.walking(name), self.setting.made
        kinds = {site: type(noise) for site, noise in self.noise_map.items()}
        if self.converter_of is None:
            kinds |= dict.fromkeys(walking if name != MAP else (), own)
        return any(shared_by_images(s, kinds[s]) for s in self.noisy(name) if s in kinds)

    def share_of(self, name: str, deviations: Mapping[str, float]) -> float | None:
        """Return the noise at σ = 1 relative to the values of a site, or of several.

        Args:
            name: the site, `GLOBAL` or `MAP`.
            deviations: standard deviation of the values of each site.

        Returns:
            The share; None if several sites have different ones.
        """
        if name == MAP:
            return None
        shares = [self.setting.share_of(deviations[s], self.unit(s)) for s in self.walking(name)]
        alike = shares and max(shares) <= min(shares) * (1 + 1e-9)
        return shares[0] if alike else None
