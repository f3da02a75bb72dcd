"""How long a process takes that imports the package, prints the help or loads the default model.

All against a process that does nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.tables import Table, machine

name = "startup"

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 15
COLD_REPEATS = 3
HELP = "import sys; sys.argv = ['plugin-bridge', '--help']; from plugin_bridge.cli.main import main; main()"
PROGRAMS = {
    "`python -c pass`": "pass",
    "`import plugin_bridge`": "import plugin_bridge",
    "`plugin-bridge --help`": HELP,
    "`from plugin_bridge import StemBoard`": "from plugin_bridge import StemBoard",
    "`StemBoard()`, with the default model": "from plugin_bridge import StemBoard; StemBoard()",
}


def seconds(program: str, *options: str) -> float:
    """The time of one process, from its start to its end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *options, "-c", program], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def warm(program: str) -> float:
    """The median time with the compiled bytecode in place."""
    seconds(program)
    return statistics.median(seconds(program) for _ in range(REPEATS))


def cold(program: str) -> float:
    """The median time without any compiled bytecode, as on the first run after an installation."""
    times = []
    for _ in range(COLD_REPEATS):
        with tempfile.TemporaryDirectory() as empty:
            times.append(seconds(program, "-X", f"pycache_prefix={empty}"))
    return statistics.median(times)


def run() -> Table:
    """Measure every program, as a ratio to a Python that does nothing."""
    measured = {label: (warm(program), cold(program)) for label, program in PROGRAMS.items()}
    nothing = measured["`python -c pass`"][0]
    return Table(
        title="Start of a process",
        columns=("process", "warm", "first run, nothing compiled"),
        rows=tuple((label, f"{w / nothing:.1f}", f"{c / nothing:.1f}") for label, (w, c) in measured.items()),
        note=f"Ratios to a Python that does nothing ({1000 * nothing:.0f} ms): medians of {REPEATS} "
        f"processes, {COLD_REPEATS} where nothing is compiled; files in the system's cache. "
        f"{machine('torch', 'pedalboard')}",
    )
