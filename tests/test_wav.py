"""WAV and RF64 files, the chunks in them, and the encodings of their samples."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from wavinfo import WavInfoReader

from plugin_bridge.render.bext import Bext
from plugin_bridge.render.encoding import ENCODINGS, FLOAT32, PCM16, PCM24, Quantiser
from plugin_bridge.render.markers import Marker, markers_of_aiff, markers_of_wav, wav_chunks
from plugin_bridge.render.metadata import Metadata, read_metadata
from plugin_bridge.render.riff import read_form
from plugin_bridge.render.tags import info_of_wav
from plugin_bridge.render.wav import WavWriter
from plugin_bridge.render.writer import open_writer

BEXT = Bext(b"Take 7", b"recorder", b"REF1", b"2024-02-29", b"12:34:56", 48000 * 3600 + 17, b"A=ANALOGUE")
MARKERS = (Marker(1, 100, b"verse"), Marker(2, 4001, b"chorus", b"louder", 500, b"rgn " + bytes(8)))


def noise(channels, frames, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (channels, frames)).astype(np.float32)


def write(path, samples, encoding, sample_rate=48000, **settings):
    with path.open("wb") as file:
        writer = WavWriter(
            file, sample_rate=sample_rate, channels=samples.shape[0], encoding=encoding, **settings
        )
        with writer:
            for start in range(0, samples.shape[-1], 1000):
                writer.write(samples[:, start : start + 1000])


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [0, 1, 2501])
@pytest.mark.parametrize("limit", [2**32 - 1, 0], ids=["RIFF", "RF64"])
def test_reads_back_exactly(tmp_path, encoding, channels, frames, limit):
    samples = Quantiser(encoding).quantise(noise(channels, frames))
    path = tmp_path / "a.wav"
    write(path, samples, encoding, riff_limit_bytes=limit)
    assert path.read_bytes()[:4] == (b"RIFF" if limit else b"RF64")
    kind = "float32" if encoding.is_float else "int32"
    read, rate = soundfile.read(path, dtype=kind, always_2d=True)
    expected = samples if encoding.is_float else samples << (32 - encoding.bits)
    assert rate == 48000
    np.testing.assert_array_equal(read.T, expected)
    assert (
        soundfile.info(path).subtype
        == {"float32": "FLOAT", "pcm24": "PCM_24", "pcm16": "PCM_16"}[encoding.name]
    )


@pytest.mark.parametrize("limit", [2**32 - 1, 0], ids=["RIFF", "RF64"])
def test_sizes_in_the_header_are_those_of_the_file(tmp_path, limit):
    path = tmp_path / "odd.wav"
    write(path, Quantiser(PCM24).quantise(noise(1, 333)), PCM24, riff_limit_bytes=limit)
    content = path.read_bytes()
    if limit:
        assert struct.unpack_from("<I", content, 4)[0] == len(content) - 8
        assert content[12:16] == b"JUNK"
    else:
        riff, data, frames, _ = struct.unpack_from("<QQQI", content, 20)
        assert (content[12:16], riff, data, frames) == (b"ds64", len(content) - 8, 999, 333)
    assert read_form(path).find(b"data").size == 999
    assert len(content) % 2 == 0


def test_becomes_rf64_at_the_first_byte_too_many(tmp_path):
    path = tmp_path / "a.wav"
    write(path, noise(2, 1000), FLOAT32)
    size = path.stat().st_size - 8
    for limit, expected in ((size, b"RIFF"), (size - 1, b"RF64")):
        write(path, noise(2, 1000), FLOAT32, riff_limit_bytes=limit)
        assert path.read_bytes()[:4] == expected
        np.testing.assert_array_equal(soundfile.read(path, dtype="float32")[0].T, noise(2, 1000))


def test_float_keeps_what_exceeds_full_scale(tmp_path):
    loud = 40 * noise(2, 500)
    write(tmp_path / "a.wav", loud, FLOAT32)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32")[0].T, loud)


@pytest.mark.parametrize("limit", [2**32 - 1, 0], ids=["RIFF", "RF64"])
def test_metadata_stands_before_the_samples(tmp_path, limit):
    path = tmp_path / "a.wav"
    metadata = Metadata(BEXT, MARKERS, {b"INAM": b"Song", b"IART": "Bjørk".encode()})
    chunks, lost = metadata.for_wav("A=PCM,F=48000,W=24,M=stereo,T=test")
    write(path, Quantiser(PCM24).quantise(noise(2, 5001)), PCM24, chunks=chunks, riff_limit_bytes=limit)
    names = [chunk.name for chunk in read_form(path).chunks]
    assert names[1:] == [b"fmt ", b"bext", b"cue ", b"LIST", b"LIST", b"data"]
    assert not lost
    assert soundfile.info(path).frames == 5001


@pytest.mark.parametrize("limit", [2**32 - 1, 0], ids=["RIFF", "RF64"])
@pytest.mark.parametrize("history", ["T=odd", "T=even"])
def test_odd_chunks_hide_no_samples(tmp_path, limit, history):
    path = tmp_path / "a.wav"
    chunks, _ = Metadata(BEXT, MARKERS, {b"INAM": b"Song"}).for_wav(history)
    write(path, noise(2, 500), FLOAT32, chunks=chunks, riff_limit_bytes=limit)
    np.testing.assert_array_equal(soundfile.read(path, dtype="float32")[0].T, noise(2, 500))
    assert WavInfoReader(str(path)).bext.coding_history.rstrip("\0").endswith(f"{history}\r\n")
    assert read_metadata(path, {}).bext == BEXT.with_history(history)


def test_an_independent_reader_understands_the_metadata(tmp_path):
    path = tmp_path / "a.wav"
    chunks, _ = Metadata(BEXT, MARKERS, {b"INAM": b"Song", b"IART": b"Singer"}).for_wav("A=PCM,F=48000")
    write(path, noise(2, 5001), FLOAT32, chunks=chunks)
    info = WavInfoReader(str(path))
    assert info.bext.description == "Take 7"
    assert info.bext.originator == "recorder"
    assert info.bext.originator_ref == "REF1"
    assert (info.bext.originator_date, info.bext.originator_time) == ("2024-02-29", "12:34:56")
    assert info.bext.time_reference == 48000 * 3600 + 17
    assert info.bext.version == 2
    assert info.bext.coding_history == "A=ANALOGUE\r\nA=PCM,F=48000\r\n"
    assert info.bext.loudness_value == 327.67  # 0x7FFF: unset
    assert (info.info.title, info.info.artist) == ("Song", "Singer")
    assert [(cue.name, cue.position) for cue in info.cues.cues] == [(1, 100), (2, 4001)]
    assert info.cues.label_and_note(1)[0] == "verse"
    assert info.cues.label_and_note(2) == ("chorus", "louder")
    assert info.cues.range(2) == 500


def test_metadata_survives_a_round_trip(tmp_path):
    path = tmp_path / "a.wav"
    before = Metadata(BEXT, MARKERS, {b"INAM": b"Song", b"XXXX": b"private"})
    write(path, noise(1, 9000), FLOAT32, chunks=before.for_wav("T=x")[0])
    after = read_metadata(path, {})
    assert after.markers == before.markers
    assert after.info == before.info
    assert after.bext == BEXT.with_history("T=x")


def test_positions_follow_the_rate():
    moved = Metadata(BEXT, MARKERS).at_rate(96000, 48000)
    assert moved.bext.time_reference == 2 * BEXT.time_reference
    assert [(m.frame, m.length) for m in moved.markers] == [(200, 0), (8002, 1000)]
    there_and_back = Metadata(BEXT, MARKERS).at_rate(44100, 48000).at_rate(48000, 44100)
    assert abs(there_and_back.bext.time_reference - BEXT.time_reference) <= 1


def test_flac_says_what_it_cannot_carry():
    tags, lost = Metadata(BEXT, MARKERS, {b"INAM": b"Song", b"IKEY": b"key"}, {}, ("iXML",)).for_flac()
    assert tags == {"title": "Song"}
    assert set(lost) == {"iXML", "bext", "cue", "IKEY"}


def test_unread_chunks_are_named(tmp_path):
    path = tmp_path / "a.wav"
    write(path, noise(1, 10), FLOAT32, chunks=[(b"iXML", b"<x/>"), (b"smpl", bytes(36))])
    assert Metadata.for_wav(read_metadata(path, {}), "")[1] == ("iXML", "smpl")


def test_aiff_markers():
    mark = struct.pack(">HHIB", 2, 1, 100, 5) + b"verse" + struct.pack(">HIB", 2, 4001, 6) + b"chorus\0"
    assert markers_of_aiff(mark) == (Marker(1, 100, b"verse"), Marker(2, 4001, b"chorus"))


@given(st.binary(max_size=300))
def test_damaged_metadata_is_never_fatal(payload):
    Bext.parse(payload)
    markers_of_wav(payload, [b"adtl" + payload])
    markers_of_aiff(payload)
    info_of_wav([b"INFO" + payload])


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=20)), max_size=5))
def test_markers_read_what_they_write(positions):
    markers = tuple(
        Marker(number, frame, label.replace(b"\0", b"")) for number, (frame, label) in enumerate(positions)
    )
    chunks = wav_chunks(markers)
    lists = [payload for name, payload in chunks if name == b"LIST"]
    assert markers_of_wav(chunks[0][1] if chunks else b"", lists) == markers


def test_rounds_instead_of_flooring():
    quantised = Quantiser(PCM24).quantise(noise(1, 100000))
    error = quantised / 2.0**23 - noise(1, 100000)
    assert abs(error.mean()) * 2**23 < 0.01
    assert np.abs(error).max() * 2**23 <= 0.5


def test_dither_is_triangular_repeatable_and_independent_of_the_blocks():
    audio = 0.5 * noise(2, 50000)
    whole = Quantiser(PCM16, seed="song/vocals").quantise(audio)
    again = Quantiser(PCM16, seed="song/vocals")
    parts = [again.quantise(audio[:, a:b]) for a, b in ((0, 1), (1, 777), (777, 50000))]
    np.testing.assert_array_equal(np.concatenate(parts, axis=-1), whole)
    assert not np.array_equal(Quantiser(PCM16, seed="song/drums").quantise(audio), whole)
    error = whole - audio * 32768.0
    assert abs(error.mean()) < 0.02
    assert error.std() == pytest.approx(np.sqrt(1 / 6 + 1 / 12), rel=0.02)
    assert np.abs(error).max() <= 1.5


def test_silence_is_not_dithered():
    assert not Quantiser(PCM16).quantise(np.zeros((2, 100), np.float32)).any()


@pytest.mark.parametrize("encoding", [PCM16, PCM24])
@pytest.mark.parametrize(("highest", "lowest"), [(1.0, -1.0), (3.7, -0.1), (0.2, -5.0), (0.5, -0.5)])
def test_the_common_gain_prevents_clipping_and_nothing_else(encoding, highest, lowest):
    gain = encoding.common_gain(highest, lowest)
    extremes = np.array([[highest, lowest]], np.float64) * gain * encoding.steps
    assert extremes.max() <= encoding.steps - 1 + 1e-6
    assert extremes.min() >= -encoding.steps - 1e-6
    assert gain == 1.0 or max(extremes.max() / (encoding.steps - 1), -extremes.min() / encoding.steps) > 0.999


@pytest.mark.parametrize("encoding", [PCM16, PCM24])
def test_flac_holds_the_integers(encoding):
    samples = Quantiser(encoding).quantise(noise(2, 3000))
    file = io.BytesIO()
    writer = open_writer(
        file,
        "flac",
        sample_rate=44100,
        channels=2,
        encoding=encoding,
        tags={"title": "Lied", "artist": "Bjørk"},
    )
    writer.write(samples)
    writer.close()
    file.seek(0)
    with soundfile.SoundFile(file) as flac:
        np.testing.assert_array_equal(flac.read(dtype="int32").T, samples << (32 - encoding.bits))
        assert (flac.title, flac.artist) == ("Lied", "Bjørk")
