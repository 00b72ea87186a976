"""The picture of published counts: what stands where, on a page and on a phone."""

from __future__ import annotations

import pytest

from mtl_nt import BadInput
from mtl_nt.book.published_counts import published_counts, worse_per_run
from mtl_nt.study import stored

NONE = float("nan")
COUNTS = {("MTL", NONE): 48, ("RMTL, tuned", NONE): 42}
NULL = ("STL'", NONE)


def test_every_run_is_a_dot_and_the_published_counts_have_intervals() -> None:
    study = stored("cure-unrelated")
    figure = published_counts(COUNTS, 128, "PCBA-128", [study], NULL)
    paper, ours = figure.axes
    (mtl,) = (line for line in paper.get_lines() if list(line.get_xdata()) == [37.5])
    assert list(mtl.get_ydata()) == [1], "the row below that of STL'"
    share = 100 / len(study.metric)
    wanted = (share * worse_per_run(study, ("MTL", NONE))).to_list()
    assert wanted in [list(line.get_xdata()) for line in ours.get_lines()]
    assert [ax.get_title(loc="left") for ax in figure.axes][0] == "PCBA-128, one run"
    assert figure.caption.endswith("MTL: 48 of 128; RMTL, tuned: 42 of 128.")


def test_the_data_have_the_names_that_the_reader_knows_and_the_marks_a_legend() -> None:
    study = stored("cure-unrelated")
    name = str(study.results["dataset"].iloc[0])
    figure = published_counts(COUNTS, 128, "a panel", [study], NULL, {name: "Made data"})
    assert figure.axes[1].get_title(loc="left") == "Made data, our runs"
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["count, 95% (Wilson)", "one run", "mean of runs", "chance alone: STL'"]


def test_on_a_phone_the_panels_stand_below_each_other() -> None:
    figure = published_counts(COUNTS, 128, "a panel", [stored("cure-unrelated")], NULL)
    assert figure.draw_narrow is not None
    first, second = figure.draw_narrow().axes
    assert first.get_position().y0 > second.get_position().y1
    for ax in (first, second):
        assert [text.get_text() for text in ax.get_yticklabels()][1] == "MTL"


def test_one_count_or_no_study_is_refused() -> None:
    with pytest.raises(BadInput, match="two published counts or more, and one study or more"):
        published_counts({("MTL", NONE): 48}, 128, "a panel", [stored("cure-unrelated")], NULL)
    with pytest.raises(BadInput):
        published_counts(COUNTS, 128, "a panel", [], NULL)
