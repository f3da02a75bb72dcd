"""Compute devices by name."""

from typing import TYPE_CHECKING

from plugin_bridge.errors import DeviceError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
"""What a device may be called; `auto` takes the fastest one present."""


def check_device(device: str) -> None:
    """Raise `ValueError` for an unknown name and `DeviceError` for a device that is not there."""
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, got '{device}'")
    if device in ("cuda", "mps") and not _present(device):
        raise DeviceError(f"device {device} must be present, got none that torch can use; choose cpu or auto")


def _present(device: str) -> bool:
    # torch takes seconds to import, and methods without weights never need it.
    import torch

    return torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()


def compute_device(device: str) -> "torch.device":
    """The device of a name, `auto` being the fastest one present. Raises as `check_device`."""
    import torch

    check_device(device)
    if device == "auto":
        device = next((name for name in ("cuda", "mps") if _present(name)), "cpu")
    return torch.device(device)


def half_precision(device: "torch.device") -> "torch.dtype | None":
    """The half-precision type in which whole windows run faster on a device, or None.

    Bfloat16 is left out: its eight bits leave noise at -48 dB. Processors have no fast float16.
    """
    import torch

    return torch.float16 if device.type == "cuda" else None
