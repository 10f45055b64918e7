"""Errors of the user, which give one message, and errors of this program."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager


class UserError(Exception):
    """What is wrong, where, and what to do; the command line prints only this and exits with 2."""


class Fatal(UserError):
    """An error that would stop any further work as well, such as a full disk."""


class Defect(RuntimeError):
    """An error of this program, not of the user; it keeps its traceback."""


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """Build the error for a name that is not among the known ones, naming the nearest.

    Args:
        what: the kind of thing named, e.g. ``"model"``.
        name: what the user wrote.
        known: every accepted name.
    """
    names = sorted(known)
    near = nearest(name, names)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return UserError(f"unknown {what} '{name}': {hint}")


Spelling = Callable[[str], str]
"""Turns an option's name in Python, ``hw_images``, into the user's spelling."""


class OptionError(UserError):
    """An error in options, which the message names as the user wrote them.

    Args:
        options: name of the option, or of several that are wrong together, as in Python.
        said: what is wrong, with the options as its subject; or ``: `` and a sentence.
        meant: options that the user may have meant.
    """

    def __init__(self, options: str | Sequence[str], said: str, meant: Sequence[str] = ()) -> None:
        super().__init__(options, said, meant)
        self.options = (options,) if isinstance(options, str) else tuple(options)
        self.said = said
        self.meant = tuple(meant)

    def written(self, spell: Spelling) -> str:
        """Return the message with the options' names in a spelling."""
        subject = " and ".join(map(spell, self.options))
        hint = f": did you mean {' or '.join(map(spell, self.meant))}?" if self.meant else ""
        return f"{subject}{'' if self.said.startswith(':') else ' '}{self.said}{hint}"

    def __str__(self) -> str:
        """Return the message with the options' names in Python."""
        return self.written(str)


@contextmanager
def about(*options: str) -> Iterator[None]:
    """Prefix a user error with options, for code that does not know the options."""
    try:
        yield
    except (OptionError, Fatal):
        raise
    except UserError as error:
        raise OptionError(options, f": {error}") from error


@contextmanager
def within(place: str) -> Iterator[None]:
    """Prefix a user error with a place, such as a site."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}: {error}") from error


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the known names that resemble a name, the nearest first."""
    return difflib.get_close_matches(name, sorted(known), n=count, cutoff=0.4)
