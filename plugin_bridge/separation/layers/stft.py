"""The short-time Fourier transform of networks: differentiable, on any device, for any length."""

import torch
from torch import Tensor, nn


class Stft(nn.Module):
    """Spectra of `window` frames every `hop`, a Hann window on both ways, steps centred on their frame.

    The signal counts as silent before and after, so that even one frame can be transformed. `hop` up to
    three quarters of `window` can be inverted.
    """

    window: Tensor

    def __init__(self, window: int, hop: int) -> None:
        super().__init__()
        if not 0 < hop <= 0.75 * window:
            raise ValueError(f"hop must be above 0 and at most 3/4 of the window of {window}, got {hop}")
        self.size, self.hop, self.bins = window, hop, window // 2 + 1
        self.register_buffer("window", torch.hann_window(window), persistent=False)

    def analyse(self, audio: Tensor) -> Tensor:
        """Spectra of a signal.

        Shape: `(..., frames)` to complex `(..., bins, steps)`, where `steps` is `ceil(frames / hop) + 1`.
        """
        frames = audio.shape[-1]
        flat = nn.functional.pad(audio.reshape(-1, frames), (0, -frames % self.hop))
        spectra = torch.stft(
            flat, self.size, self.hop, window=self.window, pad_mode="constant", return_complex=True
        )
        return spectra.reshape(audio.shape[:-1] + spectra.shape[1:])

    def synthesise(self, spectra: Tensor, frames: int) -> Tensor:
        """The signal of spectra.

        Shape: complex `(..., bins, steps)` to `(..., frames)`.
        """
        flat = spectra.reshape(-1, self.bins, spectra.shape[-1])
        room = (spectra.shape[-1] - 1) * self.hop
        audio = torch.istft(flat, self.size, self.hop, window=self.window, length=room)
        return audio.reshape(spectra.shape[:-2] + audio.shape[1:])[..., :frames]
