"""Studies: many jobs, named in one YAML file, done one after another on one engine.

::

    title: Does robustness learned in software arrive in the hardware?
    minutes: 600                # no run is begun after so many; left out: no limit
    runs:
      - walk-hw:                # a command of the command line, and its options
          model: [tfc, cnv]     # of lists, every combination is a run
          noise: [additive, multiplicative, mixed]
          seed: [0, 1, 2]
          sites: [fc0.acc, fc1.acc]   # sites and levels are lists already: one run has them all
          checkpoint: nets/{model}_{dataset}.safetensors    # of the run's network

Each run has its own results folder in ``build/studies/<name>``; measured points are in the store of
all walks. So an interrupted study resumes, and a study that has grown measures only what is new.
"""

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from flow.callbacks import ProgressCallback, prefixed
from flow.errors import Fatal, OptionError, Spelling, UserError, about, unknown
from flow.experiments import (
    bits_walk,
    dynamics,
    hardware_walk,
    multi_execution,
    repeats,
    software_walk,
    training,
)
from flow.experiments.budget import run as budget
from flow.experiments.budget.settings import BudgetSettings
from flow.experiments.settings import (
    DynamicsSettings,
    MultiExecutionSettings,
    RepeatSettings,
    RobustnessSettings,
    SoftwareWalkSettings,
)
from flow.experiments.studies import robustness, status
from flow.files import make_folder, write_json
from flow.models.qonnx import python_factory
from flow.noise import class_of
from flow.settings import Settings, shown
from flow.training.settings import TrainingOptions
from flow.user_code import is_user_code
from flow.walks.engine.engine import Engine
from flow.walks.settings import HardwareWalkSettings
from flow.walks.summaries import WalkSummary
from flow.walks.summaries.base import Part

_KEYS = ("title", "minutes", "runs")
_NETWORK = ("model", "dataset")
_NOISE = ("noise", "training_noise")
_FILES = frozenset({"out", "checkpoint"})
"""Options whose value may hold ``{model}`` and ``{dataset}``."""
_PLACES = frozenset({"out", "build"})
"""Options that are the study's own."""


@dataclass(frozen=True)
class Command:
    """A command that a study may name."""

    settings: type[Settings]
    run: Callable[..., Part | dict[str, Any]]
    """Takes settings, a progress callback, and the command line."""
    summary: str
    """File that a finished run has in its folder."""
    spread: bool = False
    """Whether it takes an engine."""
    places: frozenset[str] = _PLACES
    """Options that the study sets itself. A command that takes none of them writes no summary."""
    pictures: tuple[str, ...] = ()
    """Pictures in its folder that the study's page shows, as patterns of names."""

    @property
    def options(self) -> set[str]:
        """The options that a study may give."""
        return set(self.settings.options()) - self.places


def _walk_hw(settings: HardwareWalkSettings, *given: Any, **options: Any) -> WalkSummary:
    """Walk noise, or the bits of ADCs, in software and RTL."""
    walk = bits_walk.walk_hw if settings.walks_bits else hardware_walk.walk_hw
    return walk(settings, *given, **options)


def _walk(settings: SoftwareWalkSettings, *given: Any) -> WalkSummary:
    """Walk noise, or the bits of ADCs, in software."""
    walk = bits_walk.walk if settings.walks_bits else software_walk.walk
    return walk(settings, *given)


WALKED = "summary.json"
"""File of a walk."""
_EXECUTIONS, _REPEATS, _BUDGET = ("executions.png",), ("repeats.png",), ("budget.png",)
_DYNAMICS = ("dynamics-*.png", "histograms-*.png")
COMMANDS = {
    "walk-hw": Command(HardwareWalkSettings, _walk_hw, WALKED, spread=True),
    "multi-exec-hw": Command(
        RepeatSettings, repeats.run, "repeats.json", spread=True, pictures=_REPEATS
    ),
    "budget": Command(BudgetSettings, budget.run, "budget.json", spread=True, pictures=_BUDGET),
    "robustness": Command(RobustnessSettings, robustness.run, "robustness.json", spread=True),
    "walk": Command(SoftwareWalkSettings, _walk, WALKED),
    "multi-exec": Command(
        MultiExecutionSettings, multi_execution.run, "executions.json", pictures=_EXECUTIONS
    ),
    "dynamics": Command(DynamicsSettings, dynamics.run, "dynamics.json", pictures=_DYNAMICS),
    "train": Command(TrainingOptions, training.run, "training.json", places=frozenset()),
}


@dataclass(frozen=True)
class Run:
    """One job of a study."""

    name: str
    command: str
    values: Mapping[str, Any]
    """Options given."""
    settings: Settings
    folder: Path
    spell: Spelling
    """Gives an option's name as the user wrote it."""

    @property
    def stamp(self) -> dict[str, Any]:
        """All that its results depend on, as JSON has it."""
        # folders may be moved
        places = COMMANDS[self.command].places
        chosen = self.settings.model_dump(mode="json", exclude=set(places))
        kinds = [name for one in _NOISE for name in _listed(chosen.get(one)) if is_user_code(name)]
        origins = {name: class_of(name).origin for name in kinds}
        codes = {name: one.code for name, one in origins.items() if one}
        if (metric := getattr(self.settings, "judged_by", None)) is not None:
            codes[metric.file] = metric.code
        # networks, checkpoints, data and tables; what it writes itself is no source
        for name in chosen.keys() - _PLACES:
            for one in chosen[name] if isinstance(chosen[name], list) else [chosen[name]]:
                if isinstance(one, str) and (digest := status.digest_of(Path(one))):
                    codes[one] = digest
        return {"command": self.command, "settings": chosen} | ({"code": codes} if codes else {})

    def told(self, error: Exception) -> str:
        """Return the message of an error, with options as the user wrote them."""
        return error.written(self.spell) if isinstance(error, OptionError) else str(error)

    @property
    def state(self) -> dict[str, Any]:
        """What was left by the last time it ran with these settings; empty if it never did."""
        return status.state_of(self.folder, self.stamp)

    @property
    def summary(self) -> WalkSummary | dict[str, Any] | None:
        """What it found, once it has; None if that cannot be read."""
        state = self.state
        wrote = state.get("wrote", {})
        lost = [file for file, digest in wrote.items() if status.digest_of(Path(file)) != digest]
        if state.get("ended") != "done" or lost:
            return None
        file = self.folder / COMMANDS[self.command].summary
        if file.name != WALKED:
            return status.read_json(file)
        try:
            return WalkSummary.read(file)
        except UserError:
            return None

    def write_state(self, stamp: Mapping[str, Any], **more: Any) -> None:
        """Say how it stands, with the stamp that it had when it began."""
        write_json(self.folder / status.STATE, {**stamp, **more})


@dataclass(frozen=True)
class Study:
    """What a file says."""

    name: str
    title: str
    minutes: float | None
    runs: tuple[Run, ...]
    folder: Path
    digest: str | None = None
    """Of its file."""

    @property
    def index(self) -> list[dict[str, Any]]:
        """The runs, as `flow.experiments.studies.status` needs them."""
        return [{"name": run.name, "stamp": run.stamp} for run in self.runs]

    def write_index(self) -> None:
        """Leave the index in its folder."""
        write_json(self.folder / status.INDEX, {"file": self.digest, "runs": self.index})


def read(path: Path, build: Path = Path("build")) -> Study:
    """Read a study.

    Args:
        path: the YAML file; its name is the study's.
        build: folder for results.

    Raises:
        UserError: the file is missing or no YAML, a key is unknown, or an option is bad.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the study {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"the study {path} is not YAML: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("runs"), list):
        raise UserError(f"the study {path} has no list of runs: see docs/how-to/studies.md")
    for key in content:
        if key not in _KEYS:
            raise unknown("key of a study", str(key), _KEYS)
    minutes = content.get("minutes")
    if minutes is not None and not (isinstance(minutes, int | float) and minutes > 0):
        raise UserError(f"minutes is {minutes}: give a number above 0, or leave it out")
    folder = build / "studies" / path.stem
    runs: dict[str, Run] = {}
    for block in content["runs"]:
        for run in _runs_of(block, folder, build):
            if run.name in runs and runs[run.name].stamp == run.stamp:
                raise UserError(f"the study {path} names the run {run.name} twice")
            runs[run.name] = run
    if not runs:
        raise UserError(f"the study {path} has no run")
    title = str(content.get("title") or path.stem)
    study = Study(
        path.stem, title, minutes, (*runs.values(),), folder, digest=status.digest_of(path)
    )
    make_folder(folder)
    study.write_index()
    return study


def _runs_of(block: Any, folder: Path, build: Path) -> Iterator[Run]:
    """Yield the runs of a block: every combination of the options that are lists."""
    if not isinstance(block, dict) or len(block) != 1:
        raise UserError(f"a run is a command with its options, such as walk-hw: not {block!r}")
    ((name, options),) = block.items()
    if name not in COMMANDS:
        raise unknown("command of a study", str(name), COMMANDS)
    command, options = COMMANDS[name], options or {}
    if not isinstance(options, dict):
        raise UserError(f"the options of {name} are {options!r}: give them by name")
    written: dict[str, str] = {}
    for key in map(str, options):
        if written.setdefault(key.replace("-", "_"), key) != key:
            raise UserError(f"{name}: {key} is given twice, with - and with _")
    dashes = any("-" in key for key in written.values())

    def spell(option: str) -> str:
        return written.get(option, option.replace("_", "-") if dashes else option)

    try:
        for option in written:
            if option in command.places:
                raise OptionError(option, "is no option here: a study has folders of its own")
            if option not in command.options:
                raise command.settings.unknown(option)
        values = dict(zip(written, options.values(), strict=True))
        for label, chosen, settings in _crossed(name, command, values, folder, build):
            yield Run(label, name, chosen, settings, folder / label, spell)
    except OptionError as error:
        raise UserError(f"{name}: {error.written(spell)}") from error


def _crossed(
    name: str, command: Command, options: Mapping[str, Any], folder: Path, build: Path
) -> Iterator[tuple[str, Mapping[str, Any], Settings]]:
    """Yield name, values and settings of every combination of the options that are lists."""
    given = {
        option: value
        if isinstance(value, list) and not command.settings.is_list(option)
        else [value]
        for option, value in options.items()
    }
    varied = [option for option, values in given.items() if len(values) > 1]
    for combination in itertools.product(*given.values()):
        values = dict(zip(given, combination, strict=True))
        network = {one: str(values.get(one, command.settings.default(one))) for one in _NETWORK}
        values |= {one: _filled(str(values[one]), network) for one in _FILES & values.keys()}
        label = _label(name, values, varied, command)
        if python_factory.is_python(network["model"]):
            own = {one: values.pop(one, None) for one in ("weights", "shape")}
            with about("model"):
                values["model"] = _exported(**network, **own, build=build)
        places = {"out": folder / label, "build": build} if command.places else {}
        made = command.settings(**values, **places)
        yield label, values, made


def _filled(path: str, network: Mapping[str, str]) -> str:
    """Fill ``{model}`` and ``{dataset}`` into the path of a checkpoint."""
    for key, value in network.items():
        path = path.replace(f"{{{key}}}", value.replace("/", "_"))
    return path


@cache
def _exported(model: str, dataset: str, weights: str | None, shape: str | None, build: Path) -> str:
    """Run the user's code once, for all runs of the network it makes."""
    given = {"model": model, "dataset": dataset, "weights": weights, "shape": shape}
    return python_factory.filed(given, build)["model"]


def _label(name: str, values: Mapping[str, Any], varied: Sequence[str], command: Command) -> str:
    """Name a run by network, data, noise and what varies, and by a digest of what was given."""
    known = {one: values.get(one, command.settings.default(one)) for one in _NETWORK}
    first = [name] * (name != "walk-hw") + [str(value) for value in known.values()]
    plain = (*_NETWORK, "noise")
    if "noise" in values:
        first.append(shown(values["noise"]))
    first += [f"{key}-{values[key]}" for key in varied if key not in plain]
    # a list counts as the text that it is on the command line
    lists = {key: shown(value) for key, value in values.items() if command.settings.is_list(key)}
    text = json.dumps({**values, **lists}, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return "-".join([*(part.replace("/", "_") for part in first), digest])


def _listed(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value


def run_study(
    study: Study, progress: ProgressCallback, engine: Engine, finished: Callable[[Run], None]
) -> list[tuple[Run, str]]:
    """Execute the unfinished runs.

    Args:
        study: the study.
        progress: called with the progress.
        engine: does the work of walks in RTL.
        finished: called with each run as it ends.

    Returns:
        the runs that failed, and why; the others continue.

    Raises:
        UserError: something that other runs would meet as well, such as a full disk.
    """
    end = time.monotonic() + 60 * study.minutes if study.minutes else float("inf")
    failed = []
    for run in study.runs:
        if run.summary is not None:
            finished(run)
            continue
        if time.monotonic() >= end:
            break
        command = COMMANDS[run.command]
        make_folder(run.folder)
        # what changes while it runs is not what it ran with
        stamp = run.stamp
        run.write_state(stamp, ended=None)
        command_line = f"noisewalk study run (its run {run.name})"
        options = {"engine": engine} if command.spread else {}
        started = time.monotonic()
        try:
            found = command.run(
                run.settings, partial(prefixed, progress, run.name), command_line, **options
            )
        except Fatal:
            raise
        except (UserError, RuntimeError) as error:
            failed.append((run, run.told(error)))
            run.write_state(stamp, ended="failed", message=run.told(error))
        else:
            wrote = {}
            if isinstance(found, dict) and not command.places:
                write_json(run.folder / command.summary, found)
                wrote = {found["file"]: status.digest_of(Path(found["file"]))}
            seconds = round(time.monotonic() - started, 1)
            failures = len(getattr(found, "failures", ()))
            told = {"seconds": seconds, "failures": failures, "wrote": wrote}
            run.write_state(stamp, ended="done", **told)
            # a checkpoint that now exists is part of later runs' stamps
            study.write_index()
        finished(run)
    return failed
