"""Noise in software: kinds of noise, their samplers, and the taps that apply them."""

from flow.noise.adc import Adc
from flow.noise.base import CLEAN, ORDERS, Noise, class_of, is_kind, shared_by_images
from flow.noise.kinds import (
    KINDS,
    Additive,
    Drift,
    Empirical,
    FixedPattern,
    Mixed,
    Multiplicative,
)
from flow.noise.samplers import (
    DRAWS,
    Sampler,
    Source,
    TorchSampler,
    WeightSource,
    derive_seed,
)
from flow.noise.site import Site
from flow.noise.taps import NoiseTap, Tap, WeightGrid, WeightTap

__all__ = [
    "CLEAN",
    "DRAWS",
    "KINDS",
    "ORDERS",
    "Adc",
    "Additive",
    "Drift",
    "Empirical",
    "FixedPattern",
    "Mixed",
    "Multiplicative",
    "Noise",
    "NoiseTap",
    "Sampler",
    "Site",
    "Source",
    "Tap",
    "TorchSampler",
    "WeightGrid",
    "WeightSource",
    "WeightTap",
    "class_of",
    "derive_seed",
    "is_kind",
    "shared_by_images",
]
