"""What has just found nothing to do is not repeated, and changes no graph."""

import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from flow.compiler.finn import register_operators
from tests.compiler.graph.test_branches import Block, settled


@pytest.fixture
def exported(tmp_path):
    register_operators()
    from flow.compiler.graph import dataflow

    network, _ = settled(Block())
    model = dataflow.export(network, tmp_path / "network.onnx")
    return model.transform(dataflow.ConvertQONNXtoFINN())


@pytest.mark.slow
def test_streamlined_graphs_are_equal(exported):
    from finn.transformation.streamline import Streamline

    from flow.compiler.graph.settled import SettlingModel

    plain = ModelWrapper(exported.model).transform(Streamline())
    ours = SettlingModel(exported.model).transform(Streamline())
    assert type(plain) is ModelWrapper and type(ours) is SettlingModel
    texts = [model.model.SerializeToString(deterministic=True) for model in (plain, ours)]
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_only_a_transformation_without_effect_on_an_equal_graph_is_skipped(exported):
    from flow.compiler.graph.settled import SettlingModel

    class Rename(Transformation):
        """Name the first node, once."""

        calls = 0

        def apply(self, model):
            Rename.calls += 1
            model.graph.node[0].name = "first"
            return model, False

    counts = []
    model = SettlingModel(exported.model)
    for _ in range(4):
        model = model.transform(Rename())
        counts.append(Rename.calls)
    # the second finds nothing to do
    assert counts == [1, 2, 2, 2]
    model.graph.node[0].name = "other"
    assert model.transform(Rename()).graph.node[0].name == "first" and Rename.calls == 3


@pytest.mark.slow
def test_a_graph_is_tidied_only_after_a_change(exported, monkeypatch):
    from flow.compiler.graph.settled import SettlingModel

    class Nothing(Transformation):
        """Change nothing."""

        def apply(self, model):
            return model, False

    class Rename(Transformation):
        """Name the first node."""

        def apply(self, model):
            model.graph.node[0].name = "first"
            return model, False

    tidied, tidy = [], SettlingModel.cleanup
    monkeypatch.setattr(SettlingModel, "cleanup", lambda self: tidied.append(tidy(self)))
    model, counts = SettlingModel(exported.model), []
    # nobody knows yet whether the exported graph is tidy
    for step in (Nothing(), Nothing(), Rename(), Rename()):
        model = model.transform(step)
        counts.append(len(tidied))
    assert counts == [1, 1, 2, 2]
