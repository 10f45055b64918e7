"""Files that are written whole or not at all."""

import gc
import sys
import zipfile

import numpy as np
import pytest

from flow.files import save_arrays


def test_arrays_are_read_back(tmp_path):
    save_arrays(tmp_path / "new" / "x.npz", a=np.arange(5), b=np.array("b"))
    with np.load(tmp_path / "new" / "x.npz", allow_pickle=False) as found:
        assert found["a"].tolist() == [0, 1, 2, 3, 4] and found["b"] == "b"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.npz"]


def test_an_interrupted_archive_leaves_no_file_and_no_complaint(tmp_path, monkeypatch):
    opened = zipfile.ZipFile.__init__

    def interrupted(archive, *arguments, **options):
        opened(archive, *arguments, **options)
        raise KeyboardInterrupt

    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    monkeypatch.setattr(zipfile.ZipFile, "__init__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_arrays(tmp_path / "x.npz", a=np.arange(5))
    gc.collect()
    assert not complaints and not list(tmp_path.iterdir())
