"""GDSC's files in small: joined by cell line, checked on their way here, never half kept."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused

from mtl_nt import Recipe, TaskData, load
from mtl_nt.datasets import files, gdsc
from mtl_nt.datasets.files import Source, fetch
from mtl_nt.methods import METHODS
from mtl_nt.pieces import train

LINES, DRUGS = 60, (1, 3, 11, 1378)
REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with both files in their real format; the last drug is measured on half the lines,
    the features are in another order than the responses.
    """
    random = np.random.default_rng(0)
    ids = random.permutation(np.arange(683665, 683665 + LINES))
    responses = pd.DataFrame(
        random.normal(2, 3, (LINES, len(DRUGS))).round(6),
        index=pd.Index(ids, name="COSMIC_ID"),
        columns=[f"Drug_{d}_IC50" for d in DRUGS],
    )
    responses.iloc[::2, -1] = np.nan
    responses.iloc[:3, 0] = np.nan
    features = pd.DataFrame(
        {
            "TISSUE_FACTOR": np.array(["lung", "skin", "bone"])[ids % 3],
            "MSI_FACTOR": ids % 2,
            "ABL2_mut": (ids // 3) % 2,
            "gain_cnaPANCAN1": (ids // 5) % 2,
        },
        index=responses.index,
    ).sort_index()
    folder = tmp_path / "own"
    folder.mkdir()
    for name, table in (("RESPONSES", responses), ("FEATURES", features)):
        source = getattr(gdsc, name)
        packed = gzip.compress(table.to_csv().encode(), mtime=0)
        (folder / source.name).write_bytes(packed)
        digest = hashlib.sha256(packed).hexdigest()
        monkeypatch.setattr(gdsc, name, source._replace(sha256=digest))
    monkeypatch.setenv(files.FOLDER, str(folder))
    return folder


def rows_of(folder: Path, source: Source) -> pd.DataFrame:
    return pd.read_csv(folder / source.name, index_col="COSMIC_ID")


def test_lines_are_joined_by_their_number_not_by_their_place(small: Path) -> None:
    data = load("gdsc")
    responses, features = (rows_of(small, s) for s in (gdsc.RESPONSES, gdsc.FEATURES))
    assert data.x.shape == (LINES, 3 + 1 + 2)
    for row, line in enumerate(responses.index):
        known = features.loc[line]
        tissue = ["bone", "lung", "skin"].index(known["TISSUE_FACTOR"])
        numbers = [known["MSI_FACTOR"], 0.1 * known["ABL2_mut"], 0.1 * known["gain_cnaPANCAN1"]]
        expected = [float(k == tissue) for k in range(3)] + numbers
        assert isinstance(data.x, torch.Tensor)
        assert data.x[row].tolist() == pytest.approx(expected)


def test_drugs_that_are_seldom_measured_are_left_out(small: Path) -> None:
    data = load("gdsc")
    assert data.tasks == ("Drug 1", "Drug 3", "Drug 11")
    truth = rows_of(small, gdsc.RESPONSES).to_numpy()[:, :3]
    assert np.allclose(data.y.numpy(), truth, atol=1e-5, equal_nan=True)
    assert int(data.y[:, 0].isnan().sum()) == 3


def test_the_papers_preset_has_the_most_measured_drugs(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gdsc, "MOST", 2)
    assert load("gdsc", preset="paper").tasks == ("Drug 3", "Drug 11")
    monkeypatch.setattr(gdsc, "MOST", 4)
    assert load("gdsc", preset="paper").tasks[-1] == "Drug 1378"


def test_a_seed_splits_the_lines_anew(small: Path) -> None:
    data = load("gdsc", seed=3)
    sizes = [len(p) for p in (data.split.train, data.split.validation, data.split.test)]
    assert sizes == [42, 6, 12]
    assert data.split.kind == "free"
    assert torch.equal(load("gdsc").run(3).split.test, data.split.test)
    assert not torch.equal(load("gdsc").split.test, data.split.test)


def test_targets_are_standardised_by_the_training_labels_alone(small: Path) -> None:
    data = load("gdsc")
    learned = data.targets[data.split.train].double()
    assert learned.nanmean(0).abs().max() < 1e-5
    assert torch.allclose((learned**2).nanmean(0), torch.ones(3).double(), atol=1e-5)


def test_it_trains(small: Path) -> None:
    data = load("gdsc")
    trained = train(METHODS["MTL"], [data], [0], Recipe.of(data, steps=5))
    assert trained.predictions.isfinite().all()


def test_the_genomic_scale_moves_the_genomic_columns_alone(small: Path) -> None:
    tenth, whole = load("gdsc"), load("gdsc", genomic_scale=1)
    assert isinstance(tenth.x, torch.Tensor) and isinstance(whole.x, torch.Tensor)
    assert torch.equal(tenth.x[:, :4], whole.x[:, :4])
    assert torch.allclose(10 * tenth.x[:, 4:], whole.x[:, 4:])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "papre"}, ("'papre'", "'paper'")),
        ({"seed": -1}, ("seed -1",)),
        ({"genomic_scale": -1}, ("genomic_scale -1", "0 or more")),
    ],
)
def test_an_impossible_option_is_refused(options: dict, words: tuple[str, ...]) -> None:
    refused(lambda: load("gdsc", **options), *words)


# ------------------------------------------------------------------------------- the files


@pytest.fixture
def server(small: Path) -> Iterator[str]:
    """The small files at a place of this machine's own."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(small))
    ) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(files.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mtl_nt"


def test_a_file_is_downloaded_once_and_checked(server: str, small: Path, cache: Path) -> None:
    source = gdsc.RESPONSES._replace(url=server + gdsc.RESPONSES.name)
    found = fetch(source)
    assert found.parent == cache
    assert found.read_bytes() == (small / source.name).read_bytes()
    (small / source.name).unlink()
    assert fetch(source) == found


def test_another_file_than_the_known_one_is_refused_and_not_kept(server: str, cache: Path) -> None:
    source = gdsc.RESPONSES._replace(url=server + gdsc.FEATURES.name)
    refused(lambda: fetch(source), "IC50_v17.csv.gz", "nothing was kept")
    assert not cache.exists() or not [*cache.iterdir()]


def test_without_network_it_says_what_to_do(small: Path, cache: Path) -> None:
    source = gdsc.RESPONSES._replace(url="http://127.0.0.1:9/" + gdsc.RESPONSES.name)
    refused(lambda: fetch(source), "cannot be downloaded", files.FOLDER)
    assert not cache.exists() or not [*cache.iterdir()]


def test_a_changed_file_of_ones_own_is_refused(small: Path) -> None:
    path = small / gdsc.FEATURES.name
    path.write_bytes(path.read_bytes() + b"\n")
    refused(lambda: load("gdsc"), str(path), "is not the known")


def test_the_real_files_are_as_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (REAL / gdsc.RESPONSES.name).exists():
        pytest.skip("needs GDSC's files in ../shared/data")
    monkeypatch.setenv(files.FOLDER, str(REAL))
    data: TaskData = load("gdsc")
    assert data.x.shape == (988, 27 + 1 + 677)
    assert len(data.tasks) == 214
    assert len(load("gdsc", preset="paper").tasks) == 181
