"""Parallelism of the generators of noise taps, from the clocks between a tap's beats."""

import math
from dataclasses import dataclass, replace

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from flow.noise.hardware import kinds
from flow.noise.samplers import DRAWS

CLOCKS_PER_BLOCK = 20
"""Clocks in which a Philox core makes a block of four words."""
SAMPLES_PER_CLOCK = 0.8
"""Samples per clock of a source: one, less the clocks in which its cores wait for each other."""
UNROLLED_CORES = 9
"""Number of cores that take as much logic as one unrolled generator, a block per clock."""


@dataclass(frozen=True)
class Generator:
    """Hardware of a tap that its clocks ask for: parameters of ``hw/noise/noise_tap.sv``."""

    cores: int
    """Philox cores of each source; 0 for unrolled generators, which take a beat per clock."""
    sources: int
    """Sources of samples: 1 for both draws, otherwise as many for each draw, which share lanes."""
    digest_lanes: int
    """Elements of a beat that are hashed per clock, a divisor of the tap's lanes."""

    @classmethod
    def of(cls, channels: int, pe: int, clocks: int, draws: int = DRAWS) -> "Generator":
        """Return the smallest generator that keeps up with a tap's beats.

        It keeps up with every kind of noise that the tap is built for. With k executions of a beat
        it takes longer, since each has blocks of its own.

        Args:
            channels: channels of the tap's stream.
            pe: lanes of the tap.
            clocks: clocks between beats.
            draws: samples of an element: one that is added, and one that multiplies, if any does.
        """
        found = [cls.shared(channels, pe, clocks, groups) for groups in _parts(pe)]
        found = [one and replace(one, sources=draws * one.sources) for one in found]
        found.append(cls.shared(channels, pe, clocks, 1, draws))
        fast = [one for one in found if one is not None]
        best = min(fast, key=lambda one: (one.cores * one.sources, one.sources), default=None)
        whole = -(-pe // 4)
        if best is None or best.cores * best.sources > UNROLLED_CORES * draws * whole:
            return cls(0, 1, digest_lanes(pe, clocks))
        return best

    @classmethod
    def shared(
        cls, channels: int, pe: int, clocks: int, groups: int, draws: int = 1
    ) -> "Generator | None":
        """Return a generator whose sources each make this many draws for a group of lanes.

        None if it cannot keep up.
        """
        lanes = pe // groups
        if lanes * draws > SAMPLES_PER_CLOCK * clocks:
            return None
        if groups == 1:
            blocks = -(-channels // 4) * pe / channels
        else:
            aligned = lanes % 4 == 0 or 4 % lanes == 0
            blocks = max(1, lanes // 4) if aligned else (lanes + 2) // 4 + 1
        cores = math.ceil(CLOCKS_PER_BLOCK * blocks * draws / clocks)
        return cls(cores, groups, digest_lanes(pe, clocks))


def digest_lanes(pe: int, clocks: int) -> int:
    """Return the fewest elements per clock, a divisor of the lanes, that hash a beat in time."""
    return next(n for n in _parts(pe) if n * clocks >= pe)


def _parts(lanes: int) -> list[int]:
    return [n for n in range(1, lanes + 1) if lanes % n == 0]


class SizeGenerators(Transformation):
    """Set the generator of each tap of a folded graph, by the slowest node's cycles per image."""

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        operators = [getCustomOp(node) for node in model.graph.node]
        cycles = max(operator.get_exp_cycles() for operator in operators)
        for operator in operators:
            if operator.onnx_node.op_type != "NoiseTap_rtl":
                continue
            clocks = max(1, int(cycles) // operator.get_number_output_values())
            channels, pe = operator.get_nodeattr("NumChannels"), operator.get_nodeattr("PE")
            draws = kinds.draws(operator.get_nodeattr("Kinds"))
            generator = Generator.of(channels, pe, clocks, draws)
            operator.set_nodeattr("Cores", generator.cores)
            operator.set_nodeattr("Sources", generator.sources)
            operator.set_nodeattr("DigestLanes", generator.digest_lanes)
        return model, False
