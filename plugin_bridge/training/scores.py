"""Scores of one song: BSSEval 4 and 3, SDR over the whole song, SI-SDR, and the ratios of the second paper.

References that are silent have no score, which is NaN throughout. Ratios stay within `LIMIT_DB`, so that a
perfect estimate has a number too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.training.scores_projection import Projection

LIMIT_DB = 300.0
"""Where ratios end on either side: about the square of float64's resolution."""

Scores = dict[str, NDArray[np.float64]]
"""A value in dB for each source, by the name of the score; NaN where it is not defined."""

Stems = NDArray[np.floating]


def decibels(above: NDArray[np.float64] | float, below: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The ratio of two energies in dB, within `LIMIT_DB`; NaN where both are 0.

    >>> decibels(100.0, 1.0).item(), decibels(1.0, 0.0).item()
    (20.0, 300.0)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 10 * (np.log10(np.asarray(above, np.float64)) - np.log10(np.asarray(below, np.float64)))
    return np.asarray(np.clip(ratio, -LIMIT_DB, LIMIT_DB))


def silent(stems: Stems) -> NDArray[np.bool_]:
    """Which sources are digital silence. Shape: `(sources, channels, frames)` to `(sources,)`."""
    return np.asarray(~np.any(stems, axis=(1, 2)))


class SongReferences:
    """The stems of a song, `(sources, channels, frames)`, ready to score any number of estimates of it."""

    def __init__(self, stems: Stems, sample_rate: int) -> None:
        self.stems, self.sample_rate = stems, sample_rate
        self._sounding = np.flatnonzero(~silent(stems))
        self._projection = Projection(stems[self._sounding]) if len(self._sounding) else None

    def framewise(self, estimates: Stems) -> tuple[Scores, NDArray[np.int64]]:
        """BSSEval 4: medians over frames of one second, and how many frames each source was scored in.

        A frame in which a source that sounds elsewhere in the song is silent is left out, as museval
        leaves it out; a silent estimate has 0 dB SDR and ISR there and neither SIR nor SAR (museval leaves
        such frames out as well, which a model that falls silent would profit from).
        """
        made = self._undefined(("sdr", "isr", "sir", "sar"))
        counts = np.zeros(len(self.stems), np.int64)
        if self._projection is None:
            return made, counts
        parts = self._projection.energies(estimates[self._sounding], self.sample_rate)
        whole = (parts.true > 0).all(axis=0)
        found = {
            "sdr": decibels(parts.true, parts.estimate_minus_true),
            "isr": decibels(parts.true, parts.target_minus_true),
            "sir": decibels(parts.target, parts.all_minus_target),
            "sar": decibels(parts.all, parts.estimate_minus_all),
        }
        mute = self._silent_frames(estimates)
        for name, values in found.items():
            if name in ("sir", "sar"):
                values = np.where(mute, np.nan, values)
            made[name][self._sounding] = _nanmedian(values[:, whole])
        counts[self._sounding] = np.count_nonzero(whole)
        return made, counts

    def _silent_frames(self, estimates: Stems) -> NDArray[np.bool_]:
        frame = min(self.sample_rate, estimates.shape[-1])
        kept = estimates[self._sounding, :, : estimates.shape[-1] // frame * frame]
        return np.asarray(~np.any(kept.reshape(*kept.shape[:2], -1, frame), axis=(1, 3)))

    def whole(self, estimates: Stems) -> Scores:
        """BSSEval 3 for sources (`bss_eval_sources`): SDR, SIR and SAR over the whole song.

        Raises `ValueError` for stems of more than one channel.
        """
        if self.stems.shape[1] != 1:
            raise ValueError(f"BSSEval 3 is for one channel, got {self.stems.shape[1]}; mix them down")
        made = self._undefined(("sdr", "sir", "sar"))
        if self._projection is None:
            return made
        parts = self._projection.energies(estimates[self._sounding])
        mute = silent(estimates)[self._sounding, None]
        found = {
            "sdr": decibels(parts.target, parts.estimate_minus_target),
            "sir": decibels(parts.target, parts.all_minus_target),
            "sar": decibels(parts.all, parts.estimate_minus_all),
        }
        for name, values in found.items():
            made[name][self._sounding] = np.where(mute, np.nan, values)[:, 0]
        return made

    def _undefined(self, names: tuple[str, ...]) -> Scores:
        return {name: np.full(len(self.stems), np.nan) for name in names}


def global_sdr(references: Stems, estimates: Stems) -> NDArray[np.float64]:
    """Signal over error of the whole song, all channels, as the Sound Demixing Challenges score."""
    above, below = _energy(references), _energy(np.asarray(estimates, np.float64) - references)
    return np.where(above > 0, decibels(above, below), np.nan)


def si_sdr(references: Stems, estimates: Stems) -> NDArray[np.float64]:
    """Scale-invariant SDR of the whole song (Le Roux et al., ICASSP 2019, eq. 3); NaN for silence."""
    flat, heard = _flat(references), _flat(estimates)
    power = np.sum(flat**2, axis=1)
    gain = np.sum(flat * heard, axis=1) / np.where(power > 0, power, 1.0)
    scaled = gain[:, None] * flat
    ratio = decibels(np.sum(scaled**2, axis=1), np.sum((heard - scaled) ** 2, axis=1))
    return np.where(power > 0, ratio, np.nan)


def paper001_ratios(references: Stems, estimates: Stems) -> Scores:
    """SDR, SIR and SAR as Polimeno et al. define them (eqs. 1 to 3), with gains where BSSEval has filters.

    Its equation 2 takes the target by orthogonal projection on the reference and leaves open how "the
    remaining unwanted source content" is found; here it is what all references together explain of the
    estimate beyond that. Equation 3 compares the reference in its best scaling with all that is left of the
    estimate, which is SI-SDR. That reading alone allows a SAR (0.31 dB) below the SDR (3.22 dB), as the
    paper reports: an estimate that is too quiet loses SAR and not SDR.
    """
    flat, heard = _flat(references), _flat(estimates)
    power = np.sum(flat**2, axis=1)
    gain = np.sum(flat * heard, axis=1) / np.where(power > 0, power, 1.0)
    target = gain[:, None] * flat
    mixing = np.linalg.pinv(flat @ flat.T, rcond=1e-12, hermitian=True) @ (flat @ heard.T)
    interference = mixing.T @ flat - target
    sir = decibels(np.sum(target**2, axis=1), np.sum(interference**2, axis=1))
    return {
        "sdr": global_sdr(references, estimates),
        "sir": np.where(power > 0, sir, np.nan),
        "sar": si_sdr(references, estimates),
    }


def _flat(stems: Stems) -> NDArray[np.float64]:
    return np.asarray(stems, np.float64).reshape(len(stems), -1)


def _energy(stems: Stems) -> NDArray[np.float64]:
    return np.asarray(np.sum(_flat(stems) ** 2, axis=1))


def _nanmedian(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians along the last axis; NaN where there is no number, without numpy's warning."""
    return np.array(
        [np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in values]
    )
