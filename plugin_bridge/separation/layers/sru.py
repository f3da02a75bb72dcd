"""The simple recurrent unit of Lei et al., "Simple recurrent units for highly parallelizable recurrence".

    f[t] = sigmoid(Wf x[t] + bf)                          forget gate (eq. 3.4 of Zhang, 2024)
    r[t] = sigmoid(Wr x[t] + br)                          reset gate (3.5)
    z[t] = W x[t]                                         (3.6)
    c[t] = f[t] c[t-1] + (1 - f[t]) z[t]                  the recurrence
    h[t] = r[t] c[t] + (1 - r[t]) a x[t]                  highway, a = sqrt(1 + 2 exp(br))

The gates see the input only, as in Zhang's equations and Lei's version of 2017; that of 2018 adds
`v c[t-1]` inside them, which would force the frames one after another. So all three products are one for
all frames (3.7), and the recurrence, linear in c, is a scan in `log2(frames)` steps. Where input and
output differ in width, a fourth matrix of the same product carries the input over.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn


class SRU(nn.Module):
    """Layers of simple recurrent units; called as `torch.nn.LSTM`, in place of one.

    `highway_bias` below 0 makes the input pass more at first. Training in half precision scans in
    float32, as gates near 1 multiply over many frames.
    """

    def __init__(
        self,
        given: int,
        width: int,
        layers: int = 1,
        *,
        bidirectional: bool = False,
        highway_bias: float = 0.0,
    ) -> None:
        super().__init__()
        made = width * (2 if bidirectional else 1)
        self.layers = nn.ModuleList(
            SRULayer(given if layer == 0 else made, width, bidirectional, highway_bias)
            for layer in range(layers)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of the last layer and the last cell of every layer and direction.

        Shape: `(frames, batch, given)` to `(frames, batch, directions * width)` and
        `(layers * directions, batch, width)`.
        """
        cells: list[Tensor] = []
        for layer in self.layers:
            x, cell = layer(x)
            cells.append(cell)
        return x, torch.cat(cells)


class SRULayer(nn.Module):
    """One layer, both directions in the same product and the same scan."""

    def __init__(self, given: int, width: int, bidirectional: bool, highway_bias: float) -> None:
        super().__init__()
        self.width, self.directions = width, 2 if bidirectional else 1
        made = width * self.directions
        self.matrices = 3 if given == made else 4
        # Variances that leave c, h and the gradients at the input's level (Lei et al., section 3.2).
        self.highway = math.sqrt(1 + 2 * math.exp(highway_bias))
        self.weight = nn.Parameter(torch.empty(given, self.matrices, made))
        nn.init.uniform_(self.weight, -math.sqrt(3 / given), math.sqrt(3 / given))
        if self.matrices == 4:
            with torch.no_grad():
                self.weight[:, 3].mul_(self.highway)
        self.forget_bias = nn.Parameter(torch.zeros(made))
        self.reset_bias = nn.Parameter(torch.full((made,), highway_bias))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: `(frames, batch, given)` to `(frames, batch, made)` and `(directions, batch, width)`."""
        frames, batch, given = x.shape
        products = (x.reshape(-1, given) @ self.weight.flatten(1)).view(frames, batch, self.matrices, -1)
        skip = products[:, :, 3] if self.matrices == 4 else self.highway * x
        forget = self.turned(torch.sigmoid(products[:, :, 0] + self.forget_bias))
        entering = (1 - forget) * self.turned(products[:, :, 2])
        cells = scan(forget, entering)
        last = cells[-1].view(batch, self.directions, self.width).transpose(0, 1)
        reset = torch.sigmoid(products[:, :, 1] + self.reset_bias)
        return torch.lerp(skip.to(reset.dtype), self.turned(cells).to(reset.dtype), reset), last

    def turned(self, x: Tensor) -> Tensor:
        """The frames of the second direction, if there is one, from last to first."""
        if self.directions == 1:
            return x
        return torch.cat((x[..., : self.width], x[..., self.width :].flip(0)), dim=-1)


def scan(keep: Tensor, entering: Tensor) -> Tensor:
    """`c[t] = keep[t] * c[t-1] + entering[t]` for all frames, from `c = 0`.

    Only products of gates are formed, no quotient and no logarithm: a gate of 0 is as exact as any.
    Shape: `(frames, ...)`, both, to the same.
    """
    if keep.dtype == torch.float16 or keep.dtype == torch.bfloat16:
        keep, entering = keep.float(), entering.float()
    if torch.jit.is_scripting() or not torch.is_grad_enabled():  # type: ignore[attr-defined]
        return halving_scan(keep, entering)
    cells: Tensor = LinearRecurrence.apply(keep, entering)  # type: ignore[no-untyped-call]
    return cells


def halving_scan(keep: Tensor, entering: Tensor) -> Tensor:
    """The recurrence by pairs of frames: half as many, until one is left, then back.

    Two frames in a row are one step of the same form:
    `c[2k+1] = (keep[2k+1] keep[2k]) c[2k-1] + (keep[2k+1] entering[2k] + entering[2k+1])`.
    """
    levels: list[tuple[Tensor, Tensor]] = []
    while keep.shape[0] > 1:
        levels.append((keep, entering))
        pairs = keep.shape[0] // 2 * 2
        early, late = keep[0:pairs:2], keep[1:pairs:2]
        entering = torch.addcmul(entering[1:pairs:2], late, entering[0:pairs:2])
        keep = late * early
    cells = entering
    while len(levels) > 0:
        keep, entering = levels.pop()
        frames = keep.shape[0]
        both = torch.empty_like(entering)
        both[1::2] = cells
        both[0] = entering[0]
        both[2::2] = torch.addcmul(entering[2::2], keep[2::2], cells[: (frames - 1) // 2])
        cells = both
    return cells


class LinearRecurrence(torch.autograd.Function):
    """The scan with its own gradient, which is a scan from the end; only gates and cells are stored."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, entering: Tensor) -> Tensor:
        cells = halving_scan(keep, entering)
        ctx.save_for_backward(keep, cells)
        return cells

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        keep, cells = ctx.saved_tensors
        # What reaches c[t] comes from its own output and, through keep[t+1], from c[t+1].
        following = torch.cat((keep[1:], torch.zeros_like(keep[:1])))
        entering = halving_scan(following.flip(0), gradient.flip(0)).flip(0)
        before = torch.cat((torch.zeros_like(cells[:1]), cells[:-1]))
        return entering * before, entering
