"""The docs: they build, their commands are commands, and the tutorial and the notebook run."""

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import nbformat
import pytest
from click.testing import CliRunner
from nbclient import NotebookClient

from flow.cli import main
from flow.errors import UserError
from sim.runner import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
_TOOL = ".venv/bin/noisewalk"


def commands(page: Path) -> list[str]:
    """Return the command lines of a page: indented ones, and those in backquotes."""
    text = page.read_text()
    blocks = re.findall(r"^    (.+)$", text, re.MULTILINE)
    quoted = re.findall(r"`((?:make|noisewalk) [^`]+)`", text)
    found = [" ".join(line.partition("#")[0].partition("//")[0].split()) for line in blocks]
    found += [" ".join(line.split()) for line in quoted]
    return [line for line in found if line.startswith(("make ", "noisewalk "))]


def as_tool(command: str) -> list[list[str]]:
    """Return the arguments of what a command calls; a target of make may call several or none."""
    words = shlex.split(command)
    if words[0] == "noisewalk":
        return [words[1:]]
    known = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert words[1] in known, f"no such target: {command}"
    said = subprocess.run(
        ["make", "-n", *words[1:]], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    lines = said.stdout.replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.strip().startswith(_TOOL)]


def parse(arguments: list[str]) -> None:
    """Let the command line read arguments, and go no further."""
    command: click.Command = main.cli
    while isinstance(command, click.Group):
        name, arguments = arguments[0], arguments[1:]
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"no such command: {name}"
        command = found
    # a command that is only named has no options
    if arguments and "--help" not in arguments:
        command.make_context(command.name, list(arguments))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one(page):
    for command in commands(page):
        # a place that the reader fills in
        if "…" in command or "..." in command:
            continue
        for arguments in as_tool(command):
            try:
                parse(arguments)
            except (click.ClickException, UserError) as error:
                pytest.fail(f"{page.name}: {command}: {error}")


def test_commands_are_found():
    assert sum(len(commands(page)) for page in PAGES) > 30
    with pytest.raises(UserError, match="did you mean --model"):
        parse(["walk-hw", "--modle", "tfc"])


@pytest.mark.slow
def test_the_pages_build(tmp_path):
    """In strict mode a link or a name that is not there is an error."""
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", tmp_path / "site"],
        cwd=REPOSITORY,
        check=True,
    )
    assert "walk_hw" in (tmp_path / "site" / "reference" / "api" / "index.html").read_text()


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, results_folder, monkeypatch):
    results_folder(tmp_path / "build")
    page = REPOSITORY / "docs" / "tutorials" / "first-report.md"
    monkeypatch.chdir(tmp_path)
    # one core, one process
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    ran = 0
    for command in commands(page):
        if "MODEL=cnv" in command:
            continue
        for arguments in as_tool(command):
            ended = CliRunner().invoke(main.cli, arguments, catch_exceptions=False)
            assert ended.exit_code == 0, f"{command}\n{ended.output}"
            ran += 1
    assert ran >= 4
    report = tmp_path / "build" / "walk-hw" / "tfc-w2a2-digits" / "report.html"
    assert "golden" in report.read_text()


@pytest.mark.slow
def test_the_page_s_own_noise_kind_walks_and_trains(tmp_path, monkeypatch):
    page = REPOSITORY / "docs" / "how-to" / "noise-kind.md"
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"`uniform.py`:\n\n((?:(?:    .*)?\n)+)", page.read_text())
    (tmp_path / "uniform.py").write_text(textwrap.dedent(block))
    few = ["--levels", "2", "--images", "100", "--seeds", "1"]
    shorter = {"walk": few, "train": ["--epochs", "1"]}
    ran = [line.split()[1:] for line in commands(page) if "uniform.py:Uniform" in line]
    ran = [arguments for arguments in ran if "--model" in arguments]
    assert [arguments[0] for arguments in ran] == ["walk", "train", "walk"]
    for arguments in ran:
        ended = CliRunner().invoke(
            main.cli, arguments + shorter[arguments[0]], catch_exceptions=False
        )
        assert ended.exit_code == 0, ended.output


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, results_folder, monkeypatch):
    results_folder(tmp_path / "build")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    notebook = nbformat.read(REPOSITORY / "docs" / "tutorials" / "digits.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    said = "".join(
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream"
    )
    assert "0 of" in said and "differ from golden" in said and "report.html" in said
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2
