"""A short-time Fourier transform for low delay: long windows to analyse, short ones to synthesise.

Frequencies are resolved by the long past of the analysis window, while only the newest frames of each inverse
transform are overlapped and added, so that the delay is that of the short window (Wang et al., "STFT-domain
neural speech enhancement with very low algorithmic latency", 2022). Every step is that of a stream.
"""

import torch
from torch import Tensor, nn

from plugin_bridge.separation.short_transform import window_pair


class ShortSynthesis(nn.Module):
    """Spectra of the last `window` frames every `hop`, and signals from the last `synthesis` frames of each.

    A signal that goes through both comes out unchanged, `latency` frames late. Bins are scaled so that a
    full-scale sine is near 1. Raises `ValueError` unless `synthesis` is an even multiple of at least twice
    `hop` and at most `window`, which must be even.
    """

    analysis: Tensor
    synthesis: Tensor

    def __init__(self, window: int, synthesis: int, hop: int) -> None:
        super().__init__()
        if not (0 < 2 * hop <= synthesis <= window and synthesis % hop == synthesis % 2 == window % 2 == 0):
            raise ValueError(
                "synthesis must be even, a multiple of hop, at least twice it and at most the even window, "
                f"got a synthesis of {synthesis}, a hop of {hop} and a window of {window}"
            )
        self.size, self.hop, self.bins = window, hop, window // 2 + 1
        self.overlaps = synthesis // hop
        self.latency, self.past = synthesis - hop, window - hop
        # In double precision, and numbers wherever the network is made.
        analysis, short = map(torch.from_numpy, window_pair(window, synthesis))
        self.scale = 2 / float(analysis.sum())
        self.register_buffer("analysis", (analysis * self.scale).float(), persistent=False)
        self.register_buffer(
            "synthesis", (short * 2 / (self.overlaps * self.scale)).float(), persistent=False
        )

    def analyse(self, audio: Tensor) -> Tensor:
        """Spectra of what comes after the first `past` frames.

        Shape: `(..., past + steps * hop)` to complex `(..., steps, bins)`.
        """
        spectra: Tensor = torch.fft.rfft(audio.unfold(-1, self.size, self.hop) * self.analysis)
        return spectra

    def synthesise(self, spectra: Tensor, begun: Tensor) -> tuple[Tensor, Tensor]:
        """The signal of spectra, `latency` frames late, on top of what was begun before; and what is begun.

        Shape: complex `(..., steps, bins)` and `(..., latency)` to `(..., steps * hop)` and `(..., latency)`.
        """
        steps, kept = spectra.shape[-2], self.synthesis.shape[0]
        pieces = torch.fft.irfft(spectra, self.size)[..., self.size - kept :] * self.synthesis
        pieces = pieces.reshape(*pieces.shape[:-1], self.overlaps, self.hop)
        audio = nn.functional.pad(begun, (0, steps * self.hop)).reshape(*begun.shape[:-1], -1, self.hop)
        for part in range(self.overlaps):
            later = self.overlaps - 1 - part
            audio = audio + nn.functional.pad(pieces[..., part, :], (0, 0, part, later))
        whole = audio.flatten(-2)
        return whole[..., : steps * self.hop], whole[..., steps * self.hop :]
