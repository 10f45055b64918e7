"""The rules, in order, and their application until none of them finds anything to do."""

from collections.abc import Callable, Sequence

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import RemoveUnusedTensors, SortGraph

from flow.errors import Defect
from flow.models.qonnx.input_quantiser import forget_declared, quantise_declared
from flow.models.qonnx.tidy import (
    channel_scales,
    channels,
    crops,
    ends,
    functions,
    joins,
    moves,
    notation,
    offsets,
    picks,
    products,
    roundings,
    shapes,
    truncation,
    weights,
)
from flow.models.qonnx.tidy.edits import drop_dead

Rule = Callable[[ModelWrapper], bool]

RULES: Sequence[Rule] = (
    ends.cut_top,
    ends.cut_quantised_softmax,
    ends.cut_rising,
    ends.flatten_scores,
    ends.decide_before_sigmoid,
    ends.cut_decision,
    notation.narrow_doubles,
    notation.remove_identity,
    roundings.drop_straight_through,
    roundings.extreme_to_limit,
    roundings.limit_before_rounding,
    roundings.merge_shifts,
    roundings.round_to_quantiser,
    roundings.sign_to_thresholds,
    roundings.choice_to_threshold,
    roundings.drop_idle_limit,
    roundings.cancel_scale,
    roundings.widen_signs,
    notation.write_windows,
    notation.write_differences,
    weights.fold_quantised_bias,
    weights.own_weights,
    weights.round_weights,
    weights.quantise_whole_weights,
    notation.centre_zero_point,
    notation.rectified_as_unsigned,
    notation.merge_quantisers,
    notation.rectify_before_quantiser,
    functions.quantise_before_pool,
    functions.functions_to_thresholds,
    truncation.truncation_to_thresholds,
    notation.share_thresholds,
    notation.fold_into_thresholds,
    offsets.part_offset,
    offsets.include_whole_offset,
    offsets.sink_offset,
    joins.divide_concat,
    joins.raise_past_concat,
    notation.move_pads,
    channel_scales.move_channel_scales,
    channels.choices_to_gather,
    crops.crop_convolution,
    channels.shuffle_to_gather,
    channels.sink_choices,
    channels.absorb_choice_into_dense,
    products.drop_expand,
    products.vectors_to_pixels,
    shapes.turn_thresholds,
    shapes.wrap_one_dimensional,
    shapes.flatten_dense,
    shapes.dense_to_convolution,
    shapes.merge_reductions,
    shapes.reduced_to_pool,
    shapes.average_any_shape,
    shapes.drop_ceil_mode,
    shapes.write_as_reshape,
    shapes.merge_shapes,
    moves.absorb_into_dense,
    moves.share_at_input,
    moves.raise_to_input,
    moves.sink,
    shapes.begin_behind_shapes,
    picks.pick_for_sum,
)
"""Each is tried where those before it have nothing left to do."""
FINISHING: Sequence[Rule] = (
    shapes.flatten_by_name,
    quantise_declared,
    forget_declared,
)
_MOST = 20
"""Largest number of changes per node, beyond which rules undo each other."""


def tidy(model: ModelWrapper) -> ModelWrapper:
    """Return a graph in the form that is read here, which computes the same.

    Args:
        model: the graph, with constants folded and all shapes known; it may be changed.

    Raises:
        Defect: the rules do not come to an end.
    """
    left = _MOST * (len(model.graph.node) + 10)
    for rules in (RULES, FINISHING):
        while any(rule(model) for rule in rules):
            drop_dead(model)
            left -= 1
            if not left:
                raise Defect("the rules that tidy a graph do not come to an end")
    return model.transform(SortGraph()).transform(RemoveUnusedTensors())
