"""An audit that ends before any verdict leaves what is there, and the command that goes on."""

from __future__ import annotations

import importlib
import json
import shlex
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from refusals import refused

from mtl_nt.__main__ import main
from mtl_nt.audit.audit import audit
from mtl_nt.audit.bench import Bench
from mtl_nt.audit.early import early_end, has_results
from mtl_nt.audit.schedule import Timer
from mtl_nt.audit.work import NoVerdict
from mtl_nt.study import Method
from mtl_nt.training import Stopped

audit_module: Any = importlib.import_module("mtl_nt.audit.audit")
SMALL = ["--methods", "LBTW", "--alphas", "0.5", "--seeds", "3", "--steps", "5"]
REPORT = ["report", "dial-unrelated", *SMALL, "--out", "page.html"]


@pytest.fixture
def end_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Have an audit end when it comes to a method and a run, by Ctrl-C or by its budget."""
    monkeypatch.chdir(tmp_path)
    train, now = Bench.train, [0.0]
    in_threads = (
        "mtl_nt.audit.plan.processes.workers"  # a clock of the test's own is in one process
    )
    monkeypatch.setattr(in_threads, lambda count, **_: ThreadPoolExecutor(count))
    monkeypatch.setattr(audit_module, "Timer", partial(Timer, clock=lambda: now[0]))

    def end(name: str, seed: int, one_by_one: bool = False, ctrl_c: bool = True) -> None:
        def trains(bench: Bench, method: Method, seeds: tuple[int, ...], *more: Any) -> Any:
            if method.name == name and seed in seeds:
                if ctrl_c:
                    raise KeyboardInterrupt(signal.SIGINT)
                now[0] = 1e9
                raise Stopped
            return train(bench, method, seeds, *more)

        monkeypatch.setattr(Bench, "train", trains)
        if one_by_one:  # as where each run takes much memory
            monkeypatch.setattr(Bench, "blocks", lambda bench, seeds: [(s,) for s in seeds])

    return end


@pytest.mark.parametrize(("ctrl_c", "status"), [(True, 130), (False, 0)])
def test_with_one_run_there_is_a_page_without_a_verdict(
    ctrl_c: bool, status: int, end_at: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    end_at("STL", 101, one_by_one=True, ctrl_c=ctrl_c)
    budget = [] if ctrl_c else ["--budget", "60s"]
    assert main([*REPORT, *budget]) == status
    said = capsys.readouterr()
    assert "One run so far: no verdict can be given." in said.out
    assert (
        "Finished and kept in page.results: STL on 1 run, STL' on 1 run, MTL on 1 run." in said.out
    )
    if ctrl_c:
        assert "mtl_nt: stopped" in said.err
    else:
        assert "The time was over before STL" in said.out
    assert "Traceback" not in said.err
    page = BeautifulSoup(Path("page.html").read_text(), "html.parser")
    text = page.get_text(" ", strip=True)
    assert "One run so far: no verdict can be given." in text
    assert "harmed or helped" in text and "MTL harms" not in text
    assert "What is not known yet" in text
    assert len(page.select("tbody tr")) == 9
    command = said.out.splitlines()[-1].removeprefix("To go on from here, run: ")
    assert command in text and command.endswith("--results page.results")


def test_the_command_that_is_printed_goes_on_and_trains_nothing_twice(
    end_at: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    end_at("MTL", 100)
    assert main(REPORT) == 130
    line = capsys.readouterr().out.splitlines()[-1]
    text = BeautifulSoup(Path("page.html").read_text(), "html.parser").get_text(" ")
    assert "No run is finished yet: no verdict can be given." in text
    assert "Finished and kept: STL on 3 runs, STL' on 3 runs." in " ".join(text.split())
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line.removeprefix("To go on from here, run: "))
    folder = Path("page.results")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("STL/*.json")}
    assert before and words[:3] == ["python", "-m", "mtl_nt"]
    assert main(words[3:]) == 0
    assert "All the rest" in Path("page.html").read_text()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_without_a_run_the_answer_says_what_is_kept_and_where(
    end_at: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    end_at("MTL", 100, ctrl_c=False)
    assert main([*REPORT, "--budget", "60s", "--results", "mine", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] is None and found["kept"] == "mine"
    assert found["there"] == "STL on 3 runs, STL' on 3 runs"
    assert found["go_on"].endswith("--results mine") and "--out page.html" in found["go_on"]
    assert "the time was over before STL" in found["why"] and "--budget" in found["go_on"]
    assert has_results(tmp_path / "mine") and not Path("page.results").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_budget_of_a_few_seconds_leaves_a_page_and_a_command_that_works(
    as_json: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Nothing is trained: the page says how the table was read, and what there is to do."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.standard_normal((60, 4)), columns=["a", "b", "y_1", "y_2"])
    frame.insert(0, "row", range(60))
    frame["<b>"] = "same"
    frame.to_csv("my.csv", index=False)
    given = ["report", "my.csv", "--targets", "y_*", "--methods", "MTL", "--seeds", "2"]
    more = ["--steps", "100000", "--budget", "3s", "--plan", "p.json", *["--json"] * as_json]
    assert main([*given, *more]) == 0
    said = capsys.readouterr()
    assert "! Left out, as row numbers are no features: 'row'" in said.err
    assert "p.json is not written: there is no plan yet" in said.err
    text = BeautifulSoup(Path("my.html").read_text(), "html.parser").get_text(" ", strip=True)
    for words in (
        "No run is finished yet: no verdict can be given.",
        "2 tasks, 60 rows",
        "STL, its twin and MTL on 2 runs take about",
        "What is not known yet",
        "How the data were read",
        "Left out, as row numbers are no features: 'row'",
        "Left out, since they do not vary: '<b>'.",
    ):
        assert words in text
    if as_json:
        found = json.loads(said.out)
        command = found["go_on"]
        assert found["verdict"] is None and found["kept"] is None and not found["there"]
        assert "take about" in found["why"] and any("'row'" in n["text"] for n in found["notes"])
    else:
        command = said.out.splitlines()[-1].removeprefix("To go on from here, run: ")
    assert command in text and not Path("my.results").exists()
    words = shlex.split(command)
    assert "--targets" in words and words[words.index("--budget") + 1] != "3s"
    words[words.index("--steps") + 1] = "5"
    assert main(words[3:]) == 0
    assert "All the rest" in Path("my.html").read_text() and Path("p.json").exists()


def test_where_nothing_is_finished_nothing_is_kept(
    end_at: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    end_at("STL", 100)
    assert main(REPORT) == 130
    said = capsys.readouterr()
    assert said.err.endswith("mtl_nt: stopped\n") and not said.out
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".mtl_nt")]


def test_python_gets_an_error_that_knows_what_is_there(end_at: Callable[..., None]) -> None:
    end_at("STL", 101, one_by_one=True, ctrl_c=False)
    given: dict[str, Any] = {"methods": "LBTW", "seeds": 3, "steps": 5, "progress": False}
    with pytest.raises(NoVerdict) as caught:
        audit("dial-unrelated", say=lambda line: None, budget=60, **given)
    early = early_end(caught.value)
    assert early is not None and early.study is not None
    assert early.study.delta("MTL").shape == (1, 9)
    refused(
        lambda: audit("dial-unrelated", say=lambda line: None, budget=1e-3, **given), "--budget"
    )


def test_runs_that_are_trained_one_by_one_are_finished_one_by_one(
    end_at: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    end_at("STL", 102, one_by_one=True)
    assert main(REPORT) == 130  # and two runs give a verdict
    said = capsys.readouterr()
    assert "Left out: 1 of 3 runs" in said.out and "Open page.html" in said.out
