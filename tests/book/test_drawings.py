"""The drawings: what is drawn is what the objects say, and it reads on a phone."""

from __future__ import annotations

import base64
import io
import math
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from lab import chromium
from PIL import Image
from playwright.sync_api import Browser
from torch import Tensor

from mtl_nt import METHODS, BadInput, Method, Split, TaskData, Weighter, load
from mtl_nt.book.drawings import (
    Drawing,
    digits_drawn,
    directions_drawn,
    methods_drawn,
    molecule_drawn,
)
from mtl_nt.book.markup import sanitized
from mtl_nt.datasets import SCENARIOS, Group
from mtl_nt.figures.drawing import COLOURS
from mtl_nt.study import frozen, make_replicas, plain, tuned
from mtl_nt.weighters import Step

SVG = "{http://www.w3.org/2000/svg}"
PAPERS = ["STL", "MTL", "RMTL", "Fine-Tuning", "GradNorm", "Deep-AMTFL", "U-AMTFL"]
OTHERS = ["LBTW", "Uncertainty", "DWA", "RandomWeights", "Scalarisation", "MTL-CNN", "CNN"]
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
NASTY = "</svg><script>alert(1)</script>&\"'\x1b\x00\u202e"
LONG = "a name that goes on and on and on and never seems to come to an end at all"
Part = ET.Element


class Constant(Weighter):
    """The first task weighs 2."""

    def weights(self, step: Step) -> Tensor:
        return torch.ones_like(step.losses).index_fill(1, torch.tensor([0]), 2.0)


class Angles(Weighter):
    """Weights from the angles in the trunk, of the first task alone."""

    def weights(self, step: Step) -> Tensor:
        weights = torch.ones_like(step.losses)
        weights[:, 0] = step.trunk_gramian[:, 0, 1].abs()
        return weights


def marked(part: Part, tag: str, cls: str) -> list[Part]:
    return [e for e in part.iter(SVG + tag) if e.get("class") == cls]


def texts(part: Part) -> list[str]:
    return [e.text or "" for e in part.iter(SVG + "text")]


def methods_in(drawing: Drawing) -> dict[str, list[Part]]:
    """The groups of every method: its name, its rows of W and its networks."""
    found: dict[str, list[Part]] = {}
    for group in ET.fromstring(drawing.svg).findall(SVG + "g"):
        if group.get("class") == "method":
            found[str(group.get("data-name"))] = []
        if group.get("class") != "key":
            found[[*found][-1]].append(group)
    return found


def of(groups: list[Part], cls: str) -> list[Part]:
    return [g for g in groups if g.get("class") == cls]


def heads(network: Part) -> str:
    circles = marked(network, "circle", "head")
    letters = [t for t in texts(network) if t in ("A", "B", "C")]
    assert len(circles) == len(letters)
    return "".join(letters)


def entries(groups: list[Part]) -> list[list[str]]:
    return [texts(row)[-3:] for row in of(groups, "row") if marked(row, "rect", "entry")]


# ---------------------------------------------------------------------------------- methods


@pytest.mark.parametrize("name", [*PAPERS, *OTHERS])
def test_a_method_has_the_networks_heads_and_rows_of_w_that_it_trains(name: str) -> None:
    (groups,) = methods_in(methods_drawn(name)).values()
    replicas = make_replicas(METHODS[name], alphas=1, seeds=[0], tasks=3)
    stages = [replicas.trained]
    if METHODS[name].pretrain:
        stages.insert(0, ~replicas.trained)
    trained = [
        "".join(t for t, yes in zip("ABC", row, strict=True) if yes)
        for stage in stages
        for row in stage.tolist()
    ]
    networks, rows = of(groups, "network"), entries(groups)
    assert [heads(network) for network in networks] == trained
    assert len(networks) == METHODS[name].trained(tasks=3)
    assert ["".join(t for t, e in zip("ABC", row, strict=True) if e != "0") for row in rows] == (
        trained
    )
    for network in networks:
        shared = marked(network, "rect", "last-shared") + marked(network, "rect", "shared")
        assert [layer.get("fill") for layer in shared] == [COLOURS[name]] * 2


def test_w_has_a_number_where_a_weight_stays_and_a_symbol_where_it_moves() -> None:
    drawn = methods_in(methods_drawn([*PAPERS, *OTHERS]))
    identity, ones = [["1", "0", "0"], ["0", "1", "0"], ["0", "0", "1"]], [["1", "1", "1"]]
    others = [["0", "1", "1"], ["1", "0", "1"], ["1", "1", "0"]]
    own = [["1", "cos", "cos"], ["cos", "1", "cos"], ["cos", "cos", "1"]]
    expected = {"STL": identity, "MTL": ones, "RMTL": own, "Fine-Tuning": others + identity}
    expected |= {"MTL-CNN": ones, "CNN": ones}
    assert {name: entries(groups) for name, groups in drawn.items()} == {
        name: expected.get(name, [["w", "w", "w"]]) for name in drawn
    }


def test_a_line_to_a_head_is_dashed_where_its_weight_moves() -> None:
    for groups in methods_in(methods_drawn(PAPERS)).values():
        for network, row in zip(of(groups, "network"), entries(groups), strict=True):
            lines = [e for e in network.iter(SVG + "line") if e.get("class") is None]
            moving = [e for e in row if e != "0"]
            dashed = ["stroke-dasharray" in line.attrib for line in lines[: len(moving)]]
            found = marked(network, "rect", "decoder")
            if not found:
                assert dashed == [not e.isdigit() for e in moving]
            else:
                assert sum("stroke-dasharray" in line.attrib for line in lines) == len(moving)


def framed(network: Part) -> set[str]:
    return {str(e.get("class")) for e in network.iter() if e.get("stroke-width") == "3"}


def test_what_a_method_measures_is_framed_and_said() -> None:
    drawn = methods_in(methods_drawn([*PAPERS, "LBTW"]))
    found = {name: framed(network) for name, g in drawn.items() for network in of(g, "network")}
    measured = {"RMTL": {"head"}, "GradNorm": {"last-shared"}}
    assert found == {name: measured.get(name, set()) for name in drawn}
    for name, groups in drawn.items():
        said = " ".join(texts(groups[0]))
        assert ("at the last shared layer" in said) == (name == "GradNorm")
        assert ("at the heads" in said) == (name == "RMTL")


def test_every_task_sends_to_the_decoder_where_there_is_one() -> None:
    drawn = methods_in(methods_drawn(PAPERS))
    sent = {
        n: [len(marked(net, "line", "offered")) for net in of(g, "network")]
        for n, g in drawn.items()
    }
    boxes = {
        n: sum(len(marked(net, "rect", "decoder")) for net in of(g, "network"))
        for n, g in drawn.items()
    }
    assert {n for n, count in boxes.items() if count} == {"Deep-AMTFL", "U-AMTFL"}
    assert {n: c for n, c in sent.items() if any(c)} == {"Deep-AMTFL": [3], "U-AMTFL": [3]}
    assert "decoder" in " ".join(texts(drawn["U-AMTFL"][0]))


def test_fine_tuning_hands_every_trunk_of_the_first_stage_to_the_second() -> None:
    (groups,) = methods_in(methods_drawn("Fine-Tuning")).values()
    trunks = [marked(n, "rect", "last-shared")[0] for n in of(groups, "network")]
    arrows = [a for g in groups for a in marked(g, "line", "handed-on")]
    assert len(trunks) == 6 and len(arrows) == 3
    for k, arrow in enumerate(arrows):
        before, after = trunks[k], trunks[k + 3]
        for end, trunk in (("1", before), ("2", after)):
            left = float(trunk.attrib["x"])
            assert left < float(arrow.attrib[f"x{end}"]) < left + float(trunk.attrib["width"])
        assert float(before.attrib["y"]) < float(arrow.attrib["y1"])
        assert float(arrow.attrib["y2"]) < float(after.attrib["y"])


def test_a_method_of_ones_own_is_drawn_from_what_it_does() -> None:
    mine = [
        Method("Twice", plain(Constant)),
        Method("Angles", plain(Angles), networks="each"),
        tuned("MTL"),
        frozen("LBTW"),
        Method("Pulled", plain(Angles), networks="single", pretrain=True),
    ]
    drawn = methods_in(methods_drawn(mine))
    assert entries(drawn["Twice"]) == [["2", "1", "1"]]
    assert entries(drawn["Angles"]) == [["w", "1", "1"]] * 3
    assert framed(of(drawn["Angles"], "network")[0]) == {"last-shared"}
    assert "what Angles gives" in " ".join(texts(drawn["Angles"][0]))
    assert entries(drawn["MTL, tuned"]) == [["1", "1", "1"]]
    assert entries(drawn[mine[3].name]) == [["w", "w", "w"]]
    # The second network of the first stage has no gradient of B, to which A could have an angle.
    assert entries(drawn["Pulled"])[:3] == [["0", "1", "1"], ["0", "0", "1"], ["w", "1", "0"]]


def test_the_words_of_a_drawing_name_every_method_and_its_rows() -> None:
    drawing = methods_drawn()
    starts = [drawing.alt.index(f"{name}: ") for name in PAPERS]
    assert starts == sorted(starts)
    assert "Fine-Tuning: One network for each task, trained twice." in drawing.alt
    assert "The rows of W are 1 cos cos, cos 1 cos, cos cos 1." in drawing.alt


# ------------------------------------------------------------------------------- directions


def angle_of(line: Part) -> float:
    x, y, x2, y2 = (float(line.attrib[k]) for k in ("x1", "y1", "x2", "y2"))
    return math.degrees(math.atan2(y - y2, x2 - x))


OWN = (
    Group("one", 3, 20, spread=25),
    Group("blunt", 2, 2000, angle=150, spread=10, noise=0),
    Group("below", 1, 5, angle=-40, scale=2.5),
    Group("apart", 4, 5, angle=60, independent=True),
)


@pytest.mark.parametrize("groups", [*SCENARIOS, OWN], ids=[*SCENARIOS, "own"])
def test_every_task_has_an_arrow_at_its_angle_and_every_group_its_numbers(
    groups: str | tuple[Group, ...],
) -> None:
    drawn = ET.fromstring(directions_drawn(groups).svg).findall(SVG + "g")
    wanted = SCENARIOS[groups] if isinstance(groups, str) else groups
    assert [g.get("data-name") for g in drawn] == [g.name for g in wanted]
    for k, (group, found) in enumerate(zip(wanted, drawn, strict=True)):
        arrows = marked(found, "line", "direction")
        assert len(arrows) == group.tasks
        angles = [angle_of(arrow) for arrow in arrows]
        assert min(angles) == pytest.approx(group.angle - group.spread, abs=0.6)
        if group.tasks > 1 and not group.independent:
            assert max(angles) == pytest.approx(group.angle + group.spread, abs=0.6)
        origins = {(arrow.attrib["x1"], arrow.attrib["y1"]) for arrow in arrows}
        assert len(origins) == (group.tasks if group.independent else 1)
        firsts = [angle_of(line) for line in marked(found, "line", "first")]
        assert firsts == [0.0] * (len(origins) if k else 0)
        numbers = [e.text for e in marked(found, "text", "number")]
        expected = [f"{group.tasks}", f"{group.samples:,}", f"{group.noise:g}", f"{group.scale:g}"]
        assert numbers == [*expected, f"{group.angle:g}°"]


def test_bars_compare_the_groups() -> None:
    drawn = ET.fromstring(directions_drawn("dominant").svg).findall(SVG + "g")
    widths = [[float(b.attrib["width"]) for b in marked(g, "rect", "bar")] for g in drawn]
    shares = np.array(widths) / np.max(widths, axis=0, initial=1e-9)
    assert shares[:, :4] == pytest.approx(np.array([[1, 1, 1, 1], [0.2, 1, 1, 1 / 3]]), abs=0.01)


@pytest.mark.parametrize("angle", [0, 30, 60, 90])
def test_the_angle_between_independent_tasks_is_that_of_the_data(angle: float) -> None:
    groups = (Group("first", 1, 5), Group("apart", 2, 5, angle=angle, independent=True))
    # For standard normal x the correlation of u.x and v.x is u.v, and that of their tanh follows
    # it: tasks at this angle to each other have the same one in data of two groups.
    inner = math.cos(math.radians(angle)) ** 2
    between = math.degrees(math.acos(inner))
    alone = load("dial", groups=(Group("a", 1, 5), Group("b", 1, 5, angle=between)))
    data = load("dial", groups=groups)
    assert data.relatedness is not None and alone.relatedness is not None
    assert data.relatedness[1, 2] == pytest.approx(float(alone.relatedness[0, 1]), abs=1e-6)
    assert f"tasks {between:.3g}° from each other" in directions_drawn(groups).alt


# -------------------------------------------------------------------- digits and molecules


def image_in(group: Part) -> np.ndarray:
    (image,) = group.iter(SVG + "image")
    content = base64.b64decode(image.attrib["href"].partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_a_strip_shows_a_training_image_of_each_class_and_counts_them(name: str) -> None:
    data = load(name, split="free", seed=3)
    drawn = ET.fromstring(digits_drawn(data).svg).findall(SVG + "g")
    assert [g.get("data-name") for g in drawn] == list(data.tasks)
    train = data.split.train
    most = max(int(data.y[train, t].sum()) for t in range(10))
    for t, group in enumerate(drawn):
        rows = train[data.y[train, t] == 1]
        shown = (255 - image_in(group).astype(float)) / 255
        mine = data.x[rows, 0].numpy()
        assert min(abs(image - shown).max() for image in mine) < 0.01
        (count,), (bar,) = marked(group, "text", "count"), marked(group, "rect", "bar")
        assert count.text == str(len(rows))
        assert float(bar.attrib["width"]) == pytest.approx(72 * len(rows) / most, abs=0.1)


LABELS = {"NR-AR": 0, "SR-ARE": 1.0, "SR-p53": math.nan, "NR-ER": None, "NR-AhR": torch.tensor(1.0)}


def outcomes(drawing: Drawing) -> dict[str, str]:
    groups = [g for g in ET.fromstring(drawing.svg).findall(SVG + "g") if g.get("class") == "assay"]
    return {str(g.get("data-name")): texts(g)[0] for g in groups}


def test_a_molecule_has_all_its_atoms_and_its_labels() -> None:
    Chem = pytest.importorskip("rdkit.Chem")
    drawing = molecule_drawn(ASPIRIN, LABELS)
    molecule = Chem.MolFromSmiles(ASPIRIN)
    classes = {c for e in ET.fromstring(drawing.svg).iter() for c in (e.get("class") or "").split()}
    for kind, count in (("atom", molecule.GetNumAtoms()), ("bond", molecule.GetNumBonds())):
        assert {c for c in classes if c.startswith(f"{kind}-")} == {
            f"{kind}-{k}" for k in range(count)
        }
    assert outcomes(drawing) == {
        "NR-AR": "0",
        "SR-ARE": "1",
        "SR-p53": "",
        "NR-ER": "",
        "NR-AhR": "1",
    }
    assert f"{ASPIRIN} is active in 2 of 3 assays; 2 more did not measure it." in drawing.alt
    assert "SR-p53: not measured. NR-ER: not measured. NR-AhR: active." in drawing.alt


def test_without_rdkit_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    drawing = molecule_drawn(ASPIRIN, LABELS)
    assert "pip install 'mtl_nt[chem]'" in " ".join(texts(ET.fromstring(drawing.svg)))
    assert outcomes(drawing)["SR-ARE"] == "1"


@pytest.mark.parametrize(
    "labels, said",
    [
        ({"a": None, "b": math.nan}, "is not measured in any assay. a: not measured."),
        ({"a": 0, "b": None}, "is active in 0 of 1 assay; 1 more did not measure it."),
        ({"a": 1, "b": True}, "is active in 2 of 2 assays. a: active. b: active."),
    ],
)
def test_the_words_of_a_molecule_count_its_assays(labels: dict, said: str) -> None:
    assert said in molecule_drawn(ASPIRIN, labels).alt


def test_a_molecule_with_many_assays_lists_some_and_counts_the_rest() -> None:
    drawing = molecule_drawn(ASPIRIN, {f"assay {k}": k % 2 for k in range(617)})
    assert len(outcomes(drawing)) == 24
    assert "and 593 more assays" in texts(ET.fromstring(drawing.svg))
    assert "active in 308 of 617 assays" in drawing.alt


# --------------------------------------------------------------------------------- refusals


def coloured() -> TaskData:
    digits = load("digits")
    assert isinstance(digits.x, torch.Tensor)
    return replace(digits, x=digits.x.expand(-1, 3, -1, -1))


def numbers() -> TaskData:
    rows = torch.arange(4)
    y = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    split = Split(rows[:2], rows[:0], rows[2:])
    return TaskData("heights", torch.rand(4, 1, 2, 2), y, ("height",), "regression", split)


@pytest.mark.parametrize(
    "draw, said",
    [
        (lambda: methods_drawn("MLT"), "unknown method 'MLT'; did you mean 'MTL'"),
        (lambda: methods_drawn("Ridge"), "'Ridge' has no networks to draw"),
        (lambda: methods_drawn([]), "no methods; choose from"),
        (lambda: directions_drawn("unrelatd"), "unknown scenario 'unrelatd'; did you mean"),
        (lambda: directions_drawn([]), "give one Group or more"),
        (lambda: directions_drawn([Group("a", 0, 5)]), "group 'a': needs 1 or more tasks"),
        (lambda: directions_drawn(["a"]), "give one Group or more"),  # type: ignore[list-item]
        (lambda: digits_drawn(load("dial")), "its rows are no images"),
        (lambda: digits_drawn(load("assays")), "its rows are no images"),
        (lambda: digits_drawn(coloured()), "its images have 3 channels"),
        (lambda: digits_drawn(numbers()), "a task is no class"),
        (lambda: molecule_drawn("", LABELS), "give the SMILES of a molecule"),
        (lambda: molecule_drawn(ASPIRIN, {}), "no labels"),
        (lambda: molecule_drawn(ASPIRIN, {"a": 2}), "assay 'a': label 2; give 1, 0, or None"),
        (lambda: molecule_drawn(ASPIRIN, {"a": "yes"}), "label 'yes'"),  # type: ignore[dict-item]
    ],
)
def test_bad_input_is_refused_in_one_line(draw: Callable[[], Drawing], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        draw()
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("smiles", ["C1CC", "not a molecule", "  \t"])
def test_a_smiles_that_cannot_be_read_is_refused(
    smiles: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rdkit")
    with pytest.raises(BadInput, match="smiles"):
        molecule_drawn(smiles, LABELS)
    assert capfd.readouterr().err == "", "RDKit complains on its own"


# ------------------------------------------------------------------------- how it is shown


def nasty_digits(name: str) -> TaskData:
    digits = load("digits")
    return replace(digits, name=name, tasks=tuple(f"{name} {k}" for k in range(10)))


def all_drawings(name: str) -> dict[str, Drawing]:
    return {
        "methods": methods_drawn(
            [*PAPERS, *OTHERS, Method(name), Method(name + "2", plain(Angles))]
        ),
        "directions": directions_drawn([*(replace(g, name=g.name + name) for g in OWN)]),
        "digits": digits_drawn(nasty_digits(name)),
        "molecule": molecule_drawn(ASPIRIN, {name: 1, **{f"assay {k}": k % 2 for k in range(30)}}),
        "not measured": molecule_drawn(ASPIRIN, {name: None}),
    }


@pytest.mark.parametrize("name", [NASTY, LONG], ids=["nasty", "long"])
def test_a_notebook_shows_one_image_whatever_the_names_say(name: str) -> None:
    for drawing in all_drawings(name).values():
        bundle = drawing._repr_mimebundle_()
        assert bundle.keys() == {"text/html", "text/plain"}
        assert bundle["text/plain"] == repr(drawing) == drawing.alt
        assert drawing.alt.isprintable()
        soup = BeautifulSoup(sanitized(bundle["text/html"]), "html.parser")
        (image,) = soup.find_all(True)
        assert image.name == "img" and image["alt"] == drawing.alt
        assert image["style"] == "max-width: 100%"
        source = str(image["src"])
        kind, _, content = source.partition(";base64,")
        assert kind == "data:image/svg+xml"
        root = ET.fromstring(base64.b64decode(content))  # it is well-formed
        assert not list(root.iter(SVG + "script"))
        ground = root.find(SVG + "rect")
        assert ground is not None and ground.get("fill") == "white"
        size = [root.get("width"), root.get("height")]
        assert [ground.get("width"), ground.get("height")] == size


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


BOXES = """() => [...document.querySelectorAll("svg text:not(:empty)")].map((t) => {
  const { left, right, top, bottom } = t.getBoundingClientRect();
  const size = parseFloat(getComputedStyle(t).fontSize);
  return [t.textContent, left, right, top + size * 0.25, bottom - size * 0.25, size];
})"""


def test_no_text_is_small_leaves_the_picture_or_lies_on_another(browser: Browser) -> None:
    page = browser.new_page()
    for name in ("ordinary", LONG, "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW", "任务" * 30):
        for what, drawing in all_drawings(name).items():
            page.set_content(f"<body style='margin: 0'>{drawing.svg}")
            boxes = page.evaluate(BOXES)
            assert len(boxes) > 2, what
            for k, (words, left, right, top, bottom, size) in enumerate(boxes):
                assert size >= 15, (what, words)
                assert left >= 0 and right <= 480, (what, words)
                for other, left2, right2, top2, bottom2, _ in boxes[:k]:
                    apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
                    assert apart, (what, words, other)
    page.close()


def test_a_phone_shows_the_whole_picture_on_white_also_in_the_dark(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    for drawing in all_drawings("ordinary").values():
        page.set_content(f"<body style='margin: 16px; background: black'>{drawing.html}")
        image = page.locator("img")
        shown = image.evaluate("i => [i.complete, i.naturalWidth, i.width, i.width / i.height]")
        size = ET.fromstring(drawing.svg).attrib
        assert shown[:3] == [True, 480, 358]
        assert shown[3] == pytest.approx(480 / int(size["height"]), rel=0.01)
        assert 15 * 358 / 480 > 11, "pixels of the smallest letters"
        picture = np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("L"))
        assert np.median(picture) == 255, "a white ground"
        assert (picture < 100).mean() > 0.005, "and ink on it"
    page.close()
