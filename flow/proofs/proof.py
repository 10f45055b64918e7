"""A proof: of which module, with which parameters, and the faults that break each property."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """A fault to plant in a source, and the properties that it must break."""

    text: str
    """What the source holds once."""
    planted: str
    """What takes its place."""
    breaks: tuple[str, ...]
    """Labels of assertions."""
    source: str = ""
    """File below ``hw/``; the proof's last source if empty."""


@dataclass(frozen=True)
class Proof:
    """A module ``hw/formal/<top>.sv`` around the module that is proved."""

    top: str
    sources: tuple[str, ...]
    """Files below ``hw/``, or generated, in compile order; the last holds the module."""
    faults: tuple[Fault, ...]
    """Together they break every property; a variant of another proof has none."""
    properties: tuple[str, ...]
    """Labels of the assertions that are claims; others help the induction, and are proved too."""
    parameters: Mapping[str, int] = field(default_factory=dict)
    depth: int = 3
    """Clocks of the induction, or of the search if it is bounded."""
    bounded: bool = False
    """Whether only runs of this many clocks are searched, not all."""

    @property
    def name(self) -> str:
        """Name of the module that is proved."""
        return self.sources[-1].rpartition("/")[2].removesuffix(".sv")

    @property
    def title(self) -> str:
        """Name of the module, with the parameters of this proof."""
        values = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        return f"{self.name} ({values})" if values else self.name
