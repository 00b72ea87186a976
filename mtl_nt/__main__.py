"""The command line, `python -m mtl_nt`. From its first moment on a signal ends it with one line."""

from __future__ import annotations

import atexit
import os
import signal
import sys

TYPE_CHECKING = False  # as in typing, which takes a moment to load
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
PROCESS = os.getpid()


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says. Returns the exit status: 2 is bad input, 130 Ctrl-C."""
    from .commands import main

    return main(arguments)


def _program() -> NoReturn:
    """Exit status 130 is Ctrl-C's, 143 SIGTERM's: 128 and the signal. What is temporary, a
    library's and a kernel's too, lies in one folder, which the next run sweeps away if this one is
    killed.
    """
    _at(_end)
    from contextlib import ExitStack

    from . import commands
    from .files import temporary_folder
    from .terminal import warn

    last = ExitStack()
    atexit.register(last.close)  # after what libraries clean up, which they register later
    try:
        _at(_interrupt)
        commands.keep_temporary_in(last.enter_context(temporary_folder()))
        status = commands.main()
    except KeyboardInterrupt as stop:
        status = commands.stopped(stop)
    except OSError as error:
        warn(f"mtl_nt: no temporary folder can be made ({error.strerror}); set TMPDIR to another")
        status = 2
    if status > 128:  # threads that still train would be waited for
        sys.stdout.flush()
        sys.stderr.flush()
        last.close()
        os._exit(status)
    sys.exit(status)


def _at(handler: signal.Handlers | object) -> None:
    """Have a handler called at every signal that ends a program, unless whoever started this one
    wants that signal to be ignored, as a shell does for what runs in the background.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)  # type: ignore[arg-type]


def _end(number: int, _: object) -> NoReturn:
    """While Python loads what it needs: nothing is begun, and an import that is interrupted may
    say anything.
    """
    os.write(2, b"mtl_nt: stopped\n")
    os._exit(128 + number)


def _interrupt(number: int, _: object) -> NoReturn:
    """Whatever the signal, it ends the command as Ctrl-C does; a second one ends it at once."""
    if os.getpid() != PROCESS:  # a copy of this one, which has a parent to say so
        os._exit(128 + number)
    _at(_end)
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    _program()
