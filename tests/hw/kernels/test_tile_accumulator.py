"""The sum over planes and tiles in RTL against FINN's execution of it, over random shapes."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from flow.models.planes import Planes
from sim import streams
from sim.runner import REPOSITORY
from tests.helpers.finn_execution import execute
from tests.helpers.variants import STALLS, Variant, simulate

SOURCE = REPOSITORY / "hw" / "kernels" / "tile_accumulator.sv"
PIXELS = 6


@dataclass(frozen=True)
class Case:
    """One kernel of random shape and its random input."""

    pe: int
    folds: int
    tiles: int
    planes: Planes
    in_bits: int
    out_bits: int
    """Few enough that some sums saturate."""
    values: npt.NDArray[np.int64]
    """[PIXELS, planes, tiles, channels]."""

    @classmethod
    def of(cls, seed: int) -> "Case":
        rng = np.random.default_rng(seed)
        pe, folds, tiles = int(rng.integers(1, 6)), int(rng.integers(1, 5)), seed + 1
        in_bits = int(rng.integers(2, 32)) if seed else 32
        planes = Planes(int(rng.integers(1, 5)), seed) if seed > 1 else Planes()
        shape = (PIXELS, planes.count, tiles, pe * folds)
        values = rng.integers(-(1 << in_bits - 1), 1 << in_bits - 1, shape)
        return cls(pe, folds, tiles, planes, in_bits, min(32, in_bits + seed % 2), values)

    @property
    def bounds(self) -> tuple[int, int]:
        return -(1 << self.out_bits - 1), (1 << self.out_bits - 1) - 1

    @property
    def sums(self) -> npt.NDArray[np.int64]:
        """What leaves, [PIXELS, channels]."""
        return self.whole.clip(*self.bounds)

    @property
    def whole(self) -> npt.NDArray[np.int64]:
        """What would leave if nothing saturated, [PIXELS, channels]."""
        weights = np.array(self.planes.weights)[:, None]
        return (self.values.sum(2) * weights).sum(1)

    @property
    def variant(self) -> Variant:
        low, high = self.bounds
        job = {
            "beats": self.values.reshape(-1, self.pe).tolist(),
            "count": PIXELS * self.folds,
            "in_bits": self.in_bits,
        }
        parameters = {
            "CHANNELS": self.pe * self.folds,
            "PE": self.pe,
            "TILES": self.tiles,
            "PLANES": self.planes.count,
            "PLANE_BITS": self.planes.bits,
            "IN_WIDTH": self.in_bits,
            "OUT_WIDTH": self.out_bits,
            "OUT_MIN": f"-64'sd{-low}",
            "OUT_MAX": f"64'sd{high}",
        }
        return Variant(parameters, [job | stalls for stalls in STALLS])


CASES = {seed: Case.of(seed) for seed in range(6)}


def test_finn_s_execution_adds_tiles(tmp_path):
    case = CASES[3]
    shape = {"NumChannels": case.pe * case.folds, "Tiles": case.tiles, "PE": case.pe}
    shape |= {"Planes": case.planes.count, "PlaneBits": case.planes.bits}
    case = replace(case, values=case.values % 32, out_bits=10)
    found = execute(
        "TileAccumulator",
        # float32 has to hold them
        case.values,
        (1, PIXELS, case.pe * case.folds),
        tmp_path,
        numInputVectors=[1, PIXELS],
        inputDataType="INT8",
        outputDataType="INT12",
        OutMin=case.bounds[0],
        OutMax=case.bounds[1],
        **shape,
    )
    assert (found[0] == case.sums).all()
    assert len(set(case.sums.ravel().tolist())) > 1


@pytest.mark.slow
def test_adds_the_tiles_of_each_channel(tmp_path):
    """Bit for bit without stalls and with, after a reset in mid-stream."""
    variants = {seed: case.variant for seed, case in CASES.items()}
    results = simulate("tile_accumulator", [SOURCE], "stream_bench", variants, tmp_path)
    saturated = 0
    for seed, case in CASES.items():
        saturated += int((case.sums != case.whole).sum())
        for stalls, out in zip(STALLS, results[seed], strict=True):
            lanes = [streams.unpack(beat, case.pe, case.out_bits, True) for beat in out]
            assert (np.array(lanes).reshape(case.sums.shape) == case.sums).all(), (seed, stalls)
    assert saturated > 10
