"""Scopes of an RTL simulation: the whole network, or only what noise can reach."""

from flow.errors import unknown

FULL, SITE = SCOPES = ("full", "site")
"""Scope of an RTL point: the whole network, or only what its noise can reach."""


def check(scope: str) -> None:
    """Raise a UserError if there is no such scope."""
    if scope not in SCOPES:
        raise unknown("scope", scope, SCOPES)
