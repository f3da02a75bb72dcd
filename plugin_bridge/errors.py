"""Named errors for what goes wrong in the world: files, models, presets, devices, addresses.

Misuse of a function raises `ValueError` or `TypeError`; these are for what a correct program still
meets. Every message is one sentence: what must hold, what was got, what to do.
"""


class PluginBridgeError(Exception):
    """The family of all named errors; the command line prints its message and no traceback."""


class ModelError(PluginBridgeError):
    """A model folder, card or weights file is missing, broken or of another architecture."""


class PresetError(PluginBridgeError):
    """A preset is missing, malformed, or asks for what the model or the effects do not have."""


class AudioFileError(PluginBridgeError):
    """A sound file cannot be read or written."""


class DeviceError(PluginBridgeError):
    """A sound or compute device is missing or refuses the settings asked for."""


class UnknownAddress(PluginBridgeError):
    """A control address does not exist."""
