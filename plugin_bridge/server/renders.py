"""Render jobs: one at a time, in a process of low priority, from and to folders below one root."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePath

from plugin_bridge.control.commands import RenderProgress
from plugin_bridge.errors import UnknownAddress

OUTPUT = "stems"
"""The folder below the root where stems go."""

_NICENESS = 19
_PATIENCE_SECONDS = 10.0
_MOST_WAITING = 64
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass
class _Job:
    name: str
    path: Path
    output: Path
    preset: str
    model: str
    process: asyncio.subprocess.Process | None = None
    cancelled: bool = False
    failed: str = ""
    done: str = ""
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Renders:
    """Takes jobs and carries them out one after the other; `tell` hears how far each is.

    Stems go to `stems` below the root, in the folders of their songs.
    """

    def __init__(self, root: Path | None, tell: Callable[[RenderProgress], None]) -> None:
        self._root, self._tell = root, tell
        self._numbers = count(1)
        self._waiting: deque[_Job] = deque()
        self._running: _Job | None = None

    def place(self, path: str) -> tuple[Path, Path]:
        """The file that a path below the root names, and the folder for its stems.

        Raises `ValueError` for any other path. It looks at the disk.
        """
        if self._root is None:
            raise ValueError("renders must be allowed when the server starts, got no --render-root")
        root = self._root.resolve()
        if not path or "\0" in path or ".." in PurePath(path).parts:
            raise ValueError(f"a render must have a path below the render root, got {path!r}")
        try:
            found = (root / path).resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"a render must have a file that is there, got {path!r}") from error
        output = (root / OUTPUT / found.relative_to(root).parent) if found.is_relative_to(root) else root
        if output == root or not output.resolve().is_relative_to(root):
            raise ValueError(f"a render must stay below the render root, got {path!r}")
        if not found.is_file():
            raise ValueError(f"a render must have a file, got {path!r}")
        return found, output

    def start(self, path: Path, output: Path, preset: str, model: str) -> str:
        """Take a job; its name. Raises `ValueError` when too many wait."""
        if len(self._waiting) >= _MOST_WAITING:
            raise ValueError(f"renders that wait must be at most {_MOST_WAITING}, got more; try again later")
        job = _Job(f"render-{next(self._numbers)}", path, output, preset, model)
        self._waiting.append(job)
        self._go_on()
        return job.name

    def cancel(self, name: str) -> None:
        """End a job. Raises `UnknownAddress` for one that neither runs nor waits."""
        for job in self._waiting:
            if job.name == name:
                self._waiting.remove(job)
                self._tell(RenderProgress(name, 0.0, "cancelled"))
                return
        if self._running is None or self._running.name != name or self._running.cancelled:
            raise UnknownAddress(f"a job must be one that runs or waits, got '{name}'")
        self._running.cancelled = True
        if self._running.process is not None:
            _hang_up(self._running.process)

    async def close(self) -> None:
        """Cancel everything and wait for the process to end."""
        self._waiting.clear()
        job = self._running
        if job is not None and job.task is not None:
            with suppress(UnknownAddress):
                self.cancel(job.name)
            await asyncio.gather(job.task, return_exceptions=True)

    def _go_on(self) -> None:
        if self._running is None and self._waiting:
            self._running = self._waiting.popleft()
            self._running.task = asyncio.get_running_loop().create_task(self._run(self._running))

    async def _run(self, job: _Job) -> None:
        try:
            await self._carry_out(job)
        except OSError as error:
            job.failed = f"a render must get a process of its own, got: {error.strerror}"
        finally:
            self._running = None
            self._tell(_end_of(job))
            self._go_on()

    async def _carry_out(self, job: _Job) -> None:
        self._tell(RenderProgress(job.name, 0.0, "running"))
        process = job.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "plugin_bridge.server.render_process"),
            *(str(job.path), str(job.output), job.preset, job.model),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **_ONE_THREAD},
            start_new_session=True,  # Ctrl-C is for the server, which then ends this one
        )
        with suppress(OSError, AttributeError):  # gone already; no priorities on this system
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        if job.cancelled:
            _hang_up(process)
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._hear(job, json.loads(line))
        try:
            code = await asyncio.wait_for(process.wait(), _PATIENCE_SECONDS)
        except TimeoutError:
            process.kill()
            code = await process.wait()
        if not (job.done or job.failed or job.cancelled):
            job.failed = f"the render's process ended with code {code}"

    def _hear(self, job: _Job, said: dict[str, str | float]) -> None:
        if "share" in said and not job.cancelled:
            self._tell(RenderProgress(job.name, float(said["share"]), "running"))
        job.failed = str(said.get("failed", job.failed))
        if "done" in said:
            # Where it lies below the root is all that anybody out there is to know of our disk.
            assert self._root is not None
            job.done = PurePath(os.path.relpath(str(said["done"]), self._root.resolve())).as_posix()


def _hang_up(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, _kill, process)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()


def _end_of(job: _Job) -> RenderProgress:
    if job.cancelled:
        return RenderProgress(job.name, 0.0, "cancelled")
    if job.failed:
        return RenderProgress(job.name, 0.0, "failed", job.failed)
    return RenderProgress(job.name, 1.0, "done", job.done)
