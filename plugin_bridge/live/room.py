"""Whether a pipe has room: who wrote into a full one would wait for whoever does not read."""

import os
import select
from multiprocessing.connection import Connection


def has_room(pipe: Connection) -> bool:
    """Whether a message of some kilobytes can be sent without waiting; always True where nobody can tell."""
    if os.name != "posix":
        return True
    poll = select.poll()
    poll.register(pipe.fileno(), select.POLLOUT)
    return bool(poll.poll(0))
