"""Questions with a box to type in, which the page itself checks.

A question needs no kernel and no script: the browser compares what is typed with the limits of the
box, and CSS shows one of two answers. So it works in JupyterLab, in an exported page and in print,
where both answers are left out. Where a reader's program drops styles, as JupyterLab does in a
notebook that it does not trust, the box and the answers are out of sight.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from html import escape

from ..errors import BadInput, is_finite_number

STYLE = """\
.nt-predict { border: 1px solid #C8C8C8; border-radius: 6px; padding: 0.4em 0.9em; margin: 0.6em 0 }
.nt-predict p { margin: 0.4em 0 }
.nt-predict .nt-ask { display: none }
.nt-predict .nt-field { display: block !important }
.nt-predict label { display: block; margin: 0.3em 0 }
.nt-predict input[type="number"] { font: inherit; width: 7em; margin-left: 0.4em }
.nt-predict .nt-said { margin: 0.3em 0 0.3em 1.6em }
@media screen {
  .nt-predict input:checked ~ .nt-said,
  .nt-predict input:not(:placeholder-shown):in-range ~ .nt-right,
  .nt-predict input:not(:placeholder-shown):out-of-range ~ .nt-wrong { display: block !important }
}"""
BOX = """\
<div class="nt-predict">
<style>{style}</style>
<p>{question}</p>
<p class="nt-ask"><small>Run this cell to answer.</small></p>
{fields}
</div>"""
NUMBER = """\
<div class="nt-field" {away}><input type="number" min="{low!r}" max="{high!r}" step="any" \
placeholder=" " aria-label="{label}">
<div class="nt-said nt-right" role="status" {away}>Right. {why}</div>
<div class="nt-said nt-wrong" role="status" {away}>Not yet. {hint}</div></div>"""
CHOICE = """\
<div class="nt-field" {away}><input type="radio" name="{name}" id="{name}-{k}">
<label for="{name}-{k}" style="display: inline">{option}</label>
<div class="nt-said" role="status" {away}>{said}</div></div>"""
AWAY = 'style="display: none"'  # STYLE brings it back


class Question:
    """What `predict_number` and `predict_choice` return: `html`, and `text` without an answer."""

    def __init__(self, question: str, fields: str, text: str) -> None:
        self.html = BOX.format(style=STYLE, question=escape(question), fields=fields)
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def predict_number(question: str, low: float, high: float, why: str, hint: str) -> Question:
    """A question whose answer is a number.

    Args:
        question: what is asked, as plain text.
        low, high: the answers from `low` to `high` are right.
        why: what is said of a right answer.
        hint: what is said of a wrong one. It names the wrong answers that people give.

    Raises:
        BadInput: limits that are no numbers, or in the wrong order.

    >>> predict_number("How much is 3 times 4?", 12, 12, "It is 12.", "7 is their sum.")
    How much is 3 times 4?
    """
    if not (is_finite_number(low) and is_finite_number(high) and low <= high):
        raise BadInput(f"predict_number: limits {low!r} and {high!r}; give two numbers in order")
    field = NUMBER.format(
        away=AWAY,
        **{"low": float(low), "high": float(high), "label": escape(question, quote=True)},
        **{"why": escape(why), "hint": escape(hint)},
    )
    return Question(question, field, question)


def predict_choice(question: str, options: Mapping[str, str]) -> Question:
    """A question with several answers to choose from.

    Args:
        question: what is asked, as plain text.
        options: each answer, and what is said of it, which begins with "Right." or "No.".

    Raises:
        BadInput: fewer than two answers, or not exactly one that is right.

    >>> predict_choice("Is 7 a prime?", {"yes": "Right. It is.", "no": "No. What divides it?"})
    Is 7 a prime? (yes; no)
    """
    right = [option for option, said in options.items() if said.startswith("Right.")]
    if len(options) < 2 or len(right) != 1:
        raise BadInput(
            f"predict_choice: {len(options)} answers, of which {len(right)} are right; give two or "
            "more, and say 'Right.' of one"
        )
    name = "nt-" + hashlib.sha256(question.encode()).hexdigest()[:10]
    fields = [
        CHOICE.format(away=AWAY, name=name, k=k, option=escape(option), said=escape(said))
        for k, (option, said) in enumerate(options.items())
    ]
    return Question(question, "\n".join(fields), f"{question} ({'; '.join(options)})")
