"""Training steps made faster on the machine at hand: compiled parts, fused layers, memory that is kept."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from plugin_bridge.separation.layers.band_mixing import BandAttention
from plugin_bridge.separation.networks.network import Network
from plugin_bridge.training.fused_attention import FusedAttention
from plugin_bridge.training.fused_gru import FusedGru, replaceable
from plugin_bridge.training.kernel_library import CompilerError, library

Note = Callable[[str], None]

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Of glibc's `mallopt`."""


def accelerated(network: Network, note: Note) -> None:
    """Make a network's steps faster in place; parameters and their names stay as they are.

    What the machine cannot do is left as it was, and `note` is told.
    """
    if network.device.type == "cpu":
        keep_memory()
        try:
            library()
        except CompilerError as error:
            note(f"training goes on uncompiled: {error}")
            return
        fuse(network)
    for part in network.compilable():
        compile_part(part, note)


def keep_memory() -> None:
    """Keep freed memory for the next step, where the C library knows how (glibc).

    Given back and asked for again, every page of every large tensor is zeroed by the system in every step.
    """
    if os.name == "nt":  # where no library can be opened that is the program itself
        return
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_MMAP_MAX, 0)
        tune(_TRIM_THRESHOLD, 2**31 - 1)


def fuse(network: nn.Module) -> int:
    """Put a fused layer in the place of every one that it can stand for; how many there were."""
    places = [(parent, *child) for parent in list(network.modules()) for child in parent.named_children()]
    found = 0
    for parent, name, child in places:
        fused = _fused(child)
        if fused is not None:
            setattr(parent, name, fused)
            found += 1
    return found


def _fused(layer: nn.Module) -> nn.Module | None:
    """What computes the same as a layer, with its parameters, or nothing."""
    if replaceable(layer):
        return FusedGru(layer)
    return FusedAttention(layer) if isinstance(layer, BandAttention) else None


def compile_part(part: nn.Module, note: Note) -> None:
    """Compile a module in place at its first call; it stays as it is, with a note, where that fails."""
    from torch._dynamo.exc import TorchDynamoException  # slow to import

    plain: Callable[..., Any] = part._call_impl
    compiled: Callable[..., Any] = torch.compile(plain, dynamic=False)

    def call(*given: Any, **named: Any) -> Any:
        try:
            return compiled(*given, **named)
        except TorchDynamoException as error:
            first = str(error).strip().partition("\n")[0]
            note(f"training goes on uncompiled, as {type(part).__name__} cannot be compiled: {first}")
            part._compiled_call_impl = None
            return plain(*given, **named)

    part._compiled_call_impl = call
