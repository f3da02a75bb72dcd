"""How long bidirectional SRU, LSTM and GRU layers take, alone at equal size and within Unet-SE-BiSRU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from benchmarks.tables import Table, machine
from plugin_bridge.separation.layers.recurrent import CELLS, Cell
from plugin_bridge.separation.networks import unet_se_bisru

name = "recurrent"

ROUNDS = 7
BATCH = 4
WINDOW_FRAMES = 112
"""About what is left of 10 s after the encoder."""
WIDTHS = (512, 1024)
LAYERS = 2
EXCERPT_FRAMES = 2 * 44100


def layers_alone(cell: Cell, width: int) -> tuple[nn.Module, torch.Tensor]:
    """The bottleneck's layers without what follows them, and an input."""
    return CELLS[cell](width, width, LAYERS, bidirectional=True), torch.randn(WINDOW_FRAMES, BATCH, width)


def whole_network(cell: Cell, width: int) -> tuple[nn.Module, torch.Tensor]:
    """Unet-SE-BiSRU of so many channels in its first block, and a mix."""
    config = replace(unet_se_bisru.PAPER, width=width, recurrent=cell, recurrent_layers=LAYERS)
    return unet_se_bisru.build(config), torch.randn(1, config.channels, EXCERPT_FRAMES)


def training_step(network: nn.Module, given: torch.Tensor) -> None:
    """Forward and backward, without the optimiser."""
    network.zero_grad()
    output = network(given)
    (output if isinstance(output, torch.Tensor) else output[0]).square().mean().backward()


def inference(network: nn.Module, given: torch.Tensor) -> None:
    """Forward only."""
    with torch.inference_mode():
        network(given)


def medians(
    makes: Callable[[Cell, int], tuple[nn.Module, torch.Tensor]], width: int
) -> list[tuple[str, ...]]:
    """Rows of all cells at one width, timed in turns so that a busy moment meets all of them.

    Processor time, which on one thread is the time taken, waiting for other programs left out.
    """
    torch.manual_seed(0)
    made = {cell: makes(cell, width) for cell in CELLS}
    took: dict[tuple[Cell, str], list[float]] = {}
    for turn in range(ROUNDS + 1):
        for cell, (network, given) in made.items():
            for work in (training_step, inference):
                start = time.process_time()
                work(network, given)
                if turn:  # the first warms up
                    took.setdefault((cell, work.__name__), []).append(time.process_time() - start)
    middle = {key: statistics.median(times) for key, times in took.items()}
    what = f"layers of width {width}" if makes is layers_alone else f"network of {width} channels"
    return [
        (
            what,
            f"Bi{cell.upper()}",
            f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.2f} M",
            *(
                cells
                for work in ("training_step", "inference")
                for cells in (
                    f"{1000 * middle[cell, work]:.0f} ms",
                    f"{middle[cell, work] / middle['sru', work]:.2f}",
                )
            ),
        )
        for cell, (network, _) in made.items()
    ]


def run() -> Table:
    """Time both sizes of layers and the smallest network on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = [row for width in WIDTHS for row in medians(layers_alone, width)]
        rows += medians(whole_network, 16)
    finally:
        torch.set_num_threads(before)
    return Table(
        title="Simple recurrent units against LSTM and GRU",
        columns=("what", "cell", "parameters", "training step", "/ BiSRU", "inference", "/ BiSRU"),
        rows=tuple(rows),
        note=f"{LAYERS} layers in both directions, float32, one thread; layers see {WINDOW_FRAMES} frames "
        f"(about 10 s) of {BATCH} examples, Unet-SE-BiSRU one of {EXCERPT_FRAMES // 44100} s in stereo, "
        f"44.1 kHz. Processor time; a training step is forward and backward; medians of {ROUNDS} rounds in "
        f"turns. LSTM and GRU are torch's. {machine('torch')}",
    )
