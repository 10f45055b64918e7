"""Which version of this project made a result."""

import subprocess
from importlib.metadata import version
from pathlib import Path

from flow.paths import REPOSITORY


def revision(project: Path = REPOSITORY) -> str:
    """Return the commit of a checkout, or the package's version where there is none.

    Args:
        project: the folder that would be the checkout's; one above it is another project's.

    Returns:
        40 hex digits, with ``-dirty`` behind them where files differ from it; else the version of
        the package, which names the commit it was built from, as ``0.1.dev406+g9ed4d5e48``.
    """
    if (project / ".git").exists():
        command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
        try:
            found = subprocess.run(
                command, cwd=project, capture_output=True, text=True, check=True, timeout=10
            )
            return found.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass  # no git, or a checkout of another user: fall back to the version
    return version("noisewalk")
