"""The multichannel Wiener filter of Nugraha, Liutkus and Vincent, "Multichannel music separation with deep
neural networks", EUSIPCO 2016: estimates made better by expectation maximisation.

Each source j is a Gaussian with a power v[j] in each bin and step and a covariance R[j] of the channels in
each bin:

    v[j] = mean over channels of |y[j]|^2
    R[j] = sum over steps of y[j] y[j]^H / sum over steps of v[j]
    y[j] = v[j] R[j] (sum over sources of v R + e I)^-1 x
"""

import torch
from torch import Tensor


def wiener_em(mix: Tensor, estimates: Tensor, iterations: int, steps: int) -> Tensor:
    """Estimates after `iterations`, for each `steps` steps by themselves, so that sources may move.

    Shape: complex `(batch, channels, bins, steps)` and `(batch, sources, channels, bins, steps)` to the
    latter.
    """
    # Brings loud spectra into the range for which the summands are meant.
    scale = (mix.abs().amax(dim=(1, 2, 3), keepdim=True) / 10).clamp(min=1.0)
    mix, estimates = mix / scale, estimates / scale[:, None]
    parts = [
        refined(mix[..., at : at + steps], estimates[..., at : at + steps], iterations)
        for at in range(0, mix.shape[-1], steps)
    ]
    return torch.cat(parts, dim=-1) * scale[:, None]


def refined(mix: Tensor, estimates: Tensor, iterations: int) -> Tensor:
    """All iterations, all steps together."""
    identity = torch.eye(mix.shape[1], dtype=mix.dtype, device=mix.device)
    for _ in range(iterations):
        power = estimates.abs().square().mean(dim=2)  # (batch, sources, bins, steps)
        outer = torch.einsum("njcft,njdft->njfcd", estimates, estimates.conj())
        covariance = outer / (power.sum(dim=-1) + 1e-10)[..., None, None]
        total = torch.einsum("njft,njfcd->nftcd", power.to(mix.dtype), covariance) + 1e-5 * identity
        whitened = torch.linalg.solve(total, mix.permute(0, 2, 3, 1)[..., None])[..., 0]
        estimates = torch.einsum("njft,njfcd,nftd->njcft", power.to(mix.dtype), covariance, whitened)
    return estimates
