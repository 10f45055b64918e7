"""The planes of a unit's inputs in RTL against those in Python, over random shapes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from flow.models.planes import Planes
from sim import streams
from sim.runner import REPOSITORY
from tests.helpers.variants import STALLS, Variant, simulate

SOURCE = REPOSITORY / "hw" / "kernels" / "input_planes.sv"
VECTORS = 5


@dataclass(frozen=True)
class Case:
    """One kernel of random shape and its random vectors."""

    lanes: int
    width: int
    signed: bool
    planes: Planes
    values: npt.NDArray[np.int64]
    """[VECTORS, beats, lanes]."""

    @classmethod
    def of(cls, seed: int) -> "Case":
        rng = np.random.default_rng(seed)
        width, signed = int(rng.integers(2, 11)), bool(seed % 2)
        bits = int(rng.integers(1, width + 1))
        low = -(1 << width - 1) if signed else 0
        shape = (VECTORS, int(rng.integers(1, 6)), int(rng.integers(1, 8)))
        values = rng.integers(low, low + (1 << width), shape)
        return cls(shape[2], width, signed, Planes(bits, -(-width // bits)), values)

    @property
    def cut(self) -> npt.NDArray[np.int64]:
        """What leaves, [VECTORS, planes, beats, lanes]."""
        return np.stack(list(self.planes.cut(self.values)), 1)

    @property
    def variant(self) -> Variant:
        beats = self.values.reshape(-1, self.lanes)
        job = {
            "beats": beats.tolist(),
            "count": len(beats) * self.planes.count,
            "in_bits": self.width,
        }
        parameters = {
            "LANES": self.lanes,
            "BEATS": self.values.shape[1],
            "WIDTH": self.width,
            "SIGNED": f"1'b{int(self.signed)}",
            "PLANES": self.planes.count,
            "PLANE_BITS": self.planes.bits,
        }
        return Variant(parameters, [job | stalls for stalls in STALLS])


@pytest.mark.slow
def test_every_plane_of_a_vector_leaves(tmp_path):
    """Bit for bit without stalls and with, after a reset in mid-stream."""
    cases = {seed: Case.of(seed) for seed in range(10)}
    assert max(case.planes.count for case in cases.values()) > 4
    variants = {seed: case.variant for seed, case in cases.items()}
    results = simulate("input_planes", [SOURCE], "stream_bench", variants, tmp_path)
    for seed, case in cases.items():
        bits = case.planes.bits + case.signed
        for stalls, out in zip(STALLS, results[seed], strict=True):
            lanes = [streams.unpack(beat, case.lanes, bits, case.signed) for beat in out]
            assert (np.array(lanes).reshape(case.cut.shape) == case.cut).all(), (seed, stalls)
