"""Conv-TasNet and the dual-gate network: sizes, switches, and the causal form step by step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from plugin_bridge.separation import networks
from plugin_bridge.separation.layers.cached_conv import CachedConv1d, FrameNorm
from plugin_bridge.separation.layers.cbam import Cbam
from plugin_bridge.separation.layers.chunk_attention import AttentionGate, DualPathAttention
from plugin_bridge.separation.layers.kernel_choice import KernelChoice
from plugin_bridge.separation.layers.learned_filterbank import LearnedDecoder, LearnedEncoder
from plugin_bridge.separation.layers.memory import Memory, name_layers
from plugin_bridge.separation.layers.recent_pool import RecentPool, weighed
from plugin_bridge.separation.networks.network import CausalNetwork, Network
from tests.network_trials import four_stems, overfitted, parameters

torch.set_num_threads(1)
ARCHITECTURES = ["conv_tasnet", "dual_gate_tcn"]
SWITCHES = ["input_gate", "output_gate", "selective_kernel", "cbam", "time_attention"]
CHUNK, CHUNKS, CHANNELS = 4, 3, 6


def tiny(architecture: str, preset: str = "tiny", **changes: object) -> Network:
    torch.manual_seed(0)
    return networks.build(architecture, {"preset": preset, **changes})


def causal(architecture: str) -> CausalNetwork:
    network = tiny(architecture, "tiny_causal").eval()
    assert isinstance(network, CausalNetwork)
    return network


def in_steps(layer: nn.Module, x: Tensor, frames: int) -> Tensor:
    """A layer's output for pieces of some frames, its memory carried on."""
    memory: Memory = {}
    return torch.cat([layer(piece, memory) for piece in x.split(frames, dim=-1)], dim=-1)


def test_conv_tasnet_has_the_published_size() -> None:
    assert parameters("conv_tasnet", "paper") == pytest.approx(5.1e6, rel=0.03)
    assert parameters("conv_tasnet", "causal") == pytest.approx(5.1e6, rel=0.03)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_tiny_ones_are_tiny(architecture: str) -> None:
    assert parameters(architecture, "tiny") < 100_000


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_part_can_be_left_out(switch: str) -> None:
    whole, without = tiny("dual_gate_tcn"), tiny("dual_gate_tcn", **{switch: False})
    assert sum(p.numel() for p in without.parameters()) < sum(p.numel() for p in whole.parameters())
    assert parameters("dual_gate_tcn", f"no_{switch}") < parameters("dual_gate_tcn", "paper")


def test_without_all_parts_it_is_conv_tasnet() -> None:
    bare = tiny("dual_gate_tcn", blocks=3, repeats=2, **dict.fromkeys(SWITCHES, False)).eval()
    plain, mix = tiny("conv_tasnet").eval(), torch.randn(1, 1, 700)
    plain.load_state_dict(bare.state_dict())
    assert torch.equal(plain(mix), bare(mix))


@pytest.mark.parametrize("preset", ["tiny", "tiny_causal"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("frames", [1, 7, 8, 255, 256, 257, 1111])
def test_any_number_of_frames_comes_back(architecture: str, preset: str, frames: int) -> None:
    network = tiny(architecture, preset, channels=2, sources=("a", "b", "c")).eval()
    estimates = network(torch.randn(2, 2, frames))
    assert estimates.shape == (2, 3, 2, frames)
    assert torch.isfinite(estimates).all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_steps_give_what_the_whole_gives(architecture: str) -> None:
    network, mix = causal(architecture), 0.3 * torch.randn(2, 1, 3003)
    state, parts = network.state(2), []
    padded = nn.functional.pad(mix, (0, -(3003 + network.latency) % network.hop + network.latency))
    with torch.no_grad():
        whole = network(mix)
        for block in padded.split(network.hop, dim=-1):
            stems, state = network.step(block, state)
            parts.append(stems)
        _, after = network.continued(padded, network.state(2))
    assert whole.abs().max() > 0.01
    stepped = torch.cat(parts, dim=-1)[..., network.latency :][..., :3003]
    assert (whole - stepped).abs().max() < 1e-6
    assert all((after[name] - state[name]).abs().max() < 1e-5 for name in state)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_step_leaves_the_given_state_alone(architecture: str) -> None:
    network = causal(architecture)
    state = network.state(1)
    before = {name: past.clone() for name, past in state.items()}
    with torch.no_grad():
        _, after = network.step(torch.randn(1, 1, network.hop), state)
    assert set(after) == set(state) == set(before)
    assert all(torch.equal(state[name], before[name]) for name in before)
    assert all(after[name].shape == state[name].shape for name in before)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_gradient_comes_from_later_hops(architecture: str) -> None:
    network, mix = causal(architecture), torch.randn(1, 1, 2000).requires_grad_(True)
    at = 3 * network.hop + 5
    network(mix)[..., at].sum().backward()
    assert mix.grad is not None
    end = (at + network.latency) // network.hop * network.hop + network.hop
    assert mix.grad[..., :end].any()
    assert not mix.grad[..., end:].any()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nothing_is_remembered_for_longer_than_the_tail(architecture: str) -> None:
    network = causal(architecture)
    frames = network.tail + 4 * network.hop
    mix = torch.randn(1, 1, frames).requires_grad_(True)
    network(mix)[..., -1].sum().backward()
    assert mix.grad is not None
    assert not mix.grad[..., : frames - 1 - network.tail - network.latency].any()


@pytest.mark.parametrize(
    "layer",
    [
        CachedConv1d(CHANNELS, CHANNELS, 3, causal=True, dilation=4, groups=2),
        Cbam(CHANNELS, CHUNK, CHUNKS, causal=True),
        KernelChoice(CHANNELS, CHUNK, CHUNKS, causal=True),
        AttentionGate(CHANNELS, 5, CHUNK, CHUNKS, causal=True),
        DualPathAttention(CHANNELS, 5, CHUNK, CHUNKS, causal=True),
    ],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.parametrize("chunks", [1, 2, 5])
def test_causal_layers_step(layer: nn.Module, chunks: int) -> None:
    name_layers(layer)
    x = torch.randn(2, CHANNELS, 7 * CHUNK)
    whole = layer(x)
    assert whole.shape == x.shape
    assert torch.allclose(in_steps(layer, x, chunks * CHUNK), whole, atol=1e-6)


def test_a_learned_basis_can_be_the_identity() -> None:
    encoder, decoder = LearnedEncoder(1, 8, 8), LearnedDecoder(1, 8, 8)
    encoder.conv.weight.data[:, 0] = torch.eye(8)
    decoder.basis.weight.data[:, :, 0] = 0.5 * torch.eye(8)
    mix = torch.randn(2, 1, 40)
    made = decoder(encoder(mix)[:, None])[:, 0]
    assert torch.allclose(made[..., 4:], mix[..., :-4], atol=1e-6)
    name_layers(both := nn.Sequential(encoder, decoder))
    memory: Memory = {}
    pieces = [both[1](both[0](piece, memory)[:, None], memory)[:, 0] for piece in mix.split(8, dim=-1)]
    assert torch.equal(torch.cat(pieces, dim=-1), made)


def test_recent_pooling_sees_its_own_chunk_and_those_before() -> None:
    pool, x = RecentPool(2, 3, causal=True), torch.arange(1.0, 9.0)[None, None]
    assert pool.mean(x).flatten().tolist() == pytest.approx([0.5, 5 / 3, 3.5, 5.5])
    assert pool.maximum(x).flatten().tolist() == [2, 4, 6, 8]
    everything = RecentPool(2, 3, causal=False)
    assert (everything.mean(x).item(), everything.maximum(x).item()) == (4.5, 8)
    assert weighed(x, torch.tensor([[[1.0, 0, 0, 2]]])).flatten().tolist() == [1, 2, 0, 0, 0, 0, 14, 16]


def test_frames_are_normalised_by_themselves() -> None:
    x = 5 + 3 * torch.randn(2, 64, 10)
    made = FrameNorm(64)(x)
    assert torch.allclose(made.mean(dim=1), torch.zeros(2, 10), atol=1e-5)
    assert torch.allclose(made.std(dim=1, correction=0), torch.ones(2, 10), atol=1e-4)


def test_the_dual_path_reaches_every_frame_unless_causal() -> None:
    x = torch.randn(1, CHANNELS, 37).requires_grad_(True)
    DualPathAttention(CHANNELS, 5, CHUNK, CHUNKS, causal=False)(x)[..., 18].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum(dim=1).min() > 0


def test_the_output_gate_weighs_between_0_and_1() -> None:
    gate = AttentionGate(CHANNELS, 5, CHUNK, CHUNKS, causal=False)(10 * torch.randn(1, CHANNELS, 40))
    assert gate.min() >= 0
    assert gate.max() <= 1
    assert gate.std() > 0.01


@pytest.mark.parametrize("preset", ["tiny", "tiny_causal"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_learns_one_example(architecture: str, preset: str) -> None:
    stems = four_stems(1000, channels=1)
    stems = torch.stack((stems[:, 1], stems[:, 2]), dim=1)
    assert overfitted(tiny(architecture, preset), stems, steps=100, learning_rate=5e-3) > 10


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_all_parameters_learn(architecture: str) -> None:
    network = tiny(architecture, "tiny_causal")
    network(torch.randn(1, 1, 1000)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


class Step(nn.Module):
    """One step as a module's call."""

    def __init__(self, network: CausalNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, block: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.network.step(block, state)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_its_graph_can_be_exported(architecture: str) -> None:
    network, mix = tiny(architecture).eval(), torch.randn(1, 1, 2000)
    exported = torch.export.export(network, (mix,)).module()
    assert torch.allclose(exported(mix), network(mix), atol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_graph_of_a_step_can_be_exported(architecture: str) -> None:
    network = causal(architecture)
    block, state = torch.randn(1, 1, network.hop), network.state(1)
    exported = torch.export.export(Step(network), (block, state)).module()
    for _ in range(3):
        (one, after), (other, state) = exported(block, state), network.step(block, state)
        assert torch.allclose(one, other, atol=1e-6)
        assert all(torch.allclose(after[name], state[name], atol=1e-6) for name in state)


def test_an_impossible_config_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel must be even, got 15"):
        networks.build("conv_tasnet", {"kernel": 15})
    with pytest.raises(ValueError, match=r"skip must be as wide as narrow .* got 64 and 128"):
        networks.build("dual_gate_tcn", {"skip": 64})
