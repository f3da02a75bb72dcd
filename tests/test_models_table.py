"""The table of networks: its figures on layers whose figures are known, and no network left out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from plugin_bridge.separation import networks
from plugin_bridge.separation.networks.network import CausalNetwork, Network, NetworkConfig, State
from plugin_bridge.training import models_table, network_figures

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class ToyConfig(NetworkConfig):
    sources: tuple[str, ...] = ("one", "other")
    sample_rate: int = 1000
    channels: int = 1
    window_seconds: float = 2.0
    overlap: float = 0.5


class Layered(Network):
    """One layer, from the mix as one channel to two sources."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(ToyConfig())
        self.layer = layer

    def forward(self, mix: Tensor) -> Tensor:
        if isinstance(self.layer, nn.RNNBase):
            made, _ = self.layer(mix.transpose(1, 2))
            return made.transpose(1, 2)[:, :2, None]
        return self.layer(mix)[:, :, None]


class Delay(CausalNetwork):
    """Each output frame from the input of 3 hops before."""

    hop, latency, tail = 10, 0, 30

    def __init__(self) -> None:
        super().__init__(ToyConfig())
        self.mixer = nn.Linear(10, 20, bias=False)

    def state(self, batch: int) -> State:
        past = torch.zeros(batch, 1, 30)
        self.mixer(past[..., :10])  # to make a state may cost something; it is no part of a step
        return {"past": past}

    def step(self, block: Tensor, state: State) -> tuple[Tensor, State]:
        past = torch.cat((state["past"], block), -1)
        return self.mixer(past[..., :10]).reshape(-1, 2, 1, 10), {"past": past[..., 10:]}


@pytest.mark.parametrize(
    ("layer", "each_frame"),
    [
        (nn.Conv1d(1, 2, 5, padding=2), 10),
        (nn.Conv1d(1, 2, 5, padding=2, bias=False), 10),
        (nn.Sequential(nn.Conv1d(1, 8, 1), nn.Conv1d(8, 8, 3, padding=1, groups=8), nn.Conv1d(8, 2, 1)), 48),
        (nn.LSTM(1, 6, batch_first=True), 4 * 6 * (1 + 6)),
        (nn.LSTM(1, 6, num_layers=2, bidirectional=True, batch_first=True), 2 * 4 * 6 * (7 + 18)),
        (nn.LSTM(1, 6, proj_size=2, batch_first=True), 4 * 6 * (1 + 2) + 2 * 6),
        (nn.GRU(1, 6, batch_first=True), 3 * 6 * (1 + 6)),
    ],
)
def test_multiply_adds_of_known_layers(layer: nn.Module, each_frame: int) -> None:
    # 2000 frames for every 1000 that are new: twice the work of a pass without overlap.
    expected = 2 * each_frame * 1000
    assert network_figures.multiply_adds_per_second(Layered(layer)) == pytest.approx(expected)


def test_multiply_adds_of_a_causal_network_are_those_of_its_steps() -> None:
    assert network_figures.multiply_adds_per_second(Delay()) == pytest.approx(200 * 100)


@pytest.mark.parametrize(
    ("layer", "field"),
    [
        (nn.Conv1d(1, 2, 5, padding=2), network_figures.Field(2, 2)),
        (nn.Conv1d(1, 2, 3, padding=300, dilation=300), network_figures.Field(300, 300)),
        (nn.LSTM(1, 2, batch_first=True), network_figures.Field(None, 0)),
        (nn.Sequential(nn.Conv1d(1, 2, 1), nn.GroupNorm(1, 2)), network_figures.Field(None, None)),
    ],
)
def test_the_receptive_field_of_known_layers(layer: nn.Module, field: network_figures.Field) -> None:
    torch.manual_seed(0)
    if isinstance(layer, nn.LSTM):
        # Nothing forgotten and little added: a gradient that vanishes would hide the field.
        layer.bias_ih_l0.data[2:4] = 50.0
        for name, weight in layer.named_parameters():
            weight.data[4:6] *= 0.001 if name.startswith("weight") else 0.0
    found = network_figures.receptive_field(Layered(layer))
    assert (found.back, found.ahead) == (field.back, field.ahead)


def test_the_figures_of_a_causal_network() -> None:
    delay = Delay()
    field = network_figures.receptive_field(delay)
    assert field.ahead == -21  # frame 500 is the first of its hop and hears frames 470 to 479
    assert field.back == 30
    assert network_figures.algorithmic_latency_seconds(delay) == 0.01
    assert network_figures.parameters(delay) == 200
    assert network_figures.real_time_factor(delay, rounds=1) > 0


def test_the_latency_of_windows_is_the_window() -> None:
    assert network_figures.algorithmic_latency_seconds(Layered(nn.Conv1d(1, 2, 1))) == 2.0


def test_no_network_is_left_out_of_the_page() -> None:
    rows = models_table.rows_of(ROOT / models_table.DEFAULT_OUT)
    expected = {
        (architecture, preset)
        for architecture in networks.architectures()
        for preset in models_table.paper_presets(architecture)
    }
    missing = sorted(expected - set(rows))
    assert not missing, "run python -m plugin_bridge.training models with their names"


def test_a_page_keeps_the_rows_that_are_not_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "models.md"
    width = len(models_table.COLUMNS) - 2
    rows = {("unet", "paper"): ("x",) * width, ("gone", "paper"): ("y",) * width}
    path.write_text(models_table.page(rows))
    assert models_table.rows_of(path) == {("unet", "paper"): ("x",) * width}


def test_the_command_refuses_an_unknown_architecture(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "plugin_bridge.training",
            "models",
            "wnet",
            "--out",
            str(tmp_path / "m.md"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "architecture must be one of" in done.stderr
    assert "got 'wnet'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "m.md").exists()
