"""Scores that somebody else has trained: read as they are, refused where they could mislead."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused
from scipy import stats

from mtl_nt import BadInput, Study, compare, figures, load
from mtl_nt.figures.tables import arm_tables
from mtl_nt.study import keep, safe_csv, stored, studies_from_scores
from mtl_nt.study.directions import HIGHER, LOWER, is_lower_better
from mtl_nt.study.score_table import COLUMNS
from mtl_nt.study.variance import overlap_of_runs
from mtl_nt.training import LOWER_IS_BETTER, metrics

TASKS = ("a", "b", "c", "d")
METHODS = ("STL", "MTL", "LBTW")


def table(
    methods: tuple[str, ...] = METHODS,
    runs: int = 6,
    tasks: tuple[str, ...] = TASKS,
    **columns: Any,
) -> pd.DataFrame:
    """Scores about 1 with a spread of .02; MTL's are .2 higher on the first task, Constant's 1."""
    random = np.random.default_rng(0)
    rows = [
        (
            *(m, s, t),
            1
            + 0.02 * random.standard_normal()
            + 0.2 * ((m, t) == ("MTL", tasks[0]))
            + (m == "Constant"),
        )
        for m in methods
        for s in range(runs)
        for t in tasks
    ]
    made = pd.DataFrame(rows, columns=["method", "seed", "task", "value"])
    return made.assign(**columns)


def wide(**columns: Any) -> pd.DataFrame:
    """The same scores, with a column for each task."""
    keys = ["method", "seed"]
    return table().pivot(index=keys, columns="task", values="value").reset_index().assign(**columns)


def verdict(study: Study, method: str = "MTL", task: str = "a") -> str:
    rows = study.transfer().query("method == @method and task == @task")
    return str(rows["verdict"].item())


# ---------------------------------------------------------------- which way is better


@pytest.mark.parametrize("name", ["RMSE", "rmse", "MAE", "log_loss", "mean squared error", "MSE"])
def test_of_an_error_higher_values_are_harm(name: str) -> None:
    study = Study.from_scores(table(), metric=name)
    assert verdict(study) == "harmed" and study.delta("MTL")["a"].mean() < -0.1


@pytest.mark.parametrize("name", ["R2", "accuracy", "ROC-AUC", "roc_auc", "mIoU", "F1", "R²"])
def test_of_a_gain_higher_values_are_help(name: str) -> None:
    study = Study.from_scores(table(), metric=name)
    assert verdict(study) == "helped" and study.delta("MTL")["a"].mean() > 0.1


def test_a_study_that_is_made_by_hand_has_the_right_sign_or_none() -> None:
    def by_hand(metric: str, **said: Any) -> Study:
        from_table = Study.from_scores(table(), metric="accuracy")
        results = from_table.results.assign(metric=metric)
        return Study(
            results,
            from_table.training,
            from_table.history,
            dict.fromkeys(TASKS, metric),
            0.0,
            None,
            None,
            **said,
        )

    assert verdict(by_hand("RMSE")) == "harmed"
    assert verdict(by_hand("my loss", lower_is_better={"my loss": True})) == "harmed"
    assert verdict(by_hand("my gain", lower_is_better={"my gain": False})) == "helped"
    refused(lambda: by_hand("my loss").transfer(), "'my loss'", "lower_is_better={'my loss': True}")


@pytest.mark.parametrize(
    ("said", "sign"),
    [
        (True, -1),
        (False, 1),
        ("my score", -1),
        (["my score"], -1),
        ({"my score": True}, -1),
        ({"my score": False}, 1),
    ],
)
def test_the_direction_of_an_unknown_metric_is_stated(said: Any, sign: int) -> None:
    study = Study.from_scores(table(), metric="my score", lower_is_better=said)
    assert study.sign("my score") == sign
    assert verdict(study) == ("harmed" if sign < 0 else "helped")


def test_a_direction_is_never_guessed_and_never_against_a_name() -> None:
    for name in ("my score", "test_rmse2", "neg_my_score", ""):
        refused(lambda name=name: Study.from_scores(table(), metric=name), "lower or higher better")
    refused(lambda: Study.from_scores(table()), "metric 'score'", "lower_is_better={'score': True}")
    for name, said in (("RMSE", False), ("r2", True), ("accuracy", ["accuracy"])):
        refused(
            lambda name=name, said=said: Study.from_scores(
                table(), metric=name, lower_is_better=said
            ),
            name,
            "rename yours if it is another",
        )
    both = pd.concat([table(metric="loss A"), table(metric="loss B")])
    few: Any = ["loss A"]  # of loss B it says nothing
    refused(lambda: Study.from_scores(both, metric="loss A", lower_is_better=few), "'loss B'")
    refused(
        lambda: Study.from_scores(table(), metric="my score", lower_is_better=["My score"]),
        "did you mean 'my score'?",
    )
    for wrong in (3, {"my score": 1}, {"my score": None}):
        refused(
            lambda wrong=wrong: Study.from_scores(
                table(), metric="my score", lower_is_better=wrong
            ),
            "True or False",
        )


def test_the_lists_of_metrics_agree_with_the_package_and_with_each_other() -> None:
    own = {metrics.PR_AUC, metrics.ROC_AUC, metrics.ERROR}
    own |= {metrics.MSE, metrics.MSE_RAW, metrics.R2, metrics.RAE, metrics.MAE, metrics.SPEARMAN}
    own |= {metrics.MACRO_PR_AUC, metrics.LOG_LOSS, metrics.ACCURACY, *metrics.ORIGINAL}
    assert {name for name in own if is_lower_better(name)} == LOWER_IS_BETTER
    assert all(is_lower_better(name) for name in LOWER)
    assert not any(is_lower_better(name) for name in HIGHER)


NAMED = ("NLL", "loss", "log loss", "cross entropy", "RMSE", "AUC", "PSNR", "log likelihood")
TURNED = (
    *(
        "-{}",
        "- {}",
        "−{}",
        "–{}",
        "(-){}",
        "+{}",
        "1-{}",
        "1 - {}",
        "1−{}",
        "1/{}",
        "{}-",
        "{} (-)",
    ),
    *(
        "neg {}",
        "Neg {}",
        "negative {}",
        "minus {}",
        "inverse {}",
        "log {}",
        "log({})",
        "Δ{}",
        "∆{}",
    ),
    *(
        "test_-{}",
        "val/-{}",
        "test -{}",
        "√{}",
        "¬{}",
        "{}⁻¹",
        "~{}",
        "{} (negated)",
        "{}*-1",
        "{}^-1",
    ),
    *("{} ↑↓", "{} (higher is better)", "{}@5", "\u200b{}"),
)


@pytest.mark.parametrize("spelled", TURNED)
def test_a_name_with_a_sign_is_unknown_and_what_is_stated_is_believed(spelled: str) -> None:
    """Its sign may turn the direction, so that every verdict would be the opposite."""
    of_their_own = ("log loss", "log(loss)", "negative log likelihood")
    for metric in {spelled.format(name) for name in NAMED} - {*of_their_own}:
        refused(lambda metric=metric: is_lower_better(metric), "is lower or higher better?")
        for lower in (True, False):
            assert is_lower_better(metric, {metric: lower}) is lower


@pytest.mark.parametrize("metric", ["-NLL", "−loss", "- cross entropy", "(-)NLL"])
def test_a_negated_error_with_higher_values_is_helped_or_asked_for(metric: str) -> None:
    higher = table().assign(value=lambda t: t["value"] - 3)  # MTL's are higher on task a
    refused(lambda: Study.from_scores(higher, metric=metric), "is lower or higher better?")
    said = Study.from_scores(higher, metric=metric, lower_is_better=False)
    assert verdict(said) == "helped"
    by_hand = replace(said, lower_is_better={})
    refused(lambda: by_hand.transfer(), "is lower or higher better?")


@pytest.mark.parametrize(
    ("metric", "lower"),
    [
        *(("RMSE ↓", True), ("↓ RMSE", True), ("AUC (↑)", False), ("quality ↑", False)),
        *(("my score [↓]", True), ("test_AUC ⬆\ufe0f", False), ("neg_MSE ↑", False)),
    ],
)
def test_an_arrow_says_which_way_is_better(metric: str, lower: bool) -> None:
    assert is_lower_better(metric) is lower
    refused(lambda: is_lower_better(metric, {metric: not lower}), "rename yours if it is another")


@pytest.mark.parametrize("metric", ["loss ↑", "AUC ↓", "neg_RMSE ↓"])
def test_an_arrow_against_the_name_leaves_the_direction_to_be_stated(metric: str) -> None:
    refused(lambda: is_lower_better(metric), "is lower or higher better?")
    assert is_lower_better(metric, {metric: True}) and not is_lower_better(metric, {metric: False})


@pytest.mark.parametrize(
    ("metric", "lower"),
    [
        *(("ROC–AUC", False), ("R^2", False), ("accuracy (%)", False), ("Acc.", False)),
        *(
            ("val-loss", True),
            ("eval: log-loss", True),
            ("  RMSE ", True),
            ("valid/F1 score", False),
        ),
        *(
            ("test_neg_root_mean_squared_error", False),
            ("NEG_MAE", False),
            ("top 5 accuracy", False),
        ),
    ],
)
def test_a_usual_name_is_known_however_it_is_written(metric: str, lower: bool) -> None:
    assert is_lower_better(metric) is lower


@pytest.mark.parametrize(
    ("metric", "sign", "words"),
    [
        ("RMSE", -1, ("RMSE of -1", "is below 0", "call it neg_RMSE where higher is better")),
        ("test_MSE ↓", -1, ("is below 0", "call it test_neg_MSE where")),
        ("accuracy", -1, ("is below 0", "turn the sign")),
        ("neg_RMSE", 1, ("neg_RMSE of 1", "is above 0", "turn the sign")),
    ],
)
def test_scores_on_the_wrong_side_of_0_are_refused(
    metric: str, sign: int, words: tuple[str, ...]
) -> None:
    wrong = table().assign(value=lambda t: sign * t["value"])
    refused(lambda: Study.from_scores(wrong, metric=metric), "row 0", *words)


@pytest.mark.parametrize("metric", ["NLL", "R2", "log likelihood", "neg_loss", "MCC", "PSNR"])
def test_scores_that_may_have_either_sign_may(metric: str) -> None:
    for sign in (-1, 1):
        Study.from_scores(table().assign(value=lambda t, s=sign: s * t["value"]), metric=metric)


# ---------------------------------------------------------------- folds that nobody declares


def with_seeds(*names: str) -> pd.DataFrame:
    return table(runs=len(names)).assign(seed=lambda t: [names[seed] for seed in t["seed"]])


FOLDS: dict[str, Callable[[], pd.DataFrame]] = {
    "a column split with numbers": lambda: table().assign(split=lambda t: t["seed"]),
    "a column split with names": lambda: table().assign(
        split=lambda t: "fold" + t["seed"].map(str)
    ),
    "cv fold": lambda: table().assign(**{"cv fold": lambda t: t["seed"]}),
    "CV": lambda: table().assign(CV=lambda t: t["seed"] + 1.0),
    "split_id": lambda: table().assign(split_id=lambda t: t["seed"].map("s{}".format)),
    "Fold": lambda: table().assign(Fold=lambda t: t["seed"]),
    "outerFold": lambda: table().assign(outerFold=lambda t: t["seed"] % 3),
    "split seed": lambda: table().assign(**{"split seed": lambda t: t["seed"] + 17}),
    "a fold and a repetition": lambda: table().assign(
        kfold=lambda t: t["seed"] % 3, seed=lambda t: t["seed"] // 3
    ),
    **{
        name: lambda name=name: table().assign(**{name: lambda t: t["seed"]})
        for name in (
            *("held_out_fold", "cv_iter", "cv iteration", "cv_run", "cvsplit", "CVSplit", "foldno"),
            *("fold_i", "n_fold", "repeat_fold", "shuffle_split", "scaffold_split", "loocv"),
            *("datasplit", "split_hash", "held out", "Holdout_id"),
        )
    },
    **{
        f"seeds {name}": lambda name=name: with_seeds(*(name.format(k) for k in range(4)))
        for name in ("outer{}", "s0_f{}", "{}/5", "holdout{}", "{} of 5", "rep1-f{}")
    },
    "a column for each task": lambda: wide().assign(**{"cv fold": lambda t: t["seed"]}),
    "seeds fold0": lambda: with_seeds("fold0", "fold1", "fold2", "fold3"),
    "seeds cv1": lambda: with_seeds("cv1", "cv2", "cv3"),
    "seeds of rounds": lambda: with_seeds("rep1_fold-a", "rep1_fold-b", "rep2_fold-a"),
    "seeds 1st fold": lambda: with_seeds("1st fold", "2nd fold", "3rd fold"),
    "seeds split 3": lambda: with_seeds("Split 3", "Split 4", "Split 5"),
}


@pytest.mark.parametrize("case", FOLDS)
def test_folds_are_asked_about_whatever_they_are_called(case: str) -> None:
    made = FOLDS[case]()
    runs = len(made) // (3 if "value" not in made else 12)
    refused(
        lambda: Study.from_scores(made, metric="R2"),
        "folds train on the same rows, so their scores are not independent",
        "(--folds ",
        "overlap=",
    )
    said = Study.from_scores(made, metric="R2", overlap=0.25)
    assert said.results["seed"].nunique() == runs and list(said.delta("MTL")) == [*TASKS]
    assert {*said.results["split"]} == {"free"}


@pytest.mark.parametrize("case", FOLDS)
def test_folds_are_asked_about_in_a_file_too(case: str, path: Path) -> None:
    FOLDS[case]().to_csv(path, index=False)
    refused(lambda: Study.from_scores(path, metric="R2"), "folds train on the same rows")


def test_folds_of_any_name_are_those_of_a_column_fold() -> None:
    ten = table(runs=10)
    rounds = {"seed": lambda t: t["seed"] // 5, "fold": lambda t: t["seed"] % 5}
    wanted = Study.from_scores(
        ten.assign(fold=rounds["fold"], seed=rounds["seed"]), "STL", None, metric="R2", folds=5
    )
    for name in ("cv fold", "split"):
        made = ten.assign(**{name: rounds["fold"]}).assign(seed=rounds["seed"])
        found = Study.from_scores(made, metric="R2", folds=5)
        assert found.overlap == wanted.overlap > 0
        pd.testing.assert_frame_equal(found.transfer(), wanted.transfer())
    numbered = ten.assign(split_id=lambda t: t["seed"])  # 10 splits, of two rounds of 5 folds
    assert Study.from_scores(numbered, metric="R2", folds=5).overlap == wanted.overlap
    refused(lambda: Study.from_scores(numbered, metric="R2", folds=4), "split_id has 10 values")


def test_a_fold_that_is_also_the_seed_is_one_round() -> None:
    same = table(runs=5).assign(fold=lambda t: t["seed"])
    plain = Study.from_scores(table(runs=5), metric="R2", folds=5)
    assert Study.from_scores(same, metric="R2", folds=5).overlap == plain.overlap


NO_FOLDS: dict[str, dict[str, Any]] = {
    "test rows": {"split": "test"},
    "a fixed split": {"split": "fixed"},
    "new data": {"split": "new data"},
    "one kind of split": {"split": "scaffold", "fold_size": 812},
    "the same in all rows": {"cv": "yes"},
    "measures of folds": {
        name: lambda t: t["seed"]
        for name in (
            *("fold_size", "fold_change", "foldchange", "split time", "splitSeconds", "cvd"),
            *("scaffold", "manifold", "folding", "splitter", "HCV", "look", "notes"),
        )
    },
    "seeds with a number of them": {"seed": lambda t: t["seed"].map("run {}/6".format)},
    "seeds that are dates": {"seed": lambda t: t["seed"].map("2026/05/0{}".format)},
    "seeds of a router": {"seed": lambda t: t["seed"].map("router{}".format)},
    "a scaffold": {"scaffold": lambda t: t["seed"]},
    "by task": {"split": lambda t: t["task"].map(dict(zip(TASKS, "xyyy", strict=True)))},
    "by method": {"split_id": lambda t: t["method"]},
    "seeds of one split": {"seed": lambda t: t["seed"].map("split0-seed{}".format)},
    "seeds named scaffold": {"seed": lambda t: t["seed"].map("scaffold{}".format)},
    "runs of one cross-validation": {"seed": lambda t: t["seed"].map("cv-run{}".format)},
}


@pytest.mark.parametrize("case", NO_FOLDS)
def test_a_column_or_a_name_that_tells_no_folds_apart_is_let_be(case: str) -> None:
    study = Study.from_scores(table().assign(**NO_FOLDS[case]), metric="R2")
    assert study.overlap == 0 and verdict(study) == "helped"


def test_a_split_of_train_and_test_rows_is_no_fold() -> None:
    both = pd.concat([table(split="test"), table(split="train")])
    refused(lambda: Study.from_scores(both, metric="R2"), "a second score", "drop one")


def test_a_task_may_be_called_cv_where_every_task_has_a_column() -> None:
    rows = wide().rename(columns={"a": "CV"})
    assert verdict(Study.from_scores(rows, metric="R2"), task="CV") == "helped"


# ---------------------------------------------------------------- what is refused


def without(rows: pd.DataFrame, wrong: str) -> pd.DataFrame:
    return rows.query(f"not ({wrong})")


def with_cell(row: int, column: str, cell: Any) -> pd.DataFrame:
    made = table().astype({column: object})
    made.loc[row, column] = cell
    return made


REFUSED: dict[str, tuple[Callable[[], pd.DataFrame], dict[str, Any], tuple[str, ...]]] = {
    "twice": (
        lambda: pd.concat([table(), table()[31:32]]),
        {},
        ("row 72", "a second score of method 'MTL', seed 1, task 'd'", "row 31"),
    ),
    "no run": (
        lambda: without(table(), "method == 'MTL' and seed in (2, 4)"),
        {},
        ("method 'MTL' has no score of seed 2, seed 4, which method 'STL' has",),
    ),
    "a run more": (
        lambda: without(table(), "method == 'STL' and seed == 5"),
        {},
        ("method 'STL' has no score of seed 5, which method 'MTL' has",),
    ),
    "no task": (
        lambda: without(table(), "method == 'LBTW' and task == 'b'"),
        {},
        ("method 'LBTW' has no score of task 'b', which method 'STL' has",),
    ),
    "a hole": (
        lambda: table().drop(index=30),
        {},
        ("method 'MTL' has no score of task 'c' with seed 1",),
    ),
    "a hole in one metric": (
        lambda: pd.concat([table(metric="R2"), table(metric="MAE").drop(index=30)]),
        {"metric": "R2"},
        ("method 'MTL' has no score of task 'c' by MAE with seed 1",),
    ),
    "a baseline that is not there": (
        table,
        {"baseline": "SLT"},
        ("no scores of the baseline 'SLT'", "did you mean 'STL'"),
    ),
    "one method": (lambda: table(("STL",)), {}, ("'STL' is the only method",)),
    "no rows": (lambda: table()[:0], {}, ("no scores",)),
    "no column": (
        lambda: table().rename(columns={"seed": "run"}),
        {},
        ("no column 'seed'", "'method', 'run', 'task', 'value'"),
    ),
    "a text": (lambda: with_cell(5, "value", "0,93"), {}, ("row 5", "'0,93' is no number")),
    "a truth": (lambda: table().assign(value=True), {}, ("row 0", "'True' is no number")),
    "no number": (lambda: with_cell(5, "value", None), {}, ("row 5", "no value")),
    "infinity": (lambda: with_cell(5, "value", -math.inf), {}, ("row 5", "'-inf' is not finite")),
    "no name": (lambda: with_cell(7, "task", " "), {}, ("row 7", "no task")),
    "a wrong alpha": (lambda: table(alpha=-1), {}, ("row 0", "alpha", "is below 0")),
    "an alpha of the baseline": (lambda: table(alpha=0.5), {}, ("baseline 'STL' has an alpha",)),
    "an alpha here and there": (
        lambda: table().assign(alpha=[*[math.nan] * 25, *[0.5] * 47]),
        {},
        ("method 'MTL' has rows without alpha",),
    ),
    "several metrics": (
        lambda: pd.concat([table(metric="R2"), table(metric="MAE")]),
        {"metric": None},
        ("task 'a' has scores by R2, MAE", "metric='R2'"),
    ),
    "a metric that is not there": (
        lambda: table(metric="R2"),
        {"metric": "R1"},
        ("no metric 'R1'", "did you mean 'R2'"),
    ),
    "a wrong margin": (table, {"margin": -0.1}, ("margin -0.1",)),
    "a margin of nothing": (table, {"margin": {"MAE": 0.1}}, ("unknown metric 'MAE'",)),
    "a margin of two metrics": (
        lambda: table().assign(metric=lambda rows: np.where(rows["task"] == "a", "R2", "MAE")),
        {"metric": None, "margin": 0.1},
        ("R2 and MAE", "--margin R2=0.1,MAE=0.1"),
    ),
    "other folds than the table has": (
        lambda: table().rename(columns={"seed": "fold"}),
        {"folds": 50},
        ("the column fold has 6 values", "folds is 50"),
    ),
    "one fold": (table, {"folds": 1}, ("folds 1", "2 or more")),
    "folds and an overlap": (table, {"folds": 6, "overlap": 0.2}, ("give one",)),
    "an overlap in percent": (table, {"overlap": 25}, ("overlap 25", "from 0 to 10")),
    "a baseline of another name": (
        lambda: table().replace({"method": {"STL": "single"}}),
        {},
        ("say which method it is: --baseline NAME, of 'single', 'MTL', 'LBTW'",),
    ),
    "runs that are copies": (
        lambda: table().assign(
            value=lambda t: t.groupby(["method", "task"])["value"].transform("first")
        ),
        {},
        ("'STL' and 'LBTW' have the same scores in all 6 runs",),
    ),
    "an error below 0": (
        lambda: table().assign(value=lambda t: -t["value"]),
        {"metric": "RMSE"},
        ("table, row 0: RMSE of -1", "is below 0", "neg_RMSE where higher"),
    ),
    "percent beside shares": (
        lambda: table().assign(
            value=lambda t: t["value"].clip(upper=0.9) * t["method"].map({"MTL": 100}).fillna(1)
        ),
        {"metric": "ROC-AUC"},
        ("ROC-AUC in two units", "'MTL', task 'a' has 90", "'STL', task 'a' has 0.9"),
    ),
    "a column of words in a wide table": (
        lambda: wide().assign(note="x"),
        {},
        ("the column 'note' has no numbers; drop it",),
    ),
    "a wrong overlap": (table, {"overlap": -1}, ("overlap -1", "test rows / training rows")),
    "folds": (
        lambda: table().rename(columns={"seed": "fold"}),
        {},
        ("folds train on the same rows", "folds=6 (--folds 6)", "overlap"),
    ),
    "new splits of the same rows": (lambda: table(split="free"), {}, ("split the same rows",)),
    "a twin that is not there": (table, {"twin": "MTl"}, ("no method 'MTl'", "'MTL'")),
    "a twin that is the baseline": (table, {"twin": "STL"}, ("is the baseline itself",)),
    "a twin that is a copy": (
        lambda: pd.concat([table(), table(("STL",)).assign(method="again")]),
        {"twin": "again"},
        ("'again' has the scores of 'STL'", "another seed"),
    ),
    "two twins": (
        lambda: table(("STL", "STL'", "again")),
        {"twin": "again"},
        ("\"STL'\" and 'again' are two twins",),
    ),
    "two data sets": (
        lambda: pd.concat([table(dataset="x"), table(dataset="y")]),
        {},
        ("2 data sets (x, y)", "dataset='x'"),
    ),
    "no such data set": (
        lambda: table(dataset="left"),
        {"dataset": "lift"},
        ("no scores of data set 'lift'", "did you mean 'left'"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_mislead_is_refused_in_one_line(case: str) -> None:
    made, options, words = REFUSED[case]
    refused(lambda: Study.from_scores(made(), **{"metric": "R2", **options}), *words)


CELLS = st.one_of(
    *(st.none(), st.booleans(), st.floats(), st.text(max_size=3), st.integers(), st.binary()),
    *(st.complex_numbers(), st.dates(), st.lists(st.integers(), max_size=1), st.just(10**400)),
    *(st.just(pd.NA), st.just(pd.NaT), st.just("\ud800"), st.just("x" * 999), st.just("a\nb")),
)
SAID = ("baseline", "twin", "metric", "dataset", "lower_is_better", "margin", "overlap")


def test_a_score_whose_square_is_infinite_is_refused() -> None:
    made = table(metric="R2")
    made.loc[3, "value"] = 1.6e154
    refused(lambda: Study.from_scores(made), "row 3", "1.6e+154 is too large")


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 47), st.sampled_from(COLUMNS), CELLS), max_size=2),
    st.dictionaries(st.sampled_from(SAID), CELLS, max_size=1),
)
def test_whatever_is_in_a_table_or_said_of_it_one_line_or_a_study_comes_of_it(
    cells: list[tuple[int, str, Any]], said: dict[str, Any]
) -> None:
    rows = table(runs=4).to_dict("list")
    for row, column, cell in cells:
        rows.setdefault(column, [1] * 48)[row] = cell
    made = pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in rows.items()})
    options = {"metric": None if "metric" in made else "R2", "overlap": 0.25, **said}
    try:
        assert Study.from_scores(made, **options).transfer()["verdict"].notna().all()
    except BadInput as error:
        assert len(str(error).splitlines()) == 1 and 10 < len(str(error)) < 260, error


# ---------------------------------------------------------------- what is read


def test_the_order_of_rows_and_other_columns_do_not_matter() -> None:
    study = Study.from_scores(table(), metric="R2")
    mixed = table(note="x", fold_size=3).sample(frac=1, random_state=0)
    other = Study.from_scores(mixed, metric="R2")
    for method in METHODS:
        pd.testing.assert_frame_equal(
            study.scores(method), other.scores(method)[list(TASKS)], check_names=False
        )


def test_numbers_are_those_of_the_table_and_of_a_plain_paired_t_test() -> None:
    rows = table(tasks=("a",))
    study = Study.from_scores(rows, metric="RMSE")
    wide = rows.pivot(index="seed", columns="method", values="value")
    assert np.allclose(study.delta("MTL")["a"], wide["STL"] - wide["MTL"])
    row = study.transfer().query("method == 'MTL'").iloc[0]
    alone = stats.ttest_rel(wide["STL"], wide["MTL"])  # with one task nothing is moderated
    assert row["p"] == pytest.approx(alone.pvalue)
    low, high = alone.confidence_interval()
    assert [row["low"], row["high"]] == pytest.approx([low, high])


def test_a_table_may_have_a_column_for_each_task_and_names_in_any_case(tmp_path: Path) -> None:
    long = Study.from_scores(table(), metric="R2")
    path = tmp_path / "scores.csv"
    wide().rename(columns={"method": "Method", "seed": "SEED"}).to_csv(path, index=False)
    for scores, metric in ((wide(), "R2"), (wide(metric="R2"), None), (path, "R2")):
        found = Study.from_scores(scores, metric=metric)
        both = [study.delta("MTL")[[*TASKS]] for study in (long, found)]
        pd.testing.assert_frame_equal(*both, check_names=False)


def test_scikit_learns_names_are_known_and_its_negated_errors_are_higher_where_better() -> None:
    for name in ("test_roc_auc", "valid/AUC", "neg_mean_squared_error", "test_neg_log_loss"):
        assert is_lower_better(name) is False
    assert is_lower_better("test_mean_squared_error")
    turned = table().assign(value=lambda t: -t["value"])
    assert verdict(Study.from_scores(turned, metric="neg_RMSE")) == "harmed"
    assert verdict(Study.from_scores(table(), metric="RMSE")) == "harmed"


def test_folds_are_those_of_a_study_whose_runs_are_folds() -> None:
    """One rule, whoever has trained: five folds, alone, and in two rounds."""
    one = Study.from_scores(table(runs=5), metric="R2", folds=5)
    assert (one.overlap, one.overlap_limit) == (
        pytest.approx(overlap_of_runs([80] * 5, [*np.arange(100).reshape(5, 20)])),
        0.25,
    )
    two = table(runs=10).assign(fold=lambda t: t["seed"] % 5, seed=lambda t: t["seed"] // 5)
    by_order = Study.from_scores(table(runs=10), metric="R2", folds=5)
    assert Study.from_scores(two, metric="R2", folds=5).overlap == pytest.approx(by_order.overlap)
    assert one.overlap < by_order.overlap < 0.25


def test_folds_of_one_cross_validation_widen_the_intervals_as_nadeau_and_bengio_say() -> None:
    folds = table(runs=5, tasks=("a",)).rename(columns={"seed": "fold"})
    apart, shared = (Study.from_scores(folds, metric="R2", overlap=o) for o in (0, 1 / 4))
    wide = [float((r["high"] - r["low"]).iloc[0]) for r in (apart.transfer(), shared.transfer())]
    assert wide[1] / wide[0] == pytest.approx(math.sqrt((1 / 5 + 1 / 4) / (1 / 5)))
    assert (apart.results["split"].iloc[0], shared.results["split"].iloc[0]) == (
        "not stated",
        "free",
    )


def test_repeated_cross_validation_has_a_run_for_every_fold_of_every_round() -> None:
    rounds = table().assign(fold=lambda rows: rows["seed"] % 3)
    rounds["seed"] //= 3
    study = Study.from_scores(rounds, metric="R2", overlap=1 / 2)
    assert np.allclose(
        study.delta("MTL"), Study.from_scores(table(), metric="R2").delta("MTL")[list(TASKS)]
    )
    lost = without(rounds, "method == 'MTL' and seed == 1 and fold == 2")
    refused(lambda: Study.from_scores(lost, metric="R2", overlap=0.5), "seed 1, fold 2")


@pytest.mark.parametrize("names", [(7, 11, 100, 3, 5, 2), ("r1", "r2", "r3", "x", "y", "z")])
def test_a_seed_that_is_a_number_stays_one_and_a_name_will_do(names: tuple[Any, ...]) -> None:
    study = Study.from_scores(
        table().assign(seed=lambda r: r["seed"].map(dict(enumerate(names)))), metric="R2"
    )
    numbers = {*names} if isinstance(names[0], int) else {*range(6)}
    assert {*study.results["seed"]} == numbers
    assert verdict(study) == "helped"


def test_a_twin_is_the_null_and_a_constant_the_floor() -> None:
    rows = table(("LBTW", "Constant", "again", "STL", "MTL"))
    study = Study.from_scores(rows, metric="R2", twin="again")
    assert study.null == "STL'"
    assert list(study.counts()["method"]) == ["STL", "STL'", "LBTW", "MTL", "Constant"]
    counts = study.counts().set_index("method")
    assert counts.loc["MTL", "negative_null_high"] > counts.loc["MTL", "negative_null_low"]
    own_name = Study.from_scores(table(("STL", "STL'", "MTL")), metric="R2")
    assert own_name.null == "STL'"
    assert Study.from_scores(table(), metric="R2").null is None


def test_each_data_set_is_a_study_of_its_own() -> None:
    rows = pd.concat([table(dataset="x"), table(tasks=("e", "f"), dataset="y")])
    studies = studies_from_scores(rows, metric="RMSE")
    assert [*studies] == ["x", "y"] and list(studies["y"].delta("MTL")) == ["e", "f"]
    one = Study.from_scores(rows, metric="RMSE", dataset="y")
    pd.testing.assert_frame_equal(one.results, studies["y"].results)


def test_the_folds_of_one_data_set_say_nothing_of_another() -> None:
    """One round of one data set stays one round beside two rounds of another."""
    both = pd.concat([table(runs=5, dataset="x"), table(runs=10, dataset="y")])
    studies = studies_from_scores(both, metric="RMSE", folds=5)
    for name, runs in (("x", 5), ("y", 10)):
        alone = Study.from_scores(table(runs=runs), metric="RMSE", folds=5)
        assert studies[name].overlap == alone.overlap
    assert studies["x"].overlap != studies["y"].overlap


def test_tasks_of_two_kinds_are_each_judged_by_their_own_metric() -> None:
    rows = pd.concat([table(tasks=("a", "b"), metric="R2"), table(tasks=("c", "d"), metric="RMSE")])
    study = Study.from_scores(rows)
    assert study.metric == {"a": "R2", "b": "R2", "c": "RMSE", "d": "RMSE"}
    assert (verdict(study, task="a"), verdict(study, task="c")) == ("helped", "harmed")


def test_every_metric_of_a_task_can_be_asked_for() -> None:
    rows = pd.concat([table(metric="R2"), table(metric="RMSE")])
    study = Study.from_scores(
        rows, metric={**dict.fromkeys("ab", "R2"), **dict.fromkeys("cd", "RMSE")}
    )
    assert study.metric["b"] == "R2" and study.metric["c"] == "RMSE"
    assert np.allclose(study.delta("MTL", metric="R2"), -study.delta("MTL", metric="RMSE"))


def test_one_run_says_what_it_can_and_decides_nothing() -> None:
    study = Study.from_scores(table(runs=1), metric="RMSE")
    assert {*study.transfer()["verdict"]} == {"undecided"}
    assert arm_tables(study).claim(("MTL", "")).startswith("One run decides nothing")


# ---------------------------------------------------------------- files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my scores.csv"


def test_a_file_says_what_the_table_says_and_a_message_names_its_line(path: Path) -> None:
    table().to_csv(path, index=False)
    study = Study.from_scores(path, metric="R2")
    pd.testing.assert_frame_equal(
        study.delta("MTL"), Study.from_scores(table(), metric="R2").delta("MTL")
    )
    assert {*study.results["dataset"]} == {"my scores"}
    with_cell(5, "value", "x").to_csv(path, index=False)
    refused(lambda: Study.from_scores(path, metric="R2"), "my scores.csv, line 7", "'x'")
    pd.concat([table(), table()[3:4]]).to_csv(path, index=False)
    refused(lambda: Study.from_scores(path, metric="R2"), "line 74", "(the first: line 5)")


def test_names_stay_names_in_a_file(path: Path) -> None:
    names = {"a": "1", "b": "007", "c": "=1+1", "d": "x, y"}
    rows = table().replace({"task": names})
    path.write_text(safe_csv(rows, 9), encoding="utf-8")
    assert list(Study.from_scores(path, metric="R2").delta("MTL")) == [*names.values()]


def test_parquet_is_read_as_well(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "scores.parquet"
    table().to_parquet(path)
    assert verdict(Study.from_scores(path, metric="R2")) == "helped"


@pytest.mark.parametrize("text", ["", "method,seed,task,value\n", "a\tb\n", "\x80\x04pickle"])
def test_what_is_no_table_of_scores_is_refused(text: str, path: Path) -> None:
    path.write_bytes(text.encode("latin-1"))
    refused(lambda: Study.from_scores(path, metric="R2"), "my scores.csv")


def test_the_scores_of_a_study_can_be_judged_again() -> None:
    """By R2, which has no unit. Of the MSE, only the study knows that all tasks share one."""
    study = compare(load("dial-noisy"), ["LBTW"], seeds=3, steps=20, progress=False)
    again = Study.from_scores(study.results, metric="R2")
    pd.testing.assert_frame_equal(again.transfer(), study.transfer("R2"))
    by_error = Study.from_scores(study.results, metric="MSE")
    assert np.allclose(by_error.transfer()["delta"], study.transfer()["delta"])


# ---------------------------------------------------------------- columns that name the rows


def saved(made: pd.DataFrame, path: Path, form: str) -> pd.DataFrame | Path:
    """A table with its index, as pandas saves it in a file, or reads that file again."""
    if form == "Parquet":
        made.to_parquet(path := path.with_suffix(".parquet"))
        return path
    made.to_csv(path)
    return path if form == "CSV" else pd.read_csv(path)


@pytest.mark.parametrize("form", ["CSV", "DataFrame", "Parquet"])
@pytest.mark.parametrize("index", ["from 0", "shuffled", "of two parts", "some", "texts"])
@pytest.mark.parametrize("made", [table(), wide()], ids=["long", "wide"])
def test_the_index_of_a_table_is_no_task(
    made: pd.DataFrame, index: str, form: str, path: Path
) -> None:
    count = np.arange(len(made))
    labels = {
        "from 0": count,
        "shuffled": np.random.default_rng(0).permutation(count),
        "of two parts": count % (len(made) // 2),
        "some": count**2,
        "texts": [f"r{k}" for k in count],
    }
    study = Study.from_scores(
        saved(made.set_index(pd.Index(labels[index])), path, form), metric="R2"
    )
    assert list(study.delta("MTL")) == [*TASKS]


def test_a_column_that_may_be_a_task_or_count_the_rows_is_asked_about() -> None:
    for made in (wide().reset_index(), wide().reset_index().sample(frac=1, random_state=0)):
        refused(lambda made=made: Study.from_scores(made, metric="R2"), "'index' counts the rows")
    scores = wide().rename(columns={"b": "Unnamed: 3"})
    refused(lambda: Study.from_scores(scores, metric="R2"), "'Unnamed: 3' has scores, and no name")


@pytest.mark.parametrize("values", [(93, 91), (3, 5, 4, 8, 6, 7), (70, 70, 71), (0, 1)])
def test_whole_numbers_that_do_not_count_are_scores(values: tuple[int, ...]) -> None:
    made = wide().assign(wins=lambda t: np.resize(values, len(t)))
    assert "wins" in Study.from_scores(made, metric="PSNR").delta("MTL")


# ---------------------------------------------------------------- all that a study offers


@pytest.fixture(scope="module")
def study() -> Study:
    methods = ("STL", "STL'", "MTL", "LBTW", "Constant")
    rows = pd.concat([table(methods, alpha=math.nan), table(("GradNorm",), alpha=0.5)])
    return Study.from_scores(rows, metric="my loss", lower_is_better=True, margin=0.01)


def test_every_figure_is_drawn_without_a_word_of_training(study: Study) -> None:
    for figure in (
        figures.task_differences(study),
        figures.trade_off(study),
        figures.alpha_curve(study, "GradNorm"),
    ):
        said = " ".join(t.get_text() for t in figure.texts)
        assert "6 runs" in said and "trunk" not in said and "steps" not in said
    html = figures.counts_table(study)
    assert "lower is better" in html and "networks" not in html and "seconds" not in html


def test_another_baseline_is_compared_with_as_well(study: Study) -> None:
    assert verdict(study.against("MTL"), "LBTW", "a") == "helped"


def test_it_is_kept_and_read_again(study: Study, tmp_path: Path) -> None:
    read = stored(keep(study, tmp_path / "kept"))
    assert (read.recipe, read.checkpoint) == (None, None)
    assert read.margin == study.margin and read.lower_is_better == {"my loss": True}
    assert verdict(read) == verdict(study) == "harmed"
    pd.testing.assert_frame_equal(
        read.counts(), study.counts(), rtol=1e-3, check_dtype=False, check_exact=False
    )
    assert stored(keep(read, tmp_path / "again")).results.equals(read.results)


def test_a_table_may_have_a_column_for_each_metric(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    keys = [(m, s, t) for m in ("STL", "MTL") for s in range(4) for t in "abc"]
    wide = pd.DataFrame(keys, columns=["method", "seed", "task"])
    wide = wide.assign(RMSE=random.uniform(1, 2, len(wide)), R2=random.uniform(0, 1, len(wide)))
    long = wide.melt(["method", "seed", "task"], var_name="metric")
    wide.to_csv(tmp_path / "scores.csv")  # with its index, as pandas saves it
    for table in (wide, tmp_path / "scores.csv"):
        for metric in ("RMSE", "R2"):
            one, same = (Study.from_scores(t, metric=metric) for t in (table, long))
            assert one.transfer().equals(same.transfer())
            assert one.transfer("R2").equals(same.transfer("R2"))
    refused(lambda: Study.from_scores(wide.assign(note="x"), metric="RMSE"), "note")
