"""The simple recurrent unit against its equations, frame by frame, in double precision."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from plugin_bridge.separation.layers.sru import SRU, SRULayer, halving_scan, scan

torch.set_num_threads(1)


def frame_by_frame(keep: Tensor, entering: Tensor) -> Tensor:
    cells, cell = [], torch.zeros_like(entering[0])
    for k, e in zip(keep, entering, strict=True):
        cell = k * cell + e
        cells.append(cell)
    return torch.stack(cells)


def by_the_equations(layer: SRULayer, x: Tensor) -> Tensor:
    """Outputs of one layer as Lei et al. write them, a direction at a time."""
    width, given = layer.width, x.shape[-1]
    outputs = []
    for direction in range(layer.directions):
        part = slice(direction * width, (direction + 1) * width)
        matrices = [layer.weight[:, m, part] for m in range(layer.matrices)]
        frames = x.flip(0) if direction == 1 else x
        cell, hidden = torch.zeros(x.shape[1], width, dtype=x.dtype), []
        for frame in frames:
            reset = torch.sigmoid(frame @ matrices[1] + layer.reset_bias[part])
            forget = torch.sigmoid(frame @ matrices[0] + layer.forget_bias[part])
            cell = forget * cell + (1 - forget) * (frame @ matrices[2])
            skip = (
                layer.highway * frame[:, part] if given == width * layer.directions else frame @ matrices[3]
            )
            hidden.append(reset * cell + (1 - reset) * skip)
        outputs.append(torch.stack(hidden[::-1] if direction == 1 else hidden))
    return torch.cat(outputs, dim=-1)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 7, 8, 31, 64, 100])
def test_the_scan_is_the_recurrence(frames: int) -> None:
    keep, entering = torch.sigmoid(3 * drawn(frames, 2, 5)), drawn(frames, 2, 5, seed=1)
    assert torch.allclose(scan(keep, entering), frame_by_frame(keep, entering), rtol=0, atol=1e-13)


@pytest.mark.parametrize("frames", [2, 3, 9, 64])
def test_the_gradients_of_the_scan_are_those_of_the_recurrence(frames: int) -> None:
    weights = drawn(frames, 2, 3, seed=2)
    gradients = []
    for form in (scan, halving_scan, frame_by_frame):
        keep = torch.sigmoid(3 * drawn(frames, 2, 3)).requires_grad_()
        entering = drawn(frames, 2, 3, seed=1).requires_grad_()
        (form(keep, entering) * weights).sum().backward()
        gradients.append((keep.grad, entering.grad))
    for keep_gradient, entering_gradient in gradients[:2]:
        assert torch.allclose(keep_gradient, gradients[2][0], rtol=0, atol=1e-12)
        assert torch.allclose(entering_gradient, gradients[2][1], rtol=0, atol=1e-12)


def test_the_gradients_of_the_scan_are_its_differences() -> None:
    keep, entering = torch.sigmoid(drawn(6, 1, 2)).requires_grad_(), drawn(6, 1, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(scan, (keep, entering))


@pytest.mark.parametrize("gate", [0.0, 1e-38, 1e-6, 1 - 1e-6, 1.0])
def test_gates_at_their_ends_stay_exact_over_many_frames(gate: float) -> None:
    entering = drawn(3000, 1, 2)
    keep = torch.full_like(entering, gate)
    keep[1000] = 0.0
    single = keep.float().requires_grad_()
    exact, found = frame_by_frame(single.detach().double(), entering), scan(single, entering.float())
    assert (found - exact).abs().max() < 1e-5 * exact.abs().max()
    found.sum().backward()
    assert single.grad is not None and torch.isfinite(single.grad).all()


def test_half_precision_is_scanned_in_single() -> None:
    keep, entering = torch.sigmoid(drawn(50, 1, 2)), drawn(50, 1, 2, seed=1)
    assert scan(keep.bfloat16(), entering.bfloat16()).dtype == torch.float32


class Counted(TorchDispatchMode):
    """Counts every operation that torch carries out."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.operations += 1
        return func(*args, **(kwargs or {}))


def test_operations_grow_with_the_logarithm_of_the_frames() -> None:
    layer = SRU(4, 4, bidirectional=True)
    counts = []
    for frames in (64, 4096):
        with Counted() as counted:
            layer(torch.zeros(frames, 1, 4))[0].sum().backward()
        counts.append(counted.operations)
    assert counts[1] < 2.5 * counts[0]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("given", [3, 4, 8])
def test_a_layer_is_the_equations(given: int, bidirectional: bool) -> None:
    torch.manual_seed(0)
    layer = SRULayer(given, 4, bidirectional, highway_bias=-1.0).double()
    x = drawn(13, 2, given)
    values, gradients = [], []
    for form in (lambda: layer(x)[0], lambda: by_the_equations(layer, x)):
        layer.zero_grad()
        output = form()
        (output * drawn(*output.shape, seed=3)).sum().backward()
        values.append(output)
        gradients.append([parameter.grad.clone() for parameter in layer.parameters()])
    assert torch.allclose(*values, rtol=0, atol=1e-12)
    for ours, exact in zip(*gradients, strict=True):
        assert torch.allclose(ours, exact, rtol=0, atol=1e-11)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_stack_and_look_like_those_of_torch(bidirectional: bool) -> None:
    torch.manual_seed(0)
    ours = SRU(6, 5, 3, bidirectional=bidirectional)
    theirs = torch.nn.GRU(6, 5, 3, bidirectional=bidirectional)
    x = torch.randn(11, 2, 6)
    for mine, yours in zip(ours(x), theirs(x), strict=True):
        assert mine.shape == yours.shape
    expected = x
    for layer in ours.layers:
        expected = by_the_equations(layer, expected)
    assert torch.allclose(ours(x)[0], expected, atol=1e-5)


def test_the_last_cell_of_each_direction_is_given() -> None:
    torch.manual_seed(0)
    layer = SRULayer(4, 3, True, 0.0)
    x = torch.randn(9, 2, 4)
    forget = torch.sigmoid(x @ layer.weight[:, 0] + layer.forget_bias)
    entering = (1 - forget) * (x @ layer.weight[:, 2])
    last = layer(x)[1]
    assert torch.allclose(last[0], frame_by_frame(forget, entering)[-1, :, :3], atol=1e-6)
    assert torch.allclose(last[1], frame_by_frame(forget.flip(0), entering.flip(0))[-1, :, 3:], atol=1e-6)


def test_fresh_layers_keep_the_level() -> None:
    torch.manual_seed(0)
    output = SRU(256, 128, 4, bidirectional=True)(torch.randn(100, 4, 256))[0]
    assert 0.5 < output.std() < 2.0


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_it_scripts() -> None:
    torch.manual_seed(0)
    layer = SRU(4, 3, 2, bidirectional=True)
    scripted = torch.jit.script(layer)
    for frames in (1, 6, 17):
        x = torch.randn(frames, 2, 4)
        assert torch.allclose(scripted(x)[0], layer(x)[0], atol=1e-6)
