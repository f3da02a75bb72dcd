"""The five laws, for every separator there is.

Every model of the catalogue is found by name, every architecture of a network by its `tiny` presets, with
random weights; wrappers (another rate, windows) are separators too and are held to the same laws.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from plugin_bridge.separation import catalogue, networks
from plugin_bridge.separation.classical.bands import Bands
from plugin_bridge.separation.gate import LOUDEST
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.rate import at_rate
from plugin_bridge.separation.separator import Separator, StreamingSeparator
from plugin_bridge.separation.stereo import InStereo
from plugin_bridge.separation.stream import Reblocked
from plugin_bridge.separation.windowed import Windowed
from tests.graph_models import drawn, in_onnx_runtime

WRAPPED = {
    "bands at 48 kHz": lambda: at_rate(catalogue.load("bands"), 48000),
    "bands at 8 kHz": lambda: at_rate(catalogue.load("bands"), 8000),
    "bands at 192 kHz": lambda: at_rate(catalogue.load("bands"), 192000),
    "bands at an odd rate": lambda: at_rate(catalogue.load("bands"), 47999),
    "bands in windows": lambda: Windowed(Bands(taps=65), 6000, 2000),
    "repet at 48 kHz": lambda: at_rate(catalogue.load("repet"), 48000),
    "spectral subtraction in windows": lambda: Windowed(catalogue.load("spectral_subtraction"), 40000, 30000),
    "mono bands with a small hop": lambda: Bands(channels=1, hop=32, taps=129),
    "a mono network on left and right": lambda: InStereo(in_onnx_runtime(drawn(channels=1)), "left_right"),
    "a mono network in windows on mid and side": lambda: InStereo(
        NetworkSeparator(networks.build("unet", {"preset": "tiny", "channels": 1})), "mid_side"
    ),
    "a mono network on mid and side": lambda: InStereo(in_onnx_runtime(drawn(channels=1)), "mid_side"),
    "a network in ONNX Runtime": lambda: in_onnx_runtime(drawn()),
    "a network in ONNX Runtime in 8 bits": lambda: in_onnx_runtime(drawn(), "int8"),
}
UNTRAINED = {
    f"{architecture} {preset}": (architecture, preset)
    for architecture in networks.architectures()
    for preset in networks.presets(architecture)
    if preset.startswith("tiny")
}
WHOLE_SIGNAL = {"repet at 48 kHz"}
EVERY = [*catalogue.names(), *WRAPPED, *UNTRAINED]
STREAMING = [
    name
    for name in EVERY
    if (name in WRAPPED or name in UNTRAINED or catalogue.card(name).streaming) and name not in WHOLE_SIGNAL
]


def found(name: str) -> Separator:
    if name in UNTRAINED:
        architecture, preset = UNTRAINED[name]
        torch.manual_seed(1)
        return NetworkSeparator(networks.build(architecture, {"preset": preset}))
    return WRAPPED[name]() if name in WRAPPED else catalogue.load(name)


def test_every_architecture_has_a_small_form_to_test() -> None:
    assert {architecture for architecture, _ in UNTRAINED.values()} == set(networks.architectures())


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small networks on one thread: more would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=EVERY, scope="module")
def separator(request: pytest.FixtureRequest) -> Separator:
    return found(request.param)


@pytest.fixture(params=STREAMING, scope="module")
def streaming(request: pytest.FixtureRequest) -> StreamingSeparator:
    return found(request.param)


def test_every_separator_that_can_stream_is_held_to_the_streaming_laws() -> None:
    assert {name for name in EVERY if isinstance(found(name), StreamingSeparator)} == set(STREAMING)


def song(separator: Separator, seconds: float = 0.7, seed: int = 5) -> np.ndarray:
    """A voice-like tone over a chord and clicks that repeat every second, and noise, `(channels, frames)`."""
    rng = np.random.default_rng(seed)
    rate = separator.sample_rate
    t = np.arange(round(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * f * t) for f in (110, 440, 1230)) * np.exp(-4 * (t % 1.0))
    voice = np.sin(2 * np.pi * 600 * t + 8 * np.sin(2 * np.pi * 0.37 * t))
    tones = chord + voice
    clicks = (np.arange(t.size) % (rate // 4) < 30) * rng.standard_normal(t.size)
    channels = [tones * g + clicks + 0.05 * rng.standard_normal(t.size) for g in (1.0, 0.6)]
    return (0.15 * np.stack(channels[: separator.channels])).astype(np.float32)


def streamed(separator: StreamingSeparator, mix: np.ndarray, stream=None) -> np.ndarray:
    """The stream's output for `mix` and enough silence to get all of it, latency still in."""
    stream = stream or separator.stream()
    room = -(-(mix.shape[1] + stream.latency) // stream.hop) * stream.hop
    padded = np.pad(mix, ((0, 0), (0, room - mix.shape[1])))
    return np.concatenate(
        [stream.process(padded[:, at : at + stream.hop]) for at in range(0, room, stream.hop)], 2
    )


def test_law_1_null(separator: Separator) -> None:
    mix = song(separator)
    stems = separator.separate(mix)
    assert stems.dtype == np.float32
    assert stems.shape == (len(separator.sources), *mix.shape)
    assert np.abs(stems.sum(0) - mix).max() < 1e-4


def test_more_than_one_stem_sounds(separator: Separator) -> None:
    # A separator that gave everything to one stem would keep every law.
    stems = separator.separate(song(separator, 4.0))
    assert sum(np.abs(stem).max() > 1e-3 for stem in stems) >= 2


def test_law_1_null_in_the_stream(streaming: StreamingSeparator) -> None:
    mix, stream = song(streaming), streaming.stream()
    out = streamed(streaming, mix, stream).sum(0)
    assert not out[:, : stream.latency].any()
    assert np.abs(out[:, stream.latency : stream.latency + mix.shape[1]] - mix).max() < 1e-4


def test_law_2_streaming_equals_offline(streaming: StreamingSeparator) -> None:
    mix, stream = song(streaming), streaming.stream()
    out = streamed(streaming, mix, stream)[..., stream.latency : stream.latency + mix.shape[1]]
    assert np.abs(out - streaming.separate(mix)).max() < 1e-5


@pytest.mark.parametrize("sizes", [(1,), (97,), (512,), (4096, 1, 777)])
def test_law_2_for_any_block(streaming: StreamingSeparator, sizes: tuple[int, ...]) -> None:
    mix = song(streaming, 0.1)
    blocks = Reblocked(streaming.stream(), streaming.channels, len(streaming.sources))
    if blocks.latency > 2 * streaming.sample_rate and sizes == (1,):
        pytest.skip("one frame at a time through seconds of latency takes minutes")
    padded, out, at, turn = np.pad(mix, ((0, 0), (0, blocks.latency))), [], 0, 0
    while at < padded.shape[1]:
        block = padded[:, at : at + sizes[turn % len(sizes)]]
        out.append(blocks.process(block))
        assert out[-1].shape[2] == block.shape[1]
        at, turn = at + block.shape[1], turn + 1
    whole = np.concatenate(out, 2)[..., blocks.latency :]
    assert np.abs(whole - streaming.separate(mix)).max() < 1e-5


def test_law_3_causality(streaming: StreamingSeparator) -> None:
    mix, stream = song(streaming), streaming.stream()
    changed = mix.copy()
    n = (mix.shape[1] * 2) // 3
    changed[:, n:] = 0.3 * np.random.default_rng(1).standard_normal(changed[:, n:].shape)
    first = n // stream.hop * stream.hop
    one, other = streamed(streaming, mix), streamed(streaming, changed)
    assert np.array_equal(one[..., :first], other[..., :first])
    assert np.abs(one[..., first:] - other[..., first:]).max() > 1e-3
    safe = max(0, n - stream.latency - stream.hop)
    assert np.array_equal(streaming.separate(mix)[..., :safe], streaming.separate(changed)[..., :safe])


def test_law_4_independence(streaming: StreamingSeparator) -> None:
    mix, noise = song(streaming), song(streaming, seed=9)
    one, other = streaming.stream(), streaming.stream()
    alone = streamed(streaming, mix)
    hop, together = one.hop, []
    for at in range(0, alone.shape[2], hop):
        block = np.zeros((streaming.channels, hop), np.float32)
        piece = mix[:, at : at + hop]
        block[:, : piece.shape[1]] = piece
        together.append(one.process(block))
        other.process(noise[:, :hop] if noise.shape[1] >= hop else block * 0.5)
    assert np.array_equal(np.concatenate(together, 2), alone)
    one.reset()
    assert np.array_equal(streamed(streaming, mix, one), alone)


@pytest.mark.parametrize(
    "bad",
    [np.nan, np.inf, -np.inf, 3e38, 1e-42, 1.0, -LOUDEST],
    ids=["nan", "inf", "-inf", "huge", "denormal", "full scale", "loudest"],
)
def test_law_5_finite_for_any_value(separator: Separator, bad: float) -> None:
    mix = song(separator, 0.2)
    mix[:, 100:400] = bad
    clean = np.where(np.abs(mix) <= LOUDEST, mix, 0)
    stems = separator.separate(mix)
    assert np.isfinite(stems).all()
    assert np.abs(stems.sum(0) - clean).max() <= 1e-4 * max(1.0, float(np.abs(clean).max()))
    everything = np.full((separator.channels, 3000), bad, np.float32)
    assert np.isfinite(separator.separate(everything)).all()


@pytest.mark.parametrize("frames", [0, 1, 2, 17])
def test_law_5_finite_for_any_length(separator: Separator, frames: int) -> None:
    mix = song(separator)[:, 3000 : 3000 + frames]
    stems = separator.separate(mix)
    assert stems.shape == (len(separator.sources), separator.channels, frames)
    assert np.isfinite(stems).all()
    assert not frames or np.abs(stems.sum(0) - mix).max() < 1e-4


def test_law_5_finite_for_nan_in_a_stream(streaming: StreamingSeparator) -> None:
    mix = song(streaming, 0.2)
    mix[0, ::7] = np.nan
    out = streamed(streaming, mix)
    assert np.isfinite(out).all()


def test_law_5_silence_stays_silence(separator: Separator) -> None:
    stems = separator.separate(np.zeros((separator.channels, separator.sample_rate // 4), np.float32))
    assert not stems.any()


def test_law_5_silence_resets_a_stream(streaming: StreamingSeparator) -> None:
    stream = streaming.stream()
    mix = song(streaming, 0.3)
    alone = streamed(streaming, mix, stream)
    silence = np.zeros((streaming.channels, stream.hop), np.float32)
    needed = (stream.latency + stream.tail) // stream.hop + 2  # type: ignore[attr-defined]
    for _ in range(needed):
        last = stream.process(silence)
    assert not last.any()
    assert np.array_equal(streamed(streaming, mix, stream), alone)


def test_law_5_silence_in_the_middle_of_a_signal(streaming: StreamingSeparator) -> None:
    stream = streaming.stream()
    mix = song(streaming, 0.3)
    gap = -(-(mix.shape[1] + stream.latency + stream.tail + stream.hop) // stream.hop) * stream.hop  # type: ignore[attr-defined]
    padded = np.pad(mix, ((0, 0), (0, gap * 2 - mix.shape[1])))
    stems = streaming.separate(np.concatenate((padded, mix), 1))
    assert not stems[..., mix.shape[1] + stream.latency + stream.tail : padded.shape[1]].any()  # type: ignore[attr-defined]
    assert np.array_equal(stems[..., padded.shape[1] :], streaming.separate(mix))


def test_the_input_is_never_changed(separator: Separator) -> None:
    mix = song(separator, 0.2)
    mix[0, 10] = np.nan
    before = mix.copy()
    separator.separate(mix)
    assert np.array_equal(mix, before, equal_nan=True)


def test_separation_is_deterministic(separator: Separator) -> None:
    mix = song(separator, 0.3)
    assert np.array_equal(separator.separate(mix), separator.separate(mix))


@pytest.mark.parametrize("wrong", [np.zeros(100, np.float32), np.zeros((7, 100), np.float32)])
def test_a_wrong_shape_is_refused(separator: Separator, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"mix must have shape"):
        separator.separate(wrong)


def test_a_wrong_type_is_refused(separator: Separator) -> None:
    with pytest.raises(TypeError, match=r"mix must be a float32 or float64 array, got int16"):
        separator.separate(np.zeros((separator.channels, 100), np.int16))
