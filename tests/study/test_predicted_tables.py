"""A plan of a table predicts tables: files and frames, in the units of what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from refusals import refused
from test_fitted_plan import DIAL, QUICK, forged, plan_of

from mtl_nt import FittedPlan, fit_plan, load, load_plan
from mtl_nt.study.fitted_files import CARD

ROWS = 300


def table() -> pd.DataFrame:
    """Targets of a feature, a category and a flag: linear far from 0, in powers of ten, and 0/1."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "dose": random.normal(0, 3, ROWS).round(3),
            "colour": random.choice(["red", "green", "blue"], ROWS),
        }
    )
    red = frame["colour"] == "red"
    frame["y_far"] = (1e6 + 10 * frame["dose"] + 20 * red).round(2)
    frame["y_tail"] = (10 ** (2 + frame["dose"] / 3 + red)).round(4)
    frame["y_sign"] = (frame["dose"] > 0).astype(int)
    return frame


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tables") / "my.csv"
    table().to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def fitted(path: Path) -> FittedPlan:
    data = load(path, log="y_tail")
    plan = plan_of("MTL", "STL", tasks=data.tasks)
    return fit_plan(data, plan, steps=400, progress=False)


def quiet(line: str) -> None:
    raise AssertionError(f"nothing is to be said: {line}")


def test_predictions_are_in_the_units_of_what_was_measured(fitted: FittedPlan, path: Path) -> None:
    frame = table()
    found = fitted.predict(path, say=quiet).reset_index(drop=True)
    assert [*found] == ["y_far", "y_tail", "y_sign"]
    far, tail = found["y_far"], found["y_tail"]
    assert np.corrcoef(far, frame["y_far"])[0, 1] > 0.95
    assert abs(far - frame["y_far"]).median() < 8  # of a spread of 30 around a million
    factor = np.abs(np.log10(tail / frame["y_tail"])).median()
    assert factor < 0.25 and tail.min() > 0
    assert found["y_sign"].between(0, 1).all()
    assert ((found["y_sign"] > 0.5) == (frame["y_sign"] == 1)).mean() > 0.95


def test_a_file_and_a_frame_give_the_same(fitted: FittedPlan, path: Path) -> None:
    from_file = fitted.predict(path, say=quiet)
    assert from_file.index.name == "line" and from_file.index[0] == 2
    frame = pd.read_csv(path).drop(columns=["y_far", "y_sign"])[::-1]
    from_frame = fitted.predict(frame, say=quiet)
    assert from_frame.index.equals(frame.index)
    np.testing.assert_array_equal(from_frame.to_numpy()[::-1], from_file.to_numpy())


def test_a_plan_of_a_table_takes_no_features_whose_scale_nobody_knows(
    fitted: FittedPlan, path: Path
) -> None:
    data = load(path, log="y_tail")  # its features have the scale of the training rows of seed 0
    for features in (data.x, data.x.numpy(), data.x.tolist()):
        refused(
            lambda x=features: fitted.predict(x),
            "'my' was trained on a table; give new rows as a table or a file",
        )


def test_a_frame_without_any_known_name_is_a_table_that_lacks_columns(fitted: FittedPlan) -> None:
    width = fitted.features[0]  # as wide as the features, so it is not taken for them
    for names in ([f"Feature {k}" for k in range(width)], range(width)):
        frame = pd.DataFrame(np.ones((4, width)), columns=[*names])
        refused(
            lambda frame=frame: fitted.predict(frame), "'dose'", "'colour'", "which training had"
        )


def test_what_training_had_not_is_said_in_a_line_and_still_predicted(fitted: FittedPlan) -> None:
    said: list[str] = []
    frame = table()[:3].assign(colour=["red", "mauve", None], dose=[1.0, None, 2.0])
    found = fitted.predict(frame, say=said.append)
    assert found.notna().all(axis=None)
    assert said == [
        "new rows: Empty numbers are the median of the training rows: 1, in 'dose'.",
        "new rows: Empty categories count as none of the known ones: 1, in 'colour'.",
        "new rows: Categories unknown to training count as none: 'mauve' in 'colour' (rows: 1).",
    ]
    refused(lambda: fitted.predict(frame[["dose"]]), "no column 'colour', which training had")


def test_every_row_teaches_the_scales_and_every_category_counts(tmp_path: Path) -> None:
    frame = table()
    rows = load_rows(frame, tmp_path)
    test = int(rows.split.test[0])
    frame.loc[test, "colour"] = "mauve"  # which no training row of seed 0 has
    data = load_rows(frame, tmp_path)
    fitted = fit_plan(data, plan_of("MTL", tasks=data.tasks), **QUICK)
    fitted.predict(frame, say=quiet)


def load_rows(frame: pd.DataFrame, folder: Path) -> Any:
    frame.to_csv(folder / "rows.csv", index=False)
    return load(folder / "rows.csv")


def test_a_plan_from_disk_reads_new_rows_as_the_one_in_memory(
    fitted: FittedPlan, path: Path, tmp_path: Path
) -> None:
    again = load_plan(fitted.save(tmp_path / "fitted"))
    assert again.forms == fitted.forms and again.reading == fitted.reading
    pd.testing.assert_frame_equal(again.predict(path), fitted.predict(path))


def test_a_reading_that_somebody_has_changed_is_refused(fitted: FittedPlan, tmp_path: Path) -> None:
    def reading(**changes: Any) -> Any:
        return lambda card: {"reading": {**card["reading"], **changes}}

    def numbers(**changes: Any) -> Any:
        return lambda card: {
            "reading": {**card["reading"], "numbers": {**card["reading"]["numbers"], **changes}}
        }

    for number, change in enumerate(
        [
            numbers(mean=[]),
            numbers(scale=[-1.0]),
            numbers(name=["colour"]),  # twice
            numbers(name=["dose", "more"]),
            numbers(median=["3"]),
            reading(categories=[]),  # other features than the networks have
            reading(categories=[{"name": "colour", "values": ["red", "green", "blue"]}]),
            reading(molecules={"name": "s", "radius": 2, "bits": 1024, "rdkit": "1"}),
            reading(decimal="x"),
            reading(more=1),
            lambda card: {"forms": card["forms"][1:]},
            lambda card: {"forms": [{"offset": 0.0, "log": "exp(y)"}] * 3},
        ]
    ):
        folder = fitted.save(tmp_path / str(number))
        forged(folder, change)
        refused(lambda folder=folder: load_plan(folder), "no card of a fitted plan")


def test_a_card_of_another_version_says_so(fitted: FittedPlan, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "fitted")
    forged(folder, lambda card: {"format": "mtl_nt fitted plan, 1", "version": "0.0.9"})
    refused(lambda: load_plan(folder), CARD, "written by mtl_nt 0.0.9", "fit it anew")
    fitted.save(folder)  # and it may be replaced
    assert json.loads((folder / CARD).read_text())["format"].endswith("2")


def test_data_that_are_no_table_predict_features_alone() -> None:
    fitted = fit_plan(DIAL, plan_of("MTL"), **QUICK)
    assert fitted.reading is None
    refused(lambda: fitted.predict("new.csv"), "trained on data that are no table", "data.x")


def test_features_that_somebody_changed_are_no_tables_any_more(path: Path) -> None:
    from dataclasses import replace

    data = load(path)
    changed = replace(data, x=data.x[:, :2])
    fitted = fit_plan(changed, plan_of("MTL", tasks=data.tasks), **QUICK)
    assert fitted.reading is None and fitted.predict(changed.x[:3]).shape == (3, 3)  # type: ignore[index]


def test_a_molecule_that_nobody_can_read_has_no_prediction(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    smiles = ["CCO", "CCN", "c1ccccc1O", "CC(=O)O", "CCCCl", "c1ccncc1", "CC(C)O", "CCOC"] * 5
    labels = np.random.default_rng(0).standard_normal((40, 2))
    old = tmp_path / "old.csv"
    pd.DataFrame({"smiles": smiles, "y_a": labels[:, 0], "y_b": labels[:, 1]}).to_csv(old)
    data = load(old, smiles="smiles")
    fitted = fit_plan(data, plan_of("MTL", "STL", tasks=data.tasks), **QUICK)
    again = load_plan(fitted.save(tmp_path / "fitted"))
    new = tmp_path / "new.csv"
    new.write_text("smiles\nOCC\n\nno molecule\nCCO\n")
    said: list[str] = []
    found = again.predict(new, say=said.append)
    assert [*found.index] == [2, 4, 5]
    assert found.isna().all(axis=1).tolist() == [False, True, False]
    np.testing.assert_allclose(found.loc[2], found.loc[5], rtol=1e-5)
    first = fitted.predict(pd.read_csv(old), say=quiet)
    np.testing.assert_allclose(found.loc[2], first.iloc[0], rtol=1e-5)
    refused(lambda: fitted.predict(data.x), "was trained on a table")
    assert "RDKit cannot read 1 of 3 molecules: line 4 ('no molecule')" in said[0]
