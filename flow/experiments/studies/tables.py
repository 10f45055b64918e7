"""Tables of a study: what each of its walks found at each site."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from flow.experiments.studies.study import Run, Study
from flow.settings import Settings
from flow.statistics.estimate import Estimate
from flow.walks.settings import NoiseOptions
from flow.walks.summaries import (
    BitsWalkSummary,
    HardwareSite,
    HardwareWalkSummary,
    SoftwareSite,
    SoftwareWalkSummary,
    WalkSummary,
)


def table(study: Study) -> pd.DataFrame:
    """Return a row a run and site: μ of software and hardware, their ratio, the verdict.

    Of a midpoint that is only a bound the value is missing, and there is the text of the bound.
    Runs that are not finished, or are no walks of noise, have no row.
    """
    rows: list[dict[str, Any]] = []
    for run, summary in _walks(study):
        for noise, entries in _by_noise(summary).items():
            for site, entry in entries.items():
                row = _network(run, summary) | {
                    "noise": _noise_name(noise, run.settings),
                    **_training(summary),
                    "seed": summary.seed,
                    "site": site,
                }
                for key in ("mu_sw", "mu_hw", "relative", "ratio"):
                    value: Estimate | None = getattr(entry, key, None)
                    ends = [None] * 3 if value is None or value.value is None else value
                    row |= dict(zip((key, f"{key}_lo", f"{key}_hi"), ends, strict=True))
                    bounded = value is not None and value.value is None
                    row[f"{key}_bound"] = str(value) if bounded else ""
                row["verdict"] = getattr(entry, "verdict", "")
                row["rtl_images"] = getattr(entry, "rtl_runs", 0)
                row["bit_mismatches"] = getattr(entry, "bit_mismatches", 0)
                rows.append(row)
    return _with_whole_rows(rows)


def bits_table(study: Study) -> pd.DataFrame:
    """Return a row a run of a walk of ADC bits and site: the fewest bits of both sides.

    Ends beyond the most bits that were measured are missing.
    """
    rows: list[dict[str, Any]] = []
    for run, summary in _walks(study):
        if not isinstance(summary, BitsWalkSummary):
            continue
        for site, entry in summary.sites.items():
            row = _network(run, summary) | {
                "loss": summary.loss,
                "percentile": summary.percentile,
                "site": site,
                "images": summary.images["software"],
                "most": entry.best.most,
            }
            for side in ("software", "golden"):
                fewest = entry.fewest.get(side)
                row[side] = None if fewest is None else fewest.value
                row[f"{side}_lo"] = None if fewest is None else fewest.low
                row[f"{side}_hi"] = None if fewest is None else fewest.high
                row[f"{side}_text"] = "" if fewest is None else str(fewest)
            row["verdict"] = entry.verdict or ""
            row["rtl_images"] = entry.rtl_runs or 0
            row["bit_mismatches"] = entry.bit_mismatches or 0
            rows.append(row)
    return _with_whole_rows(rows)


def trainings(study: Study) -> pd.DataFrame:
    """Return a row a finished training: accuracy without noise, with its 95 % interval."""
    rows = []
    for run in study.runs:
        if run.command == "train" and isinstance(found := run.summary, dict):
            low, high = found["interval"]
            row = {key: found[key] for key in ("model", "dataset", "recipe", "epochs", "seed")}
            row |= {"noise": found["noise"] or "", "accuracy": found["accuracy"]}
            rows.append(row | {"low": low, "high": high, "images": found["n"]})
    return pd.DataFrame(rows)


def _walks(study: Study) -> Iterator[tuple[Run, WalkSummary]]:
    """Yield the finished walks."""
    for run in study.runs:
        if isinstance(summary := run.summary, WalkSummary):
            yield run, summary


def _network(run: Run, summary: WalkSummary) -> dict[str, Any]:
    """Return what distinguishes a run's network and array from others."""
    return {
        "run": run.name,
        "command": run.command,
        "model": summary.model,
        "dataset": summary.dataset,
        "training_noise": (summary.training_noise or {}).get("kind", ""),
        "checkpoint": summary.checkpoint or "",
        "measure": summary.measure,
        "rows": getattr(run.settings, "rows", None),
        "input_bits": getattr(run.settings, "input_bits", None),
    }


def _with_whole_rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a table whose settings of the array are whole numbers, or missing."""
    found = pd.DataFrame(rows)
    return found.astype({"rows": "Int64", "input_bits": "Int64"}) if rows else found


def _noise_name(kind: str, settings: Settings) -> str:
    """Return a kind of noise, mixed noise with its ratio."""
    if kind == "mixed" and isinstance(settings, NoiseOptions):
        return f"{kind}, r = {settings.ratio:g}"
    return kind


def _training(summary: WalkSummary) -> dict[str, str]:
    """Return what else distinguishes the networks of walks in software."""
    found = {"recipe": "", "images_in": "", "per_point": ""}
    if not isinstance(summary, SoftwareWalkSummary):
        return found
    bounds = summary.image_range
    found["recipe"] = summary.recipe or ""
    found["images_in"] = "" if bounds is None else "{:g}..{:g}".format(*bounds)
    if summary.retrain:
        start = "random weights" if summary.retrain_from == "random" else "the checkpoint"
        clamped = ", clamped" if summary.clamp else ""
        found["per_point"] = f"{summary.retrain} epochs, from {start}{clamped}"
    return found


def _by_noise(
    summary: WalkSummary,
) -> Mapping[str, Mapping[str, SoftwareSite] | Mapping[str, HardwareSite]]:
    """Return the entries of a walk by kind of noise."""
    if isinstance(summary, SoftwareWalkSummary):
        return {kind: found.entries for kind, found in summary.kinds.items()}
    if isinstance(summary, HardwareWalkSummary):
        return {summary.noise: summary.sites}
    return {}
