"""Networks as separators: windows, offsets, what they leave out, and steps."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from plugin_bridge.errors import DeviceError
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.networks.network import CausalNetwork, Network, NetworkConfig, State


@dataclass(frozen=True, kw_only=True)
class ToyConfig(NetworkConfig):
    sources: tuple[str, ...] = ("one", "other")
    sample_rate: int = 1000
    window_seconds: float = 0.4


class Scaled(Network):
    """Each source a constant share of the mix; remembers what it was given."""

    def __init__(self, config: ToyConfig, shares: tuple[float, ...] = (0.7, 0.2)) -> None:
        super().__init__(config)
        self.shares = torch.nn.Parameter(torch.tensor(shares))
        self.seen: list[tuple[int, ...]] = []

    @property
    def estimated(self) -> tuple[str, ...]:
        return self.config.sources[: len(self.shares)]

    def forward(self, mix: Tensor) -> Tensor:
        self.seen.append(tuple(mix.shape))
        return mix[:, None] * self.shares[:, None, None]


class Echo(CausalNetwork):
    """The first source is the mix of `latency` frames ago, plus what it was 5 hops before."""

    hop, latency, tail = 8, 12, 40

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.gain = torch.nn.Parameter(torch.tensor(0.5))

    @property
    def estimated(self) -> tuple[str, ...]:
        return self.config.sources[:1]

    def state(self, batch: int) -> State:
        return {"past": torch.zeros(batch, self.channels, self.latency + self.tail)}

    def step(self, block: Tensor, state: State) -> tuple[Tensor, State]:
        past = torch.cat((state["past"], block), dim=-1)
        made = past[..., self.tail : self.tail + self.hop] + self.gain * past[..., : self.hop]
        return made[:, None], {"past": past[..., self.hop :]}


def noise(frames: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((channels, frames)).astype(np.float32) * 0.1


def test_what_the_estimates_lack_is_shared_equally() -> None:
    mix = noise(1500)
    stems = NetworkSeparator(Scaled(ToyConfig())).separate(mix)
    assert np.abs(stems[0] - 0.75 * mix).max() < 1e-6
    assert np.abs(stems[1] - 0.25 * mix).max() < 1e-6


def test_a_source_that_is_not_estimated_is_the_rest_of_the_mix() -> None:
    mix = noise(1500)
    stems = NetworkSeparator(Scaled(ToyConfig(), shares=(0.7,))).separate(mix)
    assert np.abs(stems[1] - 0.3 * mix).max() < 1e-6


def test_windows_have_the_stated_length_and_overlap() -> None:
    network = Scaled(ToyConfig(overlap=0.25))
    separator = NetworkSeparator(network)
    assert (separator.stream().hop, separator.stream().latency) == (300, 100)
    separator.separate(noise(1500))
    assert set(network.seen) == {(1, 2, 400)}


def test_several_windows_at_once_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network, mix = Scaled(ToyConfig()), noise(5000)
    separator = NetworkSeparator(network)
    one_by_one = separator.separate(mix)
    monkeypatch.setattr("plugin_bridge.separation.network_separator._BATCH", {"cpu": 16})
    network.seen.clear()
    assert np.abs(separator.separate(mix) - one_by_one).max() < 1e-6
    assert max(shape[0] for shape in network.seen) == 16


def test_offsets_are_drawn_by_seed_and_undone() -> None:
    network, mix = Scaled(ToyConfig()), noise(900)
    plain = NetworkSeparator(network).separate(mix)
    network.seen.clear()
    shifted = NetworkSeparator(network, shifts=5, seed=3)
    assert np.abs(shifted.separate(mix) - plain).max() < 1e-6
    assert len(network.seen) % 5 == 0
    assert network.seen[0][2] > 400
    first = list(network.seen)
    network.seen.clear()
    NetworkSeparator(network, shifts=5, seed=3).separate(mix)
    assert network.seen == first


@pytest.mark.parametrize(("kind", "shifts"), [(Scaled, 0), (Echo, 2)])
def test_impossible_shifts_are_refused(kind: type[Network], shifts: int) -> None:
    with pytest.raises(
        ValueError, match=f"shifts must be 1 or more, and 1 for a causal network, got {shifts}"
    ):
        NetworkSeparator(kind(ToyConfig()), shifts=shifts)


def test_estimates_that_are_no_numbers_count_as_silence() -> None:
    mix = noise(1000)
    stems = NetworkSeparator(Scaled(ToyConfig(), shares=(float("nan"), 1.0))).separate(mix)
    assert np.isfinite(stems).all()
    assert np.abs(stems.sum(0) - mix).max() < 1e-6


def test_a_causal_network_steps() -> None:
    network, mix = Echo(ToyConfig()), noise(203)
    separator = NetworkSeparator(network)
    assert (separator.stream().hop, separator.stream().latency) == (8, 12)
    stems = separator.separate(mix)
    late = np.pad(mix, ((0, 0), (40, 0)))[:, :203]
    assert np.abs(stems[0] - (mix + 0.5 * late)).max() < 1e-6
    assert np.abs(stems.sum(0) - mix).max() < 1e-6
    with torch.no_grad():
        whole = network(torch.tensor(mix[None]))[0].numpy()
    assert np.abs(whole[0] - stems[0]).max() < 1e-6


def test_a_causal_network_is_silent_after_its_tail() -> None:
    mix = np.pad(noise(50), ((0, 0), (0, 250)))
    stems = NetworkSeparator(Echo(ToyConfig())).separate(mix)
    assert stems[0, :, 80:90].any()
    assert not stems[:, :, 90:].any()


def test_separators_of_the_same_weights_are_equal() -> None:
    one, same, other = (Scaled(ToyConfig()) for _ in range(3))
    assert NetworkSeparator(one, weights="a") == NetworkSeparator(same, weights="a")
    assert hash(NetworkSeparator(one, weights="a")) == hash(NetworkSeparator(same, weights="a"))
    assert NetworkSeparator(one, weights="a") != NetworkSeparator(other, weights="b")
    assert NetworkSeparator(one) != NetworkSeparator(other)
    assert NetworkSeparator(one, weights="a") != "a"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": ("a",)}, "sources must be two or more different names"),
        ({"sources": ("a", "a")}, "sources must be two or more different names"),
        ({"channels": 0}, "sample_rate and channels must be at least 1, got 1000 and 0"),
        ({"window_seconds": 0.0}, "window_seconds must be above 0"),
        ({"overlap": 1.0}, "overlap between 0 and 0.9, got 0.4 and 1.0"),
    ],
)
def test_an_impossible_config_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ToyConfig(**changes)  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
def test_a_device_that_is_absent_is_refused() -> None:
    with pytest.raises(DeviceError, match="device cuda must be present"):
        NetworkSeparator(Scaled(ToyConfig()), device="cuda")
