"""Tiled networks: the untiled ones without noise; RTL = golden = FINN = software with noise."""

from dataclasses import dataclass

import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from torch import Tensor

from flow.compiler.accelerator import Accelerator
from flow.compiler.finn import register_operators
from flow.compiler.folding import file as folding
from flow.compiler.folding.matrix_units import ChooseUnits
from flow.compiler.pipeline import compile_network
from flow.errors import UserError
from flow.golden.model import Record
from flow.golden.tiles import TileProducts
from flow.models import Network, evaluate
from flow.models.planes import Array
from flow.models.tiles import tile
from flow.noise import Additive, Noise
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.sampler import HardwareSampler
from flow.rtl import equivalence, simulate
from tests.helpers.convolutional_networks import Short, settled

ROWS = 14
"""Rows of a tile: conv0 has 9 rows, conv1 14 + 14 + 8, fc0 14 + 2, fc1 8."""
TILED = ["conv1.tile", "fc0.tile"]


@dataclass(frozen=True)
class Case:
    """A network without and with tiles, the latter compiled."""

    plain: Network
    tiled: Network
    accelerator: Accelerator
    inputs: Tensor


@pytest.fixture(scope="module")
def case(built) -> Case:
    torch.manual_seed(7)
    plain = Short("short-w2a2", 2, weight_bits=2, act_bits=2)
    inputs = settled(plain, (8, 8, 1))
    tiled = tile(plain, Array(ROWS))
    accelerator = compile_network(
        tiled, inputs[:32], sites=tiled.all_sites, cycles=100, root=built / "accelerators"
    )
    return Case(plain, tiled, accelerator, inputs)


def converted(case: Case, site: str) -> Noise:
    """Noise at a site, whose values an ADC of three bits reads."""
    tap = case.accelerator.sites[site]
    return Additive(1.0, adc=tap.adc(3, tap.range))


def noise_at(*sites: str) -> dict[str, TapSettings]:
    return {site: TapSettings.of(Noise.at("mixed", 2.0), 1.0, seed=9) for site in sites}


@pytest.mark.slow
def test_a_layer_of_several_tiles_has_its_tap_on_them(case):
    sites = case.accelerator.sites
    accumulators = [site for site in case.tiled.accumulator_sites]
    assert accumulators == ["conv0.acc", *TILED, "fc1.acc"]
    assert list(sites) == case.tiled.sites
    untiled = [site.replace("tile", "acc") for site in sites]
    assert untiled == case.plain.sites
    # three tiles of four channels at sixteen pixels
    assert (sites["conv1.tile"].channels, sites["conv1.tile"].pixels) == (12, 16)
    assert (sites["fc0.tile"].channels, sites["fc0.tile"].pixels) == (16, 1)


@pytest.mark.slow
def test_simd_divides_every_tile(case):
    units = {n["name"]: n for n in case.accelerator.manifest["nodes"] if "weight_type" in n}
    assert [unit["tiles"] for unit in units.values()] == [1, 3, 2, 1]
    assert [unit["SIMD"] for unit in units.values()][1:3] == [2, 2]
    assert max(unit["PE"] for unit in units.values()) == 4


@pytest.mark.slow
def test_without_noise_it_is_finn_s_and_the_network_without_tiles(case, built):
    golden, stream = case.accelerator.golden_model(), case.accelerator.quantise(case.inputs)
    assert sum(isinstance(layer, TileProducts) for layer in golden.layers) == 2
    assert not equivalence.against_finn(case.accelerator, golden, stream[:2]).differing
    untiled = compile_network(
        case.plain, case.inputs[:32], cycles=100, root=built / "accelerators"
    ).golden_model()
    tiles, whole = Record([golden.scores]), Record([untiled.scores])
    assert torch.equal(golden.run(stream, record=tiles), untiled.run(stream, record=whole))
    assert torch.equal(tiles.streams[golden.scores], whole.streams[untiled.scores])
    assert (evaluate(case.tiled, case.inputs) == evaluate(case.plain, case.inputs)).all()
    # with its tiles' sums computed, not left out
    every = Record([golden.scores], list(golden.taps))
    golden.run(stream, record=every)
    assert torch.equal(every.streams[golden.scores], whole.streams[untiled.scores])


@pytest.mark.slow
@pytest.mark.parametrize("site", TILED)
@pytest.mark.parametrize("kind", ["multiplicative", "fixed-pattern", "ADC"])
def test_software_has_the_same_noise_on_each_tile(site, kind, case):
    options = {"device": 3} if kind == "fixed-pattern" else {}
    noise = converted(case, site) if kind == "ADC" else Noise.at(kind, 1.5, **options)
    sampler = HardwareSampler(case.accelerator.sites, 77)
    labels = evaluate(case.tiled, case.inputs, noise={site: noise}, sampler=sampler)
    settings = TapSettings.of(noise, case.accelerator.sites[site].scale, seed=77)
    stream = case.accelerator.quantise(case.inputs)
    golden = case.accelerator.golden_model().run(stream, {site: settings})
    assert (golden.numpy() == labels).mean() >= 0.95
    assert (golden.numpy() != evaluate(case.plain, case.inputs)).mean() > 0.05


@pytest.mark.slow
def test_rtl_is_golden_with_noise_on_tiles(case, built, tmp_path):
    stream = case.accelerator.quantise(case.inputs)[:3]
    golden = case.accelerator.golden_model()
    points = [{}, *(noise_at(site) for site in TILED), noise_at(*case.accelerator.sites)]
    points.append({site: TapSettings.of(converted(case, site), 1.0, seed=9) for site in TILED})
    simulation = simulate.build(case.accelerator, root=built / "sim", optimise=False)
    for stall in (False, True):
        results, _ = simulate.simulate(
            case.accelerator, simulation, stream, points, tmp_path, stall=stall
        )
        for noise, result in zip(points, results, strict=True):
            assert not equivalence.differing_images(golden, stream, noise, result).any(), noise


@pytest.mark.slow
def test_a_folding_names_what_divides_every_tile(case):
    register_operators()
    model = ModelWrapper(str(case.accelerator.hardware_graph))
    with pytest.raises(UserError, match=r"tiles of 14 and 8 rows: give SIMD 2, or ROWS=16$"):
        folding.apply(model, {"MVAU_1": {"SIMD": 4}})
    with pytest.raises(UserError, match="MVAU_rtl_2: resType is dsp, but only the unit of LUTs"):
        model.transform(ChooseUnits("lut", {"MVAU_rtl_2": {"resType": "dsp"}}))
    units = model.transform(ChooseUnits("dsp")).graph.node
    kinds = [getCustomOp(n).get_nodeattr("resType") for n in units if n.op_type.startswith("MVAU")]
    assert kinds == ["dsp", "lut", "lut", "dsp"]


def test_rows_that_no_layer_has(network):
    with pytest.raises(UserError, match="no layer of tfc-w2a2 has more than 64"):
        tile(network, Array(64))
    with pytest.raises(UserError, match="0 rows: give 1 or more"):
        tile(network, Array(0))
