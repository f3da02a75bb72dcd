"""Training steps made faster on the machine at hand: compiled parts, fused GRUs, memory that is kept."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from plugin_bridge.separation.networks.network import Network
from plugin_bridge.training import fused_gru

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
            fused_gru.library()
        except fused_gru.CompilerError as error:
            note(f"training goes on uncompiled: {error}")
            return
        fuse_recurrences(network)
    for part in network.compilable():
        compile_part(part, note)


def keep_memory() -> None:
    """Keep freed memory for the next step, where the C library knows how (glibc).

    Given back and asked for again, every page of every large tensor is zeroed by the system in every step.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_MMAP_MAX, 0)
        tune(_TRIM_THRESHOLD, 2**31 - 1)


def fuse_recurrences(network: nn.Module) -> int:
    """Put a `FusedGru` in the place of every GRU that it can stand for; how many there were."""
    places = [(parent, *child) for parent in list(network.modules()) for child in parent.named_children()]
    found = 0
    for parent, name, child in places:
        if fused_gru.replaceable(child):
            setattr(parent, name, fused_gru.FusedGru(child))
            found += 1
    return found


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
