"""Who holds a network port, for the sentence that says that it is in use."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Literal

from plugin_bridge.errors import DeviceError

Kind = Literal["udp", "tcp"]


def in_use(host: str, port: int, kind: Kind, error: OSError) -> DeviceError:
    """The error for a port that cannot be had, with the program that has it where that is known."""
    # asyncio's own text names the address once more.
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno == errno.EADDRNOTAVAIL:
        return DeviceError(f"the address must be one of this machine, got {host}: {reason}")
    who = holder(port, kind) if error.errno == errno.EADDRINUSE else ""
    if who.endswith(f"(process {os.getpid()})"):
        by, remedy = f" by this program itself (process {os.getpid()})", "choose another port"
    else:
        by, remedy = (f" by {who}", "end it or choose another port") if who else ("", "choose another port")
    return DeviceError(f"{kind.upper()} port {port} on {host} must be free, got: {reason}{by}; {remedy}")


def holder(port: int, kind: Kind) -> str:
    """The name and number of the process that holds a port; nothing where the system does not tell."""
    inodes = {inode for table in (kind, f"{kind}6") for inode in _inodes(table, port)}
    if not inodes:
        return ""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        if wanted & _open_files(process):
            return f"{_name(process)} (process {process.name})"
    return ""


def _inodes(table: str, port: int) -> list[str]:
    """The sockets of a port; of TCP those that listen."""
    try:
        lines = Path("/proc/net", table).read_text("ascii").splitlines()[1:]
    except OSError:  # another system than Linux, or a table that is not there
        return []
    rows = [line.split() for line in lines]
    return [
        row[9]
        for row in rows
        if int(row[1].rpartition(":")[2], 16) == port and (table.startswith("udp") or row[3] == "0A")
    ]


def _open_files(process: Path) -> set[str]:
    try:
        with os.scandir(process / "fd") as entries:
            return {os.readlink(entry.path) for entry in entries}
    except OSError:  # it belongs to somebody else, or has just ended
        return set()


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "a process"
