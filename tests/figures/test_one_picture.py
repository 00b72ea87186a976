"""The one picture and the forest: one row per task, in both forms, and their words."""

from __future__ import annotations

import io
import pickle
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from test_figures import (
    HOSTILE,
    LONG,
    assert_readable,
    found,
    made,
    title,
    words,
)

from mtl_nt import BadInput, Study, compare, figures, load
from mtl_nt.book.markup import sanitized
from mtl_nt.book.outputs import static_outputs
from mtl_nt.figures.drawing import (
    AGREEMENT,
    CONFLICT,
    HARMS,
    HELPS,
    short_names,
    text_inches,
)
from mtl_nt.figures.effects import effect_title, size, task_groups
from mtl_nt.figures.inline import LEGIBLE, NARROW, Captioned, captioned_html
from mtl_nt.figures.tables import arm_tables
from mtl_nt.figures.task_rows import MOST_ROWS
from mtl_nt.study import stored


def in_groups(effects: dict[str, tuple[int, float]], seeds: int = 8) -> Study:
    """A study of MTL alone, whose groups have so many tasks with this difference each."""
    tasks = [f"{group} {k}" for group, (many, _) in effects.items() for k in range(1, many + 1)]
    true = [effect for many, effect in effects.values() for _ in range(many)]
    study = made(tuple(tasks), seeds=seeds, effect=0.0)
    results = study.results[study.results["method"].isin(["STL", "STL'", "MTL", "Constant"])].copy()
    at = results["method"] == "MTL"
    results.loc[at, "value"] -= results.loc[at, "task"].map(dict(zip(tasks, true, strict=True)))
    return replace(study, results=results)


def names(figure: Figure) -> list[str]:
    """The names beside the rows, from the top."""
    placed = sorted(found(figure, "name"), key=lambda text: text.get_position()[1])
    return [text.get_text() for text in placed]


def both_forms(figure: Figure) -> list[Figure]:
    assert isinstance(figure, figures.Drawing) and figure.draw_narrow is not None
    return [figure, figure.draw_narrow()]


# ---------------------------------------------------------------- what the title says


def test_the_title_says_who_loses_how_much_and_who_gains() -> None:
    study = in_groups({"related": (6, 0.05), "outsider": (3, -0.42)})
    tests = study.transfer().query("method == 'MTL'").set_index("task")["delta"]
    lost, gained = (tests.filter(like=group).mean() for group in ("outsider", "related"))
    assert title(figures.task_differences(study)) == (
        f"Under MTL, three outsiders lose {size(lost)} (MSE); six related tasks gain {size(gained)}"
    )


@pytest.mark.parametrize(
    ("effects", "said"),
    [
        (
            {"related": (2, -0.3), "outsider": (1, 0.3)},
            "two related tasks lose .*one outsider gain",
        ),
        ({"task": (4, -0.3)}, r"all four tasks lose 0\.3\d? \(MSE\); no task is found to gain"),
        ({"task": (2, 0.3)}, r"no task is found to lose; both tasks gain 0\.\d\d \(MSE\)"),
        ({"task": (3, 0.0)}, r"no task is found to lose or to gain; the mean difference is .*MSE"),
        (dict.fromkeys("abcd", (2, -0.3)), r"all eight tasks lose 0\.\d\d \(MSE\)"),
        ({"a": (13, -0.3), "b": (2, 0.0)}, "13 a tasks lose"),
    ],
)
def test_the_title_fits_any_study(effects: dict[str, tuple[int, float]], said: str) -> None:
    assert re.search(said, title(figures.task_differences(in_groups(effects))))


def test_part_of_a_group_is_called_so_and_the_mean_is_of_that_part() -> None:
    study = in_groups({"clean": (3, 0.0), "noisy": (1, -0.2)})
    results = study.results.copy()
    lost = (results["method"] == "MTL") & (results["task"] == "clean 2")
    results.loc[lost, "value"] += 0.4
    study = replace(study, results=results)
    found = study.transfer().query("method == 'MTL'").set_index("task")["delta"]
    assert title(figures.task_differences(study)).startswith(
        f"Under MTL, one of three clean tasks loses {size(found['clean 2'])} (MSE); "
        f"one noisy task loses {size(found['noisy 1'])}"
    )


def test_means_over_several_metrics_are_not_said_and_not_drawn() -> None:
    study, mixed = in_groups({"a": (2, -0.3), "b": (2, -0.3)}), {"b 1": "R2", "b 2": "R2"}
    results = study.results[study.results["method"] != "Constant"].copy()
    results.loc[results["task"].isin([*mixed]), "metric"] = "R2"
    figure = figures.task_differences(
        replace(study, results=results, metric={**study.metric, **mixed})
    )
    assert title(figure) == "Under MTL, two a tasks lose; two b tasks gain"
    assert not found(figure, "mean") and "mean over tasks" not in names(figure)


def test_where_no_task_is_learned_no_mean_is_said_or_drawn() -> None:
    given = {"seeds": 2, "steps": 2, "trunk": [4], "progress": False}
    figure = figures.task_differences(compare(load("dial"), ["MTL"], **given), methods=["MTL"])
    assert figure.title.startswith(
        "Nine of nine tasks are not learned; under MTL, no task is found"
    )
    assert "mean" not in figure.caption
    for form in both_forms(figure):
        said = " ".join(text.get_text() for text in form.findobj(Text))
        assert "mean" not in said
        assert "beyond chance" not in said


def test_groups_come_from_names_or_from_the_reader_and_strangers_are_refused() -> None:
    tasks = ["NR-AR", "NR-ER", "SR-p53"]
    assert task_groups(tasks) is None
    assert task_groups(["related 1", "related"]) is None
    study = made(tuple(tasks))
    figure = figures.task_differences(
        study, methods=["MTL"], groups={"NR-ER": "<b>receptor</b>", "NR-AR": "<b>receptor</b>"}
    )
    assert [text.get_text() for text in found(figure, "group")] == ["<b>receptor</b>", "other"]
    with pytest.raises(BadInput, match="no task 'NR-XX' in this study") as refused:
        figures.task_differences(study, groups={"NR-XX": "a"})
    assert "\n" not in str(refused.value)


def test_an_undecided_task_that_looks_worse_than_a_harmed_one_is_explained() -> None:
    study = in_groups({"quiet": (3, -0.05), "loud": (1, -0.3)})
    results = study.results.copy()
    loud = (results["method"] == "MTL") & (results["task"] == "loud 1")
    results.loc[loud, "value"] += np.array([1, -1] * 4) * 2.0
    figure = figures.task_differences(replace(study, results=results))
    said = figures.alt_text(figure)
    assert re.search(r"loud 1 \(−0\.\d\d\) is undecided, since its runs disagree\.", said)
    assert re.search(r"Those of quiet \d \(−0\.0\d\) agree, so it is harmed\.", said)
    assert not re.search("runs disagree", figures.alt_text(figures.task_differences(made())))


# ---------------------------------------------------------------- what is drawn


def test_every_task_has_its_row_its_interval_and_its_number() -> None:
    study = in_groups({"related": (4, 0.05), "outsider": (2, -0.4)})
    figure = figures.task_differences(study)
    tests = study.transfer().query("method == 'MTL'")
    assert names(figure) == [*tests["task"], "mean over tasks"]
    (intervals,) = found(figure, "interval")
    ends = np.array([segment[:, 0] for segment in intervals.get_segments()])
    assert ends == pytest.approx(tests[["low", "high"]].to_numpy())
    numbers = [f"{d:+.2f}".replace("-", "−") for d in tests["delta"]]
    assert set(numbers) <= set(words(figure))
    (mean,) = found(figure, "mean")
    whole = study.overall().set_index("method").loc["MTL"]
    assert mean.get_xdata()[0] == pytest.approx(whole["delta"])


def test_rows_without_groups_are_sorted_and_a_slider_leaves_them_in_place() -> None:
    study = made()
    order = study.transfer().query("method == 'MTL'").sort_values("delta")["task"]
    wanted = [*(" ".join(name.split()) for name in order), "mean over tasks"]
    for alpha in (0.0, 0.5, 2.0):
        drawn = names(figures.task_differences(study, alpha, methods=["LBTW"]))
        assert [n.replace("…", "") for n in drawn] == [
            figures.shorten(n, 22).replace("…", "") for n in wanted
        ]


@pytest.mark.parametrize(("tasks", "shown"), [(40, 41), (41, 7), (200, 7)])
def test_past_forty_tasks_only_the_ends_of_a_sorted_strip_are_named(tasks: int, shown: int) -> None:
    study = made(tuple(f"t{i}" for i in range(tasks)), seeds=3)
    figure = figures.task_differences(study, methods=["MTL", "RMTL"])
    assert len(names(figure)) == shown and MOST_ROWS == 40
    (intervals, _) = found(figure, "interval")
    assert len(intervals.get_segments()) == tasks
    if shown == 7:
        middles = [segment[:, 0].mean() for segment in intervals.get_segments()]
        assert middles == sorted(middles)


def test_four_methods_are_rows_and_three_are_panels() -> None:
    study = made()
    for methods, axes in ((["MTL", "RMTL", "LBTW"], 3), (["MTL", "LBTW"], 2)):
        figure = figures.task_differences(study, 0.5, methods=methods)
        assert len(figure.axes) == axes == len(found(figure, "zero")) == len(found(figure, "null"))
    many = figures.task_differences(study, 0.5)
    assert [len(form.axes) for form in both_forms(many)] == [1, 1]
    assert names(many) == names(both_forms(many)[1]) == ["STL'", "MTL", "RMTL", *names(many)[3:]]


def test_a_difference_beyond_the_axis_is_still_said_in_its_number() -> None:
    study = made(tuple(f"task {i}" for i in range(12)))
    results = study.results.copy()
    results.loc[(results["method"] == "MTL") & (results["task"] == "task 0"), "value"] += 1000
    figure = figures.task_differences(replace(study, results=results), methods=["MTL"])
    assert figure.axes[0].get_xlim()[0] > -5
    assert any(text.startswith("−1000") for text in words(figure))


# ---------------------------------------------------------------- both forms, readable


HARD = {
    "groups": lambda: in_groups({"related": (6, 0.05), "outsider": (3, -0.42)}),
    "hostile": lambda: made((*HOSTILE, LONG), unlearned=2).with_margin(0.05),
    "one task": lambda: made(("only",)),
    "40 tasks": lambda: made(tuple(f"{i} {LONG}" for i in range(40)), seeds=3),
    "200 tasks": lambda: made(tuple(f"{i} {LONG}" for i in range(200)), seeds=3),
    "one run": lambda: made(seeds=1),
    "diverged": lambda: made(diverged=(("MTL", float("nan")),)),
    "unscored": lambda: made(unscored=2, metric="PR-AUC"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HARD)
def test_nothing_is_cut_off_or_lies_on_another_at_either_width(name: str) -> None:
    study = HARD[name]()
    for methods in (["MTL"], ["MTL", "RMTL"], ["MTL", "RMTL", "STL'"]):
        known = [m for m in methods if m in set(study.results["method"])]
        for form in both_forms(figures.task_differences(study, methods=known)):
            assert_readable(name, form)
            assert "nan" not in " ".join(words(form)).split()


@pytest.mark.slow
def test_every_figure_of_a_study_has_a_form_for_phones() -> None:
    for study in (made((*HOSTILE, LONG)), made(tuple(f"t{i}" for i in range(40)), seeds=2)):
        curves = (figures.alpha_curve(study, "LBTW", 0.5), figures.weight_curves(study, "LBTW"))
        many = (figures.task_differences(study), figures.trade_off(study))
        for figure in (*curves, figures.weight_matrix(study), *many):
            for form in both_forms(figure):
                assert_readable("weights", form)


def test_letters_of_the_form_for_phones_are_ten_pixels_high_on_a_phone() -> None:
    study = made()
    for figure in (
        figures.task_differences(study, methods=["MTL"]),
        figures.task_differences(study),
        figures.alpha_curve(study, "LBTW", 0.5),
        figures.weight_curves(study, "LBTW"),
        figures.weight_matrix(study),
        figures.trade_off(study),
    ):
        narrow = both_forms(figure)[1]
        sizes = {text.get_size() for text in narrow.findobj(Text) if text.get_text().strip()}
        assert min(sizes) / 72 / narrow.get_figwidth() * 358 >= 10, figure.title


def test_the_form_for_phones_is_390_pixels_wide_with_letters_that_can_be_read() -> None:
    figure = figures.task_differences(in_groups({"a": (3, -0.3), "b": (2, 0.0)}))
    wide, narrow = both_forms(figure)
    assert (wide.get_figwidth(), narrow.get_figwidth()) == (8.0, 3.9)
    sizes = [t.get_size() * 100 / 72 for ax in narrow.axes for t in ax.texts if t.get_text()]
    assert min(sizes) > 11, "pixels of the page"
    assert title(narrow) == title(wide) and names(narrow) == names(wide)
    png = figures.captioned_png(figure).narrow
    assert png is not None and Image.open(io.BytesIO(png)).width == 585


# ---------------------------------------------------------------- as HTML


def test_a_narrow_page_shows_the_form_for_phones_and_words_are_said_once() -> None:
    figure = figures.task_differences(made(("<b>$a$</b>", "b", "c")), methods=["MTL"])
    html = figure._repr_mimebundle_()["text/html"]
    soup = BeautifulSoup(html, "html.parser")
    wide, narrow = soup.find_all("img")
    assert wide["class"] == ["nt-wide"] and not wide.has_attr("hidden")
    assert narrow["class"] == ["nt-narrow"] and narrow["style"].startswith("display: none")
    assert f"(max-width: {NARROW}px)" in soup.style.string
    assert wide["alt"] == narrow["alt"] == figure.title
    assert soup.figcaption.string == figure.caption and figure.title not in figure.caption
    assert len(figure.title) < 150 and "<b>" not in html
    assert figure.caption.startswith("MTL: difference from STL in MSE"), "who against whom"
    kept = BeautifulSoup(sanitized(html), "html.parser")
    assert [img["class"] for img in kept.find_all("img")] == [["nt-wide"], ["nt-narrow"]]
    assert "max-width" in str(kept.style)


def test_a_kept_output_is_the_wide_picture_alone() -> None:
    from nbformat.v4 import new_output

    figure = figures.task_differences(made(), methods=["MTL"])
    output = new_output("execute_result", data=figure._repr_mimebundle_(), execution_count=1)
    kept, *_ = static_outputs([output], "name")
    assert set(kept.data) == {"image/png", "text/plain"}
    assert kept.metadata["image/png"]["alt"] == figure.title
    assert len(kept.data["image/png"]) < 50_000


def test_a_captioned_picture_is_a_pair_and_crosses_processes_with_its_second_form() -> None:
    picture = figures.captioned_png(figures.task_differences(made(), methods=["MTL"]))
    png, said = picture
    assert said == f"{picture.title}. {picture.caption}"
    again = pickle.loads(pickle.dumps(picture))
    assert (again.title, again.caption, again.narrow) == (
        picture.title,
        picture.caption,
        picture.narrow,
    )
    drawn = pickle.loads(pickle.dumps(figures.task_differences(made(), methods=["MTL"])))
    assert figures.captioned_png(drawn).narrow == picture.narrow
    other = figures.captioned_png(figures.new_figure(2, "A title", "And a text.", ""))
    assert other.narrow is None and captioned_html(other).count("<img") == 1
    assert f"min-width: {LEGIBLE}px" in captioned_html(other), "a phone scrolls it sideways"


def test_the_process_that_drew_a_picture_draws_its_second_form() -> None:
    asked: list[int] = []
    picture = Captioned(b"page", "A title", "", lambda: asked.append(1) or b"phone")
    sent = pickle.dumps(picture)
    assert asked == [1]
    again = pickle.loads(sent)
    assert (again.draw_narrow is not None, again.narrow, asked) == (True, b"phone", [1])


# ---------------------------------------------------------------- forest


GAINS = {
    "LBTW": (0.04, -0.01, 0.09),
    "permuted": (-0.06, -0.08, -0.04),
    "frozen": (0.03, 0.01, 0.05),
}


def test_a_forest_shows_numbers_with_their_intervals_beside_zero() -> None:
    for form in both_forms(figures.forest(GAINS, "A title", "x against y", "the data")):
        assert_readable("forest", form)
        assert names(form) == [*GAINS]
        ((zero,), (intervals,)) = found(form, "zero"), found(form, "interval")
        assert list(zero.get_xdata()) == [0, 0]
        ends = np.array([segment[:, 0] for segment in intervals.get_segments()])
        assert ends == pytest.approx(np.array([*GAINS.values()])[:, 1:])
        colours = {v: found(form, v)[0].get_edgecolor()[0][:3] for v in ("undecided",)}
        colours |= {v: found(form, v)[0].get_facecolor()[0][:3] for v in ("harmed", "helped")}
        assert tuple(colours["harmed"]) == to_rgb(HARMS) and tuple(colours["helped"]) == to_rgb(
            HELPS
        )
        assert tuple(found(form, "undecided")[0].get_facecolor()[0][:3]) == (1, 1, 1)
        assert "the interval holds 0" in " ".join(words(form))


def test_a_forest_takes_a_table_with_groups_and_colours() -> None:
    columns = ["mean", "low", "high", "group", "colour"]
    rows = [(0.1, 0.0, 0.2, "b", "#D55E00"), (np.nan, np.nan, np.nan, "a", None)]
    rows += [(-0.1, -0.2, -0.05, "b", "#009E73")]
    table = pd.DataFrame(rows, columns=columns, index=["<one>", "$two$", "three"])
    figure = figures.forest(table, "A title")
    assert names(figure) == ["<one>", "three", "$two$"], "those of a group together"
    assert [text.get_text() for text in found(figure, "group")] == ["b", "a"]
    (harmed,) = found(figure, "harmed")
    assert tuple(harmed.get_facecolor()[0][:3]) == to_rgb("#009E73")
    assert figure.caption.endswith("$two$: no value.") and "–" in words(figure)
    for form in both_forms(figure):
        assert_readable("forest", form)


def test_a_forests_caption_has_the_numbers_and_the_groups_of_the_picture() -> None:
    columns = ["mean", "low", "high", "group"]
    rows = [(0.0304, 0.02, 0.04, "b"), (0.0049, -0.0044, 0.0111, "a"), (-0.01, -0.02, 0.0, "b")]
    figure = figures.forest(pd.DataFrame(rows, columns=columns, index=["x", "y", "z"]), "A title")
    said = (
        "b. x: +0.030 [+0.020, +0.040]; z: −0.010 [−0.020, 0.000]. a. y: +0.005 [−0.004, +0.011]."
    )
    assert figure.caption == said
    assert {"+0.030", "−0.010", "+0.005"} <= {*words(figure)}
    many = {f"row {k}": (0.1, 0.0, 0.2) for k in range(30)}
    assert figures.forest(many, "A title").caption.endswith("; and 10 more.")


def test_names_of_pairs_stay_apart_on_a_phone() -> None:
    pairs = ["U-AMTFL – Deep-AMTFL", "U-AMTFL – MTL at 2x", "U-AMTFL – s held", "MTL-CNN – MTL"]
    page, phone = both_forms(figures.forest(dict.fromkeys(pairs, (0.1, 0.0, 0.2)), "A title"))
    assert names(page) == names(phone) == pairs
    long = [f"assay {k} of the cells of the human liver" for k in (1, 2, 10, 11)]
    for form in both_forms(figures.forest(dict.fromkeys(long, (0.1, 0.0, 0.2)), "A title")):
        assert len({*names(form)}) == len(long)
        assert_readable("forest", form)


@pytest.mark.parametrize(
    "every",
    [
        [f"{'x' * 30}{k}{'y' * 30}" for k in range(12)],
        [f"{'x' * 30}{k:020}{'y' * 30}" for k in range(12)],
        [f"{'x' * k}z{'x' * (40 - k)}" for k in range(40)],
        ["short", "short", "a name of more letters", "a name of\nmore letters"],
    ],
)
def test_no_two_names_are_cut_to_the_same_letters(every: list[str]) -> None:
    for length in (12, 16, 22):
        cut = short_names(every, length)
        assert len({*cut}) == len({" ".join(name.split()) for name in every})
        assert max(map(len, cut)) <= length


def test_a_small_effect_beside_a_large_one_keeps_the_decimals_of_its_own_interval() -> None:
    rows = {"large": (-13.2, -15.1, -11.3), "small": (0.3, -0.4, 1.0), "none": (0.1, -9.0, 9.2)}
    figure = figures.forest(rows, "A title")
    assert {"−13", "+0.3", "0"} <= {*words(figure)}
    assert figure.caption == "large: −13 [−15, −11]; small: +0.3 [−0.4, +1.0]; none: 0 [−9, +9]."


def test_decimal_points_stand_below_each_other() -> None:
    rows = {"large": (-13.2, -15.1, -11.3), "small": (0.34, -0.4, 1.0)}
    for form in both_forms(figures.forest(rows, "A title")):
        form.canvas.draw()
        boxes = {
            text.get_text(): text.get_window_extent().x1
            for text in form.findobj(Text)
            if text.get_text() in ("−13", "+0.3")
        }
        (after,) = [text_inches(".3", s) for s in {13.0 if form.dpi == 100 else 9.5}]
        assert boxes["+0.3"] - boxes["−13"] == pytest.approx(after * form.dpi, abs=4)


def test_a_mark_at_the_end_of_the_axis_stands_inside_and_what_is_beyond_is_told() -> None:
    study = made(tuple(f"task {i}" for i in range(12)))
    results = study.results.copy()
    results.loc[(results["method"] == "MTL") & (results["task"] == "task 0"), "value"] += 1000
    for form in both_forms(
        figures.task_differences(replace(study, results=results), methods=["MTL"])
    ):
        ax = form.axes[0]
        form.canvas.draw()
        left, right = ax.get_window_extent().x0, ax.get_window_extent().x1
        for verdict in ("harmed", "helped", "undecided"):
            for marks in found(form, verdict):
                x = ax.transData.transform(marks.get_offsets())[:, 0]
                half = np.sqrt(marks.get_sizes().max()) / 2 * form.dpi / 72
                assert x.min() - half >= left and x.max() + half <= right
        beyond = [arrow for arrow in found(form, "beyond") if arrow.get_xdata()[0] < 0]
        (row,) = {arrow.get_ydata()[0] for arrow in beyond}
        assert row == names(form).index("task 0"), "an arrow at the end of the axis"
    assert not found(figures.forest(GAINS, "A title"), "beyond")


def test_a_long_heading_is_not_struck_out_by_the_line_at_zero() -> None:
    table = pd.DataFrame({"mean": [1.0], "low": [0.5], "high": [9.0]}, index=["x"])
    figure = figures.forest(table.assign(group="average precision, against the CNN"), "A title")
    for form in both_forms(figure):
        ((heading,), (zero,)) = found(form, "group"), found(form, "zero")
        assert heading.get_bbox_patch().get_facecolor() == (1, 1, 1, 1)
        assert heading.get_zorder() > zero.get_zorder()


def test_a_number_without_an_interval_has_a_mark_of_its_own() -> None:
    rows = {"the paper": (-0.06, np.nan, np.nan), **GAINS}
    figure = figures.forest(rows, "A title")
    (alone,) = found(figure, "alone")
    assert alone.get_offsets().tolist() == [[-0.06, 0.0]]
    marks = [offset for v in ("harmed", "helped", "undecided") for offset in found(figure, v)]
    assert sum(len(mark.get_offsets()) for mark in marks) == len(GAINS)
    assert figure.caption.startswith("the paper: −0.060; LBTW: +0.040 [−0.010, +0.090]")
    assert "Diamond: a number without an interval" in " ".join(words(figure))
    for form in both_forms(figure):
        assert_readable("forest", form)
    assert "Diamond" not in " ".join(words(figures.forest(GAINS, "A title")))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({}, "no rows"),
        ({"a": (1.0, 0.5)}, "no high"),
        ({"a": (1.0, 2.0, 3.0)}, "'a' has a mean outside of its interval"),
        ({"a": ("x", 1.0, 2.0)}, "'a' has no three numbers"),
        ({"a": (float("inf"), 1.0, 2.0)}, "'a' has no three numbers"),
        ({"a": {"mean": 0, "low": 0, "high": 0, "colour": "<b>"}}, "'<b>' is no colour"),
    ],
)
def test_a_forest_refuses_what_it_cannot_draw(rows: dict, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)) as refused:
        figures.forest(rows, "A title")
    assert "\n" not in str(refused.value)


# ---------------------------------------------------------------- colours


def test_blue_helps_red_harms_orange_is_conflict_and_teal_agreement() -> None:
    red, blue, orange, teal = (np.array(to_rgb(c)) for c in (HARMS, HELPS, CONFLICT, AGREEMENT))
    assert red.argmax() == 0 and blue.argmax() == 2
    assert orange[0] > orange[1] > orange[2] and min(teal[1:]) > 2 * teal[0]
    ax = Figure().subplots()
    figures.draw_cosines(ax, np.array([[1.0, -1.0], [-1.0, 1.0]]))
    agree, conflict = np.asarray(ax.images[0].get_array())[0]
    assert agree == pytest.approx(teal, abs=0.01) and conflict == pytest.approx(orange, abs=0.01)


def test_a_stored_study_tells_its_cause_in_the_title() -> None:
    t = arm_tables(stored("cure-unrelated"))
    groups = task_groups([str(task) for task in t.verdicts["MTL", ""]["task"]])
    said = effect_title(t, ("MTL", ""), groups)
    assert re.fullmatch(
        r"Under MTL, three outsiders lose 0\.\d\d \(MSE\); six related tasks gain 0\.\d\d", said
    )


def test_the_band_of_chance_leaves_out_what_nobody_has_learned() -> None:
    """Noise on such a task would hide the harm of the others."""
    study = stored("cure-combined")
    figure = figures.task_differences(study, methods=["MTL"])
    verdict = study.transfer().query("method == 'MTL'").set_index("task")["verdict"]
    twin = study.delta("STL'").mean().abs()
    learned = verdict.index[verdict != "not learned"]
    assert 0 < len(learned) < len(verdict)
    (band,) = [patch for patch in figure.axes[0].patches if patch.get_gid() == "null"]
    left, right = band.get_extents().transformed(figure.axes[0].transData.inverted()).intervalx
    assert right == pytest.approx(twin[learned].quantile(0.95)) == pytest.approx(-left)
    assert right < twin.quantile(0.95) / 2
