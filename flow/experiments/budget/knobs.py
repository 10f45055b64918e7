"""Quantities of a site that a plan decides."""

from typing import Literal, get_args

Knob = Literal["sigma", "adc", "executions"]
SIGMA: Knob = "sigma"
ADC: Knob = "adc"
EXECUTIONS: Knob = "executions"
KNOBS: tuple[Knob, ...] = get_args(Knob)
