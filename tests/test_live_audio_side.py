"""A device that goes and comes back, by audio processes that follow a script."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin_bridge.errors import DeviceError
from plugin_bridge.live import audio_side
from plugin_bridge.live.audio_process import Begin
from plugin_bridge.live.audio_side import AudioSide
from plugin_bridge.live.drivers.driver import AudioRequest
from tests.live_actors import scripted

BACK = "the device is back"
PLAYING = "playing memory"


@contextmanager
def playing(folder: Path, *script: str, driver: str = "portaudio") -> Iterator[AudioSide]:
    (folder / "script").write_text("\n".join(script))
    side = AudioSide(scripted, (), AudioRequest(driver, source=str(folder / "script")))
    try:
        side.begin(Begin("memory", (), ("main",), 0, 256))
        yield side
    finally:
        side.stop()


def events(side: AudioSide, until: str) -> list[str]:
    """What is told up to an event."""
    heard: list[str] = []
    patience = time.monotonic() + 60
    while until not in heard:
        assert time.monotonic() < patience, heard
        heard += side.tick()
        time.sleep(0.01)
    return heard


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_side, "_RETRY_SECONDS", 0.05)


def test_a_lost_device_is_waited_for_and_played_again(tmp_path: Path) -> None:
    with playing(tmp_path, "lose", "refuse", "refuse", "play") as side:
        assert events(side, BACK) == [PLAYING, "the device 'x' is gone; waiting for the device", BACK]
        assert events(side, PLAYING) == [PLAYING]


def test_a_device_that_comes_back_at_another_rate_is_told_once_and_waited_for(tmp_path: Path) -> None:
    with playing(tmp_path, "lose", "open at another rate", "open at another rate", "play") as side:
        told = [event for event in events(side, BACK) if "44100 Hz, got 48000 Hz" in event]
        assert len(told) == 1


def test_a_process_that_dies_is_replaced(tmp_path: Path) -> None:
    with playing(tmp_path, "die", "play") as side:
        assert "the audio process ended with code 3; waiting for the device" in events(side, BACK)


def test_a_file_that_is_played_is_not_begun_again(tmp_path: Path) -> None:
    with (
        playing(tmp_path, "die", "play", driver="file") as side,
        pytest.raises(DeviceError, match="ended with code 3"),
    ):
        events(side, BACK)


def test_the_end_is_heard(tmp_path: Path) -> None:
    with playing(tmp_path, "finish", driver="file") as side:
        events(side, PLAYING)
        patience = time.monotonic() + 60
        while not side.finished:
            assert time.monotonic() < patience
            side.tick()


def test_a_device_that_is_not_there_at_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="got none"), playing(tmp_path, "refuse"):
        pass
