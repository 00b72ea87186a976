"""The playground: its networks are torch's, its controls work, and a still stands in for it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from lab import chromium
from pages import NEEDED
from played import played, settle, stills_digest
from playwright.sync_api import Browser, Locator, expect
from torch import Tensor

from mtl_nt import BadInput
from mtl_nt.book.markup import PLAYGROUND_SCRIPT, sanitized
from mtl_nt.book.playground import METHODS, PRESETS, STILLS, playground, still_path

STEPS, NEAR = 200, 1e-9
double = partial(torch.tensor, dtype=torch.float64)
ALPHAS = {"LBTW": 0.7, "GradNorm": 1.2, "Fixed weights": 2.5}
TRAIN = """(box, changes) => {
  const { settings, constructor } = box.simulation;
  const run = new constructor({ ...settings, ...changes }), batches = [], { next } = run;
  if (next) run.next = () => { batches.push(next()); return batches.at(-1); };
  run.advance(changes.steps);
  const { problem } = run, numbers = (networks) => networks.map(({ values }) => [...values]);
  return {
    batches, initial: [...problem.initial()], alone: numbers(run.alone),
    together: numbers(run.together), weights: run.together[0].weights,
    x: [...(problem.x || [])], y: [...(problem.y || [])], bowls: problem.bowls,
    perEpoch: problem.perEpoch,
  };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module", params=["two tasks", "outsider"])
def trainer(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Locator]]:
    """A preset, and its playground on a page, which trains what one asks for."""
    with played(browser, request.param, tmp_path_factory.mktemp("played")) as visit:
        yield request.param, visit.page.locator(".mtl-playground")


twins: dict[str, list[list[float]]] = {}  # single-task networks by preset: the first test's


def adam(tensor: Tensor, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam([tensor], lr=rate)


class Reference:
    """One network's training in torch, with autograd for every gradient."""

    def __init__(self, method: str, alpha: float, target: int, tasks: int) -> None:
        self.bound = 1.5 if tasks == 2 else 8.0
        self.method, self.alpha, self.target = method, alpha, target
        self.w = torch.ones(tasks).double()
        self.s = torch.zeros(tasks).double().requires_grad_()
        self.reference: Tensor | None = None
        self.mover = adam(self.w if method == "GradNorm" else self.s, 0.025)

    def weights(self, losses: Tensor, first: bool, at_head: Callable[[int], Tensor]) -> Tensor:
        tasks, kind = len(losses), self.method.partition(", ")[2]
        match self.method.partition(",")[0]:
            case "STL":
                return torch.eye(tasks).double()[self.target]
            case "Fixed weights":
                return double([*[1.0] * (tasks - 1), self.alpha])
            case "LBTW":
                if self.reference is None or (first and not kind):
                    self.reference = losses
                w = (losses / self.reference) ** self.alpha
                if kind == "moving average":
                    self.reference = 0.9 * self.reference + 0.1 * losses
                return w / w.mean()
            case "RMTL":
                own = at_head(self.target)
                cosines = [torch.cosine_similarity(at_head(t), own, dim=0) for t in range(tasks)]
                return torch.stack(cosines).clamp(min=0)
            case "Uncertainty":
                with torch.no_grad():
                    self.s.clamp_(-self.bound, self.bound)
                return torch.exp(-self.s) / 2
            case "GradNorm":
                return self.w.clone()
        return torch.ones(tasks).double()

    def after(self, losses: Tensor, weights: Tensor, norms: Tensor) -> None:
        if self.method == "Uncertainty":
            self.mover.step()
        if self.method == "GradNorm":
            if self.reference is None:
                self.reference = losses
            rate = losses / self.reference
            aim = (weights * norms).mean() * (rate / rate.mean()) ** self.alpha
            free = weights.clone().requires_grad_()
            (gap,) = torch.autograd.grad((free * norms - aim.detach()).abs().sum(), free)
            self.w.grad = gap
            self.mover.step()
            moved = self.w.clamp(min=1e-3)
            self.w.copy_(moved / moved.sum() * len(moved))


def trained_by_torch(found: dict[str, Any], method: str, target: int, of: dict) -> Tensor:
    """The parameters that `found` should end with, in the playground's order."""
    start = double(found["initial"])
    two, units = found["bowls"] is not None, (len(start) - 3) // 6
    tasks = 2 if two else 3
    shapes = [(2,)] if two else [(2, units), (units,), (units, 3), (3,)]
    sizes = [math.prod(shape) for shape in shapes]
    parts = [
        part.reshape(shape).clone().requires_grad_()
        for part, shape in zip(start.split(sizes), shapes, strict=True)
    ]
    mover = torch.optim.SGD(parts, lr=0.05) if two else torch.optim.Adam(parts, lr=0.03)
    reference = Reference(method, of["alpha"], target, tasks)
    if two:
        bowls = [
            (double(b["minimum"]), double(b["hessian"])[[0, 1, 1, 2]].reshape(2, 2))
            for b in found["bowls"]
        ]
    else:
        x, y = (double(found[k]).reshape(-1, n) for k, n in (("x", 2), ("y", 3)))
        scales = double([1.0, 1.0, of["scale"]])
    for step in range(STEPS):
        if two:
            gaps = [(parts[0] - m, h) for m, h in bowls]
            losses = torch.stack([gap @ h @ gap / 2 for gap, h in gaps])
        else:
            rows = found["batches"][step]
            hidden = torch.tanh(x[rows] @ parts[0] + parts[1])
            losses = ((hidden @ parts[2] + parts[3] - y[rows]) ** 2).mean(0) * scales
        each = [
            torch.autograd.grad(loss, [parts[0], parts[0 if two else 2]], retain_graph=True)
            for loss in losses
        ]
        heads = [head if two else head[:, t] for t, (_, head) in enumerate(each)]
        norms = torch.stack([shared.norm() for shared, _ in each])
        first = step % found["perEpoch"] == 0
        weights = reference.weights(losses.detach(), first, heads.__getitem__)
        mover.zero_grad()
        reference.mover.zero_grad()
        objective = (weights * losses).sum()
        if method == "Uncertainty":
            objective = objective + reference.s.sum() / 2
        objective.backward()
        reference.after(losses.detach(), weights.detach(), norms)
        mover.step()
    return torch.cat([part.detach().reshape(-1) for part in parts])


@NEEDED
@pytest.mark.browser
@pytest.mark.parametrize("method", METHODS)
def test_after_200_steps_every_weight_is_torchs(method: str, trainer: tuple[str, Locator]) -> None:
    preset, box = trainer
    alpha = ALPHAS.get(method.partition(",")[0], 0.0)
    changes: dict[str, Any] = {"method": method, "alpha": alpha, "steps": STEPS, "scale": 1.7}
    if preset != "two tasks":
        changes |= {"units": 4, "seed": 3, "rows": 48}
    found = box.evaluate(TRAIN, changes)
    tasks = 2 if preset == "two tasks" else 3
    assert len(found["alone"]) == tasks
    assert len(found["together"]) == (tasks if method in ("STL", "RMTL") else 1)
    # Every method has the same twins, and where the method is STL they are held against torch.
    assert found["alone"] == twins.setdefault(preset, found["alone"])
    assert method != "STL" or found["alone"] == found["together"]
    for target, values in enumerate(found["together"]):
        expected = trained_by_torch(found, method, target, changes)
        assert (double(values) - expected).abs().max() < NEAR
        assert (expected - double(found["initial"])).abs().max() > 0.01  # it moved


@NEEDED
@pytest.mark.browser
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_opens_without_a_complaint_and_ends_as_its_still_says(
    preset: str, browser: Browser, tmp_path: Path
) -> None:
    with played(browser, preset, tmp_path, width=1280) as visit:
        said = visit.page.locator(".mtl-playground .said")
        expect(said).to_have_text(playground(preset).text)
        assert visit.page.locator(".mtl-playground figure").count() == 0  # the still has gone
        assert visit.said == []
        visit.narrowed(390)
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390


@NEEDED
@pytest.mark.browser
def test_arrow_keys_move_a_slider_and_the_start_and_alpha_is_there_when_it_counts(
    browser: Browser, tmp_path: Path
) -> None:
    with played(browser, "two tasks", tmp_path) as visit:
        box = visit.page.locator(".mtl-playground")
        said = box.locator(".said")
        alpha, angle = box.get_by_label("alpha"), box.get_by_label("angle")
        expect(alpha).to_be_hidden()
        before = said.inner_text()
        angle.focus()
        visit.page.keyboard.press("ArrowLeft")
        settle(visit)
        assert said.inner_text() != before and angle.get_attribute("aria-valuetext") == "125°"
        for _ in range(25):
            visit.page.keyboard.press("ArrowLeft")
        settle(visit)  # equal tasks
        expect(said).to_contain_text("task A is as good as alone, and task B is as good as alone")
        box.get_by_label("method").select_option("LBTW")
        expect(alpha).to_be_visible()
        box.get_by_role("button", name="reset").click()
        settle(visit)
        expect(said).to_have_text(before)
        expect(alpha).to_be_hidden()
        box.locator(".handle").focus()
        visit.page.keyboard.press("ArrowRight")
        settle(visit)
        assert box.evaluate("box => [...box.simulation.problem.initial()]") == [0.1, 1]
        assert box.locator(".handle").evaluate("handle => handle === document.activeElement")


KEYS_IN_A_FRAME = """box => new Promise((tell) => {
  const seen = new MutationObserver(() => {}), [, angle] = box.querySelectorAll("input");
  seen.observe(box.querySelector(".stage"), { childList: true });
  requestAnimationFrame(() => { // the keys come early in a frame
    for (const angle_to of [40, 30, 20]) {
      angle.value = angle_to;
      angle.dispatchEvent(new Event("input"));
    }
    const before = seen.takeRecords().length; // drawings while the keys were handled
    requestAnimationFrame(() => tell([before, box.simulation.step]));
  });
})"""


@NEEDED
@pytest.mark.browser
def test_keys_of_one_frame_are_one_drawing_and_the_frame_after_shows_it(
    browser: Browser, tmp_path: Path
) -> None:
    with played(browser, "outsider", tmp_path) as visit:
        box = visit.page.locator(".mtl-playground")
        while_handled, trained = box.evaluate(KEYS_IN_A_FRAME)
        assert while_handled == 0 and trained > 0
        settle(visit)
        assert box.evaluate("box => box.simulation.settings.angle") == 20


@NEEDED
@pytest.mark.browser
def test_the_start_can_be_dragged(browser: Browser, tmp_path: Path) -> None:
    with played(browser, "two tasks", tmp_path) as visit:
        box = visit.page.locator(".mtl-playground")
        handle = box.locator(".handle").bounding_box()
        assert handle is not None
        x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
        visit.page.mouse.move(x, y)
        visit.page.mouse.down()
        visit.page.mouse.move(x - 60, y + 40, steps=4)
        visit.page.mouse.up()
        visit.page.mouse.move(x + 200, y + 40, steps=2)  # let go: it stays
        a, b = box.evaluate("box => [...box.simulation.problem.initial()]")
        assert a < -0.3 and b < 0.8


GRADIENTS = """box => {
  const { problem, together, settings } = box.simulation;
  const rows = Array.from({ length: settings.rows }, (_, i) => i);
  return problem.pass(together.at(-1).values, rows).headGradients.map((g) => [...g]);
}"""


@NEEDED
@pytest.mark.browser
def test_below_the_weights_stand_the_angles_of_rmtl_and_the_s_of_uncertainty(
    browser: Browser, tmp_path: Path
) -> None:
    with played(browser, "sawtooth", tmp_path) as visit:
        box = visit.page.locator(".mtl-playground")
        below, method = box.locator(".stage p"), box.get_by_label("method")
        expect(below).to_have_count(0)
        method.select_option("RMTL")
        settle(visit)
        *others, own = np.array(box.evaluate(GRADIENTS))
        angles = [
            np.degrees(np.arccos(g @ own / np.linalg.norm(g) / np.linalg.norm(own))) for g in others
        ]
        first, second = (f"alike {k} {angle:.0f}°" for k, angle in enumerate(angles, 1))
        expect(below).to_have_text(f"angle to the outsider's gradient: {first}, {second}")
        method.select_option("Uncertainty")
        settle(visit)
        expect(below).to_have_text(re.compile(r"log variances s: alike 1 -?\d\.\d\d, .*outsider"))
        assert visit.said == []


@NEEDED
@pytest.mark.browser
@pytest.mark.parametrize("calm", [False, True])
def test_play_trains_in_sight_unless_motion_is_unwelcome(
    calm: bool, browser: Browser, tmp_path: Path
) -> None:
    options = {"reduced_motion": "reduce"} if calm else {}
    with played(browser, "two tasks", tmp_path, **options) as visit:
        box = visit.page.locator(".mtl-playground")
        steps = "box => box.simulation.step"
        last = box.evaluate(steps)
        click = "box => { const b = box.querySelector('button'); b.click(); return b.textContent; }"
        assert ("pause" in box.evaluate(click)) != calm  # else all steps as fast as can be
        if not calm:
            assert 0 < box.evaluate(steps) < last
        settle(visit)
        box.get_by_role("button", name="step").click()
        assert box.evaluate(steps) == 1


def test_the_still_is_of_this_code() -> None:
    kept = json.loads((STILLS / "stills.json").read_text(encoding="utf-8"))
    assert kept["digest"] == stills_digest(), "make stills"
    assert {*kept} == {"digest", *PRESETS}
    assert {path.name for path in STILLS.glob("*.png")} == {still_path(p).name for p in PRESETS}


def test_without_scripts_there_is_a_picture_its_sentence_and_no_control() -> None:
    soup = BeautifulSoup(playground("outsider").html, "html.parser")
    for script in soup(["script", "style"]):
        script.decompose()
    assert not soup(["button", "input", "select"])
    assert soup.img["alt"] == playground("outsider").text
    assert "Run this cell to play." in soup.get_text()
    changed = playground("outsider", units=3)
    assert changed.text == "Run this cell to play." and "<img" not in changed.html


def test_a_page_keeps_it_and_its_script_can_be_read_in_one_sitting() -> None:
    assert PLAYGROUND_SCRIPT in sanitized(playground().html)
    assert len(PLAYGROUND_SCRIPT.splitlines()) <= 600


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"preset": "outsiders"}, "no preset 'outsiders'; did you mean 'outsider'"),
        ({"unit": 3}, "no setting 'unit'"),
        ({"view": "network"}, "no setting 'view'"),
        ({"method": "Gradnorm"}, "no method 'Gradnorm'; did you mean 'GradNorm'"),
        ({"angle": 200}, "angle 200: must be a number from 0 to 180"),
        ({"angle": "wide"}, "angle 'wide': must be a number from 0 to 180"),
        ({"preset": "outsider", "rows": 20}, "rows 20: must be a multiple of 16 from 16 to 128"),
        ({"preset": "outsider", "units": 1.5}, "units 1.5: must be a whole number from 1 to 8"),
    ],
)
def test_what_it_cannot_play_is_said_in_one_line(given: dict[str, Any], line: str) -> None:
    with pytest.raises(BadInput) as said:
        playground(**given)
    assert line in str(said.value) and "\n" not in str(said.value)
