"""Every place a set may come from gives the same images in the same order."""

import gzip
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from flow import data
from flow.data import parquet, sources
from flow.data.sets import interleave
from flow.errors import UserError

SHIPPED_SHA256 = "a9a3fef60943d6c23d218c668ff2a8e2537003dbf7a653b962a95bcf38a209bb"
DIGITS_SHA256 = "84539241878a2cdf33ec31bdea4d81fb02855e4ffe4ca2417652d476c94140c3"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No set is anywhere but in the package."""
    monkeypatch.delenv("DATA_DIR", raising=False)
    monkeypatch.setattr(sources, "IDX_FOLDERS", ())
    monkeypatch.setattr(sources, "on_hub", lambda hub_set, split: None)


def some_images(
    count: int, shape: tuple[int, int, int], seed: int = 0
) -> tuple[parquet.Images, parquet.Labels]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8), rng.integers(0, 10, count)


def lay_out(folder: Path, name: str, split: str, count: int, shards: int = 1) -> data.ImageSet:
    """Write a made-up split in the hub's layout, and return it in file order."""
    item = data.dataset(name)
    assert item.hub is not None
    images, labels = some_images(count, item.image_shape)
    target = folder / item.hub.repo / item.hub.config
    target.mkdir(parents=True, exist_ok=True)
    for shard, rows in enumerate(np.array_split(np.arange(count), shards)):
        path = target / f"{split}-{shard:05d}-of-{shards:05d}.parquet"
        parquet.write(path, images[rows], labels[rows])
    return data.ImageSet(name, split, images, labels, "")


def test_shipped_images_are_balanced_and_those_we_know() -> None:
    shipped = data.load("fashion-mnist", "test", limit=2000)
    assert shipped.images.shape == (2000, 28, 28, 1) and shipped.images.dtype == np.uint8
    np.testing.assert_array_equal(shipped.labels, np.arange(2000) % 10)
    assert hashlib.sha256(shipped.images.tobytes()).hexdigest() == SHIPPED_SHA256


def test_shipped_file_is_small_and_credited() -> None:
    assert sources.BUNDLED.stat().st_size < 1.2e6
    assert "Zalando" in (sources.BUNDLED.parent / "ATTRIBUTION").read_text()


@pytest.mark.skipif(
    not any((folder / "t10k-images-idx3-ubyte.gz").exists() for folder in sources.IDX_FOLDERS),
    reason="the full Fashion-MNIST is not on this machine (make data)",
)
def test_shipped_images_begin_the_full_set(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = data.load("fashion-mnist", limit=2000)
    monkeypatch.undo()
    full = data.load("fashion-mnist")
    assert len(full) == 10_000
    np.testing.assert_array_equal(full.images[:2000], shipped.images)


def test_a_prefix_is_the_beginning_of_the_whole(tmp_path: Path) -> None:
    lay_out(tmp_path, "mnist", "test", 200)
    whole = data.load("mnist", data_dir=tmp_path)
    prefix = data.load("mnist", limit=37, data_dir=tmp_path)
    np.testing.assert_array_equal(prefix.images, whole.images[:37])
    np.testing.assert_array_equal(prefix.labels, np.arange(37) % 10)


def test_interleaving_appends_what_is_left_in_file_order() -> None:
    labels = np.array([1, 1, 0, 0, 1, 2, 2, 1, 0])
    assert interleave(labels, 3).tolist() == [2, 0, 5, 3, 1, 6, 4, 7, 8]


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist", "cifar10", "svhn"])
def test_data_dir_with_shards(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lay_out(tmp_path, name, "train", 25, shards=3)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    found = data.load(name, "train")
    np.testing.assert_array_equal(found.images, made.images)
    np.testing.assert_array_equal(found.labels, made.labels)
    assert str(tmp_path) in found.source


def test_the_other_column_name_serves_too(tmp_path: Path) -> None:
    lay_out(tmp_path, "cifar10", "train", 5)
    path = next(tmp_path.rglob("*.parquet"))
    table = pq.read_table(path)
    pq.write_table(table.rename_columns(["img", "label"]), path)
    assert len(data.load("cifar10", "train", data_dir=tmp_path)) == 5


def test_idx_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = some_images(30, (28, 28, 1))
    header = b"\0\0\x08\x03" + np.array([30, 28, 28], ">i4").tobytes()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
    header = b"\0\0\x08\x01" + np.array([30], ">i4").tobytes()
    label_file = tmp_path / "train-labels-idx1-ubyte.gz"
    whole = gzip.compress(header + labels.astype(np.uint8).tobytes())
    label_file.write_bytes(whole)
    monkeypatch.setattr(sources, "IDX_FOLDERS", (tmp_path / "absent", tmp_path))
    found = data.load("fashion-mnist", "train")
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, labels)
    label_file.write_bytes(whole[:20])
    with pytest.raises(UserError, match=r"cannot read .*train-labels"):
        data.load("fashion-mnist", "train")


PLACES = ["in_folder", "on_machine", "in_package", "on_hub"]


@pytest.mark.parametrize(
    ("name", "limit", "order"),
    [
        ("fashion-mnist", 5, PLACES),
        ("fashion-mnist", None, ["in_folder", "on_machine", "on_hub"]),
        ("mnist", 5, ["in_folder", "on_hub"]),
    ],
)
def test_places_are_asked_in_order_until_one_serves(
    name: str, limit: int | None, order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(place: str) -> sources.Found | None:
        asked.append(place)
        return (*some_images(20, (28, 28, 1)), place) if place == serving else None

    for place in PLACES:
        monkeypatch.setattr(sources, place, lambda *args, place=place: ask(place))
    for number, serving in enumerate(order, 1):
        asked: list[str] = []
        assert data.load(name, "test", limit, data_dir="anywhere").source == serving
        assert asked == order[:number]


def test_a_data_dir_without_the_set_is_passed_over(tmp_path: Path) -> None:
    lay_out(tmp_path, "mnist", "test", 20)
    lay_out(tmp_path, "fashion-mnist", "train", 20)
    assert data.load("fashion-mnist", limit=5, data_dir=tmp_path).source == "the package"


def test_data_dir_comes_before_the_package(tmp_path: Path) -> None:
    lay_out(tmp_path, "fashion-mnist", "test", 40)
    assert data.load("fashion-mnist", limit=5, data_dir=tmp_path).source != "the package"
    assert data.load("fashion-mnist", limit=5).source == "the package"


def test_digits_are_split_once_and_for_all() -> None:
    train, test = data.load("digits", "train"), data.load("digits", "test")
    assert (len(train), len(test)) == (1297, 500)
    assert train.images.shape[1:] == (8, 8, 1)
    assert (train.images.min(), train.images.max()) == (0, 255)
    np.testing.assert_array_equal(test.labels[:100], np.arange(100) % 10)
    assert hashlib.sha256(test.images.tobytes()).hexdigest() == DIGITS_SHA256


def test_network_inputs_are_scaled_and_channels_first() -> None:
    images = np.zeros((2, 4, 5, 3), np.uint8)
    images[1, 2, 3, 1] = 255
    inputs = data.to_input(images)
    assert inputs.shape == (2, 3, 4, 5) and inputs.dtype == torch.float32
    assert inputs[1, 1, 2, 3] == 1 and inputs.sum() == -(2 * 3 * 4 * 5) + 2


def test_smaller_images_are_centred_and_one_channel_is_repeated() -> None:
    images = np.full((2, 28, 28, 1), 255, np.uint8)
    inputs = data.to_input(images, (32, 32, 3))
    assert inputs.shape == (2, 3, 32, 32)
    assert (inputs[:, :, 2:30, 2:30] == 1).all()
    assert inputs.sum() == 6 * (28 * 28 - (32 * 32 - 28 * 28))


@pytest.mark.parametrize("shape", [(27, 28, 1), (28, 27, 1), (28, 28, 1)])
def test_images_that_do_not_fit_a_network(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match=r"images of 28×28×3 .* do not fit a network"):
        data.to_input(np.zeros((1, 28, 28, 3), np.uint8), shape)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_not_found_names_the_ways(name: str) -> None:
    with pytest.raises(UserError) as error:
        data.load(name, "train")
    for way in ("DATA_DIR", "hub", "fashion-mnist"):
        assert way in str(error.value)


@pytest.mark.parametrize("limit", [None, 2001])
def test_more_than_ship_are_not_made_up(limit: int | None) -> None:
    with pytest.raises(UserError, match="at most the 2000 test images"):
        data.load("fashion-mnist", "test", limit)


@pytest.mark.parametrize("limit", [0, -1])
def test_no_images_is_an_error(limit: int) -> None:
    with pytest.raises(UserError, match="give 1 or more"):
        data.load("fashion-mnist", limit=limit)


def test_unknown_names() -> None:
    with pytest.raises(UserError, match=r"unknown dataset 'fashon-mnist'.*fashion-mnist"):
        data.load("fashon-mnist")
    with pytest.raises(UserError, match=r"unknown split 'tset'.*test"):
        data.load("digits", "tset")


def test_data_dir_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent does not exist"):
        data.load("mnist", data_dir=tmp_path / "absent")


@pytest.mark.parametrize(
    "fault",
    [
        *("truncated", "not-parquet", "columns", "column-bytes", "not-an-image", "png-chunk"),
        "shape",
    ],
)
def test_a_bad_file_is_named(fault: str, tmp_path: Path) -> None:
    lay_out(tmp_path, "mnist", "test", 20)
    path = next(tmp_path.rglob("*.parquet"))
    images, labels = some_images(20, (8, 8, 1))
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif fault == "not-parquet":
        path.write_bytes(b"hello")
    elif fault == "columns":
        pq.write_table(pa.table({"picture": [b""], "label": [1]}), path)
    elif fault == "column-bytes":
        path.write_bytes(path.read_bytes().replace(b"image", b"ima\x87e"))
    elif fault == "png-chunk":
        path.write_bytes(re.sub(rb".IDAT", b"\x01IDAT", path.read_bytes(), flags=re.DOTALL))
    elif fault == "not-an-image":
        pq.write_table(pa.table({"image": [{"bytes": b"hello"}], "label": [1]}), path)
    else:
        parquet.write(path, images, labels)
    with pytest.raises(UserError, match="ylecun/mnist"):
        data.load("mnist", data_dir=tmp_path)


def test_labels_of_another_set(tmp_path: Path) -> None:
    lay_out(tmp_path, "mnist", "test", 20)
    path = next(tmp_path.rglob("*.parquet"))
    images, labels = some_images(20, (28, 28, 1))
    parquet.write(path, images, labels + 90)
    with pytest.raises(UserError, match=r"labels outside 0..9"):
        data.load("mnist", data_dir=tmp_path)


class Hub(ThreadingHTTPServer):
    """As much of the hub as fetching a set's files takes, serving a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.folder = folder
        self.asked: list[str] = []
        self.endpoint = f"http://127.0.0.1:{self.server_port}"


class _HubHandler(BaseHTTPRequestHandler):
    COMMIT = "0123456789abcdef0123456789abcdef01234567"
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            self._answer_api("/".join(parts[2:4]), parts[4:])
            return
        # datasets/<org>/<repo>/resolve/<commit>/<path>
        path = self.server.folder.joinpath(*parts[1:3], *parts[5:])
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self._send(content, {"ETag": etag, "X-Repo-Commit": self.COMMIT})

    do_HEAD = do_GET

    def _answer_api(self, repo: str, what: list[str]) -> None:
        root = self.server.folder / repo
        files = sorted(p for p in root.rglob("*") if p.is_file())
        if not files:
            self.send_error(404)
            return
        names = [str(p.relative_to(root)) for p in files]
        answer: object
        if what[0] == "tree":
            answer = [
                {"type": "file", "path": n, "size": p.stat().st_size, "oid": "0" * 40}
                for n, p in zip(names, files, strict=True)
            ]
        else:
            answer = {
                "id": repo,
                "sha": self.COMMIT,
                "private": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "siblings": [{"rfilename": n} for n in names],
            }
        self._send(json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _send(self, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


REAL_ON_HUB = sources.on_hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub(tmp_path / "hub")
    monkeypatch.setattr(sources, "on_hub", REAL_ON_HUB)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_hub_serves_a_set_and_its_cache_the_next_time(hub: Hub) -> None:
    made = lay_out(hub.folder, "mnist", "train", 20, shards=2)
    lay_out(hub.folder, "mnist", "test", 20)
    found = data.load("mnist", "train")
    np.testing.assert_array_equal(found.images, made.images)
    assert "hub" in found.source
    assert not any("/test-" in path for path in hub.asked), "fetched what was not asked for"
    hub.shutdown()
    hub.server_close()
    again = data.load("mnist", "train")
    np.testing.assert_array_equal(again.images, made.images)


def test_a_set_the_hub_does_not_have(hub: Hub) -> None:
    hub.folder.mkdir()
    with pytest.raises(UserError, match="train images of svhn cannot be found"):
        data.load("svhn", "train")
    assert hub.asked


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    parts = [data.load("digits", split) for split in ("test", "train")]
    images = np.concatenate([part.images for part in parts])[..., 0]
    labels = np.concatenate([part.labels for part in parts])

    def rows(images, labels) -> list[tuple[bytes, int]]:
        return sorted(
            (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
        )

    expected = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    assert rows(images, labels) == rows(expected, bunch.target)
