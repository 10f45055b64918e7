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

A run's results lie in a folder of its own below ``build/studies/<name>``; measured points, in the
store of all walks. So a study that is stopped goes on where it was, and one that has grown measures
what is new.
"""

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from flow.callbacks import Report, told_of
from flow.errors import Fatal, UserError, unknown
from flow.experiments import dynamics, hardware_walk, multi_execution, repeats, software_walk
from flow.experiments.studies import robustness, status
from flow.files import make_folder, write_summary
from flow.models.qonnx import python_factory
from flow.walk import settings as walk_hw
from flow.walk.engine.engine import Engine

_KEYS = ("title", "minutes", "runs")
_LISTS = ("sites", "levels")
"""Options that are lists themselves."""
_NETWORK = ("model", "dataset")
_PLACES = ("out", "build")
"""Options that are the study's own."""


@dataclass(frozen=True)
class Command:
    """A command that a study may name."""

    settings: type
    run: Callable[..., dict[str, Any]]
    """Takes settings, what is told about progress, and the command as the user would type it."""
    summary: str
    """File that a finished run has in its folder."""
    spread: bool = False
    """Whether it takes an engine."""

    @property
    def options(self) -> dict[str, type]:
        """The dataclass that each option belongs to, by name."""
        found: dict[str, type] = {}
        for one in fields(self.settings):
            if not one.init:
                continue
            if is_dataclass(one.type) and isinstance(one.type, type):
                found |= {inner.name: one.type for inner in fields(one.type) if inner.init}
            else:
                found[one.name] = self.settings
        return {name: owner for name, owner in found.items() if name not in _PLACES}

    def make(self, values: Mapping[str, Any], out: Path, build: Path) -> Any:
        """Return the settings of a run."""
        places = {"out": out, "build": build}
        own: dict[str, Any] = {}
        for one in fields(self.settings):
            if is_dataclass(one.type) and isinstance(one.type, type):
                names = {inner.name for inner in fields(one.type)}
                inner = {name: value for name, value in values.items() if name in names}
                own[one.name] = TypeAdapter(one.type).validate_python(inner | places)
            elif one.name in values or one.name in places:
                own[one.name] = (dict(values) | places)[one.name]
        return TypeAdapter(self.settings).validate_python(own)


COMMANDS = {
    "walk-hw": Command(walk_hw.Settings, hardware_walk.walk_hw, "summary.json", spread=True),
    "multi-exec-hw": Command(repeats.Settings, repeats.run, "repeats.json", spread=True),
    "robustness": Command(walk_hw.Settings, robustness.run, "robustness.json", spread=True),
    "walk": Command(software_walk.Settings, software_walk.walk, "summary.json"),
    "multi-exec": Command(multi_execution.Settings, multi_execution.run, "executions.json"),
    "dynamics": Command(dynamics.Settings, dynamics.run, "dynamics.json"),
}


def _without_places(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in items if name not in _PLACES}


@dataclass(frozen=True)
class Run:
    """One job of a study."""

    name: str
    command: str
    values: Mapping[str, Any]
    """Options given."""
    settings: Any
    folder: Path

    @property
    def stamp(self) -> dict[str, Any]:
        """All that its results depend on, as JSON has it."""
        # folders may be moved
        chosen = asdict(self.settings, dict_factory=_without_places)
        return {"command": self.command, "settings": json.loads(json.dumps(chosen, default=str))}

    @property
    def state(self) -> dict[str, Any]:
        """What was left by the last time it ran with these settings; empty if it never did."""
        return status.state_of(self.folder, self.stamp)

    @property
    def summary(self) -> dict[str, Any] | None:
        """What it found, once it has."""
        if self.state.get("ended") != "done":
            return None
        return status.read_json(self.folder / COMMANDS[self.command].summary)

    def write_state(self, **more: Any) -> None:
        """Say how it stands."""
        write_summary(self.folder / status.STATE, self.stamp | more)


@dataclass(frozen=True)
class Study:
    """What a file says."""

    name: str
    title: str
    minutes: float | None
    runs: tuple[Run, ...]
    folder: Path

    @property
    def index(self) -> list[dict[str, Any]]:
        """The runs, as `flow.experiments.studies.status` needs them."""
        return [{"name": run.name, "stamp": run.stamp} for run in self.runs]


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
        raise UserError(f"the study {path} has no list of runs: see docs/studies.md")
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
    study = Study(path.stem, title, minutes, (*runs.values(),), folder)
    make_folder(folder)
    index = {"file": status.digest_of(path), "runs": study.index}
    write_summary(folder / status.INDEX, index)
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
    for key in options:
        if str(key).replace("-", "_") not in command.options:
            known = [option.replace("_", "-") for option in command.options]
            raise unknown(f"option of {name}", str(key), known)
    given = {key.replace("-", "_"): _listed(key, value) for key, value in options.items()}
    varied = [key for key, values in given.items() if len(values) > 1]
    for combination in itertools.product(*given.values()):
        values = dict(zip(given, combination, strict=True))
        label = _label(name, values, varied, command)
        network = {key: str(values.get(key, _default(command, key))) for key in _NETWORK}
        if python_factory.is_factory(network["model"]):
            values["model"] = _exported(**network, build=build)
        try:
            settings = command.make(values, folder / label, build)
        except ValidationError as error:
            first = error.errors()[0]
            what = ".".join(str(part) for part in first["loc"]) or name
            raise UserError(f"{name}: {what} is {first['input']!r}: {first['msg']}") from error
        yield Run(label, name, values, settings, folder / label)


@cache
def _exported(model: str, dataset: str, build: Path) -> str:
    """Run the user's code once, for all runs of the network it makes."""
    return python_factory.filed({"model": model, "dataset": dataset}, build)["model"]


def _listed(key: str, value: Any) -> list[Any]:
    """Return the values that an option takes in turn."""
    if key in _LISTS:
        return [",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return value if isinstance(value, list) else [value]


def _label(name: str, values: Mapping[str, Any], varied: Sequence[str], command: Command) -> str:
    """Name a run by network, data, noise and what varies, and by a digest of what was given."""
    first = [name] * (name != "walk-hw") + [str(values.get("model", _default(command, "model")))]
    first.append(str(values.get("dataset", _default(command, "dataset"))))
    plain = (*_NETWORK, "noise")
    if "noise" in values:
        first.append(str(values["noise"]))
    first += [f"{key}-{values[key]}" for key in varied if key not in plain]
    text = json.dumps(values, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return "-".join([*(part.replace("/", "_") for part in first), digest])


def _default(command: Command, option: str) -> Any:
    found = next(f for f in fields(command.options[option]) if f.name == option)
    return "" if found.default is MISSING else found.default


def run_study(
    study: Study, tell: Report, engine: Engine, finished: Callable[[Run], None]
) -> list[tuple[Run, str]]:
    """Do the runs that are not done.

    Args:
        study: the study.
        tell: told about progress.
        engine: does the work of walks in RTL.
        finished: told of each run as it ends.

    Returns:
        the runs that failed, and why; the others go on.

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
        run.write_state(ended=None)
        typed = f"noisewalk study run (its run {run.name})"
        options = {"engine": engine} if command.spread else {}
        started = time.monotonic()
        try:
            found = command.run(run.settings, partial(told_of, tell, run.name), typed, **options)
        except Fatal:
            raise
        except (UserError, RuntimeError) as error:
            failed.append((run, str(error)))
            run.write_state(ended="failed", message=str(error))
        else:
            seconds = round(time.monotonic() - started, 1)
            run.write_state(ended="done", seconds=seconds, failures=len(found.get("failures", ())))
        finished(run)
    return failed
