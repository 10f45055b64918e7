"""What `check` says of random graphs is what compilation does."""

import os

import pytest

from flow.compiler import pipeline
from flow.compiler.graph.compatibility import check_nodes
from flow.errors import Defect, UserError
from flow.models.qonnx.network import open_network
from tests.helpers import random_graphs

MORE = int(os.environ.get("RANDOM_GRAPHS", "8"))
"""Random graphs beyond the first; RANDOM_GRAPHS=200 takes some minutes."""


def agrees(seed, folder, *, branched=False) -> bool:
    """Return whether the table of `check` says that a random graph fits; it must be right."""
    network = open_network(random_graphs.write(seed, folder, branched=branched))
    fits = not any(report.problem for report in check_nodes(network.graph))
    try:
        pipeline.check(network)
    except UserError:
        compiles = False
    else:
        compiles = True
    assert fits == compiles, f"seed {seed}: the table says {fits}, compilation {compiles}"
    return fits


def test_the_table_is_right_for_random_graphs(tmp_path):
    assert sum(agrees(seed, tmp_path) for seed in range(6)) >= 3


def test_the_table_is_right_for_random_branches(tmp_path):
    assert sum(agrees(seed, tmp_path, branched=True) for seed in range(4)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("branched", [False, True])
def test_the_table_is_right_for_many_random_graphs(branched, tmp_path):
    seeds = range(6, 6 + MORE)
    assert sum(agrees(seed, tmp_path, branched=branched) for seed in seeds) >= MORE // 6


def test_a_check_on_random_images_that_proves_nothing_asks_for_real_ones(tmp_path, monkeypatch):
    def differs(*_):
        raise Defect("site act0.act: 0.2 of the compiled graph's activations differ")

    monkeypatch.setattr(pipeline, "_compile", differs)
    network = open_network(random_graphs.write(0, tmp_path))
    with pytest.raises(UserError, match=r"random images \(site act0.act: .*as a data set"):
        pipeline.check(network)
    with pytest.raises(Defect):
        pipeline.check(network, pipeline.random_images(network, 4))
