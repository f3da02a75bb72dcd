"""Attention between bands that trains faster on a processor than torch's, which is made for long sequences.

What it computes is in `kernels/attention.cpp`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plugin_bridge.separation.layers.band_mixing import BandAttention
from plugin_bridge.training.kernel_library import call


class FusedAttention(nn.Module):
    """A `BandAttention` with the very layers of another."""

    def __init__(self, attention: BandAttention) -> None:
        super().__init__()
        self.heads = attention.heads
        self.asked, self.join = attention.asked, attention.join

    def forward(self, x: Tensor) -> Tensor:
        """Shape: `(steps, bands, width)` to the same."""
        joined: Tensor = self.join(_attention(self.asked(x).float(), self.heads))
        return joined


@torch.library.custom_op("plugin_bridge::attention", mutates_args=(), device_types="cpu")
def _attention(asked: Tensor, heads: int) -> Tensor:
    """What each band is told by all of its step.

    Shape: `(steps, bands, 3 * width)`, queries, keys and values side by side, to `(steps, bands, width)`.
    """
    asked = asked.contiguous()
    made = _told(asked)
    call("attention_forward", _sizes(asked, heads), [asked, made])
    return made


@_attention.register_fake
def _(asked: Tensor, heads: int) -> Tensor:
    return _told(asked)


@torch.library.custom_op("plugin_bridge::attention_backward", mutates_args=(), device_types="cpu")
def _attention_backward(asked: Tensor, wanted: Tensor, heads: int) -> Tensor:
    asked, wanted = asked.contiguous(), wanted.contiguous()
    made = asked.new_empty(asked.shape)
    call("attention_backward", _sizes(asked, heads), [asked, wanted, made])
    return made


@_attention_backward.register_fake
def _(asked: Tensor, wanted: Tensor, heads: int) -> Tensor:
    return asked.new_empty(asked.shape)


def _keep(ctx, inputs, output):  # type: ignore[no-untyped-def]
    ctx.save_for_backward(inputs[0])
    ctx.heads = inputs[1]


def _learn(ctx, wanted):  # type: ignore[no-untyped-def]
    return _attention_backward(*ctx.saved_tensors, wanted, ctx.heads), None


_attention.register_autograd(_learn, setup_context=_keep)


def _told(asked: Tensor) -> Tensor:
    steps, bands, width = asked.shape
    return asked.new_empty(steps, bands, width // 3)


def _sizes(asked: Tensor, heads: int) -> tuple[int, ...]:
    steps, bands, width = asked.shape
    return steps, bands, heads, width // 3 // heads
