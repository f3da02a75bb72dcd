"""The page of results, and figures: what was not run, what is below mix/N, which orders do not reproduce."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

from plugin_bridge.separation import checkpoint, networks
from plugin_bridge.separation.network_separator import NetworkSeparator
from plugin_bridge.training.__main__ import main
from plugin_bridge.training.evaluation import Evaluation, FormResult, SongRow
from plugin_bridge.training.evaluation_forms import CONSISTENT, RAW
from plugin_bridge.training.evaluation_models import Facts, Subject
from plugin_bridge.training.evaluation_songs import HeardSong
from plugin_bridge.training.figures_song import channel_weights, weight_curves
from plugin_bridge.training.report import save
from plugin_bridge.training.report_orders import order_sentences
from plugin_bridge.training.report_published import published, results_of, row_ids
from plugin_bridge.training.report_table import page, section
from plugin_bridge.training.scores_summary import summarised
from tests.evaluation_songs import RATE, SOURCES, noise, songs

torch.set_num_threads(1)
NAMES = ("sdr", "isr", "sir", "sar", "global_sdr", "si_sdr")
TABLE = next(table for table in published().tables if table.id == "000/table-4.1")


def form(what: str, sdr: float) -> FormResult:
    scores: dict[str, dict[str, float | None]] = {
        source: dict.fromkeys(NAMES, sdr) for source in ("vocals", "drums", "bass", "other")
    }
    return FormResult(what, summarised([scores], [7.0]), [SongRow("a", 7.0, scores)])


def scored(
    preset: str, sdr: float, *, row: str | None = None, budget: str = "10 minutes, 2 cores"
) -> Evaluation:
    config = networks.values(networks.config("unet_se_bisru", {"preset": preset}))
    return Evaluation(
        model=Facts(
            name=preset,
            architecture="unet_se_bisru",
            config=config,
            sha256="00" * 32,
            training={"minutes": 10, "steps": 100},
        ),
        protocol="musdb",
        data="songs/dev: 1 songs, 0.1 minutes",
        sources=["vocals", "drums", "bass", "other"],
        sample_rates=[44100],
        channels=2,
        machine="a machine",
        forms=[form("mix/4", 1.0), form(RAW, sdr - 0.5), form(CONSISTENT, sdr)],
        rows=[row] if row else [],
        budget=budget,
        trained_on="songs/train",
    )


def test_published_figures_are_whole() -> None:
    found = published()
    assert {table.paper for table in found.tables} == {"000", "001", "002", "003", "004"}
    known = set(row_ids(found))
    for table in found.tables:
        assert table.order in table.columns
        assert {name for claim in table.claims for name in claim} <= known
        for row in table.rows:
            if row.preset:
                assert row.architecture in networks.architectures()
                assert row.preset in networks.presets(row.architecture)


def test_the_averages_of_paper002_are_those_it_prints() -> None:
    table = next(table for table in published().tables if table.id == "002/table-1")
    lines = section(table, [])
    assert any("64.003" in line and "4.798" in line and "not run" in line for line in lines)
    assert any("5.502" in line and "4.983" in line for line in lines)


def test_without_results_nothing_is_invented() -> None:
    text = page(published(), [])
    assert text.count("not run") >= len(row_ids(published()))
    assert "reproduce." not in text
    for said in (
        "18 minutes",
        "scores of classifiers",
        "artefact of the metric",
        "listening test",
        "The label is",
    ):
        assert said in text


def test_rows_find_their_results() -> None:
    results = [scored("no_se", 2.0), scored("paper", 3.0), scored("paper", 4.0, row="000/figure-4.1/10")]
    assert [
        found.main.summary["all"]["sdr"].median for found in results_of(TABLE.rows[0], TABLE, results)
    ] == [3.0]
    assert results_of(TABLE.rows[1], TABLE, results) == results[:1]
    assert results_of(TABLE.rows[2], TABLE, results) == []


def test_a_row_below_the_mix_is_marked() -> None:
    lines = section(TABLE, [scored("paper", 0.5), scored("no_se", 2.0)])
    assert sum("**below mix/N**" in line for line in lines) == 1
    (line,) = [line for line in lines if line.startswith("| without SE ")]
    assert "| 2.00 |" in line
    assert "| 1.50 | 1.00 | 6 | 10 minutes, 2 cores, 100 steps; songs/train |" in line


def test_an_order_that_does_not_reproduce_is_told() -> None:
    told = order_sentences(TABLE, [scored("paper", 2.0), scored("no_se", 3.0), scored("bilstm", 1.0)])
    assert sum("Does not reproduce" in sentence for sentence in told) == 2
    assert any("Unet-SE-BiSRU above without SE (5.68 and 5.24 dB SDR)" in sentence for sentence in told)
    assert told[-1] == "Of 3 orders of the paper that could be checked, 1 reproduce."


def test_rows_of_other_budgets_are_not_compared() -> None:
    told = order_sentences(TABLE, [scored("paper", 2.0), scored("no_se", 3.0, budget="an hour")])
    assert told == ["Some rows differ in training or data and were not compared with each other."]


def test_means_over_other_stems_are_not_compared() -> None:
    pair = msgspec.structs.replace(scored("no_se", 3.0), sources=["accompaniment", "vocals"])
    told = order_sentences(TABLE, [scored("paper", 2.0), pair])
    assert told == ["Some rows differ in training or data and were not compared with each other."]


def test_the_page_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(scored("paper", 3.0), tmp_path / "results")
    (tmp_path / "results" / "other.json").write_text("{}")
    assert main(["table", str(tmp_path / "results"), "-o", str(tmp_path / "docs" / "results.md")]) == 0
    assert "| paper | musdb | mix-consistent stems | 3.00 |" in (tmp_path / "docs" / "results.md").read_text(
        "utf-8"
    )
    assert main(["table", "--list"]) == 0
    assert "000/table-4.1/1\n" in capsys.readouterr().out


def test_bad_results_are_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def complaint(*words: str) -> str:
        assert main(list(words)) == 1
        said = capsys.readouterr().err.strip()
        assert "\n" not in said
        return said

    assert "check the path" in complaint("table", str(tmp_path / "none"))
    (tmp_path / "broken.json").write_text("{")
    assert "evaluate again" in complaint("table", str(tmp_path))
    (tmp_path / "broken.json").unlink()
    save(scored("paper", 3.0, row="000/nothing"), tmp_path)
    assert "got '000/nothing'" in complaint("table", str(tmp_path))
    assert "got none of them" in complaint("figures")
    assert "both --model and --data" in complaint("figures", "--model", "classic4")
    assert "must have a log.csv" in complaint("figures", "--runs", str(tmp_path))


def pictures(folder: Path) -> list[str]:
    made = sorted(folder.glob("*.png"))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made)
    return [path.name for path in made]


def test_figures_of_a_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = networks.build("unet_se_bisru", {"preset": "tiny"})
    checkpoint.save(network, tmp_path / "net.safetensors")
    data = songs(tmp_path / "songs", frames=4000)
    words = ["--model", str(tmp_path / "net.safetensors"), "--data", str(data), "--songs", "b"]
    assert main(["figures", *words, "-o", str(tmp_path / "out")]) == 0
    kinds = ("masks", "spectrograms", "waveforms")
    assert pictures(tmp_path / "out") == sorted([*(f"b-{kind}.png" for kind in kinds), "channel-weights.png"])


def test_figures_of_results_and_runs(tmp_path: Path) -> None:
    run = tmp_path / "run"
    save(scored("paper", 3.0), run)
    (run / "log.csv").write_text("step,seconds,learning_rate,loss\n1,0.1,1e-4,0.5\n2,0.2,3e-4,0.4\n")
    assert main(["figures", "--results", str(run), "--runs", str(run), "-o", str(tmp_path / "out")]) == 0
    assert pictures(tmp_path / "out") == [
        "loss-by-learning-rate.png",
        "sdr-by-learning-rate.png",
        "sdr-by-stem-1.png",
    ]


def test_channel_weights_of_two_songs_are_compared() -> None:
    separator = NetworkSeparator(networks.build("unet_se_bisru", {"preset": "tiny"}))
    scored_network = Subject(Facts(name="net", architecture="unet_se_bisru"), separator)
    heard = [HeardSong(name, SOURCES, RATE, noise(4, 2, 4000, seed=seed)) for seed, name in enumerate("ab")]
    weights = channel_weights(scored_network, heard)
    assert list(weights) == ["a", "b"]
    assert all(0 < value < 1 for layer in weights["a"].values() for value in layer)
    assert weight_curves(weights).axes[0].get_title() == "weight by channel"
