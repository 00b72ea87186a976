"""Targets that are read as logarithms are scored in the unit in which they were measured, too."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from bs4 import BeautifulSoup
from sklearn.metrics import mean_absolute_error, r2_score

from mtl_nt import TaskData, compare, load
from mtl_nt.audit.audit import label_counts
from mtl_nt.audit.findings import findings
from mtl_nt.audit.page import audit_page
from mtl_nt.audit.plan import Plan
from mtl_nt.audit.result import Audit
from mtl_nt.audit.tables import metrics_table, task_table
from mtl_nt.training import metric_names, scores
from mtl_nt.training.original_units import MAE_ORIGINAL, R2_ORIGINAL


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TaskData:
    """Two targets in powers of ten, one of them with zeros and gaps, and one plain target."""
    random = np.random.default_rng(0)
    x = random.standard_normal((90, 2))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1]})
    frame["y_ic50"] = 10 ** (2 + x[:, 0] + random.standard_normal(90))
    frame["y_count"] = np.maximum(0, (5 + 4 * x[:, 1] + random.standard_normal(90)).round())
    frame.loc[::5, "y_count"] = np.nan
    frame["y_plain"] = x.sum(1) + random.standard_normal(90)
    path = tmp_path_factory.mktemp("log") / "my.csv"
    frame.to_csv(path, index=False)
    return load(path, log="y_ic50,y_count")


def test_mae_and_r2_in_original_units_are_scikit_learns(data: TaskData) -> None:
    rows = data.split.test
    outputs = torch.randn(len(rows), 3, generator=torch.Generator().manual_seed(0))
    found = scores(data, "test", outputs)
    assert {MAE_ORIGINAL, R2_ORIGINAL} <= {*found} == {*metric_names(data)}
    mean, unit = data.scale
    predicted = (outputs.double() * unit + mean).numpy()
    y = data.y[rows].double().numpy()
    for t, back in enumerate((lambda v: 10**v, lambda v: np.maximum(10**v - 1, 0))):
        labelled = ~np.isnan(y[:, t])
        pair = back(y[labelled, t]), back(predicted[labelled, t])
        assert found[MAE_ORIGINAL][t] == pytest.approx(mean_absolute_error(*pair), rel=1e-6)
        assert found[R2_ORIGINAL][t] == pytest.approx(r2_score(*pair), rel=1e-6)
    assert np.isnan(found[MAE_ORIGINAL][2]) and np.isnan(found[R2_ORIGINAL][2])
    perfect = scores(data, "test", data.targets[rows].nan_to_num())
    assert perfect[MAE_ORIGINAL][0] == pytest.approx(0, abs=1e-3)
    assert perfect[R2_ORIGINAL][:2] == pytest.approx([1, 1])


def test_data_without_logarithms_have_the_metrics_that_they_had() -> None:
    assert not {MAE_ORIGINAL, R2_ORIGINAL} & {*metric_names(load("dial"))}


@pytest.fixture(scope="module")
def found(data: TaskData) -> Audit:
    study = compare(data, ["MTL"], seeds=3, steps=40, progress=False)
    made: dict[str, Any] = {"seconds": 1.0, "version": "0", "torch": "0", "source": "my.csv"}
    made |= {"options": {}, "steps": 40, "rows": 90, "features": 2, "split": "free"}
    made |= {"parts": [63, 9, 18]}
    plan = Plan(("MTL",), False, False, (), (0, 1, 2), 1.0)
    return Audit("mine", study, plan, None, label_counts(data), data.notes, made)


def cells_of(html: str) -> dict[str, dict[str, str]]:
    """The cells of a table, by the name of the row and the heading."""
    soup = BeautifulSoup(html, "html.parser")
    heads = [head.text for head in soup.select("th")]
    rows = [[cell.text for cell in row.select("td")] for row in soup.select("tbody tr")]
    return {row[0]: dict(zip(heads, row, strict=True)) for row in rows}


def test_the_page_the_csv_and_the_json_show_them(found: Audit) -> None:
    study = found.main_study
    wanted = {
        name: study.scores(name, metric=MAE_ORIGINAL).mean()["y_ic50"] for name in ("STL", "MTL")
    }
    both = f"{wanted['STL']:.3g} / {wanted['MTL']:.3g}"
    for table in (task_table(found), metrics_table(found)):
        column = next(h for h in cells_of(table)["y_ic50"] if h.startswith(MAE_ORIGINAL))
        assert cells_of(table)["y_ic50"][column] == both
        assert cells_of(table)["y_plain"][column] == "–"
    said = json.loads(json.dumps(findings(found), allow_nan=False))["original_units"]
    assert {*said} == {"y_ic50", "y_count"} and {*said["y_count"]} == {"MAE", "R2"}
    assert said["y_ic50"]["MAE"] == pytest.approx(wanted)
    soup = BeautifulSoup(audit_page(found), "html.parser")
    (link,) = soup.select("a[download='results.csv']")
    saved = base64.b64decode(str(link["href"]).partition("base64,")[2])
    rows = pd.read_csv(io.BytesIO(saved)).query("metric == @MAE_ORIGINAL and method == 'MTL'")
    assert rows.groupby("task")["value"].mean()["y_ic50"] == pytest.approx(wanted["MTL"], rel=1e-4)
    assert "MSE" in {*study.metric.values()} and MAE_ORIGINAL not in {*study.metric.values()}


def test_an_audit_without_logarithms_says_nothing_of_them(tmp_path: Path) -> None:
    data = load("dial")
    study = compare(data, ["MTL"], seeds=2, steps=3, progress=False)
    made: dict[str, Any] = {"seconds": 1.0, "version": "0", "torch": "0", "source": "dial"}
    made |= {"options": {}, "steps": 3, "rows": 90, "features": 2, "split": "new data"}
    plan = Plan(("MTL",), False, False, (), (0, 1), 1.0)
    bare = Audit("dial", study, plan, None, label_counts(data), (), made | {"parts": [1, 1, 1]})
    assert findings(bare)["original_units"] == {} and "original" not in task_table(bare)
