"""Speech Commands: features of sounds, from parquet as the hub converts it.

The shards here are made up: the real set is not on this machine.
"""

import io
import math
import wave
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flow import data, models
from flow.data import sources, speech
from flow.errors import UserError
from flow.training import checkpoint, trainer

SILENT = 35
"""The hub's label of silence in version 0.02."""


def wav(samples: np.ndarray, rate: int = speech.RATE) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def tone(hertz: float, samples: int = speech.RATE, loud: float = 8000) -> np.ndarray:
    return np.round(loud * np.sin(2 * np.pi * hertz * np.arange(samples) / speech.RATE))


def lay_out(folder: Path, split: str, rows: list[tuple[bytes, int, bool]]) -> Path:
    target = folder / "google/speech_commands/v0.02" / split
    target.mkdir(parents=True, exist_ok=True)
    audio = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    sounds = [{"bytes": sound, "path": None} for sound, _, _ in rows]
    table = pa.table(
        {
            "file": [""] * len(rows),
            "audio": pa.array(sounds, audio),
            "label": pa.array([label for _, label, _ in rows], pa.int64()),
            "is_unknown": pa.array([unknown for _, _, unknown in rows], pa.bool_()),
        }
    )
    path = target / "0000.parquet"
    pq.write_table(table, path)
    return path


def naive(clip: np.ndarray, frame: int) -> list[float]:
    """Coefficients of one window, term by term."""
    samples = clip / clip.max()
    window = [
        samples[320 * frame + n] * (0.5 - 0.5 * math.cos(2 * math.pi * n / 480)) for n in range(480)
    ]
    bins = np.abs([
        sum(x * np.exp(-2j * math.pi * k * n / 512) for n, x in enumerate(window))
        for k in range(257)
    ])  # fmt: skip

    def mel(hertz: float) -> float:
        return 1127 * math.log(1 + hertz / 700)

    step = (mel(4000) - mel(20)) / 41
    bands = []
    for band in range(40):
        middle, total = mel(20) + (band + 1) * step, 0.0
        for k in range(1, 257):
            total += bins[k] * max(0.0, 1 - abs(mel(k * 16000 / 512) - middle) / step)
        bands.append(math.log(total + 1e-6))
    return [
        sum(b * math.cos(math.pi * c * (2 * i + 1) / 80) for i, b in enumerate(bands)) * 2 / 80**0.5
        for c in range(10)
    ]


def test_features_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    clips = np.stack([tone(440), tone(1500) + tone(90), rng.integers(-3000, 3000, speech.RATE)])
    found = speech.cepstra(clips.astype(np.int16))
    assert found.shape == (3, 10, 49, 1) and found.dtype == np.float32
    for clip, features in zip(clips, found, strict=True):
        for frame in (0, 17, 48):
            assert features[:, frame, 0] == pytest.approx(naive(clip, frame), rel=1e-3, abs=1e-3)


def test_loudness_does_not_matter_and_silence_is_finite():
    quiet = np.random.default_rng(0).integers(-3000, 3000, (1, speech.RATE)).astype(np.int16)
    np.testing.assert_allclose(speech.cepstra(6 * quiet), speech.cepstra(quiet), atol=1e-4)
    assert np.isfinite(speech.cepstra(np.zeros((1, speech.RATE), np.int16))).all()


def test_labels_are_keywords_silence_and_unknown_words(tmp_path):
    rows = [
        (wav(tone(300)), 0, False),
        (wav(tone(400, 9000)), 9, False),
        (wav(tone(500)), 20, True),
        (wav(tone(600, 3 * speech.RATE + 50)), SILENT, False),
    ]
    lay_out(tmp_path, "train", rows)
    found = data.load("speech-commands", "train", data_dir=tmp_path)
    assert found.labels.tolist() == [0, 9, 11, 10, 10, 10]
    assert found.images.shape == (6, 10, 49, 1)
    short = np.pad(tone(400, 9000), (0, 7000)).astype(np.int16)
    np.testing.assert_array_equal(found.images[1], speech.cepstra(short[None])[0])
    inputs = data.to_input(found.images, (10, 49, 1))
    np.testing.assert_array_equal(inputs[:, 0], found.images[..., 0])


def test_a_network_learns_from_them(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    rng = np.random.default_rng(1)
    for split, count in (("train", 60), ("test", 24)):
        rows = []
        for number in range(count):
            label = number % 12
            sound = tone(150 * 1.25**label * rng.uniform(0.98, 1.02)) + rng.normal(
                0, 300, speech.RATE
            )
            rows.append((wav(sound), SILENT if label == 10 else label, label == 11))
        lay_out(tmp_path, split, rows)
    path = trainer.train(
        "float-cnn-s-bn",
        "speech-commands",
        recipe="paper",
        epochs=12,
        batch=12,
        out=tmp_path / "n.safetensors",
    )
    network, metadata = checkpoint.load(path)
    assert network.classes == 12 and metadata.n == 24 and metadata.recipe == "paper"
    assert metadata.accuracy > 0.5
    test = data.load("speech-commands")
    inputs = data.to_input(test.images, network.image_shape)
    assert (models.evaluate(network, inputs) == test.labels).mean() == metadata.accuracy


def test_other_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "on_hub", lambda hub_set, split: None)
    with pytest.raises(UserError, match=r"speech_commands/v0.02/test/\*.parquet"):
        data.load("speech-commands", data_dir=tmp_path)
    for sound in (b"no sound", wav(tone(300), rate=8000)):
        lay_out(tmp_path, "test", [(sound, 0, False)])
        with pytest.raises(UserError, match=r"cannot read .*0000.parquet.*must hold WAV clips"):
            data.load("speech-commands", data_dir=tmp_path)
    path = lay_out(tmp_path, "test", [(wav(tone(300)), 0, False)])
    pq.write_table(pq.read_table(path).drop(["is_unknown"]), path)
    with pytest.raises(UserError, match="it lacks is_unknown"):
        data.load("speech-commands", data_dir=tmp_path)


def test_the_hub_s_own_conversion_is_in_a_branch(tmp_path, monkeypatch):
    asked: dict = {}

    def download(repo, **keywords):
        asked.update(keywords, repo=repo)
        return tmp_path / "google/speech_commands"

    lay_out(tmp_path, "test", [(wav(tone(300)), 3, False)])
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.delenv("DATA_DIR", raising=False)
    assert data.load("speech-commands").labels.tolist() == [3]
    assert (asked["repo"], asked["revision"]) == ("google/speech_commands", "refs/convert/parquet")
    assert asked["allow_patterns"] == "v0.02/test/*.parquet"
