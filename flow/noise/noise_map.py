"""Noise maps: files that give each site a kind and a level of noise of its own.

A map is YAML::

    unit: std                # of every σ that names no other: real, lsb, std or range
    sites:
      conv0.acc: 0.3         # additive noise of this σ
      conv1.acc: {kind: mixed, sigma: 0.2, ratio: 0.4}
      fc0.weight: {kind: multiplicative, sigma: 0.05}
      fc1.acc: {sigma: 0.1, adc: 6}   # read by a converter of 6 bits
      fc2.acc: {adc: 4}               # a converter alone
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field

from flow.errors import UserError, unknown, within
from flow.files import replacing
from flow.noise.adc import check_bits
from flow.noise.base import Noise
from flow.noise.site import Site
from flow.settings import OPTIONS_OF_NOISE, Settings, Unit

_LEVELS = ("sigma_add", "sigma_mul")
_KEYS = ("unit", "sites")


class _Entry(Settings):
    """The noise of one site, as a file has it."""

    sigma: Annotated[float, Field(ge=0)] = 0.0
    kind: str = "additive"
    adc: int | None = None
    unit: Unit | None = None
    order: Literal["mul-add", "add-mul"] = "mul-add"
    ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    executions: int | None = None
    device_seed: int | None = None
    gain_rate: float | None = None
    sigma_rate: float | None = None
    samples: str | None = None

    @property
    def noise(self) -> Noise:
        """The noise, with σₐ in the entry's unit; UserError as for `Noise.at`."""
        options = self.model_dump(exclude={"kind", "sigma", "unit", "order", "ratio", "adc"})
        named = {OPTIONS_OF_NOISE.get(name, name): value for name, value in options.items()}
        return Noise.at(self.kind, self.sigma, self.ratio, self.order, **named)


class _Unit(Settings):
    """The unit of every σ that names no other."""

    unit: Unit = "real"


class _Loader(yaml.SafeLoader):
    """A loader that refuses a mapping with the same key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"{twice} occurs twice: give it once")
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class NoiseMap:
    """Kind and level of the noise at each site."""

    sites: Mapping[str, Noise]
    """Noise by site, with σₐ in units of `units`."""
    units: Mapping[str, Unit]
    """Unit of σₐ by site."""
    adc: Mapping[str, int] = field(default_factory=dict)
    """Bits of the ADC by site, of those that have one; a site may have one alone."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a map.

        Raises:
            UserError: the file is missing or no YAML, names a site or a key twice, has an unknown
                key, or noise that cannot be.
        """
        try:
            with within(str(path)):
                return cls._of_content(yaml.load(path.read_text(encoding="utf-8"), _Loader))
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error

    @classmethod
    def _of_content(cls, content: Any) -> Self:
        if not isinstance(content, dict) or not isinstance(content.get("sites"), dict):
            raise UserError("it has no mapping named sites: see docs/how-to/noise-everywhere.md")
        for key in content:
            if key not in _KEYS:
                raise unknown("key", str(key), _KEYS)
        usual = _Unit(**({"unit": content["unit"]} if "unit" in content else {})).unit
        sites: dict[str, Noise] = {}
        units: dict[str, Unit] = {}
        adc: dict[str, int] = {}
        for site, value in content["sites"].items():
            with within(f"site {site}"):
                given = value if isinstance(value, dict) else {"sigma": value}
                if "sigma" not in given and set(given) != {"adc"}:
                    raise UserError("it has no sigma, its noise level: give one")
                entry = _Entry(**{str(name): one for name, one in given.items()})
                if entry.adc is not None:
                    check_bits(entry.adc)
                    if Site(site).is_weight:
                        raise UserError("weights are not read by an ADC: leave adc out")
                    adc[str(site)] = entry.adc
                if "sigma" in given:
                    sites[str(site)] = entry.noise
                    units[str(site)] = entry.unit or usual
        return cls(sites, units, adc)

    @property
    def named(self) -> list[str]:
        """Every site of the map."""
        return list(dict.fromkeys([*self.sites, *self.adc]))

    @classmethod
    def of(cls, sites: Mapping[str, Noise]) -> Self:
        """Return the map of noise by site, with σₐ in the unit of the layer's output."""
        return cls(dict(sites), dict.fromkeys(sites, "real"))

    def write(self, folder: Path) -> Path:
        """Write the map into a folder, under the hash of its content, and return the file.

        Raises:
            UserError: a kind of noise is not in a file, or the file cannot be written.
        """
        text = self.text
        path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return path

    @property
    def text(self) -> str:
        """The map as a file has it; UserError if a kind of noise is not in a file."""
        told = {str(site): self._written(site) for site in self.sites}
        for site, bits in self.adc.items():
            told.setdefault(str(site), {})["adc"] = bits
        return yaml.safe_dump({"sites": told}, sort_keys=False)

    def _written(self, site: str) -> dict[str, Any]:
        noise = self.sites[site]
        if noise.origin is not None:
            raise UserError(
                f"site {site}: write the map as a file, with kind: file.py:{noise.kind}"
            )
        both = noise.adds and noise.multiplies
        total = noise.sigma_add + noise.sigma_mul
        own = {name: getattr(noise, name) for name in sorted(Noise.options_of(type(noise)))}
        usual = {one.name: one.default for one in fields(noise)}
        names = {own: ours for ours, own in OPTIONS_OF_NOISE.items()}
        return {
            "kind": noise.kind,
            "sigma": total,
            "unit": self.units[site],
            **({"ratio": noise.sigma_add / total} if both and total else {}),
            **({"order": noise.order} if hasattr(noise, "order") else {}),
            **{names.get(name, name): v for name, v in own.items() if v != usual[name]},
        }

    def in_layers_unit(self, size: Callable[[str, Unit], float]) -> dict[str, Noise]:
        """Return the noise by site, with σₐ in the unit of the layer's output.

        Args:
            size: size of a unit at a site, in the unit of the layer's output.
        """
        found = {}
        for site, noise in self.sites.items():
            unit = 1.0 if self.units[site] == "real" else size(site, self.units[site])
            found[site] = noise if unit == 1 else replace(noise, sigma_add=noise.sigma_add * unit)
        return found

    def check(self, known: Collection[str]) -> None:
        """Raise a UserError if a site is none of these, or if no site has noise."""
        for site in self.named:
            if site not in known:
                raise unknown("site", site, known)
        if not self.adc and not any(
            getattr(noise, name) for noise in self.sites.values() for name in _LEVELS
        ):
            raise UserError("no site of the map has noise: give one a σ above 0")

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return the noise of each site, and its unit; of one with an ADC its bits."""
        told: dict[str, dict[str, Any]] = {
            site: noise.to_json() | {"unit": self.units[site]} for site, noise in self.sites.items()
        }
        for site, bits in self.adc.items():
            told.setdefault(site, {})["adc"] = bits
        return told
