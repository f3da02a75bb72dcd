"""Where models and presets lie: the user's data folder first, then what ships with the package."""

import os
from pathlib import Path

from platformdirs import user_data_path


def data_folders(kind: str) -> list[Path]:
    """Existing folders that hold `kind` ("models" or "presets"), the user's before ours.

    The user's folder is `PLUGIN_BRIDGE_DATA` where that is set, else the platform's data folder for
    `plugin-bridge`. Ours lies inside the package in a wheel and beside it in a checkout.
    """
    package = Path(__file__).resolve().parent
    candidates = (user_folder(kind), package / kind, package.parent / kind)
    return [folder for folder in candidates if folder.is_dir()]


def user_folder(kind: str) -> Path:
    """The folder for the user's own `kind`, which need not exist yet."""
    own = os.environ.get("PLUGIN_BRIDGE_DATA")
    return (Path(own) if own else user_data_path("plugin-bridge")) / kind
