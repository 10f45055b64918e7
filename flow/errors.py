"""Errors: of the user, told in one message, and of this program."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """What is wrong, where, and what to do; the command line prints it alone and exits with 2."""


class Fatal(UserError):
    """A mistake that any further work would meet as well, such as a full disk."""


class Defect(RuntimeError):
    """A fault of this program, whatever the user asked for; it keeps its traceback."""


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """Build the error for a name that is not among the known ones, naming the nearest.

    Args:
        what: the kind of thing named, e.g. ``"model"``.
        name: what the user wrote.
        known: every accepted name.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return UserError(f"unknown {what} '{name}': {hint}")
