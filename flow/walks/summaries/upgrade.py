"""Earlier versions of ``summary.json``, as the present one.

Version 1 had no ``schema_version`` and no ``made_by``. A midpoint was a list, or for a bound a
mapping of ``bound`` and ``level``. Levels of ``walk`` were numbers, and its ``global`` stood among
the sites. The first releases also lacked keys, which become null or what was true then.

Version 2 knew no measure but accuracy, which it had as the key ``accuracy`` of the summary and of
levels, and guessing was one in the number of classes.
"""

from collections.abc import Mapping
from typing import Any

VERSION = 3
"""Version of the schema."""

_LACKING: Mapping[str, Any] = {
    "order": None, "ratio": None, "noise_options": {}, "margin": 0.1, "level": 0.05,
    "level_of_look": 0.05, "power": None, "detectable": None, "failures": [], "further": None,
    "draws": {}, "ablation": {}, "divergence": None, "revision": None, "accelerator": None,
    "hardware": None, "report": None, "checkpoint": None,
}  # fmt: skip
"""Keys of ``walk-hw`` that the first releases did not write."""
_LACKING_IN_SOFTWARE: Mapping[str, Any] = {"max_seconds": None, "max_noisy_images": None}
_LACKING_RTL: Mapping[str, Any] = {"scope": "full", "images_simulated_in_this_run": None}
_LACKING_AT_SITE: Mapping[str, Any] = {
    **dict.fromkeys(("mu_golden", "mu_rtl", "mu_crn", "k_golden", "k_rtl", "ratio_golden")),
    **dict.fromkeys(("ratio_rtl", "ratio_crn", "draws", "devices", "rtl_runs", "scale_error")),
    **dict.fromkeys(("p_agree", "p_disagree", "p_agree_holm", "p_disagree_holm")),
    **dict.fromkeys(("detectable", "need")),
    "differences": {"golden": [], "rtl": []},
    "rtl_scope": "full",
    "rtl_begins": "the input",
}


def upgraded(content: Any) -> dict[str, Any]:
    """Return what a ``summary.json`` of any version holds, as the present version has it.

    Args:
        content: content of the file.

    Raises:
        ValueError: a later version wrote it, or it is no mapping.
    """
    if not isinstance(content, dict):
        raise ValueError("it holds no results")
    version = content.get("schema_version", 1)
    if version > VERSION:
        raise ValueError("a later version of this program wrote it")
    second = content if version > 1 else _second(content)
    return _third(second) if version < 3 and "made_by" in second else second


def _second(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary of version 1 as one of version 2; what is no summary, as it is."""
    new = {"schema_version": 2}
    if "kinds" in content:
        kinds = {name: _kind(kind) for name, kind in content["kinds"].items()}
        known = {name: value for name, value in content.items() if name != "budget"}
        return {**_LACKING_IN_SOFTWARE, **known, **new, "made_by": "walk", "kinds": kinds}
    if {"sites", "verdict", "rtl", "checks"} <= content.keys():
        return {**_LACKING, **content, **new, "made_by": "walk-hw"} | _parts(content)
    return dict(content)


def _third(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary of version 2 as one of version 3."""
    found = {("clean" if key == "accuracy" else key): value for key, value in content.items()}
    found |= {"schema_version": 3, "measure": "accuracy"}
    if classes := content.get("classes"):
        found["guessing"] = 1 / classes
    if "kinds" in content:
        found["kinds"] = {name: _with_values(kind) for name, kind in content["kinds"].items()}
    return found


def _with_values(kind: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kind of noise of version 2, whose levels had an accuracy."""

    def entry(one: Mapping[str, Any]) -> dict[str, Any]:
        levels = [dict(level) for level in one["levels"]]
        for level in levels:
            level["value"] = level.pop("accuracy", None)
        return {**one, "levels": levels}

    sites = {name: entry(one) for name, one in kind["sites"].items()}
    return {**kind, "sites": sites, "global": kind["global"] and entry(kind["global"])}


def _kind(kind: Mapping[str, Any]) -> dict[str, Any]:
    sites = {name: _software(entry) for name, entry in kind["sites"].items()}
    everywhere = sites.pop("global", None)
    return {**kind, "sites": sites, "global": everywhere}


def _software(entry: Mapping[str, Any]) -> dict[str, Any]:
    known = {"images": entry["images"], "draws": entry["draws"], "accuracy": None}
    levels = [{"sigma": sigma, **known} for sigma in entry["levels"]]
    return {**entry, "mu_sw": _midpoint(entry["mu_sw"]), "levels": levels}


def _parts(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a summary of ``walk-hw`` that are not as they were."""
    rtl = {**_LACKING_RTL, **content["rtl"]}
    rtl.pop("images_per_second", None)
    steps = {
        site: {**found, "steps": [_midpoints(step) for step in found["steps"]]}
        for site, found in content.get("ablation", {}).items()
    }
    checks = {**content["checks"], "L0": {"differing": [], **content["checks"]["L0"]}}
    sites = {name: _hardware(entry, content["unit"]) for name, entry in content["sites"].items()}
    return {"rtl": rtl, "ablation": steps, "checks": checks, "sites": sites}


def _hardware(entry: Mapping[str, Any], unit: str) -> dict[str, Any]:
    # where golden had no figures of its own, those of the hardware were golden's
    golden = {name: entry.get(name.replace("golden", "hw")) for name in ("mu_golden", "k_golden")}
    golden["ratio_golden"] = entry.get("ratio")
    return _midpoints({**_LACKING_AT_SITE, **golden, "unit": unit, **entry})


def _midpoints(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _midpoint(value) if k.startswith("mu_") else value for k, value in entry.items()}


def _midpoint(mu: Any) -> Any:
    """Return ``[value, low, high]``."""
    if not isinstance(mu, Mapping):
        return mu
    return [None, mu["level"], None] if mu["bound"] == "above" else [None, None, mu["level"]]
