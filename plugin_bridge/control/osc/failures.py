"""What goes wrong, as the codes of `/fail`."""

from __future__ import annotations

import os

from plugin_bridge.control.address_space.actions import Forbidden, UnknownName
from plugin_bridge.control.osc.codec import encode
from plugin_bridge.errors import ModelError, PluginBridgeError, PresetError, UnknownAddress
from plugin_bridge.folders import data_folders

CODES = ("unknown_address", "bad_type", "out_of_range", "busy", "not_found", "forbidden", "internal")
_LONGEST_MESSAGE = 300


class Busy(Exception):
    """Too much is asked for at once."""


_BY_KIND: tuple[tuple[type[Exception], str], ...] = (
    (UnknownName, "not_found"),
    (UnknownAddress, "unknown_address"),
    (Busy, "busy"),
    (Forbidden, "forbidden"),
    (PluginBridgeError, "forbidden"),  # a preset or model that is there and is refused
    (TypeError, "bad_type"),
    (ValueError, "out_of_range"),
)

REFUSALS = tuple(kind for kind, _ in _BY_KIND)
"""What may be wrong with what is asked for."""


def code_of(error: Exception) -> str:
    """The code of an error; `internal` for one that should not be."""
    return next((code for kind, code in _BY_KIND if isinstance(error, kind)), "internal")


def failure(address: str, error: Exception) -> bytes:
    """The packet that tells of an error; files go by name, as where they lie is no sender's business."""
    message = str(error) or type(error).__name__
    if isinstance(error, ModelError | PresetError):
        for folder in (*data_folders("presets"), *data_folders("models")):
            message = message.replace(f"{folder}{os.sep}", "")
    return encode("/fail", "sss", (address, code_of(error), message[:_LONGEST_MESSAGE]))
