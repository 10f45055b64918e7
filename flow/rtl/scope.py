"""How much of the network a point in RTL simulates: all of it, or what noise can reach."""

from flow.errors import unknown

FULL, SITE = SCOPES = ("full", "site")
"""How much of the network an RTL point simulates: all, or what its noise can reach."""


def check(scope: str) -> None:
    """Raise a UserError if there is no such scope."""
    if scope not in SCOPES:
        raise unknown("scope", scope, SCOPES)
