"""FINN's set-up: whatever was read before, this project's operators are the ones found."""

from onnx import helper

from flow.compiler.finn import register_operators

DOMAIN = "finn.custom_op.fpgadataflow.rtl"


def test_an_operator_that_qonnx_remembers_is_replaced():
    register_operators()
    from finn.custom_op.fpgadataflow.rtl.matrixvectoractivation_rtl import MVAU_rtl
    from qonnx.custom_op.registry import add_op_to_domain, getCustomOp

    node = helper.make_node(
        "MVAU_rtl", ["a", "w"], ["b"], domain=DOMAIN, backend="fpgadataflow",
        MW=1, MH=1, SIMD=1, PE=1, resType="lut",
        inputDataType="INT8", weightDataType="INT4", outputDataType="INT20",
    )  # fmt: skip
    # as it is after a graph was read without ours
    add_op_to_domain(DOMAIN, MVAU_rtl)
    assert type(getCustomOp(node)) is MVAU_rtl
    register_operators()
    assert type(getCustomOp(node)).__module__ == "flow.compiler.operators.mvau"
