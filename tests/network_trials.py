"""What every network's test needs: a tiny song, a short training, a parameter count without memory."""

import torch
from torch import Tensor

from plugin_bridge.separation import networks
from plugin_bridge.separation.networks.network import Network, SelfMeasuringNetwork

RATE = 8000


def four_stems(frames: int = 2000, channels: int = 2) -> Tensor:
    """A tone, decaying notes, a bass and a trill, `(1, sources, channels, frames)` at 8 kHz."""
    t = torch.arange(frames) / RATE
    lead = torch.sin(2 * torch.pi * 700 * t + 3 * torch.sin(2 * torch.pi * 6 * t))
    notes = torch.sin(2 * torch.pi * 1900 * t) * torch.exp(-20 * (t % 0.06))
    bass = torch.sin(2 * torch.pi * 80 * t)
    trill = torch.sin(2 * torch.pi * 300 * t) * (torch.sin(2 * torch.pi * 15 * t) > 0)
    stems = 0.3 * torch.stack((lead, notes, bass, trill))
    return torch.stack([stems * gain for gain in (1.0, 0.7)[:channels]], dim=1)[None]


def overfitted(network: Network, stems: Tensor, steps: int = 300, learning_rate: float = 3e-3) -> float:
    """By which factor Adam brings the L1 loss of this one example down."""
    mix = stems.sum(dim=1)
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = (network(mix) - stems).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses[0] / losses[-1]


def own_losses(
    network: SelfMeasuringNetwork, stems: Tensor, steps: int, learning_rate: float = 1e-2
) -> list[float]:
    """The network's own loss of this one example at every step of Adam."""
    mix = stems.sum(dim=1)
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = network.own_loss(mix, stems)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def parameters(architecture: str, preset: str) -> int:
    """How many numbers a preset trains; nothing of them is stored."""
    with torch.device("meta"):
        network = networks.build(architecture, {"preset": preset})
    return sum(parameter.numel() for parameter in network.parameters())


def two_stems(frames: int = 1500) -> Tensor:
    """A tone and a bass, `(1, 2, 1, frames)` at 8 kHz."""
    return four_stems(frames, channels=1)[:, [0, 2]]
