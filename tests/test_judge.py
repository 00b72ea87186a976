"""Scores of somebody's own, judged by one command: page, terminal, JSON, and what is refused."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from lab import chromium
from pages import NEEDED, PHONE, WIDTHS, Visit
from refusals import refused

from mtl_nt import Study
from mtl_nt.__main__ import main
from mtl_nt.audit.judgement import headline, judgement, sentences
from mtl_nt.audit.judgement_page import judgement_page, overall_table, task_table
from mtl_nt.book.markup import OWN_SCRIPTS, POLICY
from mtl_nt.study import stored

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("a", "b", "c", "d", "e")
EFFECTS = {"MTL": (0.2, -0.2, 0, 0, 0), "LBTW": (0, -0.2, 0, 0, 0)}
"""By how much a method's errors are larger than STL's, by task."""


def scores(runs: int = 6, constant: float = 9.0, **columns: Any) -> pd.DataFrame:
    """Errors about 1 with a spread of .01; the mean predictor has `constant`."""
    random = np.random.default_rng(1)
    rows = []
    for method in ("STL", "again", "MTL", "LBTW", "Constant"):
        for seed in range(runs):
            for task, effect in zip(TASKS, EFFECTS.get(method, (0,) * 5), strict=True):
                level = constant if method == "Constant" else 1 + effect
                rows.append((method, seed, task, level + 0.01 * random.standard_normal()))
    made = pd.DataFrame(rows, columns=["method", "seed", "task", "value"])
    return made.assign(**columns)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    scores().to_csv(tmp_path / "my scores.csv", index=False)
    return tmp_path / "my scores.csv"


ASKED = ["judge", "my scores.csv", "--metric", "RMSE", "--twin", "again"]
VERDICT = "MTL harms 1 of 5 tasks beyond chance (a), helps 1 (b); 3 undecided."


def study(table: pd.DataFrame | None = None, **options: Any) -> Study:
    made = scores() if table is None else table
    return Study.from_scores(made, **{"metric": "RMSE", "twin": "again", **options})


# ---------------------------------------------------------------- one command


def test_an_alpha_may_be_a_third(source: Path) -> None:
    """Two alphas that print alike stay two."""
    near = {"LBTW": 1 / 3, "again": 0.3333334}
    rows = scores()
    rows = rows[rows["method"].isin(["STL", *near])]
    rows = rows.assign(
        alpha=rows["method"].map(near), method=rows["method"].replace([*near], "LBTW")
    )
    rows.to_csv(source, index=False)
    assert main(["judge", str(source), "--metric", "RMSE"]) == 0
    found = Study.from_scores(rows, metric="RMSE")
    assert {row["alpha"] for row in judgement(found)["methods"]} == {*near.values()}


def test_one_command_says_the_verdict_and_the_table_and_writes_the_page(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ASKED) == 0
    printed = capsys.readouterr()
    first, head, *rows, last = printed.out.splitlines()
    assert first == VERDICT and last == "Open my scores.html in a browser." and not printed.err
    assert head.split() == [
        *("method", "harmed", "helped", "undecided", "difference", "95%", "interval"),
        *("delta_m", "rank"),
    ]
    assert [row.split()[:4] for row in rows] == [
        ["MTL", "1", "1", "3"],
        ["LBTW", "0", "1", "4"],
        ["STL", "–", "–", "–"],
        ["STL'", "0", "0", "5"],
        ["Constant", "5", "0", "0"],
    ]
    page = BeautifulSoup(Path("my scores.html").read_text(encoding="utf-8"), "html.parser")
    assert page.h1 is not None and page.h1.text == "Scores judged: my scores.csv"
    order = page.select(".lead, img, table")
    assert [tag.name for tag in order[:3]] == ["p", "img", "table"]
    assert order[0].text == VERDICT and "MTL: 1 harmed (a)" in order[1]["alt"]
    cells = [[c.text for c in row.select("td")] for row in order[2].select("tbody tr")]
    assert [row.split() for row in rows] == [" ".join(row).split() for row in cells]


def test_the_command_on_the_page_makes_the_page_again(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--margin", "RMSE=0.05", "--folds", "6", "--out", "page.html"]
    assert main([*ASKED, *more]) == 0
    first = Path("page.html").read_bytes()
    (said,) = BeautifulSoup(first, "html.parser").select("pre")
    words = shlex.split(said.text)
    assert words[:4] == ["python", "-m", "mtl_nt", "judge"]
    assert main(words[3:]) == 0
    assert Path("page.html").read_bytes() == first
    assert "replaces page.html" in capsys.readouterr().err
    assert "every interval is 1.24 times as wide" in first.decode()


def test_json_has_the_numbers_of_the_study(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ASKED, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["data_sets"]
    assert found == json.loads(json.dumps(judgement(study(source))))
    assert (found["name"], found["tasks"], found["runs"]) == ("my scores", 5, 6)
    assert (found["baseline"], found["twin"], found["better"]) == ("STL", "STL'", {"RMSE": "lower"})
    mtl, lbtw = found["methods"]
    assert (mtl["verdicts"]["harmed"], mtl["verdicts"]["helped"]) == (["a"], ["b"])
    assert (lbtw["method"], lbtw["verdicts"]["helped"]) == ("LBTW", ["b"])
    tests = study(source).transfer().query("method == 'MTL'")
    assert [t["delta"] for t in mtl["tests"]] == pytest.approx(tests["delta"].tolist())
    assert [t["verdict"] for t in mtl["tests"]] == tests["verdict"].tolist()
    assert {*mtl["runs_needed"]} == {"c", "d", "e"}


def test_each_data_set_has_its_own_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    other = scores().replace({"MTL": "LBTW", "LBTW": "MTL"})
    both = pd.concat([scores(dataset="left"), other.assign(dataset="right")])
    both.to_csv("both.csv", index=False)
    assert main(["judge", "both.csv", "--metric", "RMSE", "--twin", "again"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("left\nMTL harms 1 of 5") < printed.index("right\nMTL harms none of 5")
    page = BeautifulSoup(Path("both.html").read_text(encoding="utf-8"), "html.parser")
    assert [h.text for h in page.select("h2")] == ["left", "right", "How these verdicts are made"]
    first = page.select("ul")[0]
    assert [item.text.split(" of")[0] for item in first.select("li")] == [
        "left: MTL harms 1",
        "right: MTL harms none",
    ]
    assert len(page.select(".lead")) == len(page.select("img")) == 2


def test_the_directions_and_margins_of_several_metrics_are_given_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = dict(zip(TASKS, ["my loss", "my loss", "gain, mine", "R2", "R2"], strict=True))
    rows = scores().query("method != 'Constant'").assign(metric=lambda r: r["task"].map(kinds))
    rows.to_csv("t.csv", index=False)
    words = ["judge", "t.csv", "--json", "--better", "my loss=lower"]
    assert main(words) == 2
    assert "'gain, mine'" in capsys.readouterr().err
    rows.replace({"gain, mine": "gain"}).to_csv("t.csv", index=False)
    words[-1] = "my loss=lower, gain=higher"
    assert main([*words, "--margin", "my loss=0.5,gain=0.5"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["data_sets"]
    assert found["better"] == {"my loss": "lower", "gain": "higher", "R2": "higher"}
    assert found["methods"][0]["verdicts"]["same"] == ["a", "b", "c"]
    assert found["methods"][0]["overall"]["unit"] == "standard errors"


REFUSED: dict[str, tuple[list[str], str]] = {
    "a metric without a direction": (
        ["--metric", "my loss"],
        "is lower or higher better? Say --better 'my loss=lower' or higher (in Python "
        "lower_is_better={'my loss': True} or False)",
    ),
    "a direction against a name": (["--metric", "RMSE", "--better", "higher"], "higher is said"),
    "a direction that is none": (["--metric", "x", "--better", "up"], "--better 'up': give lower"),
    "a margin that is none": (["--metric", "RMSE", "--margin", "big"], "--margin 'big': give a n"),
    "a margin below 0": (["--metric", "RMSE", "--margin=-1"], "margin -1.0 of RMSE"),
    "a margin that is not finite": (["--metric", "RMSE", "--margin", "nan"], "margin nan"),
    "one fold": (["--metric", "RMSE", "--folds", "1"], "folds 1"),
    "folds twice": (["--folds", "5", "--overlap", "0.25"], "not allowed with argument"),
    "no baseline": (["--metric", "RMSE", "--baseline", "SLT"], "did you mean 'STL'"),
    "no twin": (["--metric", "RMSE", "--twin", "agian"], "did you mean 'again'"),
    "the table itself": (["--metric", "RMSE", "--out", "my scores.csv"], "it is what is read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_command_is_one_line_and_nothing_is_written(
    case: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, said = REFUSED[case]
    assert main(["judge", "my scores.csv", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mtl_nt: ") and error.count("\n") == 1 and said in error, error
    assert [path.name for path in source.parent.iterdir()] == ["my scores.csv"]


@pytest.mark.parametrize(("said", "helped"), [("higher", "a"), ("lower", "b")])
def test_a_metric_may_begin_with_a_minus_and_its_direction_is_believed(
    said: str, helped: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """MTL has the higher values on task a, and the lower ones on b."""
    scores(constant=-9.0 if said == "higher" else 9.0).to_csv(source, index=False)
    ask = ["judge", str(source), "--metric=-NLL", "--twin=again"]
    assert main(ask) == 2
    error = capsys.readouterr().err
    assert "metric '-NLL': is lower or higher better? Say --better='-NLL=lower'" in error
    assert main([*ask, f"--better=-NLL={said}"]) == 0
    assert f"helps 1 ({helped})" in capsys.readouterr().out.splitlines()[0]
    (command,) = BeautifulSoup(Path("my scores.html").read_bytes(), "html.parser").select("pre")
    assert main(shlex.split(command.text)[3:]) == 0
    assert f"helps 1 ({helped})" in capsys.readouterr().out.splitlines()[0]


def test_the_folds_of_a_table_are_asked_about_and_said(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores().assign(split_id=lambda t: t["seed"]).to_csv(source, index=False)
    ask = ["judge", str(source), "--metric", "RMSE", "--twin", "again"]
    assert main(ask) == 2
    assert "--folds 6" in capsys.readouterr().err and not Path("my scores.html").exists()
    assert main([*ask, "--folds", "6"]) == 0


@pytest.mark.parametrize("name", ["no.csv", "scores.xlsx", "scores.pkl", "."])
def test_what_is_no_table_is_refused(
    name: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source.parent / "scores.pkl").write_bytes(b"\x80\x04.")
    assert main(["judge", name, "--metric", "RMSE"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(source.parent.glob("*.html"))


@pytest.mark.parametrize("name", ["\x1b[2J\u202e.csv", "\udcff.csv"])
def test_a_name_that_a_terminal_would_obey_or_that_is_not_utf8_is_one_line(
    name: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", name, "--metric", "RMSE"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mtl_nt: ") and error.strip().isprintable()


@pytest.mark.posix
def test_python_reads_a_file_whose_name_is_not_utf8(source: Path) -> None:
    odd = source.rename(source.with_name("\udcff.csv"))
    assert {*study(odd).results["dataset"]} == {r"\udcff"}


def test_a_page_that_is_somebody_s_own_stays(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("my scores.html").write_text("own")
    assert main(ASKED) == 2
    assert "a file that mtl_nt has not made" in capsys.readouterr().err
    assert Path("my scores.html").read_text() == "own"


# ---------------------------------------------------------------- what is said


def test_delta_m_is_positive_where_a_method_is_better_whatever_the_direction() -> None:
    """As in Maninis and others (2019): errors count with their sign turned."""
    level = {"STL": (0.50, 2.0, 40.0), "MTL": (0.45, 1.5, 44.0)}  # better on all three
    metric = dict(zip("xyz", ("RMSE", "abs err", "mIoU"), strict=True))
    rows = [
        (m, s, t, metric[t], v * (1 + 0.001 * s))
        for m, values in level.items()
        for s in range(5)
        for t, v in zip("xyz", values, strict=True)
    ]
    made = pd.DataFrame(rows, columns=["method", "seed", "task", "metric", "value"])
    found = Study.from_scores(made).overall().set_index("method")
    change = (100 * (0.5 - 0.45) / 0.5, 100 * (2 - 1.5) / 2, 100 * (44 - 40) / 40)
    assert found.loc["MTL", "delta_m"] == pytest.approx(np.mean(change))
    assert (found.loc["MTL", "rank"], found.loc["STL", "rank"]) == (1, 2)
    assert "+15.0%" in sentences(Study.from_scores(made))[1]


def test_the_main_sentence_counts_every_verdict() -> None:
    assert headline(study()) == VERDICT
    assert headline(study(margin=0.1)) == (
        "MTL harms 1 of 5 tasks beyond chance (a), helps 1 (b); 3 the same within the margin."
    )
    assert headline(study(scores().replace({"MTL": "Mine"}))).startswith("Mine harms 1 of 5")


def test_what_is_not_learned_is_said_first() -> None:
    nothing = study(scores(constant=0.1))
    assert headline(nothing) == "None of 5 tasks is learned, by MTL or by STL."
    rows = scores()
    rows.loc[(rows["method"] == "Constant") & (rows["task"] == "a"), "value"] = 0.1
    assert headline(study(rows)) == (
        "1 of 5 tasks is not learned. MTL harms none of the other 4 beyond chance, helps 1 (b); "
        "3 undecided."
    )
    assert any(
        s.startswith("Not learned are a: neither MTL nor STL") for s in sentences(study(rows))
    )
    head, body = overall_table(study(rows))
    assert body[0][head.index("not learned")][0] == "1"


def test_with_a_margin_nobody_says_how_many_runs_would_decide() -> None:
    """More runs may then also find that a task is the same."""
    few, many = study(scores(runs=3), margin=0.01), study()
    assert judgement(few)["methods"][0]["runs_needed"] == {}
    assert "undecided" in headline(few) and "runs in all" not in " ".join(sentences(few))
    assert {*judgement(many)["methods"][0]["runs_needed"]} == {"c", "d", "e"}


def test_one_run_decides_nothing_and_says_what_it_can() -> None:
    one = study(scores(runs=1))
    said = sentences(one)
    assert said[0].startswith("One run decides nothing: MTL is worse than STL on")
    assert "in one run" in said[1] and "delta_m" in said[1] and "Give 5 runs" in said[-1]
    _, rows = overall_table(one)
    assert [text for text, _ in rows[0][1:4]] == ["–"] * 3 and rows[0][5][0] == "–"
    assert "One run decides nothing" in judgement_page({"one": one}, "one.csv", "")


def test_without_a_twin_nobody_claims_to_know_what_chance_does() -> None:
    rows = scores().query("method != 'again'")
    said = " ".join(sentences(study(rows, twin=None)))
    assert "name it under --twin" in said and "no chance" not in said
    page = judgement_page({"x": study(rows, twin=None)}, "x.csv", "")
    assert "not known" in page and "null 0" not in page and "has no chance" not in page


def test_chance_is_said_in_numbers_where_there_is_a_twin() -> None:
    row = study().counts().query("method == 'MTL'").iloc[0]
    low, high = row["negative_null_low"], row["negative_null_high"]
    assert f"Chance alone shows {low:.1f}–{high:.1f}" in " ".join(sentences(study()))


def test_the_table_of_tasks_has_both_scores_and_the_test() -> None:
    head, rows = task_table(study(), ("MTL", ""))
    cells = {row[0][0]: dict(zip(head, [text for text, _ in row], strict=True)) for row in rows}
    means = scores().groupby(["method", "task"])["value"].mean()
    for task in TASKS:
        assert float(cells[task]["STL"]) == pytest.approx(means["STL", task], rel=1e-3)
        assert float(cells[task]["MTL"]) == pytest.approx(means["MTL", task], rel=1e-3)
        gap = means["STL", task] - means["MTL", task]
        assert float(cells[task]["difference"]) == pytest.approx(gap, abs=1e-3)
    assert (cells["a"]["verdict"], cells["b"]["verdict"]) == ("harmed", "helped")
    assert cells["a"]["runs to decide"] == "" and cells["c"]["runs to decide"] != ""


def test_every_metric_has_a_table_and_the_file_every_test() -> None:
    rows = pd.concat([scores(metric="RMSE"), scores(metric="my loss")])
    both = study(rows, lower_is_better=["my loss"])
    page = BeautifulSoup(judgement_page({"x": both}, "x.csv", ""), "html.parser")
    assert "By my loss" in [h.text for h in page.select("h2")]
    (link,) = page.select("a[download]")
    content = base64.b64decode(str(link["href"]).split(",")[1]).decode()
    table = list(csv.DictReader(io.StringIO(content)))
    assert len(table) == len(both.transfer()) and table[0]["verdict"] in ("harmed", "undecided")
    assert math.isfinite(float(table[0]["adjusted"]))


@pytest.mark.slow
def test_a_kept_study_is_judged_as_well() -> None:
    page = judgement_page({"noisy": stored("cure-noisy")}, "noisy", "")
    assert page.count("<details") == 12 and "more are in the file below" in page


# ---------------------------------------------------------------- names that bite

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> & \"'"


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = scores().replace({"a": f"a {HOSTILE}", "b": "=1+1", "LBTW": f"L {HOSTILE}"})
    rows = rows.assign(metric=f"m {HOSTILE}", dataset=f"d {HOSTILE}")
    more = rows.assign(dataset="$x_1^2$")
    pd.concat([rows, more]).to_csv("s.csv", index=False)
    assert main(["judge", "s.csv", "--better", "lower", "--twin", "again", "--out", "s.html"]) == 0
    return tmp_path / "s.html"


@pytest.mark.slow
def test_every_name_is_text(hostile: Path) -> None:
    page = BeautifulSoup(hostile.read_text(encoding="utf-8"), "html.parser")
    assert {str(tag.string) for tag in page.find_all("script")} <= {*OWN_SCRIPTS}
    assert POLICY in [tag.get("content") for tag in page.find_all("meta")]
    for name in ("a", "L", "m", "d"):
        assert f"{name} {HOSTILE}" in page.text, name
    assert "(a <script>alert(1)</script>" in page.select(".lead")[0].text
    assert [tag.text for tag in page.select("summary")] == ["MTL", f"L {HOSTILE}"] * 2
    assert [tag.text for tag in page.select("h2")][0] == f"d {HOSTILE}"
    assert page.select("li a")[0].text == f"d {HOSTILE}"
    assert all(str(tag["src"]).startswith("data:image/png") for tag in page.find_all("img"))
    link = str(page.select("a[download]")[0]["href"]).split(",")[1]
    assert "'=1+1" in base64.b64decode(link).decode()


@pytest.mark.slow
@pytest.mark.browser
@NEEDED
def test_the_page_opens_without_a_complaint_at_every_width_and_its_tables_sort(
    hostile: Path,
) -> None:
    with chromium() as browser, Visit(browser, hostile, width=1280) as visit:
        assert [url for url in visit.asked if not url.startswith("data:")] == [hostile.as_uri()]
        assert visit.page.evaluate(WIDTHS) == [1280, 1280]
        first = visit.page.locator("table").first
        first.locator("thead button", has_text="difference").click()
        shown = first.locator("tbody tr td:first-child").all_inner_texts()
        assert shown[0] == "Constant" and shown[-1] == "STL"
        visit.narrowed(PHONE)
        assert visit.page.evaluate(WIDTHS) == [PHONE, PHONE]
        assert visit.said == []


# ---------------------------------------------------------------- the README


def test_the_example_of_the_readme_says_what_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("### Scores of your own")[1].split("\n## ")[0].split("\n### ")[0]
    (table,) = re.findall(r"((?:^    [\w. ]+(?:,[\w. ]+)+\n)+)", section, re.M)
    assert table.splitlines()[0].split() == ["method,seed,task,value"]
    command = re.findall(r"^    python -m mtl_nt (judge .+)$", section, re.M)[0]
    monkeypatch.chdir(tmp_path)
    scores().to_csv("scores.csv", index=False)
    assert main(shlex.split(command)) == 0
    assert "Open scores.html in a browser." in capsys.readouterr().out
    (tmp_path / "few.csv").write_text("\n".join(line.strip() for line in table.splitlines()))
    refused(lambda: Study.from_scores("few.csv"), "lower or higher better")
