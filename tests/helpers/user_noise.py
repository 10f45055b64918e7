"""A kind of noise in a user's file, and walks with it."""

from pathlib import Path

from flow.experiments import software_walk
from flow.experiments.settings import SoftwareWalkSettings
from flow.walks.summaries import SoftwareWalkSummary

UNIFORM = '''\
from dataclasses import dataclass

from flow.noise import Noise


@dataclass(frozen=True)
class Uniform(Noise):
    """y' = y + σₐ·(2·u − 1)·√3, with u uniform on 0..1."""

    multiplies = False

    width: float = 1.0

    def once(self, y, source):
        return y + self.sigma_add * self.width * (2 * source.uniform(1) - 1) * 3**0.5
'''


WALK = {"model": "tfc-w2a2", "dataset": "digits", "levels": (2.0, 8.0), "seeds": 1, "images": 200}


def rewritten(old: str, new: str, name: str = "uniform.py") -> None:
    assert old in UNIFORM
    Path(name).write_text(UNIFORM.replace(old, new))


def walked(**given) -> SoftwareWalkSummary:
    return software_walk.walk(SoftwareWalkSettings(**WALK | given), lambda *_: None)
