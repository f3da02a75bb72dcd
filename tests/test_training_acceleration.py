"""Faster training steps: the fused GRU gives what torch's gives, a compiled run goes on to the same bits."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from plugin_bridge.separation import checkpoint, networks
from plugin_bridge.separation.layers.band_mixing import BandAttention
from plugin_bridge.training import acceleration, fused_attention, fused_gru, kernel_library
from plugin_bridge.training.loop import Run
from plugin_bridge.training.recipe import Budget, Examples, Optimiser, Recipe
from plugin_bridge.training.songs import batches_of
from tests.interrupted_batches import Interrupting

# The compiler's own modules still use what torch itself calls out of date.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


def compiler_missing() -> str:
    """Why nothing can be compiled here, or nothing."""
    try:
        kernel_library.library()
    except kernel_library.CompilerError as error:
        return str(error)
    return ""


needs_compiler = pytest.mark.skipif(
    bool(compiler_missing()), reason=compiler_missing() or "there is a compiler"
)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song of four tones with noise, four seconds."""
    folder = tmp_path_factory.mktemp("songs")
    generator = np.random.default_rng(0)
    (folder / "song").mkdir()
    for at, source in enumerate(("vocals", "drums", "bass", "other")):
        tone = np.sin(2 * np.pi * 110 * (at + 1) * np.arange(4 * 8000) / 8000)[:, None]
        noise = 0.02 * generator.standard_normal((4 * 8000, 2))
        soundfile.write(folder / "song" / f"{source}.wav", 0.1 * tone + noise, 8000)
    return folder


def run_of(
    songs: Path, folder: Path, *, steps: int, resume: bool = False, notes: list[str] | None = None
) -> Run:
    recipe = Recipe(
        architecture="band_split_rnn",
        config={"preset": "tiny"},
        compiled=True,
        examples=Examples(seconds=0.512, batch=2, consecutive=4),
        optimiser=Optimiser(learning_rate=1e-3, warm_up_steps=3),
        budget=Budget(steps=steps),
    )
    batches = batches_of(recipe, [songs], folder.parent / "cache", note=lambda line: None)
    note = (lambda line: None) if notes is None else notes.append
    return Run(recipe, batches, folder, device="cpu", resume=resume, note=note)


def learned(module: nn.Module, x: Tensor, before: Tensor, wanted: Tensor) -> list[Tensor]:
    """What a GRU gives, and the gradients of all that it was given."""
    x, before = x.clone().requires_grad_(), before.clone().requires_grad_()
    module.zero_grad()
    out, after = module(x, before)
    ((out * wanted).sum() + after.square().sum()).backward()
    assert x.grad is not None and before.grad is not None
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    assert len(gradients) == 4
    return [out.detach(), after.detach(), x.grad, before.grad, *(one.clone() for one in gradients)]


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [1, 7, 288])
@pytest.mark.parametrize("steps", [1, 5, 17])
@pytest.mark.parametrize(("given", "hidden"), [(24, 24), (64, 64), (96, 96), (30, 17)])
def test_fused_gru_gives_what_torch_gives(threads, rows, steps, given, hidden):
    torch.manual_seed(rows + steps + hidden)
    gru = nn.GRU(given, hidden, batch_first=True)
    fused = fused_gru.FusedGru(gru)
    shapes = ((rows, steps, given), (1, rows, hidden), (rows, steps, hidden))
    x, before, wanted = (torch.randn(shape) for shape in shapes)
    known = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        theirs, ours = learned(gru, x, before, wanted), learned(fused, x, before, wanted)
    finally:
        torch.set_num_threads(known)
    for one, other in zip(theirs, ours, strict=True):
        assert one.shape == other.shape
        assert float((one - other).abs().max()) <= 1e-5 * max(1.0, float(one.abs().max()))


@needs_compiler
def test_fused_gru_survives_large_inputs():
    gru = nn.GRU(24, 24, batch_first=True)
    x = 1e4 * torch.randn(3, 6, 24)
    out = fused_gru.FusedGru(gru)(x, torch.zeros(1, 3, 24))[0]
    assert bool(torch.isfinite(out).all())
    assert float((out - gru(x)[0]).abs().max().detach()) < 1e-3  # sums near 1e4 have no more digits


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("steps", "bands", "heads", "features"), [(1, 1, 1, 5), (7, 36, 4, 16), (9, 40, 4, 24)]
)
def test_fused_attention_gives_what_torch_gives(threads, steps, bands, heads, features):
    torch.manual_seed(steps + bands)
    plain = BandAttention(heads * features, heads)
    fused = fused_attention.FusedAttention(plain)
    x = 3 * torch.randn(steps, bands, heads * features)
    wanted = torch.randn(x.shape)
    known = torch.get_num_threads()
    torch.set_num_threads(threads)
    found: list[list[Tensor]] = []
    try:
        for layer in (plain, fused):
            layer.zero_grad()
            given = x.clone().requires_grad_()
            out = layer(given)
            (out * wanted).sum().backward()
            assert given.grad is not None
            gradients = [one.grad.clone() for one in layer.parameters() if one.grad is not None]
            found.append([out.detach(), given.grad, *gradients])
    finally:
        torch.set_num_threads(known)
    assert len(found[0]) == 6
    for one, other in zip(*found, strict=True):
        assert float((one - other).abs().max()) <= 1e-5 * max(1.0, float(one.abs().max()))


@needs_compiler
def test_fused_operations_are_well_formed():
    gru = nn.GRU(24, 24, batch_first=True)
    given = [torch.randn(2, 3, 4, 24, requires_grad=True), torch.randn(8, 24, requires_grad=True)]
    torch.library.opcheck(torch.ops.plugin_bridge.gru.default, (*given, *gru.parameters()))
    asked = torch.randn(3, 5, 24, requires_grad=True)
    torch.library.opcheck(torch.ops.plugin_bridge.attention.default, (asked, 2))


@needs_compiler
def test_accelerated_network_keeps_its_weights_and_estimates():
    plain = networks.build("band_split_rnn", {"preset": "tiny"})
    fast = deepcopy(plain)
    notes: list[str] = []
    acceleration.accelerated(fast, notes.append)
    assert not notes
    assert list(plain.state_dict()) == list(fast.state_dict())
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in fast.named_parameters()]
    for frames in (4096, 1000):  # a last part may be shorter
        mix = 0.1 * torch.randn(2, 2, frames)
        for network in (plain, fast):
            network.zero_grad()
            network(mix).square().sum().backward()
        assert float((plain(mix) - fast(mix)).abs().max().detach()) < 1e-5
        for one, other in zip(plain.parameters(), fast.parameters(), strict=True):
            assert one.grad is not None and other.grad is not None
            assert float((one.grad - other.grad).abs().max()) <= 1e-5 * float(one.grad.abs().max())
    assert deepcopy(fast).state_dict().keys() == plain.state_dict().keys()


@needs_compiler
def test_compiled_run_goes_on_to_the_same_bits(songs, tmp_path):
    notes: list[str] = []
    run_of(songs, tmp_path / "whole", steps=8, notes=notes).train()
    assert not any("uncompiled" in line for line in notes)
    broken = run_of(songs, tmp_path / "broken", steps=8)
    broken.batches = Interrupting(broken.batches, at=3)
    assert 0 < broken.train().steps < 8
    run_of(songs, tmp_path / "broken", steps=8, resume=True).train()
    for name in ("weights", "progress"):
        one = checkpoint.read(tmp_path / "whole" / f"{name}.safetensors").tensors
        other = checkpoint.read(tmp_path / "broken" / f"{name}.safetensors").tensors
        assert one.keys() == other.keys()
        for key in one:
            assert one[key].equal(other[key]), key
    network = checkpoint.load(tmp_path / "whole" / "weights.safetensors")
    assert network.architecture == "band_split_rnn"


def test_without_a_compiler_a_run_goes_on_with_a_note(songs, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    kernel_library.library.cache_clear()
    notes: list[str] = []
    try:
        outcome = run_of(songs, tmp_path / "run", steps=2, notes=notes).train()
    finally:
        kernel_library.library.cache_clear()
    assert outcome.finished
    assert sum("uncompiled" in line and "no-such-compiler" in line for line in notes) == 1


def test_part_that_cannot_be_compiled_goes_on_with_a_note(monkeypatch):
    def failing(*given, **named):
        raise torch._dynamo.exc.BackendCompilerFailed("inductor", RuntimeError("no luck"), None)

    monkeypatch.setattr(torch, "compile", lambda call, **options: failing)
    part, notes, x = nn.Linear(3, 3), [], torch.randn(2, 3)
    acceleration.compile_part(part, notes.append)
    first, second = part(x), part(x)
    assert first.equal(second) and first.equal(nn.functional.linear(x, part.weight, part.bias))
    assert len(notes) == 1 and "Linear" in notes[0]


def test_old_runs_go_on_and_the_key_is_part_of_what_is_trained():
    plain = Recipe(architecture="unet")
    assert plain.digest == Recipe(architecture="unet", compiled=False).digest
    assert plain.digest != Recipe(architecture="unet", compiled=True).digest
