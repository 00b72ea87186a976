"""What the reading of a table has to say: notes on what was done, and questions that it must ask.

A question is severe: the reading would guess, and a wrong guess changes the verdict. It is refused
until an option answers it, or until `yes` accepts all guesses.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import BadInput, printable
from ..tasks import Note


class Unanswered(BadInput):
    """A table that cannot be read without guessing.

    Attributes:
        questions: one line for each question. It names the options that answer it.
        summary: the last line, where the questions are shown before.

    >>> error = Unanswered("my.csv", ["my.csv: 9 stands beside 0 and 1 in 'y'; --missing=9"])
    >>> print(error)
    my.csv: 9 stands beside 0 and 1 in 'y'; --missing=9; --yes reads on as guessed
    """

    def __init__(self, where: str, questions: Sequence[str]) -> None:
        self.questions = tuple(printable(question) for question in questions)
        if len(questions) == 1:
            answered = "" if "--yes" in self.questions[0] else "; --yes reads on as guessed"
            self.summary = f"{self.questions[0]}{answered}"
            super().__init__(self.summary)
            return
        first = self.questions[0].removeprefix(f"{where}: ")
        self.summary = (
            f"{where}: {len(questions)} questions are open; answer each by an option that it "
            "names, or --yes reads on as guessed"
        )
        super().__init__(f"{self.summary}; the first one: {first}")

    def _render_traceback_(self) -> list[str]:
        """One line for each question, which IPython shows instead of a traceback."""
        lines = [f"{type(self).__name__}: {question}" for question in self.questions]
        return [*lines, "Answer each by an option that it names, or yes=True reads on as guessed."]


class Remarks:
    """Collects notes and questions while a table is read.

    Args:
        where: the name of the file, which begins every question.
        yes: whether all guesses are accepted.

    >>> remarks = Remarks("my.csv", yes=True)
    >>> remarks.ask("-999 occurs 9 times; --missing=-999", "Read as numbers: -999.", "far")
    >>> [str(note) for note in remarks.notes]
    ['Read as numbers: -999.']
    """

    def __init__(self, where: str, yes: bool) -> None:
        self.where, self.yes = where, yes
        self.notes: list[Note] = []
        self.questions: list[str] = []

    def note(
        self, text: str, about: str, columns: Sequence[str] = (), matters: bool = False
    ) -> None:
        """Add a note: one sentence."""
        self.notes.append(Note(text, "matters" if matters else "info", about, (*columns,)))

    def ask(self, question: str, guess: str, about: str, columns: Sequence[str] = ()) -> None:
        """Ask a question, or note the guess where all guesses are accepted.

        Args:
            question: what was found, and the options that answer it.
            guess: one sentence that says how it is read with `yes`.
            about: the kind of thing, one word.
            columns: the columns that it is about.
        """
        if self.yes:
            self.note(guess, about, columns, matters=True)
        else:
            self.questions.append(f"{self.where}: {question}")

    def check(self) -> None:
        """Raise `Unanswered` if there is a question."""
        if self.questions:
            raise Unanswered(self.where, self.questions)
