"""Pictures of a song before and after: waveforms, spectrograms, masks, and a network's channel weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plugin_bridge.errors import ModelError
from plugin_bridge.separation.layers.squeeze_excitation import excitations
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.separation.separator import Audio, Stems
from plugin_bridge.separation.spectral import Stft
from plugin_bridge.training.datasets import Song
from plugin_bridge.training.evaluation_forms import fitted, grouping, separated
from plugin_bridge.training.evaluation_models import Subject, subject
from plugin_bridge.training.evaluation_songs import HeardSong, heard, songs_in
from plugin_bridge.training.figures_scores import save
from plugin_bridge.training.oracle import ideal_masks

_RANGE_DB = 80.0
_MOST_POINTS = 2000


def of_model(name: str, data: Path, songs: Sequence[str] | None, folder: Path, device: str) -> list[Path]:
    """All pictures of a model on songs, by name the first two of the folder; the files' names.

    Raises as `subject` and `songs_in`; `ValueError` for a song that is not there, `ModelError` for an oracle.
    """
    scored = subject(name, device=device)
    if scored.separator is None:
        raise ModelError(f"pictures must be of a model, got the mask {name}")
    group = grouping(scored.separator.sources, {}, pair=False)
    form = separated(scored.separator, group)
    chosen = [heard(song) for song in _chosen(songs_in(data, tuple(group.parts)), songs)]
    made = []
    for song in chosen:
        stems, label = form.estimate(song), _file_name(song.name)
        made.append(save(waveforms(song, stems), folder, f"{label}-waveforms"))
        made.append(save(spectrograms(song, stems), folder, f"{label}-spectrograms"))
        made.append(save(masks(song, stems), folder, f"{label}-masks"))
    weights = channel_weights(scored, chosen)
    if weights:
        made.append(save(weight_curves(weights), folder, "channel-weights"))
    return made


def waveforms(song: HeardSong, stems: Stems) -> Figure:
    """The mix on top, and of each source the true stem beside the estimate."""
    figure, panels = _grid(song, "waveform")
    peak = float(np.abs(song.mix).max()) or 1.0
    for panel, audio in zip(panels, _pictured(song, stems), strict=True):
        low, high = _envelope(audio)
        seconds = np.linspace(0, song.seconds, len(low))
        panel.fill_between(seconds, low, high, linewidth=0.3)
        panel.set_ylim(-peak, peak)
    return figure


def spectrograms(song: HeardSong, stems: Stems) -> Figure:
    """The mix on top, and of each source the true stem beside the estimate, in dB below the mix's loudest."""
    figure, panels = _grid(song, "spectrogram")
    grid = Stft()
    levels = [_decibels(np.abs(grid.analyse(audio.mean(axis=0)))) for audio in _pictured(song, stems)]
    top = max(float(level.max()) for level in levels)
    for panel, level in zip(panels, levels, strict=True):
        _image(panel, level, song, vmin=top - _RANGE_DB, vmax=top, cmap="magma")
    return figure


def masks(song: HeardSong, stems: Stems) -> Figure:
    """The share of each source in each cell of the spectrogram: ideal on the left, estimated on the right."""
    figure = Figure(figsize=(11, 2.2 * len(stems)), layout="constrained")
    panels = figure.subplots(len(stems), 2, squeeze=False, sharex=True, sharey=True)
    ideal, ours = ideal_masks(song.stems, "ratio"), ideal_masks(stems, "ratio")
    for row, source in enumerate(song.sources):
        for column, (title, shares) in enumerate((("ideal", ideal), ("estimated", ours))):
            panel = panels[row, column]
            image = _image(panel, shares[row].mean(axis=0), song, vmin=0, vmax=1, cmap="viridis")
            panel.set_title(f"{source}: {title} ratio mask", fontsize=9)
    figure.colorbar(image, ax=panels, label="share")
    figure.suptitle(song.name)
    return figure


def channel_weights(scored: Subject, songs: Sequence[HeardSong]) -> dict[str, dict[str, NDArray[np.float32]]]:
    """The squeeze-and-excitation weights of a network by song and layer, of a window from the song's middle.

    Empty for what has no such layers. Shape: each `(channels,)`.
    """
    separator = scored.separator
    if not isinstance(separator, NetworkSeparator):
        return {}
    network, found = separator.network, {}
    for song in songs:
        mix = fitted(song, separator)
        window = round(network.config.window_seconds * network.sample_rate)
        start = max(0, (mix.shape[-1] - window) // 2)
        given = torch.tensor(mix[None, :, start : start + window], device=network.device)
        with torch.inference_mode(), excitations(network) as seen:
            network(given)
        found[song.name] = {layer: weights[0].float().numpy() for layer, weights in seen.items()}
    return {name: layers for name, layers in found.items() if layers}


def weight_curves(weights: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> Figure:
    """Weights by channel, a row for each layer, and on the right the difference of the first two songs.

    After Zhang 2024, figs. 4.3 and 4.4.
    """
    songs = list(weights)
    layers = list(weights[songs[0]])
    figure = Figure(figsize=(11, 1 + 1.6 * len(layers)), layout="constrained")
    panels = figure.subplots(len(layers), 2, squeeze=False)
    for (left, right), layer in zip(panels, layers, strict=True):
        for song in songs:
            left.plot(weights[song][layer], label=song, linewidth=0.8)
        left.set_ylim(0, 1)
        left.set_ylabel(layer, fontsize=6)
        if len(songs) > 1:
            right.bar(
                range(len(weights[songs[0]][layer])), weights[songs[0]][layer] - weights[songs[1]][layer]
            )
            right.set_ylim(-0.5, 0.5)
    panels[0, 0].legend(fontsize=7)
    panels[0, 0].set_title("weight by channel", fontsize=9)
    panels[0, 1].set_title("difference of the first two songs", fontsize=9)
    return figure


def _pictured(song: HeardSong, stems: Stems) -> list[Audio]:
    """The mix, then true and estimated stems in turn."""
    return [song.mix, *(audio for pair in zip(song.stems, stems, strict=True) for audio in pair)]


def _grid(song: HeardSong, what: str) -> tuple[Figure, list[Any]]:
    """A panel for the mix over two columns of stems, in the order of `_pictured`."""
    rows = len(song.sources) + 1
    figure = Figure(figsize=(11, 1.7 * rows), layout="constrained")
    shape = figure.add_gridspec(rows, 2)
    panels = [figure.add_subplot(shape[0, :])]
    panels[0].set_title(f"mix: {what}", fontsize=9)
    for row, source in enumerate(song.sources, start=1):
        for column, title in enumerate(("true", "estimated")):
            panel = figure.add_subplot(shape[row, column])
            panel.set_title(f"{source}: {title}", fontsize=9)
            panels.append(panel)
    figure.suptitle(song.name)
    return figure, panels


def _image(panel: Any, values: NDArray[np.floating], song: HeardSong, **settings: Any) -> Any:
    extent = (0.0, song.seconds, 0.0, song.sample_rate / 2000)
    image = panel.imshow(values, origin="lower", aspect="auto", extent=extent, **settings)
    panel.set_ylabel("kHz", fontsize=8)
    return image


def _envelope(audio: Audio) -> tuple[Audio, Audio]:
    """The least and largest samples of all channels in each of so many stretches."""
    step = max(1, -(-audio.shape[-1] // _MOST_POINTS))
    whole = np.pad(audio, ((0, 0), (0, -audio.shape[-1] % step))).reshape(len(audio), -1, step)
    return whole.min(axis=(0, 2)), whole.max(axis=(0, 2))


def _decibels(magnitudes: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(20 * np.log10(np.maximum(magnitudes, 1e-8)))


def _chosen(songs: Sequence[Song], names: Sequence[str] | None) -> list[Song]:
    if not names:
        return list(songs[:2])
    known = {song.name: song for song in songs}
    for name in names:
        if name not in known:
            raise ValueError(f"a song must be one of the folder's {len(known)}, got '{name}'")
    return [known[name] for name in names]


def _file_name(song: str) -> str:
    return re.sub(r"[^\w.-]+", "_", song)
