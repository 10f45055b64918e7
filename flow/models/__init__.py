"""Networks with taps, and their evaluation under noise."""

import flow.models.quick_brevitas  # noqa: F401

# isort: split
from flow.models.evaluation import (
    SCALE_IMAGES,
    Judge,
    Levels,
    SiteValues,
    evaluate,
    evaluate_groups,
    evaluate_levels,
    site_values,
    suitable_batch,
    trace,
)
from flow.models.network import Network, Recipe
from flow.models.registry import build, is_custom, names, recipe, register, resolve
from flow.noise.samplers import CachedSampler

__all__ = [
    "SCALE_IMAGES",
    "CachedSampler",
    "Judge",
    "Levels",
    "Network",
    "Recipe",
    "SiteValues",
    "build",
    "evaluate",
    "evaluate_groups",
    "evaluate_levels",
    "is_custom",
    "names",
    "recipe",
    "register",
    "resolve",
    "site_values",
    "suitable_batch",
    "trace",
]
