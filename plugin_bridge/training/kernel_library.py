"""The kernels of `kernels/`, compiled once by the machine's own compiler for its very processor."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from platformdirs import user_cache_path
from torch import Tensor

_FOLDER = Path(__file__).with_name("kernels")
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", "-pthread")
_TENSORS = {"gru_forward": 8, "gru_backward": 13, "attention_forward": 2, "attention_backward": 3}
"""How many tensors each kernel takes, after sizes and before threads."""


class CompilerError(RuntimeError):
    """There is no C++ compiler, or it does not do its work."""


def call(kernel: str, sizes: Sequence[int], tensors: Sequence[Tensor]) -> None:
    """Run a kernel on contiguous tensors of single precision, with as many threads as torch uses.

    Raises `CompilerError` where kernels cannot be compiled.
    """
    places = [tensor.data_ptr() for tensor in tensors]
    getattr(library(), kernel)((ctypes.c_int64 * len(sizes))(*sizes), *places, torch.get_num_threads())


@cache
def library() -> ctypes.CDLL:
    """The kernels, compiled by what `CXX` names, or by a compiler that is found, kept in the user's cache.

    Raises `CompilerError` where that fails.
    """
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), None)
    if compiler is None:
        raise CompilerError("there must be a C++ compiler, got none; install g++ or clang++")
    # What the compiler says of itself and of this processor decides what it makes.
    known = _output([compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull])
    sources = sorted(_FOLDER.glob("*.cpp"))
    text = b"".join(path.read_bytes() for path in (*sources, *sorted(_FOLDER.glob("*.h"))))
    key = hashlib.sha256(known + text + " ".join(_FLAGS).encode()).hexdigest()[:16]
    path = user_cache_path("plugin-bridge") / "kernels" / f"{key}.so"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Others may do the same at this moment.
            with tempfile.TemporaryDirectory(dir=path.parent) as aside:
                fresh = Path(aside) / path.name
                _output([compiler, *_FLAGS, *map(str, sources), "-o", str(fresh)])
                fresh.replace(path)
        return _declared(ctypes.CDLL(str(path)))
    except OSError as error:
        raise CompilerError(f"{path} must be writable and loadable, got: {error}") from error


def _declared(made: ctypes.CDLL) -> ctypes.CDLL:
    made.gru_kept.restype, made.gru_kept.argtypes = ctypes.c_int64, [ctypes.c_int64]
    for name, tensors in _TENSORS.items():
        function = getattr(made, name)
        function.restype = None
        function.argtypes = [ctypes.POINTER(ctypes.c_int64), *[ctypes.c_void_p] * tensors, ctypes.c_int64]
    return made


def _output(words: list[str]) -> bytes:
    try:
        return subprocess.run(words, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        raise CompilerError(
            f"{words[0]} must compile, got: {said.decode(errors='replace').strip()}"
        ) from error
