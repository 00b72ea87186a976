"""Explorers and live training, without a browser."""

from __future__ import annotations

import json
import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets as widgets
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_output
from samples import png

import mtl_nt.book.live
from mtl_nt import BadInput
from mtl_nt.book import playground
from mtl_nt.book.explorers import Explorer, Live, explorer, running_headless
from mtl_nt.book.live import AnyNumber, SliderAndBox
from mtl_nt.book.outputs import static_outputs
from mtl_nt.figures.picture import Captioned, data_url
from mtl_nt.figures.png import packed

ALPHAS = [0.0, 0.25, 1.0]
NASTY = "<b>dial</b> & \"digits\" 'x' </script><!--"
HTML = "text/html"


def an_explorer(*datasets: str, **options: Any) -> Explorer:
    pictures = {
        d: [(png(10 * k + n), f"{d} at {a}") for k, a in enumerate(ALPHAS)]
        for n, d in enumerate(datasets)
    }
    return explorer(pictures, ALPHAS, **options)


def all_of(box: widgets.Widget, kind: type) -> list[Any]:
    found = [box] if isinstance(box, kind) else []
    return found + [w for child in getattr(box, "children", ()) for w in all_of(child, kind)]


def fragment(shown: Explorer | Live) -> BeautifulSoup:
    return BeautifulSoup(shown.html, "html.parser")


def data(shown: Explorer) -> dict[str, Any]:
    """What the script makes the controls and the pictures from."""
    (block,) = fragment(shown).select("script[type='application/json']")
    found: dict[str, Any] = json.loads(str(block.string))
    return found


def only(picture: tuple[bytes, str]) -> Explorer:
    return explorer({"dial": [picture]}, [0.5])


# ---------------------------------------------------------------- explorer


def test_an_explorer_is_html_with_one_picture_a_line_and_no_control() -> None:
    shown = an_explorer("dial", "digits")
    assert set(shown._repr_mimebundle_()) == {HTML, "text/plain"}
    soup = fragment(shown)
    for script in soup("script"):  # as where no notebook is trusted
        script.decompose()
    assert len(soup("figure")) == len(soup("img")) == 1
    assert soup.p.text == "Run this cell for the slider."
    assert not soup(["input", "select", "button", "output", "label"])


def test_every_data_set_has_one_picture_for_every_alpha_with_its_caption_as_alt_text() -> None:
    found = data(an_explorer("dial", "digits"))
    assert found["values"] == ["0", "0.25", "1"]
    for n, (dataset, row) in enumerate(zip(["dial", "digits"], found["pages"], strict=True)):
        for k, (alpha, page) in enumerate(zip(ALPHAS, row, strict=True)):
            assert page["alt"] == f"{dataset} at {alpha}"
            (form,) = page["forms"]
            assert form["src"] == data_url(png(10 * k + n))
            assert (form["width"], form["height"]) == (600, 300)


def test_the_controls_have_the_names_that_were_given() -> None:
    found = data(an_explorer("dial", "digits", label="angle", name="family"))
    assert found["label"] == "angle"
    assert found["pickers"] == [["family", ["dial", "digits"]]]


@pytest.mark.parametrize(("start", "index"), [(None, 0), (0.25, 1), (0.7, 2), (7, 2)])
def test_it_starts_at_the_nearest_alpha(start: float | None, index: int) -> None:
    shown = an_explorer("dial", start=start)
    assert data(shown)["first"] == index
    soup, caption = fragment(shown), f"dial at {ALPHAS[index]}"
    assert soup.img["alt"] == soup.figcaption.text == caption
    assert soup.img["src"] == data(shown)["pages"][0][index]["forms"][0]["src"]
    assert caption in shown._repr_mimebundle_()["text/plain"]


def test_an_explorer_says_that_it_is_precomputed() -> None:
    assert re.match("Every picture is drawn already", data(an_explorer("dial"))["note"])


def test_one_data_set_needs_no_picker_and_one_picture_nothing_but_itself() -> None:
    assert data(an_explorer("dial"))["pickers"] == []
    alone = fragment(only((png(), "only")))
    assert alone.figcaption.text == "only"
    assert not alone("p") and not alone("script")
    menus = explorer({"dial": [(png(0), "one")], "digits": [(png(1), "two")]}, ALPHAS)
    assert fragment(menus).p.text == "Run this cell for the menu."


def test_names_and_captions_are_escaped_everywhere() -> None:
    shown = an_explorer(NASTY, "digits", label=NASTY, name=NASTY)
    html = shown._repr_mimebundle_()[HTML]
    soup, found = BeautifulSoup(html, "html.parser"), data(shown)
    assert (found["label"], found["pickers"]) == (NASTY, [[NASTY, [NASTY, "digits"]]])
    assert soup.img["alt"] == soup.figcaption.text == f"{NASTY} at 0.0"
    assert html.count("</script>") == len(soup("script")) == 2
    assert not soup("b")


def test_a_figures_message_is_read_aloud_once_and_its_caption_does_not_repeat_it() -> None:
    made = [Captioned(png(k), f"MTL harms {k}", f"Task {k}.") for k in range(3)]
    shown = explorer({"dial": made}, ALPHAS, start=1.0)
    soup = fragment(shown)
    assert (soup.img["alt"], soup.figcaption.text) == ("MTL harms 2", "Task 2.")
    assert [(page["alt"], page["caption"]) for page in data(shown)["pages"][0]] == [
        *(("MTL harms 0", "Task 0."), ("MTL harms 1", "Task 1."), ("MTL harms 2", "Task 2."))
    ]
    assert repr(shown).endswith("MTL harms 2. Task 2.")


def test_the_same_pictures_make_the_same_html_without_any_id() -> None:
    one, two = (an_explorer("dial", "digits")._repr_mimebundle_()[HTML] for _ in range(2))
    assert one == two
    assert not BeautifulSoup(one, "html.parser").select("[id], [for]")


def test_in_the_repository_an_explorer_is_a_picture_and_a_line_and_a_playground_itself() -> None:
    outputs = [
        new_output("execute_result", data=shown._repr_mimebundle_())
        for shown in (an_explorer("dial", start=0.25), playground())
    ]
    picture, line, played = static_outputs(outputs, "cell")
    words = "alpha = 0.25 (of 0, 0.25, 1): dial at 0.25"
    encoded = b64encode(packed(png(10))).decode()
    assert picture.data == {"image/png": encoded, "text/plain": words}
    assert picture.metadata == {"image/png": {"alt": "dial at 0.25"}}
    asked = "dial at 0.25 Run this cell for the slider."
    assert line.data == {HTML: f"<small>{asked}</small>"}
    assert played.data == outputs[1].data


def test_an_explorer_says_what_is_missing() -> None:
    with pytest.raises(BadInput, match="no pictures"):
        explorer({}, [0.5])
    with pytest.raises(BadInput, match="2 pictures of 'dial' for 3 values of alpha"):
        explorer({"dial": [(png(), "a"), (png(), "b")]}, ALPHAS)
    with pytest.raises(BadInput, match="a picture of 'dial' has no caption"):
        explorer({"dial": [(png(), "a"), (png(), "b"), png()]}, ALPHAS)
    with pytest.raises(BadInput, match="not PNG"):
        explorer({"dial": [(b"GIF89a", "a")] * 3}, ALPHAS)


# ---------------------------------------------------------------- explorer with two pickers

DATA, ARMS = ["dial", "digits"], ["LBTW", "MTL", "RMTL"]


def two_pickers(**options: Any) -> Explorer:
    """A picture at every alpha of LBTW; MTL and RMTL have none, and one picture."""
    keys = [(d, m) for d in DATA for m in ARMS]
    many = {key: 3 if key[1] == "LBTW" else 1 for key in keys}
    pictures = {
        key: [(png(20 * n + k), f"{key[1]} of {key[0]}, {k}") for k in range(many[key])]
        for n, key in enumerate(keys)
    }
    return explorer(pictures, ALPHAS, **{"name": ("data", "method"), **options})


def test_two_pickers_have_names_and_a_picture_for_all_alphas_is_there_once() -> None:
    shown = two_pickers(start=0.25)
    found, soup = data(shown), fragment(shown)
    assert found["pickers"] == [["data", DATA], ["method", ARMS]]
    assert [len(row) for row in found["pages"]] == [3, 1, 1] * 2
    assert [row[0]["alt"] for row in found["pages"]] == [
        f"{m} of {d}, 0" for d in DATA for m in ARMS
    ]
    assert soup.img["alt"] == soup.figcaption.text == "LBTW of dial, 1"


def test_an_explorer_whose_first_picture_is_for_all_alphas_starts_with_it() -> None:
    pictures = {
        ("dial", "MTL"): [(png(), "all")],
        ("dial", "LBTW"): [(png(k), "abc"[k]) for k in range(3)],
    }
    shown = explorer(pictures, ALPHAS, name=("data", "method"), start=1.0)
    assert fragment(shown).figcaption.text == "all"
    assert data(shown)["pickers"] == [["method", ["MTL", "LBTW"]]]  # one data set needs no picker


def test_two_pickers_need_two_names_and_every_combination() -> None:
    with pytest.raises(BadInput, match="give every part of a key a name"):
        two_pickers(name="data")
    key, other = ("dial", "LBTW"), ("digits", "MTL")
    with pytest.raises(BadInput, match="no pictures of dial, MTL; give every combination"):
        explorer({key: [(png(), "a")], other: [(png(), "b")]}, ALPHAS, name=("d", "m"))
    with pytest.raises(BadInput, match=r"2 pictures of \('dial', 'LBTW'\) for 3 values of alpha"):
        explorer({key: [(png(), "a"), (png(), "b")]}, ALPHAS, name=("d", "m"))


def in_two_forms(page: int, phone: int) -> Captioned:
    return Captioned(png(page), f"picture {page}", "", lambda: png(phone))


def test_every_stop_has_its_form_for_phones() -> None:
    shown = explorer({"dial": [in_two_forms(k, 100 + k) for k in range(3)]}, ALPHAS, start=1.0)
    wide, narrow = fragment(shown)("img")
    assert (wide["src"], narrow["src"]) == (data_url(png(2)), data_url(png(102)))
    assert wide["alt"] == narrow["alt"] == "picture 2" and narrow["style"].startswith(
        "display: none"
    )
    forms = [[form["src"] for form in page["forms"]] for page in data(shown)["pages"][0]]
    assert forms == [[data_url(png(k)), data_url(png(100 + k))] for k in range(3)]


def test_where_one_picture_has_no_form_for_phones_all_are_shown_in_that_for_pages() -> None:
    mixed = [in_two_forms(0, 100), (png(1), "plain"), in_two_forms(2, 102)]
    shown = explorer({"dial": mixed}, ALPHAS)
    assert [len(page["forms"]) for page in data(shown)["pages"][0]] == [1, 1, 1]
    (image,) = fragment(shown)("img")
    assert "min-width: 580px" in image["style"], "a phone scrolls it sideways"


# ---------------------------------------------------------------- live training


class Trainer:
    """A training that waits for `go`, and keeps a diary."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        self.ended: list[float] = []
        self.at_once = self.most_at_once = 0
        self.go = threading.Event()
        self.stops = True  # does it end when it is told to?

    def __call__(
        self, values: dict[str, Any], progress: Callable[..., None], stop: Callable[[], bool]
    ) -> tuple[bytes, str]:
        self.begun.append(values["alpha"])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            while not self.go.wait(0.005):
                progress(0.5, "LBTW")
                if self.stops and stop():
                    raise RuntimeError("stopped")
            if values["alpha"] == 1.0:
                raise ValueError("alpha = 1 <b>diverged</b>\nat step 3")
            self.ended.append(values["alpha"])
            return png(round(100 * values["alpha"])), f"alpha is {values['alpha']}"
        finally:
            self.at_once -= 1


@pytest.fixture
def trainer() -> Iterator[Trainer]:
    made = Trainer()
    yield made
    made.go.set()  # no thread outlives its test
    until(lambda: made.at_once == 0)


def until(true: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


def live(trainer: Trainer) -> tuple[Live, Any]:
    grid = [round(0.05 * k, 2) for k in range(21)]
    shown = Live(trainer, {"alpha": (grid, 0.5)}, title="LBTW <on> dial")
    (slider,) = all_of(shown.widget, widgets.SelectionSlider)
    return shown, slider


def status(shown: Live) -> str:
    (html,) = (w for w in all_of(shown.widget, widgets.HTML) if "nt-status" in w._dom_classes)
    return html.value


def picture(shown: Live) -> str:
    (html,) = (w for w in all_of(shown.widget, widgets.HTML) if "nt-figure" in w._dom_classes)
    return html.value


def button(shown: Live) -> widgets.Button:
    (found,) = all_of(shown.widget, widgets.Button)
    return found


def test_nothing_trains_before_it_is_shown_and_showing_it_twice_trains_once(
    trainer: Trainer,
) -> None:
    shown, _ = live(trainer)
    trainer.go.set()
    assert trainer.begun == []
    shown._ipython_display_()
    shown._ipython_display_()
    until(lambda: "alpha is 0.5" in picture(shown))
    shown._ipython_display_()
    assert trainer.begun == [0.5]


@pytest.mark.slow
def test_of_a_drag_only_the_last_value_trains(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mtl_nt.book.live, "DEBOUNCE_SECONDS", 0.5)  # a slow machine drags slowly
    shown, slider = live(trainer)
    trainer.go.set()
    for k in range(20):
        slider.index = k
    until(lambda: "alpha is 0.95" in picture(shown))
    assert trainer.begun == [0.95]
    assert "alpha = 0.95: trained in" in status(shown)


def test_a_training_that_is_replaced_stops_and_never_runs_beside_the_next(
    trainer: Trainer,
) -> None:
    shown, slider = live(trainer)
    shown._ipython_display_()
    for alpha in (0.1, 0.2, 0.3):
        until(lambda: trainer.at_once == 1)
        slider.value = alpha
        until(lambda alpha=alpha: trainer.begun[-1] == alpha)
    trainer.go.set()
    until(lambda: "alpha is 0.3" in picture(shown))
    assert trainer.begun == [0.5, 0.1, 0.2, 0.3]
    assert trainer.ended == [0.3]
    assert trainer.most_at_once == 1
    assert "nt-error" not in status(shown)


@pytest.mark.slow
def test_a_training_that_does_not_stop_is_waited_for_and_its_picture_dropped(
    trainer: Trainer,
) -> None:
    trainer.stops = False
    shown, slider = live(trainer)
    shown._ipython_display_()
    until(lambda: trainer.at_once == 1)
    for alpha in (0.2, 0.1):  # neither can begin, and the first never does
        slider.value = alpha
        time.sleep(0.3)
    assert trainer.begun == [0.5]
    seen: list[str] = []
    all_of(shown.widget, widgets.HTML)[-1].observe(
        lambda change: seen.append(change["new"]), "value"
    )
    trainer.go.set()
    until(lambda: seen)
    assert trainer.begun == trainer.ended == [0.5, 0.1]
    assert len(seen) == 1
    assert "alpha is 0.1" in seen[0]


def test_the_last_picture_stays_until_the_next_is_ready(trainer: Trainer) -> None:
    shown, slider = live(trainer)
    trainer.go.set()
    shown.run_sync()
    trainer.go.clear()
    slider.value = 0.1
    until(lambda: trainer.at_once == 1)
    assert "alpha is 0.5" in picture(shown)
    assert "alpha is 0.5" in shown.html
    trainer.go.set()
    until(lambda: "alpha is 0.1" in picture(shown))


def test_an_output_beside_the_controls_keeps_the_last_picture(trainer: Trainer) -> None:
    shown, slider = live(trainer)
    kept: list[dict[str, str]] = []
    shown._kept = type("Handle", (), {"update": lambda _, data, raw: kept.append(data)})()
    trainer.go.set()
    shown.run_sync()
    slider.value = 0.1
    until(lambda: len(kept) == 2)
    assert [BeautifulSoup(data[HTML], "html.parser").img["alt"] for data in kept] == [
        *("alpha is 0.5", "alpha is 0.1")
    ]
    made = static_outputs([new_output("display_data", data=kept[1])], "cell")
    assert made[0].metadata == {"image/png": {"alt": "alpha is 0.1"}}
    asked = "to train with other values. alpha is 0.1</small>"
    assert made[1].data["text/html"].endswith(asked)


@pytest.mark.slow
def test_progress_shows_with_the_time_left(trainer: Trainer) -> None:
    shown, _ = live(trainer)
    shown._ipython_display_()
    (bar,) = all_of(shown.widget, widgets.FloatProgress)
    until(lambda: re.search(r"training alpha = 0.5, LBTW, \d+ s left", status(shown)))
    assert bar.value == 0.5
    assert bar.layout.display != "none"
    trainer.go.set()
    until(lambda: "trained in" in status(shown))
    assert bar.layout.display == "none"


def test_stop_ends_the_training_and_keeps_the_picture(trainer: Trainer) -> None:
    shown, slider = live(trainer)
    trainer.go.set()
    shown.run_sync()
    assert button(shown).disabled
    trainer.go.clear()
    slider.value = 0.1
    until(lambda: trainer.at_once == 1)
    assert button(shown).description == "Stop"
    button(shown).click()
    until(lambda: trainer.at_once == 0)
    assert "stopped; the picture shows alpha = 0.5" in status(shown)
    assert "alpha is 0.5" in picture(shown)
    trainer.go.set()
    assert button(shown).description == "Train again"
    button(shown).click()
    until(lambda: "alpha is 0.1" in picture(shown))
    assert button(shown).disabled


def test_an_error_is_one_red_line_and_the_picture_stays(trainer: Trainer) -> None:
    shown, slider = live(trainer)
    trainer.go.set()
    shown.run_sync()
    slider.value = 1.0
    until(lambda: "nt-error" in status(shown))
    line = BeautifulSoup(status(shown), "html.parser")
    assert line.text == "ValueError: alpha = 1 <b>diverged</b> at step 3"
    assert "error-color" in line.span["style"]
    assert isinstance(shown.error, ValueError)
    assert "alpha is 0.5" in picture(shown)
    slider.value = 0.5
    until(lambda: "trained in" in status(shown))
    assert shown.error is None


def test_bad_input_shows_its_own_line_and_a_wrong_result_is_an_error_too() -> None:
    results: list[Any] = [BadInput("alpha -1: give 0 or more"), (b"GIF89a", "no PNG"), None]

    def train(*_: object) -> Any:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    shown = Live(train, {"alpha": ([0, 1], 0)})
    shown._ipython_display_()
    until(lambda: ">alpha -1: give 0 or more<" in status(shown))
    for line in (">a picture is not PNG", ">TypeError: "):
        button(shown).click()
        until(lambda line=line: line in status(shown))
    assert not results


def test_live_says_that_it_needs_a_kernel_and_what_its_picture_was_made_with(
    trainer: Trainer,
) -> None:
    shown, _ = live(trainer)
    trainer.go.set()
    (label,) = all_of(shown.widget, widgets.Label)
    assert label.value == "Live: LBTW <on> dial, anew at every change, by a running kernel"
    shown.run_sync()
    soup = fragment(shown)
    assert "trained with alpha = 0.5." in soup.p.text
    assert "JupyterLab or on Binder" in soup.p.text
    assert soup.b.text == "LBTW <on> dial"
    assert soup.img["alt"] == soup.figcaption.text == "alpha is 0.5"


def test_run_sync_raises_what_the_training_raises(trainer: Trainer) -> None:
    shown, slider = live(trainer)
    trainer.go.set()
    slider.unobserve_all()
    slider.value = 1.0
    with pytest.raises(ValueError, match="diverged"):
        shown.run_sync()


def test_numbers_become_a_slider_and_words_a_menu() -> None:
    controls = {
        "alpha": ([0.0, 0.5], 0.5),
        "seed": ([1, 2], 2),
        "data": (["dial", "digits"], "dial"),
    }
    shown = Live(lambda values, *_: (png(), str(values)), controls)
    sliders, menus = (all_of(shown.widget, k) for k in (widgets.SelectionSlider, widgets.Dropdown))
    assert [w.description for w in sliders] == ["alpha", "seed"]
    assert [w.description for w in menus] == ["data"]
    assert shown.run_sync()[1] == "{'alpha': 0.5, 'seed': 2, 'data': 'dial'}"


def test_a_start_outside_the_options_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"alpha: cannot start at 0\.3; the options are 0, 0\.5"):
        Live(lambda *_: (png(), ""), {"alpha": ([0.0, 0.5], 0.3)})


def test_any_number_of_a_range_is_taken_from_a_slider_or_from_a_box() -> None:
    shown = Live(lambda values, *_: (png(), str(values)), {"alpha": AnyNumber(0, 2, start=0.5)})
    kinds = widgets.FloatSlider, widgets.BoundedFloatText
    (slider,), (box,) = (all_of(shown.widget, kind) for kind in kinds)
    assert (slider.min, slider.max, slider.step) == (box.min, box.max, box.step) == (0, 2, 0.05)
    assert (slider.description, box.description) == ("alpha", "any number, 0 to 2")
    (control,) = shown._controls.values()
    control.unobserve_all()
    for typed, taken, at in ((0.123, 0.123, 0.1), (7, 2, 2), (-1, 0, 0), (0.126, 0.126, 0.15)):
        box.value = typed  # no number outside the range is taken
        assert (shown.values["alpha"], slider.value) == (taken, at)
    slider.value = 0.3
    assert (shown.values["alpha"], box.value) == (0.3, 0.3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((0, 2, 3), "a start that lies in it"),
        ((1, 1, 1), "give a range"),
        ((0, float("inf"), 1), "finite numbers"),
        ((0, 2, "0.5"), "finite numbers"),
    ],
)
def test_a_range_that_cannot_be_used_is_bad_input(given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        AnyNumber(*given)


def test_a_control_that_means_nothing_is_out_of_sight_and_not_trained_with() -> None:
    given: list[dict[str, Any]] = []

    def train(values: dict[str, Any], *_: object) -> tuple[bytes, str]:
        given.append(values)
        return png(), "a picture"

    shown = Live(
        train,
        {"method": (["LBTW", "MTL"], "LBTW"), "alpha": AnyNumber(0, 2, start=0.5)},
        needed={"alpha": lambda values: values["method"] == "LBTW"},
    )
    (menu,), (slider,) = (all_of(shown.widget, k) for k in (widgets.Dropdown, SliderAndBox))
    assert slider.layout.display != "none"
    shown.run_sync()
    menu.value = "MTL"
    assert slider.layout.display == "none"
    until(lambda: "method = MTL: trained in" in status(shown))
    assert "alpha" not in fragment(shown).p.text
    menu.value = "LBTW"
    assert slider.layout.display != "none"
    until(lambda: "method = LBTW, alpha = 0.5: trained in" in status(shown))
    assert given == [{"method": "LBTW", "alpha": 0.5}, {"method": "MTL"}, given[0]]


def test_a_control_that_starts_without_a_meaning_starts_out_of_sight() -> None:
    shown = Live(
        lambda values, *_: (png(), str(values)),
        {"method": (["MTL"], "MTL"), "alpha": AnyNumber(0, 2, start=0.5)},
        needed={"alpha": lambda values: values["method"] == "LBTW"},
    )
    (slider,) = all_of(shown.widget, SliderAndBox)
    assert slider.layout.display == "none"
    with pytest.raises(BadInput, match="no control is named 'alhpa'"):
        Live(lambda *_: (png(), ""), {"alpha": ([0.0], 0.0)}, needed={"alhpa": lambda _: True})


def test_a_plain_program_is_not_a_headless_notebook() -> None:
    assert not running_headless()
