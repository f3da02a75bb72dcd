"""Audio processes that follow a script: what each new one does stands in a file, a line for each."""

from multiprocessing.connection import Connection
from multiprocessing.synchronize import Semaphore
from pathlib import Path

from plugin_bridge.live import protocol
from plugin_bridge.live.audio_process import Begin, Finished, Happened, Lost, Opened
from plugin_bridge.live.drivers.driver import AudioRequest


def scripted(pipe: Connection, wakes: tuple[Semaphore, ...], request: AudioRequest) -> None:
    """Do what the next line of the request's source says."""
    script = Path(request.source)
    line, *rest = script.read_text().splitlines()
    script.write_text("\n".join(rest))
    if line == "refuse":
        pipe.send(protocol.Refused("the device must be there, got none"))
        return
    pipe.send(Opened(48000 if line == "open at another rate" else 44100, 256))
    begin = pipe.recv()
    if not isinstance(begin, Begin):
        return
    pipe.send(Happened(f"playing {begin.segment}"))
    if line == "lose":
        pipe.send(Lost("the device 'x' is gone"))
    elif line == "die":
        raise SystemExit(3)
    elif line == "finish":
        pipe.send(Finished())
    pipe.poll(None)
