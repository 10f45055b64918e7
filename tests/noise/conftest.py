"""What tests of kinds of noise share."""

from pathlib import Path

import pytest

from tests.helpers.user_noise import UNIFORM


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working directory with the user's file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "uniform.py").write_text(UNIFORM)
    return tmp_path
