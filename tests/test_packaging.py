"""What is built for others: a wheel and a source archive that work without the checkout."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from flow.paths import REPOSITORY


def build(source: Path, out: Path, *targets: str) -> list[Path]:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    for target in targets:
        command += ["-t", target]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return sorted(out.iterdir())


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> tuple[Path, Path]:
    """The wheel and the source archive."""
    wheel, source = build(REPOSITORY, tmp_path_factory.mktemp("dist"), "wheel", "sdist")
    return wheel, source


@pytest.mark.slow
def test_the_version_is_gits(archives):
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    version = archives[0].name.split("-")[1]
    assert "+g" in version and commit.startswith(version.partition("+g")[2].partition(".")[0])


@pytest.mark.slow
def test_the_source_archive_builds_the_same_wheel(archives, tmp_path):
    wheel, source = archives
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (unpacked,) = (tmp_path / "source").iterdir()
    (again,) = build(unpacked, tmp_path / "dist", "wheel")
    assert again.name == wheel.name
    assert sorted(zipfile.ZipFile(again).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_walks_without_the_checkout(archives, results_folder, tmp_path):
    """In a folder with compiled hardware alone, which counts only for the very same sources."""
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    results_folder(empty / "build")
    zipfile.ZipFile(archives[0]).extractall(installed)
    command = [
        *(sys.executable, "-c", "from flow.cli.main import main; main()", "walk-hw"),
        *("--model", "tfc-w2a2", "--dataset", "digits", "--sites", "fc3.acc", "--levels", "2"),
        *("--images", "100", "--draws", "1", "--hw-images", "4", "--budget", "0", "--jobs", "1"),
    ]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    found = subprocess.run(
        command, cwd=empty, env=environment, capture_output=True, text=True, timeout=500
    )
    assert found.returncode == 0, found.stderr
    assert "RTL = golden" in found.stdout and "bit_mismatches: 0" in found.stdout
    assert list((empty / "build").rglob("report.html"))
    where = "import flow.paths as paths; print(paths.HW)"
    located = subprocess.run(
        [sys.executable, "-c", where], cwd=empty, env=environment, capture_output=True, text=True
    )
    assert located.stdout.strip() == str(installed / "flow" / "hw")
