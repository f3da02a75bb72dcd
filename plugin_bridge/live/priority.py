"""Real-time priority and locked memory, where the system allows them."""

import ctypes
import os
import sys

AUDIO_PRIORITY = 60
"""SCHED_FIFO priority of the audio process, below JACK's own server."""

WORKER_PRIORITY = 40
"""SCHED_FIFO priority of a worker."""

_MCL_CURRENT_AND_FUTURE = 3


def raise_priority(priority: int) -> bool:
    """Ask for SCHED_FIFO at a priority; False where the system has none or refuses."""
    if not hasattr(os, "sched_setscheduler"):
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    return True


def lock_memory() -> bool:
    """Ask that this process's memory is never paged out; False where the system refuses."""
    if not sys.platform.startswith("linux"):
        return False
    locked: int = ctypes.CDLL(None, use_errno=True).mlockall(_MCL_CURRENT_AND_FUTURE)
    return locked == 0


def hint() -> str:
    """What to do where real-time priority is refused."""
    return (
        "real-time priority must be allowed for steady audio; on Linux add your user to the group 'audio' "
        "with 'rtprio 95' and 'memlock unlimited' in /etc/security/limits.d/audio.conf, then log in again"
    )
