"""Every plot: what a reader sees agrees with the tables, whatever the tasks are called."""

from __future__ import annotations

import functools
import html
import io
import math
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import mtl_nt
from mtl_nt import BadInput, Recipe, Study, figures
from mtl_nt.figures.differences import VERDICT_MARKERS
from mtl_nt.figures.drawing import HARMS, HELPS, method_styles, spread
from mtl_nt.figures.effects import size
from mtl_nt.figures.weight_lines import smoothed, smoothing_window
from mtl_nt.study.stored import stored

HOSTILE = ("<script>alert(1)</script>", "$x_1$", "a_b^c$", "two\nlines", "\\frac{$}", "&amp;", "$")
LONG = "a very long name that does not seem to come to any end at all"
VARIANT, OWN = "LBTW, shuffled", "<b>$my_method$</b>"
ARMS = [("STL", math.nan), ("STL'", math.nan), ("MTL", math.nan), ("RMTL", math.nan)]
ARMS += [*(("LBTW", a) for a in (0.0, 0.5, 2.0)), (VARIANT, 0.5), (OWN, math.nan)]


@functools.cache
def made(
    tasks: tuple[str, ...] = HOSTILE,
    seeds: int = 5,
    metric: str = "MSE",
    split: str = "new data",
    effect: float = 0.1,
    diverged: tuple[tuple[str, float], ...] = (),
    unscored: int = 0,
    unlearned: int = 0,
) -> Study:
    """A study whose numbers are drawn, not trained: MTL and its kin harm every other task, and
    nobody learns the first few.
    """
    random, sign = np.random.default_rng(0), -1 if metric == "MSE" else 1
    level = random.uniform(0.2, 0.4, len(tasks))
    harm = np.where(np.arange(len(tasks)) % 2, -effect, 0.0)
    results, training, history = [], [], []
    for method, alpha in [*ARMS, ("Constant", math.nan)]:
        alone = method in ("STL", "STL'")
        for seed in range(seeds):
            gone = (method, alpha) in diverged and seed == 0
            value = level + (0 if alone else sign * harm) + random.normal(0, 0.01, len(tasks))
            if method == "Constant":
                value -= sign * np.where(np.arange(len(tasks)) < unlearned, -0.5, 0.5)
            value[len(tasks) - unscored :] = math.nan
            value = value * math.nan if gone else value
            results += [
                ("made", seed, split, method, alpha, seed, t, metric, v)
                for t, v in zip(tasks, value, strict=True)
            ]
            if method == "Constant":
                continue
            networks = list(tasks) if alone or method == "RMTL" else ["all"]
            training.append((method, alpha, seed, len(networks), 600, 0.1, gone, False))
            history += [
                (method, alpha, seed, n, t, step, 1.0, weight(method, n, t, random))
                for step in (200, 400, 600)
                for n in networks
                for t in tasks
            ]
    arm = ["method", "alpha", "seed"]
    where, costs = ["dataset", "data_seed", "split", *arm], ["networks", "steps", "seconds"]
    return Study(
        results=pd.DataFrame(results, columns=[*where, "task", "metric", "value"]),
        training=pd.DataFrame(training, columns=[*arm, *costs, "diverged", "still_improving"]),
        history=pd.DataFrame(history, columns=[*arm, "network", "task", "step", "loss", "weight"]),
        metric=dict.fromkeys(tasks, metric),
        overlap=0.0,
        recipe=Recipe(),
        checkpoint="last",
    )


def weight(method: str, network: str, task: str, random: np.random.Generator) -> float:
    if method in ("STL", "STL'"):
        return 1.0 if network == task else math.nan
    if method == "MTL" or network == task:
        return 1.0
    return float(random.uniform(0.2, 1.8))


@pytest.fixture(scope="module")
def trained() -> Study:
    return mtl_nt.compare(
        lambda seed: mtl_nt.load("dial", seed=seed),
        methods=("MTL", "Fine-Tuning", "RMTL", "LBTW"),
        alphas=(0.0, 0.5, 1.0),
        seeds=3,
        steps=60,
        progress=False,
    )


@pytest.fixture(scope="module")
def hostile() -> Study:
    return made((*HOSTILE, LONG))


DRAWN: dict[str, Callable[[Study], Figure]] = {
    "differences": figures.task_differences,
    "differences at an alpha": lambda s: figures.task_differences(s, 0.5),
    "one method": lambda s: figures.task_differences(s, methods=["MTL"]),
    "two methods": lambda s: figures.task_differences(s, 0.5, methods=["MTL", "LBTW"]),
    "alpha curve": lambda s: figures.alpha_curve(s, "LBTW"),
    "alpha curve at an alpha": lambda s: figures.alpha_curve(s, "LBTW", 0.5),
    "trade-off": figures.trade_off,
    "weights": lambda s: figures.weight_curves(s, "LBTW", 0.5),
    "weight matrix": figures.weight_matrix,
}


@pytest.fixture(scope="module")
def drawn(trained: Study) -> dict[str, Figure]:
    """Every figure of the trained study, for whoever only looks at it."""
    return {name: draw(trained) for name, draw in DRAWN.items()}


def found(figure: Figure, gid: str) -> list:
    return figure.findobj(lambda artist: artist.get_gid() == gid)


def title(figure: Figure) -> str:
    return " ".join(figure.texts[0].get_text().split())


def row(study: Study, method: str, alpha: float = math.nan) -> pd.Series:
    table = study.counts()
    same = table["alpha"].isna() if math.isnan(alpha) else table["alpha"] == alpha
    return table[(table["method"] == method) & same].iloc[0]


# ---------------------------------------------------------------- what a reader sees


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_says_in_words_what_its_title_claims(name: str, drawn: dict[str, Figure]) -> None:
    figure = drawn[name]
    assert len(title(figure)) > 20
    assert figures.alt_text(figure).startswith(title(figure))
    assert len(figures.alt_text(figure)) > len(title(figure)) + 20
    assert "no difference" not in figures.alt_text(figure)
    scope = figure.texts[1].get_text()
    assert "dial-unrelated" in scope and "3 runs on new data" in scope and "60 steps" in scope


@pytest.mark.slow
def test_the_line_of_no_transfer_stands_at_zero(trained: Study) -> None:
    (line,) = found(figures.task_differences(trained), "zero")
    assert list(line.get_xdata()) == [0, 0]
    (line,) = found(figures.trade_off(trained), "zero")
    assert line.get_xdata()[0] == pytest.approx(row(trained, "STL")["mean"])
    (line,) = found(figures.alpha_curve(trained, "LBTW"), "STL")
    assert line.get_ydata()[0] == pytest.approx(row(trained, "STL")["mean"])


@pytest.mark.slow
def test_the_null_band_of_the_counts_is_that_of_the_table(trained: Study) -> None:
    (band,) = found(figures.alpha_curve(trained, "LBTW"), "null")
    count = row(trained, "LBTW", 0.5)
    assert band.get_y() == pytest.approx(count["negative_null_low"])
    assert band.get_y() + band.get_height() == pytest.approx(count["negative_null_high"])


@pytest.mark.slow
def test_the_null_band_of_the_differences_holds_the_reseeded_tasks(trained: Study) -> None:
    (band,) = found(figures.task_differences(trained), "null")
    null = trained.delta("STL'").mean().abs()
    assert band.get_width() / 2 == pytest.approx(null.quantile(0.95))
    assert band.get_x() == pytest.approx(-band.get_width() / 2)


@pytest.mark.slow
def test_every_task_is_one_point_at_its_mean_difference(trained: Study) -> None:
    every = figures.task_differences(trained, 0.5)  # many methods: one row each
    points = [xy for v in VERDICT_MARKERS for c in found(every, v) for xy in c.get_offsets()]
    rows = {k: sorted(float(x) for x, y in points if round(y) == k) for k in (0, 1)}
    assert rows[0] == pytest.approx(sorted(trained.delta("STL'").mean()))
    assert rows[1] == pytest.approx(sorted(trained.delta("MTL").mean()))
    one = figures.task_differences(trained, methods=["MTL"])  # one row per task
    points = [xy for v in VERDICT_MARKERS for c in found(one, v) for xy in c.get_offsets()]
    assert sorted(x for x, _ in points) == pytest.approx(rows[1])


def test_verdicts_differ_by_shape_and_filling() -> None:
    assert len(set(VERDICT_MARKERS.values())) == len(VERDICT_MARKERS) == 5
    for sign, verdict, colour in ((1, "harmed", HARMS), (-1, "helped", HELPS)):
        study = made(effect=sign * 0.1)
        figure = figures.task_differences(study, methods=["MTL"])
        (undecided,), (decided,) = found(figure, "undecided"), found(figure, verdict)
        assert tuple(undecided.get_facecolor()[0][:3]) == (1, 1, 1)
        assert tuple(decided.get_facecolor()[0][:3]) == to_rgb(colour)
        assert len(decided.get_offsets()) == row(study, "MTL")[verdict] == 3


@pytest.mark.slow
@pytest.mark.parametrize("split", ["fixed", "new data"])
def test_a_title_says_the_numbers_of_the_table(split: str) -> None:
    study = made(split=split)
    mtl, lbtw = row(study, "MTL"), row(study, "LBTW", 0.5)
    null = f"null {lbtw['negative_null_low']:.1f}–{lbtw['negative_null_high']:.1f}"
    where = " on this split" if split == "fixed" else ""
    said = (
        f"LBTW 0.5 harms {lbtw['harmed']} of 7 tasks{where} beyond chance "
        f"(null {lbtw['harmed_null']}; MTL {mtl['harmed']}); "
        f"a single run would say {lbtw['negative_per_run']:.1f} ({null})"
    )
    assert title(figures.alpha_curve(study, "LBTW", 0.5)) == said
    for method, figure in (
        ("LBTW 0.5", figures.task_differences(study, 0.5)),
        ("MTL", figures.task_differences(study)),
        ("MTL", figures.task_differences(study, methods=["MTL"])),
    ):
        name, _, alpha = method.partition(" ")
        tests = study.transfer().query("method == @name and verdict == 'harmed'")
        tests = tests[tests["alpha"] == 0.5] if alpha else tests
        lost = size(float(tests["delta"].mean()))
        assert title(figure) == (
            f"Under {method}, three of seven tasks lose {lost} (MSE){where}; "
            "no task is found to gain"
        )
        count = row(study, name, float(alpha or "nan"))
        null = f"null {count['negative_null_low']:.1f}–{count['negative_null_high']:.1f}"
        one_run = f"one run counts {count['negative_per_run']:.1f} as worse ({null})"
        counted = f"harms {count['harmed']} of 7 beyond chance (null {count['harmed_null']})"
        small_print = " ".join(figure.texts[1].get_text().split())
        assert small_print.endswith(f"{method} {counted}; {one_run}")


def test_tasks_that_nobody_learns_are_named_first_and_drawn_apart() -> None:
    study = made(unlearned=2)
    figure = figures.task_differences(study, methods=["MTL"])
    assert title(figure).startswith(
        "Two of seven tasks are not learned; under MTL, two of five tasks lose 0.10 (MSE)"
    )
    (lost,), (open_,) = found(figure, "not learned"), found(figure, "undecided")
    assert len(lost.get_offsets()) == 2
    red, green, blue = lost.get_facecolor()[0][:3]
    assert red == green == blue < 1
    assert len(lost.get_paths()[0].vertices) != len(open_.get_paths()[0].vertices)
    assert "not learned" in words(figure) and "same" not in words(figure)
    assert "MTL: 2 harmed" in figures.alt_text(figure) and "2 not learned" in figures.alt_text(
        figure
    )
    head, *_, mtl = re.findall(r"<tr>(.*?)</tr>", figures.counts_table(study))[:4]
    names = re.findall(r"<th scope='col'>(.*?)</th>", head)
    cells = dict(zip(names[1:], re.findall("<td>(.*?)</td>", mtl), strict=True))
    assert (cells["undecided"], cells["not learned"]) == ("3 of 7", "2")
    assert "same" not in names


def test_beside_the_verdicts_stands_what_a_method_does_on_the_whole_and_what_chance_does() -> None:
    study = made()
    table, whole = figures.counts_table(study), study.overall().set_index("method").loc["MTL"]
    head, *rows = re.findall(r"<tr>(.*?)</tr>", table)
    names = re.findall(r"<th scope='col'>(.*?)</th>", head)
    mtl = next(r for r in rows if ">MTL<" in r)
    cells = dict(zip(names[1:], re.findall("<td>(.*?)</td>", mtl), strict=True))
    ends = [f"{whole[k]:+.2g}" for k in ("delta", "low", "high")]
    assert cells["mean difference"] == "{} [{}, {}]".format(*ends)
    assert cells["delta_m"] == f"{whole['delta_m']:+.1f}%" and whole["delta_m"] < 0
    assert cells["mean rank"] == f"{whole['rank']:.1f}"
    assert "3 to 8 of 100 studies of 5 runs flag some task" in table
    assert "The null of a count is from 5 pairs of trainings" in table
    alone = figures.counts_table(made(seeds=1))
    assert "nan" not in alone and "of 100 studies" not in alone


def test_the_same_within_a_margin_has_a_marker_and_a_column() -> None:
    study = made().with_margin(0.05)
    figure = figures.task_differences(study, methods=["MTL"])
    (same,) = found(figure, "same")
    assert len(same.get_offsets()) == 4 == row(study, "MTL")["same"]
    assert "same" in words(figure) and "not learned" not in words(figure)
    assert "<th scope='col'>same</th>" in figures.counts_table(study)
    lines = np.concatenate([line.get_segments() for line in found(figure, "margin")])
    assert {round(float(x), 9) for x in lines[..., 0].ravel()} == {-0.05, 0.05}
    assert "margin ±0.05" in words(figure) and title(figure).endswith(
        "; four stay within the margin"
    )
    assert not found(figures.task_differences(made(), methods=["MTL"]), "margin")


@pytest.mark.slow
def test_no_verdict_of_five_leaves_the_legend() -> None:
    study = made(unlearned=2).with_margin(0.05)
    results = study.results.copy()  # one task that is helped, and one that nobody can decide
    at = {
        name: (results["method"] == "MTL") & (results["task"] == name) for name in ("$", "a_b^c$")
    }
    results.loc[at["$"], "value"] -= 0.2
    results.loc[at["a_b^c$"], "value"] += np.array([0.4, -0.4, 0.4, -0.4, 0.0])
    every = replace(study, results=results)
    for methods in (["MTL", "RMTL"], None):
        figure = figures.task_differences(every, methods=methods)
        figure.canvas.draw()
        (legend,) = figure.legends
        inside = legend.get_window_extent()
        assert inside.x1 <= figure.bbox.x1
        assert {"harmed", "helped", "undecided", "same", "not learned"} < {*words(figure)}
        assert_readable("five verdicts", figure)
    nobody = figures.task_differences(study, methods=["MTL", "RMTL"])
    assert {"helped", "undecided"}.isdisjoint(words(nobody))


def test_a_title_without_alpha_tells_fewest_and_most() -> None:
    study = made()
    harmed = [row(study, "LBTW", a)["harmed"] for a in (0.0, 0.5, 2.0)]
    said = title(figures.alpha_curve(study, "LBTW"))
    assert said.startswith(f"LBTW harms {min(harmed)}")
    assert ("at every alpha" in said) == (min(harmed) == max(harmed))


@pytest.mark.slow
def test_one_run_decides_nothing() -> None:
    study = made(seeds=1)
    for figure in (figures.task_differences(study), figures.alpha_curve(study, "LBTW")):
        assert title(figure).startswith("One run decides nothing: ")
    assert not np.isfinite(found(figure, "harmed")[0].get_ydata()).any()
    assert title(figures.trade_off(study)).startswith("One run decides nothing: ")
    assert "0 (null" not in figures.counts_table(study).split("<td>")[1]


@pytest.mark.slow
def test_better_is_always_to_the_right() -> None:
    for metric, turned in (("MSE", True), ("PR-AUC", False)):
        ax = figures.trade_off(made(metric=metric)).axes[0]
        assert ax.xaxis_inverted() == turned
        assert metric in ax.get_xlabel()


@pytest.mark.parametrize(("effect", "within"), [(0.0, True), (-0.5, False)])
def test_a_best_mean_that_chance_gives_too_is_called_so(effect: float, within: bool) -> None:
    said = title(figures.trade_off(made(effect=effect)))
    assert ("within chance of STL" in said) == within
    assert said.count("has the best mean MSE") == 1


@pytest.mark.slow
def test_a_diverged_run_is_named_and_never_counted_as_zero() -> None:
    study = made(diverged=(("LBTW", 2.0), ("MTL", math.nan)))
    curve = figures.alpha_curve(study, "LBTW", 2.0)
    assert title(curve) == "LBTW 2 leaves no task to count: diverged in 1 of 5 runs"
    assert list(found(curve, "diverged")[0].get_xdata()) == [2.0]
    assert np.isnan(found(curve, "harmed")[0].get_ydata()[-1])
    assert "MTL" not in title(figures.alpha_curve(study, "LBTW", 0.5))
    assert "LBTW 2 (diverged)" in figures.alt_text(figures.trade_off(study))
    assert "MTL: nothing to count, diverged in 1 of 5 runs." in figures.alt_text(
        figures.task_differences(study)
    )
    table = figures.counts_table(study)
    (line,) = re.findall(r"<tr><th scope='row'>LBTW 2</th>.*?</tr>", table)
    assert "diverged in 1 of 5 runs" in line and "null" not in line


@pytest.mark.slow
def test_tasks_that_are_not_scored_are_left_out_of_the_total() -> None:
    study = made(unscored=2, metric="PR-AUC")
    assert "two of five tasks lose" in title(figures.task_differences(study))
    assert ", 2 not scored." in figures.alt_text(figures.task_differences(study))


@pytest.mark.slow
def test_a_far_outlier_hides_nobody() -> None:
    study = made(tuple(f"task {i}" for i in range(12)))
    results = study.results.copy()
    results.loc[(results["method"] == "MTL") & (results["task"] == "task 0"), "value"] += 1000
    study = replace(study, results=results)
    differences = figures.task_differences(study)
    assert differences.axes[0].get_xlim()[0] > -5
    assert any("1 beyond, to -1" in text.get_text() for text in differences.axes[0].texts)
    assert "Not drawn: MTL (83.7)" in figures.alt_text(figures.trade_off(study))


@pytest.mark.slow
def test_how_far_a_task_lies_is_told_of_learned_tasks_alone() -> None:
    """Noise may lie anywhere, and its place says nothing."""
    study = stored("cure-noisy")
    drawn = figures.task_differences(study, methods=["STL'", "MTL"])
    lost = study.transfer().query("method == 'MTL' and verdict == 'not learned'")
    assert len(lost) == 3 and lost["delta"].abs().max() > drawn.axes[0].get_xlim()[1]
    assert not [text for text in drawn.axes[0].texts if "beyond" in text.get_text()]


@pytest.mark.slow
def test_a_slider_leaves_the_axes_alone(trained: Study) -> None:
    for draw in (
        figures.task_differences,
        lambda s, a: figures.task_differences(s, a, methods=["MTL", "LBTW"]),
        lambda s, a: figures.weight_curves(s, "LBTW", a, one_axis=True),
    ):
        limits = [
            (f.axes[0].get_xlim(), f.axes[0].get_ylim())
            for f in map(draw, [trained] * 3, (0.0, 0.5, 1.0))
        ]
        assert limits[0] == limits[1] == limits[2]


@pytest.mark.slow
def test_one_picture_of_w_tells_the_methods_apart(trained: Study) -> None:
    figure = figures.weight_matrix(trained)
    matrices = {image.get_gid(): image for ax in figure.axes for image in ax.images}
    assert np.array_equal(matrices["STL"].get_array(), 9 * np.eye(9))
    assert np.array_equal(matrices["Fine-Tuning"].get_array(), 9 * np.eye(9))
    rmtl, one = (np.asarray(matrices[name].get_array()) for name in ("RMTL", "one network"))
    assert (np.diag(rmtl) == rmtl.max(1)).all() and rmtl.min() > 0
    assert np.array_equal(one[0], np.ones(9))
    for matrix in (rmtl, one):
        assert matrix.mean(1) == pytest.approx(np.ones(len(matrix)))
    assert "Every row is scaled to a mean of 1" in " ".join(words(figure))
    assert {image.get_clim() for image in matrices.values()} == {(0, 2)}
    assert "Fine-Tuning: 9 networks (the last stage), the identity." in figures.alt_text(figure)


@pytest.mark.slow
def test_weights_are_means_over_runs_and_many_tasks_become_bands(trained: Study) -> None:
    rows = trained.history.query("method == 'LBTW' and alpha == 0.5 and task == 'outsider 1'")
    (line,) = found(figures.weight_curves(trained, "LBTW", 0.5), "task outsider 1")
    mean = rows.groupby("step")["weight"].mean().to_numpy()
    smooth = smoothed(mean[:, None], smoothing_window(len(mean)))[:, 0]
    assert line.get_ydata() == pytest.approx(smooth)
    few, many = (
        figures.weight_curves(made(tuple(f"t{i}" for i in range(n)), seeds=2), "LBTW")
        for n in (40, 41)
    )
    assert len(few.findobj(lambda a: str(a.get_gid()).startswith("task "))) == 40
    assert len(many.findobj(lambda a: str(a.get_gid()).startswith("task "))) == 4
    assert found(many, "median") and not found(few, "median")


@pytest.mark.slow
def test_plain_mtl_is_said_to_weigh_all_alike(trained: Study) -> None:
    said = title(figures.weight_curves(trained, "LBTW", 0.0))
    assert said == "LBTW 0 weighs every task 1 all through training"


# ---------------------------------------------------------------- other baselines


def against_cnn(study: Study) -> Study:
    """The same numbers, with a CNN in the place of STL."""

    def renamed(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(method=table["method"].replace({"STL": "CNN", "STL'": "CNN'"}))

    tables = {name: renamed(getattr(study, name)) for name in ("results", "training", "history")}
    return replace(study, **tables, baselines=("CNN",))


AGAINST: dict[str, Callable[[], Study]] = {
    "usual": made,
    "one run": lambda: made(seeds=1),
    "diverged": lambda: made(diverged=(("MTL", math.nan), ("LBTW", 2.0))),
    "no effect": lambda: made(effect=0.0, metric="PR-AUC"),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", AGAINST.values(), ids=AGAINST.keys())
def test_a_study_against_another_baseline_says_so_wherever_it_would_say_stl(
    make: Callable[[], Study],
) -> None:
    study = make()
    other = against_cnn(study)
    named = 0
    for name, draw in DRAWN.items():
        usual, mine = draw(study), draw(other)
        said, wanted = words(mine), [text.replace("STL", "CNN") for text in words(usual)]
        assert sorted(said) == sorted(wanted), name
        assert not any("STL" in text for text in said), name
        named += any("CNN" in text for text in said)
    assert named == len(DRAWN) - 1  # the weights of LBTW are compared with MTL's
    table = figures.counts_table(other)
    assert "STL" not in table and "CNN&#x27;" in table
    assert table == figures.counts_table(study).replace("STL", "CNN")


def words(figure: Figure) -> list[str]:
    """All that a reader reads, and what stands for the picture."""
    return [figures.alt_text(figure), *(text.get_text() for text in figure.findobj(Text))]


def test_where_the_baseline_diverged_it_is_named() -> None:
    other = against_cnn(made(diverged=(("STL", math.nan),)))
    assert "CNN diverged in 1 of 5 runs" in figures.alt_text(figures.task_differences(other))
    with pytest.raises(BadInput, match="CNN or CNN' has no score"):
        figures.trade_off(other)


def without_chance() -> Study:
    """A baseline that is no network: it has no twin."""
    study = made()
    tables = {}
    for name in ("results", "training", "history"):
        table = getattr(study, name)
        table = table[table["method"] != "STL'"]
        tables[name] = table.assign(method=table["method"].replace({"STL": "Ridge"}))
    tables["training"].loc[tables["training"]["method"] == "Ridge", "networks"] = 0
    tables["history"] = tables["history"][tables["history"]["method"] != "Ridge"]
    return replace(study, **tables, baselines=("Ridge",))


def test_against_a_method_whose_twin_was_not_trained_chance_is_not_denied() -> None:
    study = stored("cure-noisy").against("MTL")
    figure = figures.task_differences(study, methods=["Fine-Tuning, tuned"])
    said = " ".join(" ".join(words(figure)).split())
    assert "no null: MTL has no twin here" in said


@pytest.mark.slow
def test_against_a_baseline_without_chance_there_is_no_null_and_all_else_is_drawn() -> None:
    study = without_chance()
    figure = figures.task_differences(study)
    said = " ".join(" ".join(words(figure)).split())
    assert "no null: Ridge has no chance in it" in said
    assert "STL" not in said and "95% of the tasks" not in said and "nan" not in said
    assert all(band.get_width() == 0 for band in found(figure, "null"))
    assert not found(figures.task_differences(study, methods=["MTL"]), "null")
    curve = figures.alpha_curve(study, "LBTW")
    assert not found(curve, "null")
    assert "null of a run" not in words(curve) and "nan" not in " ".join(words(curve))
    with pytest.raises(BadInput, match="Ridge has no twin") as caught:
        figures.trade_off(study)
    assert "\n" not in str(caught.value)
    rows = re.findall(r"<tr><th scope='row'>(.*?)</th>(.*?)</tr>", figures.counts_table(study))
    assert [name for name, _ in rows][:2] == ["Ridge", "MTL"]
    for name, cells in rows[1:]:
        harmed, helped, undecided, single, mean, *_ = re.findall("<td>(.*?)</td>", cells)
        assert re.fullmatch(r"\d", harmed) and re.fullmatch(r"\d", helped), name
        for cell in (single, mean):
            assert re.fullmatch(r"[\d.]+ \(no null: Ridge has no chance in it\)", cell), name
        assert re.fullmatch(r"\d of 7", undecided)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["differences", "alpha curve", "weights", "weight matrix"])
def test_no_label_lies_on_another_without_a_null(name: str) -> None:
    assert_readable(name, DRAWN[name](without_chance()))


# ---------------------------------------------------------------- colours


def test_every_method_has_a_colour_of_its_own_also_for_the_colour_blind() -> None:
    families = {name for name in mtl_nt.METHODS if "," not in name}
    assert families < set(figures.COLOURS)
    colours = np.array([to_rgb(c) for c in figures.COLOURS.values()])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    # Machado, Oliveira and Fernandes (2009), severity 1: deuteranopia and protanopia.
    blind = (
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.01182, 0.04294, 0.968881],
        ],
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
    )
    for seen in (linear, *(np.clip(linear @ np.array(m).T, 0, 1) for m in blind)):
        lab = np.array([to_lab(c) for c in seen])
        assert min(np.linalg.norm(a - b) for a, b in combinations(lab, 2)) > 8


def to_lab(linear: np.ndarray) -> np.ndarray:
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_a_variant_takes_its_family_s_colour_in_a_style_of_its_own() -> None:
    names = ["LBTW", "LBTW, shuffled", "LBTW, first of training", "mine", "another"]
    found = method_styles(names)
    assert {found[n].colour for n in names[:3]} == {figures.COLOURS["LBTW"]}
    assert len({found[n].dashes for n in names[:3]}) == len({found[n].fill for n in names[:3]}) == 3
    assert found["mine"].colour != found["another"].colour
    assert not {found["mine"].colour, found["another"].colour} & set(figures.COLOURS.values())


# ---------------------------------------------------------------- names, sizes, overlap


@pytest.mark.slow
@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN.keys())
def test_names_are_drawn_as_they_are_written(
    draw: Callable[[Study], Figure], hostile: Study
) -> None:
    figure = draw(hostile)
    assert not any(text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text())
    figures.png_bytes(figure)
    assert "\n" not in figures.alt_text(figure)


STUDIES = {
    "hostile names": lambda: made((*HOSTILE, LONG)),
    "two tasks": lambda: made(("a", "b")),
    "40 long names": lambda: made(tuple(f"{i} {LONG}" for i in range(40)), seeds=3),
    "one run": lambda: made(seeds=1),
    "diverged": lambda: made(diverged=(("MTL", math.nan), ("LBTW", 2.0), (VARIANT, 0.5))),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", STUDIES.values(), ids=STUDIES.keys())
def test_no_label_is_cut_off_or_lies_on_another(make: Callable[[], Study]) -> None:
    study = make()
    for name, draw in DRAWN.items():
        assert_readable(name, draw(study))


def assert_readable(name: str, figure: Figure) -> None:
    """Every text is inside the figure and on no other text."""
    figure.canvas.draw()
    frame, boxes = figure.bbox, []
    for text in set(figure.findobj(Text)) - beyond(figure):
        if text.get_text().strip() and text.get_visible():
            box = text.get_window_extent()
            assert frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1, (name, text)
            assert frame.y0 - 1 <= box.y0 and box.y1 <= frame.y1 + 1, (name, text)
            if text.get_rotation() == 0:
                boxes.append((text, box.padded(-1.5)))
    for (a, one), (b, other) in combinations(boxes, 2):
        assert not one.overlaps(other), (name, a, b)


def beyond(figure: Figure) -> set[Text]:
    """Labels of ticks outside the axes, which are not drawn."""
    hidden = set()
    for axis in [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        hidden |= {t.label1 for t in axis.get_major_ticks() if not low <= t.get_loc() <= high}
    return hidden


@pytest.mark.slow
def test_texts_are_readable_on_a_phone(drawn: dict[str, Figure]) -> None:
    for figure in drawn.values():
        inches = figure.get_figwidth()
        sizes = {
            t.get_size() for t in figure.findobj(Text) if t.get_text() and t not in figure.texts
        }
        assert min(sizes) / 72 / inches * 400 >= 7.9, "pixels at a width of 400"


@pytest.mark.parametrize("places", [[0.5, 0.5, 0.5], [0.99, 1.0, 0.1], [0.3], [], [0.0] * 40])
def test_labels_are_moved_apart_in_order_and_stay_inside(places: list[float]) -> None:
    moved = spread(places, 0.1, 0, 1)
    assert ((moved > -1e-9) & (moved < 1 + 1e-9)).all()
    assert list(np.argsort(moved, kind="stable")) == list(np.argsort(places, kind="stable"))
    gap = min(0.1, 1 / max(1, len(places) - 1))
    assert (np.diff(np.sort(moved)) > gap - 1e-9).all()


# ---------------------------------------------------------------- the table


def test_the_table_escapes_every_name_and_keeps_a_null_beside_every_count() -> None:
    table = figures.counts_table(made())
    assert OWN not in table and html.escape(OWN) in table
    assert "<script" not in table
    rows = re.findall(r"<tr><th scope='row'>(.*?)</th>(.*?)</tr>", table)
    assert len(rows) == len(ARMS) + 1
    for name, cells in rows[1:]:
        harmed, helped, undecided, single, mean, *_ = re.findall("<td>(.*?)</td>", cells)
        for cell in (harmed, helped, single, mean):
            assert re.fullmatch(r"[\d.]+ \(null [\d.–]+\)", cell), name
        assert re.fullmatch(r"\d of 7", undecided)


@pytest.mark.slow
def test_the_table_says_the_study_s_numbers(trained: Study) -> None:
    count, table = row(trained, "LBTW", 0.5), figures.counts_table(trained)
    (line,) = re.findall(r"<tr><th scope='row'>LBTW 0.5</th>.*?</tr>", table)
    null = f"(null {count['negative_null_low']:.1f}–{count['negative_null_high']:.1f})"
    for said in (
        f"<td>{count['harmed']} (null {count['harmed_null']})",
        f"<td>{count['negative_per_run']:.1f} {null}",
        f"<td>{count['negative']} {null}",
        f"<td>{count['mean']:.4g}<",
        f"<td>{count['networks']}<",
    ):
        assert said in line


# ---------------------------------------------------------------- pictures


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_decodes_in_few_colours(name: str, drawn: dict[str, Figure]) -> None:
    picture = figures.png_bytes(drawn[name], 48)
    image = Image.open(io.BytesIO(picture))
    assert (image.format, image.mode, image.width) == ("PNG", "P", 800)
    assert len(image.convert("RGB").getcolors()) <= 48
    assert len(picture) < 50_000


@pytest.mark.slow
def test_a_picture_keeps_the_method_s_exact_colour(trained: Study) -> None:
    picture = figures.png_bytes(figures.alpha_curve(trained, "LBTW", 0.5))
    seen = {c for _, c in Image.open(io.BytesIO(picture)).convert("RGB").getcolors()}
    for method in ("LBTW", "STL", "MTL"):
        assert tuple(round(255 * c) for c in to_rgb(figures.COLOURS[method])) in seen
    assert (255, 255, 255) in seen


@pytest.mark.slow
def test_pictures_are_the_same_in_every_thread(trained: Study) -> None:
    def drawn(alpha: float) -> tuple[bytes, bytes]:
        curve = figures.alpha_curve(trained, "LBTW", alpha)
        return figures.png_bytes(curve), figures.png_bytes(
            figures.weight_curves(trained, "LBTW", alpha)
        )

    alphas = [0.0, 0.5, 1.0] * 2
    with ThreadPoolExecutor(3) as pool:
        several = list(pool.map(drawn, alphas))
    assert several == [drawn(a) for a in alphas[:3]] * 2
    assert len(set(several)) == 3


@pytest.mark.slow
def test_pyplot_is_never_imported() -> None:
    asked = "import sys, mtl_nt.figures; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    for path in Path(mtl_nt.__file__).parent.rglob("*.py"):
        assert not re.search(r"import.*pyplot|pylab", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_drawing_changes_nothing_in_the_study() -> None:
    study, again = made.__wrapped__(), made.__wrapped__()
    for draw in DRAWN.values():
        draw(study)
    figures.counts_table(study)
    for name in ("results", "training", "history"):
        pd.testing.assert_frame_equal(getattr(study, name), getattr(again, name))


@pytest.mark.slow
def test_two_studies_are_not_mixed_up() -> None:
    for effect, harms in ((0.1, "three of seven tasks lose"), (0.0, "no task is found to lose")):
        assert harms in title(figures.task_differences(made.__wrapped__(effect=effect, seeds=3)))


# ---------------------------------------------------------------- requests that cannot be met


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda s: figures.alpha_curve(s, "LBTV"), "no method 'LBTV'"),
        (lambda s: figures.alpha_curve(s, "MTL"), "MTL has no alpha"),
        (lambda s: figures.alpha_curve(s, "LBTW", 0.7), "no alpha 0.7 of 'LBTW'"),
        (lambda s: figures.task_differences(s, metric="accuracy"), "unknown metric 'accuracy'"),
        (lambda s: figures.task_differences(s, methods=["GradNorm"]), "no method 'GradNorm'"),
        (lambda s: figures.weight_matrix(s, methods=["DWA"]), "no method 'DWA'"),
        (lambda s: figures.counts_table(s, "accuracy"), "unknown metric 'accuracy'"),
    ],
)
def test_what_the_study_does_not_have_is_refused_in_one_line(
    ask: Callable[[Study], object], said: str, trained: Study
) -> None:
    with pytest.raises(BadInput) as refused:
        ask(trained)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_trade_off_without_a_baseline_is_refused() -> None:
    with pytest.raises(BadInput, match="no score in some run"):
        figures.trade_off(made(diverged=(("STL", math.nan),)))


@pytest.mark.slow
def test_an_alpha_is_found_in_spite_of_rounding(trained: Study) -> None:
    almost = 0.1 + 0.4 + 1e-12
    assert title(figures.alpha_curve(trained, "LBTW", almost)).startswith("LBTW 0.5 ")


def test_mixed_metrics_are_averaged_as_differences() -> None:
    study = made(tuple(f"t{i}" for i in range(6)))
    results = study.results.copy()
    results.loc[results["task"].isin(["t4", "t5"]), "metric"] = "PR-AUC"
    mixed = replace(study, results=results, metric={**study.metric, "t4": "PR-AUC", "t5": "PR-AUC"})
    ax = figures.trade_off(mixed).axes[0]
    assert "mean difference from STL" in ax.get_xlabel() and not ax.xaxis_inverted()
