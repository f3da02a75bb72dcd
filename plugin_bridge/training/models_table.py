"""The table of all networks: `python -m plugin_bridge.training.models_table` writes docs/models.md.

python -m plugin_bridge.training.models_table                 every architecture
python -m plugin_bridge.training.models_table unet demucs     these anew, other rows as they are
python -m plugin_bridge.training.models_table --out FILE
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
from pathlib import Path

import torch

from plugin_bridge.separation import networks
from plugin_bridge.separation.networks.network import CausalNetwork, Network
from plugin_bridge.training import network_figures

DEFAULT_OUT = Path("docs/models.md")

COLUMNS = (
    "architecture",
    "config",
    "stems, rate",
    "parameters",
    "stated",
    "multiply-adds per second",
    "receptive field",
    "algorithmic latency",
    "real-time factor",
)

_INTRODUCTION = """\
# The networks

Written by `python -m plugin_bridge.training models`; edit nothing here by hand.

Every architecture in the sizes of its paper, untrained. What they score once they are trained is in
[results.md](results.md).

- **stated**: what the paper or its reference says of this config, where it does.
- **multiply-adds per second**: for one second of audio, overlaps of windows included, without Fourier
  transforms and activations.
- **receptive field**: input that one output frame depends on, before and after it, by the gradient. "window"
  means all of the window that the network is given, "over" that more was not looked at.
- **algorithmic latency**: hop and look-ahead of the stream, whatever the machine.
- **real-time factor**: processor time over audio time, on one thread, overlaps of windows included; the best
  of three or more.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `models`."""
    parser.add_argument("architectures", nargs="*", metavar="ARCHITECTURE", help="measure only these anew")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="FILE", help="the file to write")


def run(arguments: argparse.Namespace) -> int:
    """Measure and write the table; tell the file's name. Raises `ModelError` for an unknown architecture."""
    chosen = arguments.architectures or list(networks.architectures())
    for architecture in chosen:
        networks.module(architecture)  # an unknown one is refused before minutes are spent
    measured = {key: cells for architecture in chosen for key, cells in measure(architecture).items()}
    # Read only now: while minutes were spent, somebody else may have measured other rows.
    rows = {**(rows_of(arguments.out) if arguments.architectures else {}), **measured}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(page(rows), encoding="utf-8")
    sys.stdout.write(f"{arguments.out}\n")
    return 0


def page(rows: dict[tuple[str, str], tuple[str, ...]]) -> str:
    """The whole page of the rows that `measure` gives, without those of what is no architecture any more."""
    known = [key for key in rows if key[0] in networks.architectures() and key[1] in networks.presets(key[0])]
    lines = [_line(COLUMNS), "|---" * len(COLUMNS) + "|"]
    lines += [_line((*key, *rows[key])) for key in sorted(known, key=lambda key: key[0])]
    return "\n".join([_INTRODUCTION, *lines, "", f"Real-time factors: {_machine()}.", ""])


def rows_of(path: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    """The rows of a page, none where there is no page yet."""
    if not path.is_file():
        return {}
    found = {}
    for line in path.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == len(COLUMNS):
            found[cells[0].strip("`"), cells[1]] = tuple(cells[2:])
    return found


def paper_presets(architecture: str) -> list[str]:
    """The presets that a table shows: all but those for tests."""
    return [name for name in networks.presets(architecture) if not name.startswith("tiny")]


def measure(architecture: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """The measured cells of every preset of an architecture. Raises `ModelError` for an unknown one."""
    stated = getattr(networks.module(architecture), "STATED", {})
    rows = {}
    for preset in paper_presets(architecture):
        torch.manual_seed(0)
        network = networks.build(architecture, {"preset": preset})
        rows[architecture, preset] = _cells(network, stated.get(preset, "–"))
    return rows


def _cells(network: Network, stated: str) -> tuple[str, ...]:
    rate = network.sample_rate
    latency = network_figures.algorithmic_latency_seconds(network)
    return (
        f"{len(network.sources)}, {rate / 1000:g} kHz, {'mono' if network.channels == 1 else 'stereo'}",
        f"{network_figures.parameters(network) / 1e6:.3g} M",
        stated,
        f"{network_figures.multiply_adds_per_second(network) / 1e9:.3g} G",
        _field(network_figures.receptive_field(network), rate),
        f"{_time(latency)}{', causal' if isinstance(network, CausalNetwork) else ''}",
        f"{network_figures.real_time_factor(network):.2g}",
    )


def _field(field: network_figures.Field, rate: int) -> str:
    end = "window" if field.whole else f"over {_time(field.looked / rate)}"
    sides = [end if side is None else _time(side / rate) for side in (field.back, field.ahead)]
    return "window" if sides == ["window", "window"] else " / ".join(sides)


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _line(cells: tuple[str, ...]) -> str:
    shown = (f"`{cells[0]}`", *cells[1:]) if cells is not COLUMNS else cells
    return f"| {' | '.join(shown)} |"


def _machine() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    except OSError:
        found = None
    name = found[1].strip() if found else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores of which one is used, PyTorch {torch.__version__}"
