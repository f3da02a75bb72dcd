"""Renders that a running server is asked for: only below its root, one at a time, and ended in time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import soundfile

from plugin_bridge.control.commands import RenderProgress
from plugin_bridge.errors import UnknownAddress
from plugin_bridge.server.renders import Renders
from tests.live_runs import noise, to_file
from tests.server_runs import until

RATE = 44100


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "album").mkdir(parents=True)
    to_file(noise(0.5, RATE), RATE, folder / "album" / "song.wav")
    to_file(noise(60.0, RATE), RATE, folder / "long.wav")
    to_file(noise(0.1, RATE), RATE, tmp_path / "outside.wav")
    return folder


def jobs(root: Path | None, play: Callable[[Renders, list[RenderProgress]], Awaitable[None]]) -> None:
    async def test() -> None:
        told: list[RenderProgress] = []
        renders = Renders(root, told.append)
        try:
            await play(renders, told)
        finally:
            await renders.close()

    asyncio.run(test())


def ends(told: list[RenderProgress]) -> list[tuple[str, str]]:
    return [(event.job, event.stage) for event in told if event.stage != "running"]


def test_a_song_is_rendered_into_the_stated_folder(root: Path) -> None:
    async def play(renders: Renders, told: list[RenderProgress]) -> None:
        job = renders.start(*renders.place("album/song.wav"), "", "bands")
        await until(lambda: ends(told), "its end")
        assert ends(told) == [(job, "done")]
        assert (told[0].share, told[0].stage) == (0.0, "running")
        assert told[-1].share == 1.0
        assert told[-1].message == "stems/album/song"  # below the root, and nothing of the disk above
        with pytest.raises(UnknownAddress):
            renders.cancel(job)

    jobs(root, play)
    for stem in ("low", "mid", "high"):
        info = soundfile.info(root / "stems" / "album" / "song" / f"{stem}.wav")
        assert (info.samplerate, info.frames) == (RATE, RATE // 2)


def test_jobs_run_one_after_the_other_and_can_be_cancelled(root: Path) -> None:
    async def play(renders: Renders, told: list[RenderProgress]) -> None:
        place = renders.place("long.wav")
        first = renders.start(*place, "", "repet_sim")
        second = renders.start(*place, "", "repet_sim")
        third = renders.start(*renders.place("album/song.wav"), "", "bands")
        await until(lambda: told, "the first runs")
        renders.cancel(second)
        assert ends(told) == [(second, "cancelled")]
        renders.cancel(first)
        with pytest.raises(UnknownAddress):
            renders.cancel(first)
        await until(lambda: len(ends(told)) == 3, "all ends")
        assert ends(told)[1:] == [(first, "cancelled"), (third, "done")]
        begun = [event.job for event in told if event.stage == "running"]
        assert begun[0] == first
        assert second not in begun

    jobs(root, play)
    assert not list((root / "stems").rglob("long*"))


def test_a_file_that_is_no_sound_fails_with_a_sentence(root: Path) -> None:
    (root / "noise.wav").write_bytes(b"no sound at all")

    async def play(renders: Renders, told: list[RenderProgress]) -> None:
        renders.start(*renders.place("noise.wav"), "", "bands")
        await until(lambda: ends(told), "its end")
        assert told[-1].stage == "failed"
        assert "noise.wav" in told[-1].message

    jobs(root, play)


@pytest.mark.parametrize(
    "path",
    ["../outside.wav", "album/../../outside.wav", "album/../long.wav", "", "album", "none.wav", "a\0b"],
)
def test_a_path_that_leaves_the_root_or_names_no_file_is_refused(root: Path, path: str) -> None:
    with pytest.raises(ValueError, match="a render must"):
        Renders(root, lambda event: None).place(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few people make links")
def test_a_link_that_leaves_the_root_is_refused(root: Path) -> None:
    (root / "link.wav").symlink_to(root.parent / "outside.wav")
    (root / "album" / "up").symlink_to(root.parent)
    (root / "own.wav").symlink_to(root / "long.wav")
    renders = Renders(root, lambda event: None)
    for path in ("link.wav", "album/up/outside.wav", str(root.parent / "outside.wav")):
        with pytest.raises(ValueError, match="must stay below the render root"):
            renders.place(path)
    assert renders.place("own.wav")[0] == (root / "long.wav").resolve()
    assert renders.place(str(root / "long.wav"))[0] == (root / "long.wav").resolve()


def test_stems_that_would_leave_the_root_are_refused(root: Path) -> None:
    (root / "stems").symlink_to(root.parent)
    with pytest.raises(ValueError, match="must stay below the render root"):
        Renders(root, lambda event: None).place("long.wav")


def test_without_a_root_nothing_is_rendered() -> None:
    with pytest.raises(ValueError, match="--render-root"):
        Renders(None, lambda event: None).place("song.wav")
