"""Options made from settings, and the display of results, shared by all commands.

An option is written ``--hw-images 8``, or before all others ``HW_IMAGES=8``, as make passes it;
messages name it as it was written.

The options come from ``options.json``, which `flow.cli.reference` generates from the settings:
importing pydantic takes longer than everything else that ``--help`` needs.
"""

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem
from rich.console import Console

from flow.callbacks import StageClock
from flow.errors import OptionError, Spelling, UserError, about

if TYPE_CHECKING:
    from flow.cli.printing.progress_bars import ProgressBars
    from flow.settings import Settings
    from flow.walks.engine.engine import Engine

console = Console()
if not console.is_terminal and "COLUMNS" not in os.environ:
    # a file has no edge: tables are as wide as they need to be
    console.width = 1000

PATH = click.Path(path_type=Path)
BUILD = Path("build")
"""Folder for results."""
OPTIONS = Path(__file__).with_name("options.json")
"""Generated file with the options of each command."""
_ENGINE = "flow.walks.settings:EngineSettings"
_WORD = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)", re.DOTALL)
_OPTIONS: dict[str, list[dict[str, Any]]] = json.loads(OPTIONS.read_text(encoding="utf-8"))


def flag(option: str) -> str:
    """Return an option's name on the command line, such as ``--hw-images``."""
    return "--" + option.replace("_", "-")


def variable(option: str) -> str:
    """Return an option's name in make, such as ``HW_IMAGES``."""
    return option.upper()


class SettingsCommand(click.Command):
    """A command whose options are the fields of settings.

    Args:
        name: name of the command, preceded by the group's if it is in one.
        function: function that takes the settings in order, then ``arguments`` by name.
        settings: classes of the settings, ``module:class``. Instead of `EngineSettings` the
            function takes the engine that they describe.
        arguments: further arguments of the command line.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., None],
        settings: Sequence[str],
        arguments: Sequence[click.Parameter],
    ) -> None:
        options = _OPTIONS.get(name, ())
        super().__init__(
            name.split()[-1],
            help=function.__doc__,
            callback=self._call,
            params=[*arguments, *(_option(**one) for one in options)],
        )
        self.whole_name = name
        self._function = function
        self._settings = settings
        self._names = {one["name"] for one in options}

    @property
    def settings(self) -> "list[type[Settings]]":
        """Classes of the settings, each with its own options."""
        return [resolve_name(name) for name in self._settings]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read leading options in make's spelling, and let click read the rest."""
        words: dict[str, str] = {}
        while args and (word := _WORD.fullmatch(args[0])):
            words[word[1].lower()] = word[2]
            args = args[1:]
        ctx.meta[__name__] = words
        for name in words:
            if name not in self._names:
                raise self._unknown(name, variable)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name.removeprefix("--").replace("-", "_")
            raise self._unknown(name, flag) from None

    def _unknown(self, name: str, spell: Spelling) -> UserError:
        from flow.settings import unknown_option

        return UserError(unknown_option(name, *self.settings).written(spell))

    def _call(self, **options: Any) -> None:
        """Call the function with the user's settings."""
        context = click.get_current_context()
        words: Mapping[str, str] = context.meta[__name__]
        given: dict[str, Any] = {
            name: options.pop(name)
            for name in self._names
            if context.get_parameter_source(name) is not ParameterSource.DEFAULT
        }

        def spell(name: str) -> str:
            return variable(name) if words and name not in given else flag(name)

        more = {name: value for name, value in options.items() if name not in self._names}
        try:
            # the engine's first, because validating the others may take seconds
            classes = reversed(self.settings)
            chosen: list[Any] = [_made(cls, {**words, **given}) for cls in classes][::-1]
            with ExitStack() as stack:
                if _ENGINE in self._settings:
                    chosen[-1] = stack.enter_context(_engine(chosen[-1]))
                self._function(*chosen, **more)
        except OptionError as error:
            raise UserError(error.written(spell)) from error


def command(
    name: str,
    settings: str = "",
    *,
    engine: bool = False,
    json: bool = True,
    argument: click.Argument | None = None,
) -> Callable[[Callable[..., None]], SettingsCommand]:
    """Return a decorator that makes a command of a function.

    Args:
        name: name of the command, preceded by the group's if it is in one.
        settings: class of the function's settings, ``module:class``; empty if it takes none.
        engine: whether the function takes an engine too.
        json: whether the result can be printed as JSON.
        argument: further argument of the command line, which the function takes by name.
    """
    classes = [one for one in (settings, _ENGINE if engine else "") if one]

    def decorate(function: Callable[..., None]) -> SettingsCommand:
        found = SettingsCommand(name, function, classes, [argument] if argument else [])
        if json:
            found.params.append(click.Option(["--json"], **_JSON))
        return found

    return decorate


def _made(cls: "type[Settings]", values: Mapping[str, Any]) -> "Settings":
    """Return settings, exporting a Python network to a file, which runs the user's code."""
    own = {name: value for name, value in values.items() if name in cls.options()}
    if ":" in own.get("model", ""):
        from flow.models.qonnx import python_factory

        named = [name for name in python_factory.OPTIONS if name in cls.options()]
        network = {name: own.get(name, cls.default(name)) for name in named}
        with about("model"):
            own |= python_factory.filed(network, BUILD)
    return cls(**own)


def _engine(settings: Any) -> AbstractContextManager["Engine"]:
    """Return what does the work: this process if there is one job, or a cluster."""
    workers = settings.jobs or len(os.sched_getaffinity(0))
    if workers == 1 and not settings.scheduler:
        from flow.walks.engine.engine import SerialExecutor

        return nullcontext(SerialExecutor())
    from flow.walks.engine.dask import DaskExecutor

    return DaskExecutor(workers, settings.scheduler or "", announce=say)


def _option(
    name: str, help: str, metavar: str, words: Sequence[str], default: str | None, **_: Any
) -> click.Option:
    """Return the click option of a setting."""
    if metavar == "FLAG":
        both = default is None
        declared = f"{flag(name)}/--no-{flag(name)[2:]}" if both else flag(name)
        return click.Option([declared], is_flag=True, default=None if both else False, help=help)

    def complete(*given: Any) -> list[CompletionItem]:
        return [CompletionItem(word) for word in words if word.startswith(given[-1])]

    return click.Option(
        [flag(name)],
        metavar=metavar,
        type=click.Path() if metavar == "PATH" else click.STRING,
        shell_complete=complete if words else None,
        default=default,
        show_default=default is not None,
        help=help,
    )


def _to_stderr(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    console.stderr = wanted


_JSON: dict[str, Any] = {
    "is_flag": True,
    "expose_value": False,
    "callback": _to_stderr,
    "help": "Print the result as JSON, and everything else to stderr",
}
json_option = click.option("--json", **_JSON)


def bars() -> "ProgressBars":
    """Return the bars that show the progress of stages."""
    from flow.cli.printing.progress_bars import ProgressBars

    return ProgressBars(console)


def show(found: Any, printed: Callable[[Console, Any], None]) -> None:
    """Print a result, a mapping or a summary of a walk, as text, or as JSON if requested."""
    if console.stderr:
        plain = found if isinstance(found, Mapping) else found.model_dump(mode="json")
        click.echo(json.dumps(plain, default=str, ensure_ascii=False))
    else:
        printed(console, found)


def started_clock() -> StageClock:
    """Return a clock that counts from the start of the process."""
    # imported here because --help needs none of it
    import psutil

    return StageClock(time.time() - psutil.Process().create_time())


def command_line() -> str:
    """Return the command line that the user typed."""
    return shlex.join(["noisewalk", *sys.argv[1:]])


def say(text: str) -> None:
    """Print a line without markup."""
    console.print(text, highlight=False, soft_wrap=True)
