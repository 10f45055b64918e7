"""The command line in a process of its own, for tests of what ends or disturbs it."""

import sys

_ENTRY = """
from flow.report import files
for function in (files.write_report, files.write_results):
    function.__kwdefaults__["pictures"] = False
from flow.cli.main import main
main()
"""
NOISEWALK = [sys.executable, "-c", _ENTRY]
"""The start of a command whose walks leave out their pictures, as those in this process do."""
