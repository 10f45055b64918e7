"""Google's Speech Commands (Warden, arXiv 1804.03209) as features of one-second clips.

Classes are the ten keywords in the hub's order (yes, no, up, down, left, right, on, off, stop, go),
silence (10) and all other words (11). Features are those of MLPerf Tiny's keyword spotting, which
the paper uses: 10 mel-frequency cepstral coefficients of 49 windows of 30 ms, 20 ms apart. Without
random background noise in training clips, unlike there.
"""

import io
import wave
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.fft import dct

from flow.data.parquet import Labels
from flow.errors import UserError

KEYWORDS = 10
SILENCE, UNKNOWN = KEYWORDS, KEYWORDS + 1
RATE = 16_000
"""Samples per second, and of a clip."""
WINDOW, STRIDE = 480, 320
"""Samples of a window, and between the beginnings of two."""
FRAMES = 1 + (RATE - WINDOW) // STRIDE
COEFFICIENTS = 10
_FFT = 512
_BANDS, _LOW, _HIGH = 40, 20.0, 4000.0
"""Mel bands, and their lowest and highest frequency in Hz."""
_COLUMNS = ["audio", "label", "is_unknown"]
_ROWS = 1000
"""Clips that are decoded at a time."""

Features = npt.NDArray[np.float32]
"""[N, coefficients, frames, 1]."""


def read(paths: Sequence[Path]) -> tuple[Features, Labels]:
    """Read the shards of a split, in the given order.

    A recording of silence that is longer than a second gives one clip for each full second.

    Returns:
        Features, float32 [N, 10, 49, 1], and labels, int64 [N], 0 to 11.

    Raises:
        UserError: a file cannot be read, has another schema, or a row is not 16-bit mono WAV of
            16 kHz.
    """
    features: list[Features] = []
    labels: list[int] = []
    for path in paths:
        try:
            file = pq.ParquetFile(path)
            columns = file.schema_arrow.names
            if missing := set(_COLUMNS) - set(columns):
                lacking = ", ".join(sorted(missing))
                raise UserError(f"{path} has columns {', '.join(columns)}: it lacks {lacking}")
            for batch in file.iter_batches(_ROWS, columns=_COLUMNS):
                clips = []
                for row in batch.to_pylist():
                    own, label = _clips(row)
                    clips += own
                    labels += [label] * len(own)
                if clips:
                    features.append(cepstra(np.stack(clips)))
        except (pa.ArrowException, OSError, wave.Error, EOFError, TypeError, KeyError) as error:
            raise UserError(
                f"cannot read {path}: {error}; it must hold WAV clips, as the hub's "
                "google/speech_commands does"
            ) from error
    if not features:
        raise UserError(f"{paths[0]} and the files beside it hold no clip: fetch them again")
    return np.concatenate(features), np.array(labels, np.int64)


def _clips(row: dict) -> tuple[list[npt.NDArray[np.int16]], int]:
    """Return a row's clips of one second and their label."""
    with wave.open(io.BytesIO(row["audio"]["bytes"])) as file:
        form = file.getnchannels(), file.getsampwidth(), file.getframerate()
        if form != (1, 2, RATE):
            raise wave.Error(
                "a clip has {} channels of {} bytes at {} Hz, not 1 of 2 at 16,000".format(*form)
            )
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    silent = not row["is_unknown"] and row["label"] >= KEYWORDS
    label = UNKNOWN if row["is_unknown"] else SILENCE if silent else row["label"]
    seconds = max(1, len(samples) // RATE) if silent else 1
    whole = samples[: seconds * RATE]
    padded = np.pad(whole, (0, seconds * RATE - len(whole)))
    return list(padded.reshape(seconds, RATE)), label


def cepstra(clips: npt.NDArray[np.int16]) -> Features:
    """Compute mel-frequency cepstral coefficients.

    A clip is divided by its largest sample. Magnitudes of a Fourier transform under a Hann window
    are summed in 40 triangular mel bands from 20 to 4,000 Hz. The orthogonal cosine transform of
    their logarithms, plus 1e-6, gives the coefficients; the first is √2 larger than orthogonal, as
    in TensorFlow's ``mfccs_from_log_mel_spectrograms``.

    Args:
        clips: int16 [N, 16000].

    Returns:
        float32 [N, 10, 49, 1].
    """
    peaks = np.maximum(clips.max(axis=1, keepdims=True), 1)
    scaled = clips.astype(np.float32) / peaks.astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(scaled, WINDOW, axis=1)[:, ::STRIDE]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    magnitudes = np.abs(np.fft.rfft(windows * hann.astype(np.float32), _FFT))
    bands = np.log(magnitudes @ _mel_bands() + 1e-6)
    found = dct(bands, type=2, axis=-1)[..., :COEFFICIENTS] / np.sqrt(2 * _BANDS)
    return found.transpose(0, 2, 1)[..., np.newaxis].astype(np.float32)


@cache
def _mel_bands() -> npt.NDArray[np.float64]:
    """Return the share of each frequency in each band, [257, 40]: triangles in mel."""
    frequencies = np.arange(_FFT // 2 + 1) * RATE / _FFT
    edges = np.linspace(_mel(_LOW), _mel(_HIGH), _BANDS + 2)
    mel = _mel(frequencies)[:, np.newaxis]
    rising = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    shares = np.maximum(0, np.minimum(rising, falling))
    shares[0] = 0  # a constant is no sound
    return shares


def _mel(frequency: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    return 1127 * np.log1p(np.asarray(frequency) / 700)
