"""Kernels that run notebooks: of this Python, and of this Python with everything imported."""

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

from .processes import end_with_parent

PRELOADED = (
    *("ipykernel.kernelapp", "ipywidgets", "matplotlib.backends.backend_agg", "torch._dynamo"),
    *("jinja2", "pandas.io.formats.style", "pyarrow.pandas_compat", "sklearn.datasets"),
    *("mtl_nt.figures", "mtl_nt.book.live", "mtl_nt.book.playground_widget"),
)


class ThisPythonKernel(AsyncKernelManager):
    """A kernel of the Python that runs this program, whatever kernels are installed.

    It logs nothing but critical errors.
    """

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(**get_kernel_dict(["--log-level=CRITICAL"]))


class PreloadedKernel(ThisPythonKernel):
    """A kernel that is forked from a process which has imported what every notebook imports.

    A kernel that imports all this by itself takes 6.6 s more of a processor. With such kernels
    `python -m mtl_nt book --fast` would take 55 % more.

    Elsewhere than on Linux these are kernels like all others, because what was imported need not
    survive a fork there.
    """

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        if sys.platform == "linux" and self.provisioner is None:
            start_preloading()
            about = {"kernel_id": self.kernel_id, "kernel_spec": self.kernel_spec}
            self.provisioner = _ForkProvisioner(**about, parent=self)
        return await super()._async_pre_start_kernel(**options)


def start_preloading() -> None:
    """Start the process that preloaded kernels are forked from, unless it runs already.

    It ends when this process ends.
    """
    multiprocessing.set_forkserver_preload([*PRELOADED])
    forkserver.ensure_running()


class _ForkProvisioner(LocalProvisioner):
    """Starts a kernel as a fork, where jupyter_client would start a new program."""

    process: Any = None

    async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        self.process = _KernelProcess(arguments, options["env"], options.get("cwd"))
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _KernelProcess:
    """A forked process with the methods of `subprocess.Popen` that jupyter_client calls."""

    stdin = stdout = stderr = None

    def __init__(self, *start: Any) -> None:
        self._process = multiprocessing.get_context("forkserver").Process(
            target=_run_kernel, args=start
        )
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


def _run_kernel(arguments: list[str], environment: dict[str, str], folder: str | None) -> None:
    """Do what `python -m ipykernel_launcher` does, in a process group of its own."""
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder or ".")
    Thread(target=end_with_parent, daemon=True).start()
    gc.freeze()  # or every collection would look through, and so copy, all that was imported
    IPKernelApp.launch_instance(arguments)
