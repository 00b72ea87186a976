"""A JupyterLab that is forked, as its kernels are, from a process that has imported everything."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from jupyter_server.services.kernels.kernelmanager import ServerKernelManager
from jupyterlab.labapp import main
from samples import fork_from_there

from mtl_nt.book.kernels import PreloadedKernel


class WarmKernel(PreloadedKernel, ServerKernelManager):
    """A kernel of JupyterLab that has imported what every notebook imports."""


def serve(options: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """What `python -m jupyterlab` does with these options, with warm kernels."""
    os.setsid()
    os.environ.update(environment)
    for handle in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), handle)
    fork_from_there()
    warm = f"--AsyncMappingKernelManager.kernel_manager_class={__name__}.{WarmKernel.__name__}"
    sys.argv = ["jupyterlab", *options, warm]
    main()
