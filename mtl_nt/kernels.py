"""Kernels of this Python, and kernels that need not import anything before they start."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from multiprocessing import forkserver
from threading import Thread
from types import ModuleType
from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from .forks import end_with_parent

IMPORTED = (
    *("ipykernel.kernelapp", "ipywidgets", "matplotlib.backends.backend_agg", "torch._dynamo"),
    *("jinja2", "pandas.io.formats.style", "pyarrow.pandas_compat", "sklearn.datasets"),
    *("mtl_nt.figures", "mtl_nt.live"),
)


class ThisPython(AsyncKernelManager):
    """Kernels of the Python that runs this, whichever are installed or named, and quiet ones."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(**get_kernel_dict(["--log-level=CRITICAL"]))


class Warm(ThisPython):
    """The same, forked from one process that has imported what every notebook imports.

    A kernel that imports all this by itself takes 6.6 s more of a processor. With such kernels
    `python -m mtl_nt book --fast` would take 55 % more.

    On Linux alone: what was imported need not survive a fork elsewhere, and these are kernels like
    all others there.
    """

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        if sys.platform == "linux" and self.provisioner is None:
            warm_up()
            about = {"kernel_id": self.kernel_id, "kernel_spec": self.kernel_spec}
            self.provisioner = _Forked(**about, parent=self)
        return await super()._async_pre_start_kernel(**options)


def warm_up() -> None:
    """Start the process that warm kernels come from, unless it runs. It ends with this one."""
    multiprocessing.set_forkserver_preload([*IMPORTED])
    forkserver.ensure_running()


class _Forked(LocalProvisioner):
    process: Any = None

    async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        self.process = _Process(arguments, options["env"], options.get("cwd"))
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _Process:
    """What jupyter_client asks of a subprocess.Popen."""

    stdin = stdout = stderr = None

    def __init__(self, *start: Any) -> None:
        self._process = multiprocessing.get_context("forkserver").Process(target=_run, args=start)
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")  # or the kernel would import this program
        try:
            self._process.start()
        finally:
            sys.modules["__main__"] = main
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        assert self.pid is not None
        os.kill(self.pid, number)


def _run(arguments: list[str], environment: dict[str, str], folder: str | None) -> None:
    """What `python -m ipykernel_launcher` does, in a group of its own as any kernel."""
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder or ".")
    Thread(target=end_with_parent, daemon=True).start()
    gc.freeze()  # or every collection would look through, and so copy, all that was imported
    IPKernelApp.launch_instance(arguments)
