"""Compute devices by name."""

from plugin_bridge.errors import DeviceError

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
