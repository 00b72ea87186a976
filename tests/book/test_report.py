"""Notebooks run headless, their pages, the index and the command line."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode
from samples import program, write

from mtl_nt import BadInput
from mtl_nt.__main__ import main
from mtl_nt.book import report
from mtl_nt.book.kernels import PreloadedKernel
from mtl_nt.book.report import NotebookFailed

LIVE = """
from mtl_nt.book import Live, explorer
from samples import png
def train(values, progress, stop):
    progress(0.5, "half")
    if values["alpha"] > 1:
        raise ValueError("alpha = 2 diverged")
    return png(), f"trained at {values['alpha']}"
"""

GOOD = (
    r"""# Does *sharing* hurt `any` task?

    $w_t = (L_t / L_{0,t})^\alpha$ and a price of \$5.

    $$\sum_t w_t L_t$$

    \begin{align} a &= b \\ &= c \end{align}

    [![Binder](https://example.org/badge.svg)](https://example.org/launch)
    <link rel="stylesheet" href="https://example.org/x.css"><script src="https://example.org/x.js">
    </script><iframe src="https://example.org"></iframe>
    <span style="background: url(https://example.org/x.png)">words</span>
    """,
    """parameters:
    alpha = 0.5  # the slider's start
    dataset = "dial"
    """,
    "import sys; sys.path.insert(0, TESTS)" + LIVE,
    """
    explorer(
        {"dial": [(png(0), "first"), (png(1), "second")],
         "digits": [(png(2), "third"), (png(3), "<fourth>")]}, [0.0, 0.5], start=alpha)
    """,
    'Live(train, {"alpha": ([0.0, 0.25, 0.5], alpha)}, title="LBTW on dial")',
    """
    from tqdm.auto import tqdm
    for _ in tqdm(range(3)): pass
    from ipywidgets import IntSlider
    from IPython.display import Image, Latex, Markdown, display
    display(IntSlider(description="dead"), Latex("$$x^2$$"), Markdown("**bold** $y$"))
    display(Image(png(4), alt="described"))
    print("printed <b>")
    """,
)


def notebook(folder: Path, *cells: str) -> Path:
    tests = repr(str(Path(__file__).parents[1]))
    return write(folder / "book.ipynb", *(cell.replace("TESTS", tests) for cell in cells))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one good report."""
    folder = tmp_path_factory.mktemp("reports")
    book = notebook(tmp_path_factory.mktemp("books"), *GOOD)
    command = ["run", str(book), "-p", "alpha", "0.25", "-p", "dataset", "digits"]
    assert main([*command, "--out", str(folder), "--name", "good"]) == 0
    return folder


@pytest.fixture(scope="module")
def executed(reports: Path) -> NotebookNode:
    return nbformat.read(reports / "good.ipynb", as_version=4)


@pytest.fixture(scope="module")
def html(reports: Path) -> str:
    return (reports / "good.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def soup(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


# ---------------------------------------------------------------- running


@pytest.mark.slow
def test_a_notebook_runs_with_other_parameters_and_no_kernel_of_its_own(
    executed: NotebookNode,
) -> None:
    assert executed.metadata.papermill.parameters == {"alpha": 0.25, "dataset": "digits"}
    text = str(executed.cells)
    assert "trained at 0.25" in text  # live training ran by itself, with the parameter


@pytest.mark.slow
def test_the_kernel_is_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = tmp_path / "data/kernels/python3"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text('{"argv": ["false"], "display_name": "another"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "data"))
    book = notebook(tmp_path, "import sys\nprint(sys.executable)")
    done = report.run_notebook(book, tmp_path / "out.ipynb")
    assert done.cells[0].outputs[0].text.strip() == sys.executable


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"alhpa": 1}, "book.ipynb: unknown parameter 'alhpa'; did you mean 'alpha'?"),
        ({"zzz": 1}, "book.ipynb: unknown parameter 'zzz'; known: alpha, dataset"),
    ],
)
def test_a_misspelt_parameter_is_named_before_anything_runs(
    tmp_path: Path, parameters: dict[str, int], line: str
) -> None:
    book = notebook(tmp_path, *GOOD)
    with pytest.raises(BadInput) as error:
        report.run_notebook(book, tmp_path / "out/x.ipynb", **parameters)
    assert str(error.value) == line
    assert files(tmp_path / "out") == []


@pytest.mark.slow
def test_bad_input_in_a_cell_comes_out_as_its_line_and_leaves_nothing(tmp_path: Path) -> None:
    book = notebook(
        tmp_path,
        "parameters:\nalpha = 0.5",
        "class BadInput(ValueError): pass\nif alpha < 0: raise BadInput(f'alpha {alpha}: give 0')",
    )
    with pytest.raises(BadInput) as error:
        report.run_notebook(book, tmp_path / "out/x.ipynb", alpha=-1)
    assert str(error.value) == "alpha -1: give 0"
    assert files(tmp_path / "out") == []


LOST = {
    "a cell": ("1 / 0", "cell 1: ZeroDivisionError: division by zero"),
    "a widget": (
        "from ipywidgets import interact\n@interact(x=(0, 3))\ndef f(x): raise KeyError('lost')",
        "an error in a widget: KeyError: 'lost'",
    ),
    "a thread": (
        "from threading import Thread\nt = Thread(target=lambda: 1 / 0)\nt.start(); t.join()",
        "cell 1: an error in the background: ZeroDivisionError: division by zero",
    ),
    "the kernel": ("import os; os._exit(1)", "the kernel died; was there enough memory?"),
}


# nbclient answers an Output widget on the socket that it waits on, and can miss the kernel's reply.
@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.flaky(reruns=3, only_rerun=["Timeout"])
@pytest.mark.parametrize("where", LOST)
def test_no_error_is_lost(tmp_path: Path, where: str) -> None:
    source, line = LOST[where]
    book = notebook(tmp_path, source)
    out = tmp_path / "out"
    with pytest.raises(NotebookFailed) as error:
        report.run_notebook(book, out / "x.ipynb")
    assert str(error.value) == f"book.ipynb: {line} (see {out / 'x.failed.ipynb'})"
    assert files(out) == ["x.failed.ipynb"]
    assert source.splitlines()[0] in (out / "x.failed.ipynb").read_text()


@pytest.mark.slow
def test_a_live_training_that_fails_fails_its_cell(tmp_path: Path) -> None:
    book = notebook(
        tmp_path,
        "import sys; sys.path.insert(0, TESTS)" + LIVE,
        'shown = Live(train, {"alpha": ([0, 2], 2)})',
        "print('never')",
    )
    with pytest.raises(NotebookFailed, match="cell 2: ValueError: alpha = 2 diverged"):
        report.run_notebook(book, tmp_path / "x.ipynb", PreloadedKernel)
    kept = nbformat.read(tmp_path / "x.failed.ipynb", as_version=4)
    assert not kept.cells[-1].outputs


@pytest.mark.slow
def test_a_good_run_takes_the_place_of_a_failed_one(tmp_path: Path) -> None:
    book = notebook(tmp_path, "parameters:\nalpha = 0", "1 / alpha")
    out = tmp_path / "out"
    with pytest.raises(NotebookFailed):
        report.run_notebook(book, out / "x.ipynb")
    assert files(out) == ["x.failed.ipynb"]
    report.run_notebook(book, out / "x.ipynb", alpha=1)
    with pytest.raises(NotebookFailed):
        report.run_notebook(book, out / "x.ipynb")
    assert files(out) == ["x.failed.ipynb", "x.ipynb"]  # the last good one stays


def test_a_folder_that_cannot_be_written_is_named_before_anything_runs(tmp_path: Path) -> None:
    book = notebook(tmp_path, "raise SystemExit('it ran')")
    (tmp_path / "file").touch()
    out = tmp_path / "file/folder/x.ipynb"
    with pytest.raises(BadInput) as error:
        report.run_notebook(book, out)
    assert str(error.value) == f"cannot write {out}: Not a directory; choose another folder"


def test_what_is_no_notebook_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "text.ipynb").write_text("no JSON")
    (tmp_path / "other.ipynb").write_text('{"a": 1}')
    for name in ("text", "other"):
        with pytest.raises(BadInput, match=f"{name}.ipynb is not a notebook"):
            report.run_notebook(tmp_path / f"{name}.ipynb", tmp_path / "x.ipynb")
    with pytest.raises(BadInput, match="cannot read the notebook .*: No such file"):
        report.write_page(tmp_path / "missing.ipynb", tmp_path / "x.html")
    assert files(tmp_path) == ["other.ipynb", "text.ipynb"]


# ---------------------------------------------------------------- the page


def test_a_page_asks_the_network_for_nothing(html: str, soup: BeautifulSoup) -> None:
    assert not soup.select("link, script[src], iframe, object, embed, base, source, video, audio")
    assert all(image["src"].startswith("data:image/") for image in soup("img"))
    assert "@import" not in html
    assert "require" not in html
    assert "MathJax" not in html
    policy = soup.select_one("meta[http-equiv=Content-Security-Policy]")["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    remote = [tag for tag in soup(True) for name in tag.attrs if "//" in str(tag[name])]
    assert {tag.name for tag in remote} <= {"a", "math", "span"}  # links, a namespace, `policy`


def test_a_remote_picture_becomes_its_words(soup: BeautifulSoup) -> None:
    assert soup.select_one("a[href='https://example.org/launch']").text == "Binder"


def test_formulas_are_mathml(soup: BeautifulSoup) -> None:
    formulas = soup("math")
    assert [m["display"] for m in formulas] == ["inline", "block", "block", "block", "inline"]
    assert formulas[1].find("mo").text == "∑"
    assert "$5" in soup.select_one(".text_cell_render").text
    text = soup.select_one("main").text
    assert "\\begin" not in text
    assert "$$" not in "".join(cell.text for cell in soup.select(".text_cell_render"))


def test_a_page_has_a_title_and_says_how_it_was_made(soup: BeautifulSoup) -> None:
    assert soup.title.text == "Does sharing hurt any task?, digits"
    made = soup.select_one(".made").text
    assert made.startswith(
        "data set digits; book.ipynb with alpha = 0.25, dataset = digits; run on"
    )


def test_every_widget_of_a_page_works_or_is_not_there(html: str, soup: BeautifulSoup) -> None:
    assert len(soup.select(".nt-explorer > script")) == 2  # its data, and what makes its controls
    assert not soup.select("input, select, button")  # none that is dead without scripts
    assert len(soup.select(".nt-explorer, .nt-kept")) == 2
    assert "trained with alpha = 0.25" in soup.select_one(".nt-kept").text
    outputs = " ".join(output.text for output in soup.select(".output_subarea"))
    assert "IntSlider" not in outputs
    assert "0%|" not in outputs
    assert "widget-state" not in html


def test_output_is_shown_and_escaped(soup: BeautifulSoup) -> None:
    assert "printed <b>" in soup.select_one(".output_stdout pre").text
    assert soup.select_one("strong").text == "bold"
    assert [image["alt"] for image in soup("img")] == ["first", "trained at 0.25", "described"]
    assert soup.select_one(".highlight .kn").text == "import"


def test_no_empty_output_is_on_a_page(soup: BeautifulSoup) -> None:
    outputs = soup.select(".output_subarea")
    assert outputs
    assert all(o.text.strip() or o.find("img") for o in outputs)


def test_a_formula_that_cannot_be_converted_stays_readable(tmp_path: Path) -> None:
    book = notebook(tmp_path, r"# Title with $\left( a$")
    html = report.write_page(book, tmp_path / "x.html").read_text()
    assert "\\left( a" in BeautifulSoup(html, "html.parser").select_one("h1").text


def test_code_is_folded_and_what_the_text_speaks_of_is_printed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "# T", "told = 1", "hidden = 2", "answer = 3")
    made = nbformat.read(path, as_version=4)
    for cell in made.cells[2:]:
        cell.metadata["jupyter"] = {"source_hidden": True}
    made.cells[3].metadata["tags"] = ["solution"]
    nbformat.write(made, path)
    page = BeautifulSoup(report.write_page(path, tmp_path / "a.html").read_text(), "html.parser")
    boxes = page.select("details.code")
    assert [box.has_attr("open") for box in boxes] == [False] * 3
    assert [box.pre.text.strip() for box in boxes if "told" in box["class"]] == [
        *("told = 1", "answer = 3")
    ]


def test_every_heading_has_an_id_of_its_own_and_the_contents_lead_there(tmp_path: Path) -> None:
    parts = ["# Whole", "# x\n## A & B", "# y\n## A & B", "# z\n### Ä `c`\n\n<p id=a-b-2>p</p>"]
    path = write(tmp_path / "a.ipynb", *parts)
    page = BeautifulSoup(report.write_page(path, tmp_path / "a.html").read_text(), "html.parser")
    ids = [tag["id"] for tag in page(id=True)]
    assert len(set(ids)) == len(ids)
    links = page.select("details.contents a")
    assert [link.text for link in links] == ["A & B", "A & B", "Ä c"]
    targets = [page.find(id=unquote(link["href"][1:])) for link in links]
    assert [target.name for target in targets] == ["h2", "h2", "h3"]
    skip = page.select_one("a.skip")
    assert page.find(id=skip["href"][1:]).name == "main"


def test_links_lead_to_pages_beside_and_are_plain_text_otherwise(tmp_path: Path) -> None:
    text = (
        "# One\n\n[two](02_b.ipynb), [away](../docs/x.md), [site](https://example.org), [up](#one)"
    )
    write(tmp_path / "01_a.ipynb", text + '\n\n<a data-page="javascript:1">x</a>')
    write(tmp_path / "02_b.ipynb", "# Two <b>")
    one = tmp_path / "01_a.html"

    def links() -> dict[str, str | None]:
        soup = BeautifulSoup(one.read_text(), "html.parser")
        found = soup.select("nav a, .text_cell_render a")
        return {link.text: link.get("href") for link in found}

    alone = {"two": None, "away": None, "site": "https://example.org", "up": "#one", "x": None}
    report.write_page(tmp_path / "01_a.ipynb", one)
    assert links() == alone
    report.write_index(tmp_path)
    assert links() == {**alone, "All pages": "index.html"}
    report.write_page(tmp_path / "02_b.ipynb", tmp_path / "02_b.html")
    report.write_index(tmp_path)
    both = {"All pages": "index.html", "Two <b> →": "02_b.html", "two": "02_b.html"}
    assert links() == {**alone, **both}
    two = BeautifulSoup((tmp_path / "02_b.html").read_text(), "html.parser")
    assert [a["href"] for a in two.select("nav a[rel]")] == ["01_a.html"] * 2
    (tmp_path / "02_b.html").unlink()
    report.write_index(tmp_path)
    assert links() == {**alone, "All pages": "index.html"}


# ---------------------------------------------------------------- the index


def test_the_index_says_what_a_page_answers_without_links_or_markup_of_its_own(
    tmp_path: Path,
) -> None:
    text = "# Is it so?\n\nYes, *by* $x^2$, see [two](b.ipynb) <img src=x onerror=y>.\n\nMore."
    write(tmp_path / "a.ipynb", text)
    report.write_page(tmp_path / "a.ipynb", tmp_path / "a.html")
    soup = BeautifulSoup(report.write_index(tmp_path).read_text(), "html.parser")
    words = soup.select_one(".report > div > p")
    assert words.em and words.math and not words("a") and not soup.select("img")
    assert words.text.startswith("Yes, by") and "More" not in soup.text


def test_the_index_lists_every_page_with_its_data_parameters_time_and_picture(
    reports: Path,
) -> None:
    soup = BeautifulSoup((reports / "index.html").read_text(), "html.parser")
    (entry,) = soup.select(".report")
    assert entry.h2.a["href"] == "good.html"
    assert entry.h2.text == "Does sharing hurt any task?"
    assert entry.img["src"].startswith("data:image/png;base64,")
    made = "data set digits; book.ipynb with alpha = 0.25, dataset = digits; run on "
    assert re.search(made + r"\d{4}-\d\d-\d\d in \d+ s", entry.text)


def test_the_index_escapes_names_and_leaves_out_what_has_no_page(tmp_path: Path) -> None:
    write(tmp_path / "a b#1.ipynb", "# <i>Title</i>")
    report.write_page(tmp_path / "a b#1.ipynb", tmp_path / "a b#1.html")
    write(tmp_path / "failed.ipynb", "# Failed")
    soup = BeautifulSoup(report.write_index(tmp_path).read_text(), "html.parser")
    (entry,) = soup.select(".report")
    assert entry.h2.a["href"] == "a%20b%231.html"
    assert entry.h2.text == "<i>Title</i>"


# ---------------------------------------------------------------- the command line


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("dmeo", "invalid choice: 'dmeo'"),
        ("", "the following arguments are required"),
        ("run", "the following arguments are required: notebook"),
        ("run missing.ipynb", "cannot read the notebook missing.ipynb"),
        ("run book.ipynb -p alhpa 1", "did you mean 'alpha'?"),
        ("run book.ipynb --out book.ipynb/x", "cannot write book.ipynb/x/book.ipynb"),
        ("run book.ipynb --name a/b", "give a plain name"),
        ("demo", "notebooks/00_start_here.ipynb is missing"),
        ("book", "notebooks/ is missing"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook(tmp_path, *GOOD)
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("mtl_nt: ")
    assert error.count("\n") == 1
    assert line in error
    assert set(files(tmp_path)) <= {"book.ipynb", "reports"}


@pytest.mark.slow
def test_a_failing_notebook_is_one_line_and_exit_1(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    book = notebook(tmp_path, "raise KeyError('first\\nsecond')")
    assert main(["run", str(book), "--out", str(tmp_path / "out")]) == 1
    error = capfd.readouterr().err
    assert "cell 1: KeyError: 'first\\nsecond' (see " in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_values_are_read_as_python_or_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = notebook(
        tmp_path,
        "parameters:\na = 0\nb = 0\nc = 0\nd = 0",
        "assert (a, b, c, d) == (-1, 0.5, [1, 2], 'two words'), (a, b, c, d)",
    )
    values = ["-p", "a", "-1", "-p", "b", "0.5", "-p", "c", "[1, 2]", "-p", "d", "two words"]
    assert main(["run", str(book), "--out", str(tmp_path), "--name", "x", *values]) == 0
    printed = capsys.readouterr().out
    assert f"Open {tmp_path / 'x.html'} in a browser." in printed and "replaces" not in printed
    assert main(["run", str(book), "--out", str(tmp_path), "--name", "x", *values]) == 0
    assert f"\nreplaces {tmp_path / 'x.html'} in " in capsys.readouterr().out


@pytest.mark.slow
def test_demo_runs_the_first_three_notebooks_on_their_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    given = 'parameters:\ndataset = "dial"\nseeds = 8\nmany = 20'
    cells = ("# About data", given, "print(dataset)")
    for name in ("00_start_here", "01_negative_transfer", "02_lbtw"):
        write(folder / f"{name}.ipynb", *cells)
    assert main(["demo", "--out", "reports"]) == 0
    soup = BeautifulSoup((tmp_path / "reports/index.html").read_text(), "html.parser")
    assert [entry.h2.a["href"] for entry in soup.select(".report")] == [
        "00_start_here.html",
        "01_negative_transfer.html",
        "02_lbtw_mnist.html",
    ]
    assert [re.search("data set [a-z]+", e.text)[0] for e in soup.select(".report")] == [
        "data set dial",
        "data set dial",
        "data set mnist",
    ]
    printed = capsys.readouterr().out
    assert "[3/3] notebooks/02_lbtw.ipynb dataset=mnist seeds=5 many=5 ..." in printed
    assert "\nOpen reports/index.html in a browser.\nFor the whole book as a site: " in printed


@pytest.mark.slow
def test_the_book_is_a_page_a_notebook_at_full_length_or_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("00_a", "01_b"):
        path = write(folder / f"{name}.ipynb", "# A book", "parameters:\nsteps = 600", "steps")
        made = nbformat.read(path, as_version=4)
        made.metadata["mtl_nt"] = {"fast": {"steps": 3}}
        nbformat.write(made, path)
    write(folder / "draft.ipynb", "# No number", "1")
    assert main(["book", "--out", "whole"]) == main(["book", "--fast", "--out", "fast"]) == 0
    assert "[2/2] notebooks/01_b.ipynb steps=3 ..." in capsys.readouterr().out
    for out, steps in ("whole", "600"), ("fast", "3"):
        assert sorted(p.name for p in (tmp_path / out).glob("*.html")) == [
            *("00_a.html", "01_b.html", "index.html")
        ]
        page = BeautifulSoup((tmp_path / out / "01_b.html").read_text(), "html.parser")
        assert page.select(".output_subarea")[-1].text.strip() == steps


def test_a_notebook_without_fast_parameters_is_no_part_of_a_fast_book(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks/00_a.ipynb", "# A book", "1")
    assert main(["book", "--fast"]) == 2
    assert "00_a.ipynb has no fast parameters" in capsys.readouterr().err


@pytest.mark.slow
def test_datasets_are_listed_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    from mtl_nt.datasets import DATASETS

    assert main(["datasets"]) == 0
    printed = capsys.readouterr().out
    assert all(re.search(rf"^{name} +\w", printed, re.M) for name in DATASETS)
    assert "scenario='unrelated'" in printed
    for name in DATASETS:
        about = re.split(rf"^{name} +", printed, flags=re.M)[1].split("options:")[1]
        assert re.search(r"\d+ tasks.*[\d,]+ rows.*missing", about), name
    assert "10 tasks, 1,797 rows, 0% of the labels missing" in printed and "CC BY 4.0" in printed


def wait(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_ends_with_130_leaves_nothing_and_ends_the_kernel(tmp_path: Path) -> None:
    started = tmp_path / "started"
    book = notebook(
        tmp_path,
        f"import os, time\nopen({str(started)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)",
    )
    process = program(tmp_path, "mtl_nt", "run", str(book), "--out", str(tmp_path / "out"))
    try:
        wait(lambda: started.exists() and started.read_text())
        os.killpg(process.pid, signal.SIGINT)
        process.join(60)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == 130
    assert (tmp_path / "error").read_text() == "mtl_nt: stopped\n"
    assert files(tmp_path / "out") == []
    wait(lambda: not Path(f"/proc/{started.read_text()}").exists())
