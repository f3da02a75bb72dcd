"""What a network costs and sees, measured on the network itself."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.networks.network import CausalNetwork, Network, State

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
_LONGEST_FIELD = 2**16
_ENOUGH_TIMING_SECONDS = 2.0


@dataclass(frozen=True)
class Field:
    """How far from an output frame its input lies, in frames; None reaches the end of what was looked at.

    `looked` is how much that was on either side, in frames; `whole` says that it was all of the window.
    """

    back: int | None
    ahead: int | None
    looked: int = 0
    whole: bool = True


def parameters(network: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in network.parameters())


def window_frames(network: Network) -> int:
    """How many frames the network is given at once."""
    if isinstance(network, CausalNetwork):
        return network.hop
    return max(2, round(network.config.window_seconds * network.sample_rate))


def multiply_adds_per_second(network: Network) -> float:
    """Multiply-adds for one second of audio, overlaps of windows included.

    Convolutions, matrix products and attention are counted as they are run, recurrent layers by their
    sizes; Fourier transforms, activations and sums are not counted.
    """
    network = network.eval()
    counter = FlopCounterMode(display=False)
    recurrent = _RecurrentCount(counter)
    hooks = [
        hook
        for layer in network.modules()
        if isinstance(layer, nn.RNNBase)
        for hook in recurrent.hooks(layer)
    ]
    mix = torch.zeros(1, network.channels, window_frames(network), device=network.device)
    state: State = network.state(1) if isinstance(network, CausalNetwork) else {}
    try:
        with counter, torch.inference_mode():
            _pass(network, mix, state)
    finally:
        for hook in hooks:
            hook.remove()
    total = counter.get_total_flops() / 2 + recurrent.multiply_adds
    return total / _new_seconds(network)


def receptive_field(network: Network) -> Field:
    """Where the gradient of a middle output frame is not zero, for all sources and channels together.

    The input is the window, or as much of it as fits into memory with what a gradient needs.
    """
    network = network.eval().requires_grad_(False)
    whole = max(2, round(network.config.window_seconds * network.sample_rate))
    frames = min(whole, _LONGEST_FIELD)
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(1, network.channels, frames, generator=generator).requires_grad_(True)
    middle = frames // 2
    with torch.enable_grad():
        stems = network(mix)[..., middle]
        # Weighed at random: stems that sum to the mix would together seem to see one frame.
        weights = torch.randn(stems.shape, generator=generator)
        (gradient,) = torch.autograd.grad((weights * stems).sum(), mix)
    touched = torch.nonzero(gradient.abs().amax(dim=(0, 1))).flatten()
    first, last = (int(touched[0]), int(touched[-1])) if touched.numel() else (middle, middle)
    back = middle - first if first > 0 else None
    return Field(back, last - middle if last < frames - 1 else None, middle, frames == whole)


def algorithmic_latency_seconds(network: Network) -> float:
    """Hop and look-ahead of the network's stream, in seconds."""
    stream = NetworkSeparator(network).stream()
    return (stream.hop + stream.latency) / network.sample_rate


def real_time_factor(network: Network, rounds: int = 3) -> float:
    """Processing time over audio time of the network's windows or steps on one thread, the best of `rounds`.

    It is processor time, so that other programs that run beside it do not count.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _best_time(network.eval(), rounds) / _new_seconds(network)
    finally:
        torch.set_num_threads(before)


@torch.inference_mode()
def _best_time(network: Network, rounds: int) -> float:
    generator = torch.Generator().manual_seed(0)
    mix = 0.1 * torch.randn(1, network.channels, window_frames(network), generator=generator)
    state: State = network.state(1) if isinstance(network, CausalNetwork) else {}
    best, spent = math.inf, 0.0
    while rounds > 0:
        start = time.process_time()
        state = _pass(network, mix, state)
        took = time.process_time() - start
        best, spent = min(best, took), spent + took
        rounds -= spent > _ENOUGH_TIMING_SECONDS
    return best


def _new_seconds(network: Network) -> float:
    """Seconds of audio that each window or step adds."""
    share = 1.0 if isinstance(network, CausalNetwork) else 1 - network.config.overlap
    return window_frames(network) * share / network.sample_rate


def _pass(network: Network, mix: Tensor, state: State) -> State:
    """One window or step; the state behind it."""
    if isinstance(network, CausalNetwork):
        return network.step(mix, state)[1]
    network(mix)
    return state


class _RecurrentCount:
    """Counts recurrent layers by their sizes, whatever of them the counter sees by itself."""

    def __init__(self, counter: FlopCounterMode) -> None:
        self.multiply_adds = 0.0
        self._counter = counter
        self._before = 0

    def hooks(self, layer: nn.RNNBase) -> list[Any]:
        return [layer.register_forward_pre_hook(self._enter), layer.register_forward_hook(self._leave)]

    def _enter(self, layer: nn.Module, given: tuple[Any, ...]) -> None:
        self._before = self._counter.get_total_flops()

    def _leave(self, layer: nn.Module, given: tuple[Any, ...], made: object) -> None:
        assert isinstance(layer, nn.RNNBase)
        sequence: Tensor = given[0]
        steps = sequence.numel() // sequence.shape[-1]
        directions = 2 if layer.bidirectional else 1
        out = layer.proj_size or layer.hidden_size
        each = 0
        for depth in range(layer.num_layers):
            wide = layer.input_size if depth == 0 else out * directions
            each += directions * _GATES[layer.mode] * layer.hidden_size * (wide + out)
            each += directions * layer.proj_size * layer.hidden_size
        seen = (self._counter.get_total_flops() - self._before) / 2
        self.multiply_adds += each * steps - seen
