"""Real-time priority and locked memory, where the system allows them."""

import ctypes
import os
import sys

AUDIO_PRIORITY = 60
"""SCHED_FIFO priority of the audio process, below JACK's own server."""

WORKER_PRIORITY = 40
"""SCHED_FIFO priority of a worker."""

# MCL_CURRENT, MCL_FUTURE and MCL_ONFAULT: what has been touched stays, what is only reserved costs nothing.
_MLOCK_FLAGS = 1 | 2 | 4


def raise_priority(priority: int) -> bool:
    """Ask for SCHED_FIFO at a priority; False where the system has none or refuses."""
    if not hasattr(os, "sched_setscheduler"):
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    return True


def lower_priority() -> None:
    """Go back to the scheduling of a common process."""
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def lock_memory() -> bool:
    """Ask that this process's memory is never paged out; False where the system refuses."""
    if not sys.platform.startswith("linux"):
        return False
    if os.geteuid() != 0 and locked_memory_limit() != -1:
        return False  # under a limit the lock itself would succeed, and a later allocation fail
    locked: int = ctypes.CDLL(None, use_errno=True).mlockall(_MLOCK_FLAGS)
    return locked == 0


def may_raise_priority(priority: int) -> bool:
    """Whether this process could have SCHED_FIFO at a priority; it has its own scheduling back afterwards."""
    if not hasattr(os, "sched_setscheduler"):
        return False
    before, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    if not raise_priority(priority):
        return False
    os.sched_setscheduler(0, before, parameter)
    return True


def locked_memory_limit() -> int | None:
    """Bytes that may be locked, -1 for all; None on systems without such a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit: int = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return -1 if limit == resource.RLIM_INFINITY else limit


def hint() -> str:
    """What to do where real-time priority is refused."""
    return (
        "real-time priority must be allowed for steady audio; on Linux add your user to the group 'audio' "
        "with 'rtprio 95' and 'memlock unlimited' in /etc/security/limits.d/audio.conf, then log in again"
    )
