"""The docs: pages build, links lead somewhere, commands exist, and the tutorials run."""

import os
import re
import runpy
import shlex
import subprocess
import sys
import textwrap
import tomllib
from importlib.util import find_spec
from pathlib import Path

import click
import nbformat
import pytest
import torch
import yaml
from click.testing import CliRunner
from markdown.extensions.toc import slugify, unique
from nbclient import NotebookClient

from flow.cli import main
from flow.cli.options import OPTIONS
from flow.errors import UserError
from sim.runner import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
_TOOL = ".venv/bin/noisewalk"
IDIOMS = {
    r"\bb(ears|orne|ear|ore) out\b": "confirms",
    r"\bunasked\b": "always, or by default",
    r"\bdear\b": "expensive",
    r"\b(is|are|be) had\b|\bhad from\b": "exists, or comes from",
    r"\bgo(es)? on where\b": "resumes",
    r"\banew\b": "again",
    r"\blikewise\b": "as well",
    r"\b(clocks|cycles|draws|images|ms) an? (core|cycle|image|point|second|site)\b": "per",
    r"\ba (point|second|side|site|walk) each\b": "per",
    r"\bis said of\b|\bsays of\b": "states",
    r"\bin the very\b|\bthe very same\b": "the same",
    r"\btold apart\b": "distinguished",
    r"\bat hand\b": "available",
    r"\bbears\b": "tolerates",
    r"\bheld against\b": "compared with",
    r"\b(say|tell)s? nothing of\b": "does not show, or does not depend on",
}
"""Phrases that docs, help texts, messages and docstrings avoid, each with what to write."""


def name_of(page: Path) -> str:
    """Return a page's path from the repository's root, which names its test."""
    return page.relative_to(REPOSITORY).as_posix()


def prose(page: Path) -> str:
    """Return the text of a page without its fenced blocks of code."""
    return re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the site's table of contents names them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        unique(slugify(text, "-"), found)
    return found


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


@pytest.mark.parametrize("page", PAGES, ids=name_of)
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


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{name_of(page)}: {link}"
        if anchor:
            assert anchor in anchors(found), f"{name_of(page)}: {link}"


def is_defined(name: str) -> bool:
    """Whether a dotted name is a module, or occurs in the module that its first parts name."""
    module, last = name, ""
    while module:
        try:
            spec = find_spec(module)
        except ModuleNotFoundError:
            spec = None
        if spec is not None and spec.origin is not None:
            return re.search(rf"\b{last}\b", Path(spec.origin).read_text()) is not None
        module, _, last = module.rpartition(".")
    return False


def test_paragraphs_of_lists_stand_alone():
    """Otherwise Python-Markdown ends the list, or joins its next item to the paragraph."""
    shallow = re.compile(r"^\n {1,3}\S", re.MULTILINE)
    joined = re.compile(r"^\n {4}\S.*(?:\n {4}.*)*\n(?:\d+\.|-) ", re.MULTILINE)
    assert not [name_of(page) for page in PAGES if shallow.search(prose(page))]
    assert not [name_of(page) for page in PAGES if joined.search(prose(page))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_and_module_that_a_page_names_exists(page):
    quoted = re.findall(r"`([^`\n]+)`", prose(page))
    for path in quoted:
        if re.fullmatch(r"(docs|flow|hw|sim|studies|tests)/[\w./-]*", path):
            assert (REPOSITORY / path).exists(), f"{name_of(page)}: {path}"
    for name in re.findall(r"\b((?:flow|sim)\.[a-z_.]+[a-z_])", " ".join(quoted)):
        assert is_defined(name), f"{name_of(page)}: {name}"


def test_every_page_that_code_names_exists():
    said = subprocess.run(
        ["git", "grep", "-ohE", r"docs/[a-z/-]+\.[a-z]+", "--", "flow", "hw", "sim", "studies",
         "Makefile", "*.toml", "tests/*.py"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    named = set(said.stdout.split())
    assert len(named) > 5
    assert [path for path in sorted(named) if not (REPOSITORY / path).exists()] == []


def test_every_page_is_in_the_navigation():
    nav = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]

    def pages(entry) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        below = entry.values() if isinstance(entry, dict) else entry
        return [page for one in below for page in pages(one)]

    named = pages(nav)
    assert len(named) == len(set(named))
    assert set(named) == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_the_packages_are_those_of_the_contract():
    contract = PROJECT["tool"]["importlinter"]["contracts"][0]
    *layers, small_tools = (re.findall(r"[\w.]+", layer) for layer in contract["layers"])
    packages = [name for layer in layers for name in layer]
    drawing = (DOCS / "images" / "packages.svg").read_text()
    assert re.findall(r">((?:flow\.)?[a-z]+)</text>", drawing) == packages
    table = (DOCS / "explanation" / "architecture.md").read_text()
    for name in [*packages, *small_tools]:
        assert re.search(rf"^\| .*`{name}`.* \|", table, re.MULTILINE), name


def test_the_citation_has_the_licence_of_the_package():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["license"] == PROJECT["project"]["license"]


@pytest.mark.parametrize("page", [*PAGES, OPTIONS], ids=name_of)
def test_the_english_is_plain(page):
    for idiom, better in IDIOMS.items():
        found = re.search(idiom, prose(page), re.IGNORECASE)
        assert not found, f"{name_of(page)}: {found[0]}: write {better}"


def test_the_english_of_the_code_is_plain():
    sources = [*(REPOSITORY / "flow").rglob("*.py"), *(REPOSITORY / "sim").rglob("*.py")]
    texts = {name_of(source): source.read_text() for source in sources}
    for idiom, better in IDIOMS.items():
        phrase = re.compile(idiom, re.IGNORECASE)
        found = [(name, hit[0]) for name, text in texts.items() if (hit := phrase.search(text))]
        assert not found, f"{found}: write {better}"


def test_names_that_are_not_there_are_noticed():
    assert is_defined("flow.walks.points.side.Side") and is_defined("sim.runner.run_sim")
    assert not is_defined("flow.walks.points.side.Face") and not is_defined("flow.wakls")


def test_every_idiom_is_found():
    said = (
        "borne out, unasked, dear, is had, goes on where, anew, likewise, cycles an image, "
        "a side each, is said of, the very same, told apart, at hand, bears, held against, "
        "says nothing of"
    )
    assert all(re.search(idiom, said) for idiom in IDIOMS)


@pytest.mark.slow
def test_the_pages_build(tmp_path):
    """In strict mode a warning is an error; with --quiet, mkdocs would not count it."""
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", tmp_path / "site"],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0 and "WARNING" not in built.stderr, built.stderr
    assert "walk_hw" in (tmp_path / "site" / "reference" / "api.html").read_text()


@pytest.mark.pictures
@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, results_folder, monkeypatch):
    results_folder(tmp_path / "build")
    page = DOCS / "tutorials" / "first-report.md"
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


@pytest.mark.pictures
@pytest.mark.slow
def test_the_tutorial_of_your_own_network_runs(tmp_path, results_folder, monkeypatch):
    results_folder(tmp_path / "build")
    page = DOCS / "tutorials" / "own-network.md"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    files = re.findall(r'```python title="(.+?)"\n(.*?)```', page.read_text(), re.DOTALL)
    assert [name for name, _ in files] == ["nets.py", "train.py"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    # here and not in another process, which would import torch for seconds
    monkeypatch.syspath_prepend(tmp_path)
    with torch.random.fork_rng():
        runpy.run_path("train.py", run_name="__main__")
    del sys.modules["nets"]
    typed = [shlex.split(line)[1:] for line in commands(page) if "nets.py" in line]
    assert [arguments[0] for arguments in typed] == ["check", "walk-hw"]
    fewer = {"check": [], "walk-hw": ["--levels", "2,8", "--hw-images", "4", "--budget", "0"]}
    for arguments in typed:
        ended = CliRunner().invoke(
            main.cli, arguments + fewer[arguments[0]], catch_exceptions=False
        )
        assert ended.exit_code == 0, ended.output
    assert (tmp_path / "build" / "walk-hw" / "nets-mynet-myset" / "report.html").exists()


@pytest.mark.slow
def test_the_page_s_own_noise_kind_walks_and_trains(tmp_path, monkeypatch):
    page = DOCS / "how-to" / "noise-kind.md"
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
    notebook = nbformat.read(DOCS / "tutorials" / "digits.ipynb", as_version=4)
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
