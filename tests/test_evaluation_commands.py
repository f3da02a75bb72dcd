"""The command `evaluate`: every kind of model, streams and raw output, protocols, bad input in a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from plugin_bridge.separation import checkpoint, networks
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.training.__main__ import main
from plugin_bridge.training.evaluation import Evaluation
from plugin_bridge.training.evaluation_forms import (
    CONSISTENT,
    RAW,
    Grouping,
    raw_output,
    separated,
)
from plugin_bridge.training.evaluation_songs import HeardSong
from plugin_bridge.training.report import load
from plugin_bridge.training.scores_summary import ALL
from tests.evaluation_songs import RATE, SOURCES, clips, noise, songs
from tests.graph_models import drawn, in_onnx_runtime

torch.set_num_threads(1)


def weights(path: Path, architecture: str = "unet_se_bisru", preset: str = "tiny") -> Path:
    torch.manual_seed(0)
    network = networks.build(architecture, {"preset": preset})
    checkpoint.save(network, path, {"steps": 10, "minutes": 0.5})
    return path


def result(tmp_path: Path, model: str, data: Path, *more: str) -> Evaluation:
    """What a run of the command writes."""
    out = tmp_path / "results"
    assert main(["evaluate", model, "--data", str(data), "-o", str(out), *more]) == 0
    (path,) = out.glob("*.json")
    assert path.with_suffix(".md").read_text("utf-8").startswith("# ")
    return load(path)


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["evaluate", *words]) == 1
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    assert "Traceback" not in said
    return said


def test_a_classical_model(tmp_path: Path) -> None:
    found = result(tmp_path, "classic4", songs(tmp_path / "songs", channels=2))
    assert [form.what for form in found.forms] == ["mix/4", CONSISTENT]
    assert found.model.architecture == "classic4"
    assert [song.name for song in found.main.songs] == ["a", "b"]
    assert found.sources == list(SOURCES)
    # Four stems of equal noise: an equal share errs by 9 + 3 sixteenths of one's energy.
    floor = found.baseline.summary[ALL]["global_sdr"]
    assert floor.mean == pytest.approx(10 * np.log10(16 / 12), abs=0.05)


def test_a_model_may_be_named_by_an_option(tmp_path: Path) -> None:
    found = result(tmp_path, "--model=oracle-binary", songs(tmp_path / "songs", ["a"], frames=4000))
    assert found.model.name == "oracle-binary"


def test_weights_are_scored_raw_and_consistent(tmp_path: Path) -> None:
    path = weights(tmp_path / "net.safetensors")
    found = result(tmp_path, str(path), songs(tmp_path / "songs", ["a"]))
    assert [form.what for form in found.forms] == ["mix/4", RAW, CONSISTENT]
    assert found.model.sha256 == checkpoint.read(path).sha256
    assert found.model.training == {"steps": 10, "minutes": 0.5}
    raw, stems = found.forms[1].summary[ALL]["sdr"], found.forms[2].summary[ALL]["sdr"]
    assert raw != stems


def test_raw_alone_and_over_offsets(tmp_path: Path) -> None:
    path = weights(tmp_path / "net.safetensors")
    found = result(
        tmp_path, str(path), songs(tmp_path / "songs", ["a"]), "--raw", "--shifts", "2",
        "--row", "000/figure-4.1/5", "--budget", "half a minute", "--trained-on", "noise",
    )  # fmt: skip
    assert [form.what for form in found.forms] == ["mix/4", RAW]
    assert found.model.config["shifts"] == 2
    assert (found.rows, found.budget, found.trained_on) == (["000/figure-4.1/5"], "half a minute", "noise")


def test_the_folder_of_a_run_keeps_its_results(tmp_path: Path) -> None:
    weights(tmp_path / "run" / "weights.safetensors")
    data = songs(tmp_path / "songs", ["a"], frames=4000)
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(data)]) == 0
    assert load(tmp_path / "run" / "run-musdb.json").model.name == "run"


def test_mir1k_by_hand(tmp_path: Path) -> None:
    """GNSDR of the mix itself is 0, and the weighted means are those of the clips by their lengths."""
    found = result(tmp_path, "oracle-ratio", clips(tmp_path / "clips"), "--protocol", "mir1k")
    assert found.sources == ["vocals", "accompaniment"]
    assert found.channels == 1
    assert found.baseline.summary["vocals"]["nsdr"].weighted == pytest.approx(0, abs=1e-6)
    first, second = (song.scores["vocals"] for song in found.main.songs)
    before = [song.scores["vocals"]["sdr"] for song in found.baseline.songs]
    gains = [first["sdr"] - before[0], second["sdr"] - before[1]]  # type: ignore[operator]
    its = found.main.summary["vocals"]
    assert its["nsdr"].weighted == pytest.approx((gains[0] * 4000 + gains[1] * 8000) / 12000, abs=1e-5)
    assert its["sdr"].mean == pytest.approx((first["sdr"] + second["sdr"]) / 2, abs=1e-5)  # type: ignore[operator]


def test_four_stems_are_scored_as_voice_and_rest(tmp_path: Path) -> None:
    found = result(tmp_path, "classic4", clips(tmp_path / "clips", [4000]), "--protocol", "mir1k")
    assert found.sources == ["vocals", "accompaniment"]
    assert found.baseline.what == "mix/2"


def test_paper001_and_its_trial(tmp_path: Path) -> None:
    data = songs(tmp_path / "songs")
    found = result(tmp_path, "transfer-wiener", data, "--protocol", "paper001", "--masks-from", str(data))
    assert set(found.main.summary["vocals"]) == {"sdr", "sir", "sar"}
    assert found.main.summary[ALL]["sdr"].deviation is not None


def test_sources_by_other_names(tmp_path: Path) -> None:
    found = result(
        tmp_path, "hpss", songs(tmp_path / "songs", ["a"], frames=4000),
        "--as", "percussive=vocals", "--as", "harmonic=accompaniment",
    )  # fmt: skip
    assert found.sources == ["accompaniment", "vocals"]


def heard() -> HeardSong:
    return HeardSong("a", SOURCES, RATE, noise(4, 2, 5000))


def network_separator(architecture: str, preset: str) -> NetworkSeparator:
    torch.manual_seed(0)
    return NetworkSeparator(networks.build(architecture, {"preset": preset}))


@pytest.mark.parametrize(
    ("architecture", "preset"), [("unet_se_bisru", "tiny"), ("conv_tasnet", "tiny_causal")]
)
def test_consistent_stems_are_raw_ones_moved_to_the_mix(architecture: str, preset: str) -> None:
    separator, song = network_separator(architecture, preset), heard()
    song = HeardSong("a", separator.sources, separator.sample_rate, song.stems[: len(separator.sources)])
    if separator.channels == 1:
        song = HeardSong("a", song.sources, song.sample_rate, song.stems[:, :1])
    group = Grouping({name: (place,) for place, name in enumerate(separator.sources)})
    raw, stems = raw_output(separator, group).estimate(song), separated(separator, group).estimate(song)
    assert_allclose(stems.sum(axis=0), song.mix, atol=1e-4)
    moved = raw + (song.mix - raw.sum(axis=0)) / len(raw)
    assert_allclose(moved, stems, atol=1e-4)


def test_a_graph_is_scored_as_one_stream_over_the_song() -> None:
    network = drawn()
    separator, stems = in_onnx_runtime(network), noise(4, 2, 90 * network.hop + 5)
    song = HeardSong("a", separator.sources, separator.sample_rate, stems)
    group = Grouping({name: (place,) for place, name in enumerate(separator.sources)})
    stream, frames = separator.stream(), stems.shape[-1]
    padded = np.pad(song.mix, ((0, 0), (0, stream.latency + 2 * stream.hop)))
    ends = range(stream.hop, padded.shape[1], stream.hop)
    heard = np.concatenate([stream.process(padded[:, end - stream.hop : end]) for end in ends], axis=-1)
    estimated = separated(separator, group).estimate(song)
    assert_array_equal(estimated, heard[..., stream.latency : stream.latency + frames])
    raw = raw_output(separator, group).estimate(song)
    assert_allclose(raw, NetworkSeparator(network).raw_estimates(song.mix), atol=1e-5)
    assert_allclose(raw + (song.mix - raw.sum(axis=0)) / len(raw), estimated, atol=1e-5)
    # What came before matters: begun in the middle, it would give something else.
    assert np.abs(separator.raw_estimates(song.mix[:, frames // 2 :]) - raw[..., frames // 2 :]).max() > 1e-3


def test_a_separator_of_another_rate_and_channels() -> None:
    separator, song = network_separator("unet_se_bisru", "tiny"), heard()
    other = HeardSong("a", song.sources, 11025, song.stems[:, :1])
    group = Grouping({name: (place,) for place, name in enumerate(separator.sources)})
    for form in (raw_output(separator, group), separated(separator, group)):
        assert form.estimate(other).shape == other.stems.shape
    assert separator.raw_estimates(song.mix).shape == song.stems.shape


def test_the_program_evaluates(tmp_path: Path) -> None:
    data = songs(tmp_path / "songs", ["a"], frames=4000)
    words = ["evaluate", "oracle-binary", "--data", str(data), "-o", str(tmp_path / "results")]
    done = subprocess.run(
        [sys.executable, "-m", "plugin_bridge", *words], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "| mean of stems |" in done.stdout
    assert (tmp_path / "results" / "oracle-binary-musdb.json").is_file()


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(songs(tmp_path / "songs", ["a"], frames=4000))
    (tmp_path / "empty").mkdir()
    assert "got none in" in complaint(capsys, "classic4", "--data", str(tmp_path / "empty"))
    assert "must be a folder" in complaint(capsys, "classic4", "--data", str(tmp_path / "none"))
    assert "got low, mid, high" in complaint(capsys, "bands", "--data", data)
    assert "must give vocals" in complaint(capsys, "bands", "--data", data, "--protocol", "mir1k")
    assert "percussive=vocals, got 'x'" in complaint(capsys, "hpss", "--data", data, "--as", "x")
    assert "one of harmonic, percussive" in complaint(capsys, "hpss", "--data", data, "--as", "x=vocals")
    assert "must be of a network" in complaint(capsys, "classic4", "--data", data, "--raw")
    assert "at least 1, got 0" in complaint(capsys, "classic4", "--data", data, "--songs", "0")
    assert "without them" in complaint(capsys, str(tmp_path / "empty"), "--data", data)
    assert "did you mean 'classic4'" in complaint(capsys, "clasic4", "--data", data)
    assert "got neither MODEL nor --model" in complaint(capsys, "--data", data)
    assert "got 'hpss' and --model bands" in complaint(capsys, "hpss", "--model", "bands", "--data", data)
    assert "a single song" in complaint(capsys, "transfer-binary", "--data", data)
    (Path(data) / "a" / "bass.wav").unlink()
    assert "must hold the stem 'bass'" in complaint(capsys, "classic4", "--data", data)


def test_help_names_the_protocols(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    assert "{musdb,mir1k,paper001}" in capsys.readouterr().out
