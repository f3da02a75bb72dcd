"""Where every process of the engine begins, before anything heavy is imported."""

import os
import signal
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def enter(pipe: Connection, module: str, function: str, *arguments: Any) -> None:
    """Run a function with our end of a pipe, deaf to Ctrl-C and with one thread for its numbers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to every process; the control process ends us
    for name in _THREADS:
        os.environ.setdefault(name, "1")  # read once, when numpy and torch are imported
    getattr(import_module(module), function)(pipe, *arguments)
