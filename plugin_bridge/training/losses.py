"""Distances between estimates and stems."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from plugin_bridge.training.recipe import Objective

Loss = Callable[[Tensor, Tensor], Tensor]

_LOUDEST_RATIO_DB = 30.0
"""The signal-to-distortion ratio, in dB below the mix, beyond which `log_l2` asks for no more."""


def log_l2(estimates: Tensor, stems: Tensor) -> Tensor:
    """The logarithm of each stem's mean square error, averaged: minus the SDR in bels, up to a constant.

    Every stem of every example counts alike, however loud (Heitkaemper et al., "Demystifying TasNet", 2020,
    section 4). Errors 30 dB under the mix are as good as none, so that silent stems count as well (after
    Wisdom et al., "What's all the fuss about free universal sound separation data?", 2021, eq. 3).
    Shape: `(batch, sources, channels, frames)` both.
    """
    error = (estimates - stems).square().mean(dim=(-2, -1))
    floor = stems.sum(1).square().mean(dim=(-2, -1))[:, None] * 10 ** (-_LOUDEST_RATIO_DB / 10)
    return torch.log10(error + floor + 1e-9).mean()


_DISTANCES: dict[str, Loss] = {
    "l1": nn.functional.l1_loss,
    "l2": nn.functional.mse_loss,
    "smooth_l1": nn.functional.smooth_l1_loss,
    "log_l2": log_l2,
}


def loss_of(objective: Objective) -> Loss:
    """The weighted sum of all distances of an objective.

    Estimates and stems are `(batch, sources, channels, frames)`; the Unet-SE-BiSRU paper compares L1, L2 and
    smooth L1 on waveforms (section 4.3). Raises `ValueError` for an objective without a distance, or with
    `log_l2` of spectra.
    """
    if objective.distance == "log_l2" and objective.spectrum:
        raise ValueError("log_l2 must be of waveforms alone, got a weight of spectra; set spectrum to 0")
    parts: list[tuple[float, Loss]] = []
    distance = _DISTANCES[objective.distance]
    if objective.waveform:
        parts.append((objective.waveform, distance))
    if objective.spectrum:
        parts.append((objective.spectrum, spectrum_loss(objective.distance, objective.spectrum_windows)))
    if objective.multi_resolution:
        parts.append((objective.multi_resolution, multi_resolution_loss()))
    if not parts:
        raise ValueError("an objective must weigh a distance, got zero for all; set waveform above 0")

    def total(estimates: Tensor, stems: Tensor) -> Tensor:
        return torch.stack([weight * part(estimates, stems) for weight, part in parts]).sum()

    return total


def spectrum_loss(distance: str, windows: Sequence[int]) -> Loss:
    """A distance of complex spectra, real and imaginary parts as numbers, averaged over the windows.

    Distances see only differences and spectra are linear, so that one spectrum, that of the difference, does.
    """
    measure = _DISTANCES[distance]

    def loss(estimates: Tensor, stems: Tensor) -> Tensor:
        spectra = [_spectrum(estimates - stems, size) for size in windows]
        return torch.stack([measure(each, torch.zeros_like(each)) for each in spectra]).mean()

    return loss


def multi_resolution_loss() -> Loss:
    """Linear and log magnitudes at several resolutions (Yamamoto et al., ICASSP 2020), by auraloss.

    Its spectral convergence divides by the stem's energy, which a silent stem lacks, so it is left out;
    magnitudes are floored some 70 dB under full scale, below which a log magnitude is only noise.
    """
    import auraloss  # slow to import, and few recipes want it

    measure = auraloss.freq.MultiResolutionSTFTLoss(w_sc=0.0, w_log_mag=1.0, w_lin_mag=1.0, eps=1e-2)

    def loss(estimates: Tensor, stems: Tensor) -> Tensor:
        frames = estimates.shape[-1]
        found: Tensor = measure.to(estimates.device)(
            estimates.float().reshape(-1, 1, frames), stems.float().reshape(-1, 1, frames)
        )
        return found

    return loss


def _spectrum(audio: Tensor, size: int) -> Tensor:
    """Shape: `(..., frames)` to `(all else, bins, steps, 2)`, a full-scale sine being near one."""
    flat = audio.reshape(-1, audio.shape[-1]).float()
    if flat.shape[-1] <= size // 2:
        flat = nn.functional.pad(flat, (0, size // 2 + 1 - flat.shape[-1]))
    window = torch.hann_window(size, device=audio.device) * (2 / size)
    return torch.view_as_real(torch.stft(flat, size, size // 4, window=window, return_complex=True))
