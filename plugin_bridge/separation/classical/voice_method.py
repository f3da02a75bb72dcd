"""What the methods that part a voice from its accompaniment in a spectrogram have in common."""

from __future__ import annotations

from dataclasses import dataclass

from plugin_bridge.separation.classical.limits import check_format
from plugin_bridge.separation.spectral import Stft
from plugin_bridge.separation.whole_signal import WholeSignalSeparator


@dataclass(frozen=True)
class VoiceMethod(WholeSignalSeparator):
    """The format and the grid of frames; the accompaniment takes what the voice leaves.

    Raises `ValueError` for settings out of range.
    """

    sources = ("vocals", "accompaniment")

    sample_rate: int = 44100
    channels: int = 2
    window: int = 2048
    hop: int = 512

    def __post_init__(self) -> None:
        check_format(self.sample_rate, self.channels)
        self.stft  # noqa: B018  # refuses a grid that cannot reconstruct

    @property
    def stft(self) -> Stft:
        """The grid of frames."""
        return Stft(self.window, self.hop)
