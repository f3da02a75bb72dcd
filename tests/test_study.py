"""Studies: every row of the papers is there, what is done is left, interrupted runs go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import networks
from plugin_bridge.training.__main__ import main
from plugin_bridge.training.evaluation_models import subject
from plugin_bridge.training.report import load
from plugin_bridge.training.report_published import published, row_ids
from plugin_bridge.training.study_trials import chosen, load_study, recipe_of
from tests.evaluation_songs import songs

TRIALS = """
[on_processor.examples]
batch = 2
seconds = 0.5

[[trials]]
id = "small"
architecture = "unet_se_bisru"
preset = "tiny"
data = "noise"
scores = [{ rows = ["000/table-4.1/1", "000/figure-4.1/1"] }, { rows = ["000/figure-4.1/5"], shifts = 2 }]

[[trials]]
id = "diverging"
architecture = "unet_se_bisru"
preset = "tiny"
changes = { optimiser = { learning_rate = 1e30, warm_up_steps = 0, clip_norm = 1e30 } }
data = "noise"
scores = [{ rows = ["000/table-4.1/2"] }]

[[trials]]
id = "ideal"
model = "oracle-ratio"
data = "noise"
scores = [{ renamed = { drums = "accompaniment", bass = "accompaniment", other = "accompaniment" } }]
"""


class Desk:
    """A folder with a study, made-up songs, and the words of the command that runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "study.toml").write_text(TRIALS, "utf-8")
        songs(folder / "noise" / "train", frames=16000)
        songs(folder / "noise" / "test", frames=16000)

    def words(self, *more: str, minutes: float = 0.02) -> list[str]:
        places = {"-o": "results", "--runs": "runs", "--cache": "cache", "--study": "study.toml"}
        words = [word for key, name in places.items() for word in (key, str(self.folder / name))]
        data = f"noise={self.folder / 'noise'}"
        return ["study", *more, *words, "--data", data, "--minutes", f"{minutes:g}", "--device", "cpu"]

    def result(self, name: str) -> Path:
        return self.folder / "results" / f"{name}.json"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_every_row_of_the_papers_is_a_trial_with_the_row_s_network() -> None:
    study, found = load_study(), published()
    filled = [row for trial in study.trials for scoring in trial.scores for row in scoring.rows]
    assert sorted(filled) == sorted(row_ids(found))
    rows = {row.id: (row, table) for table in found.tables for row in table.rows}
    for trial in study.trials:
        for name in (name for scoring in trial.scores for name in scoring.rows):
            row, table = rows[name]
            assert trial.protocol == table.protocol
            if row.architecture:
                assert row.architecture in (trial.architecture, trial.model)
                assert row.preset == trial.preset


def test_every_trial_can_be_built() -> None:
    study = load_study()
    for trial in study.trials:
        if trial.model:
            assert subject(trial.model).facts.name == trial.model
            continue
        for changes in (study.on_processor, None):
            recipe = recipe_of(trial, 10, changes)
            assert recipe.budget.minutes == 10
            networks.config(recipe.architecture, recipe.config)


def test_trials_that_differ_in_their_paper_differ_in_their_recipe() -> None:
    study = load_study()
    digests = [recipe_of(trial, 10).digest for trial in study.trials if trial.architecture]
    assert len(set(digests)) == len(digests)


def test_without_an_accelerator_slow_networks_have_smaller_batches() -> None:
    study = load_study()
    (trial,) = [trial for trial in study.trials if trial.id == "conv_tasnet-music"]
    assert recipe_of(trial, 10).examples.batch == 4
    assert recipe_of(trial, 10, study.on_processor).examples.batch == 1
    assert recipe_of(study.trials[0], 10, study.on_processor).examples.batch == 4
    assert recipe_of(study.trials[0], 10).examples.batch == 12


def test_words_choose_papers_tables_rows_and_trials() -> None:
    study, found = load_study(), published()

    def ids(*words: str) -> list[str]:
        return [trial.id for trial in chosen(study, words, found)]

    assert ids("000/figure-4.2") == ["unet_se_bisru-paper", "unet_se_bisru-l2", "unet_se_bisru-smooth_l1"]
    assert len(chosen(study, ["000/figure-4.2"], found)[0].scores) == 1
    assert ids("004/table-3") == ids("004/table-2") == ids("004")
    assert ids("003/tables/repet", "classic4") == ["classic4", "003-repet"]
    assert ids() == [trial.id for trial in study.trials]
    with pytest.raises(ValueError, match="got '000/table-9'"):
        ids("000/table-9")


def test_a_study_trains_scores_tells_failures_and_leaves_what_is_done(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(desk.words("--list")) == 0
    listed = capsys.readouterr().out
    assert listed.count("to train") == 2
    assert "3 trials, 2 of them with training" in listed
    assert main(desk.words()) == 1
    said = capsys.readouterr().out
    assert "diverging failed: the loss must be finite" in said
    assert "2 of 3 trials are done; failed: diverging" in said
    found = load(desk.result("small"))
    assert found.rows == ["000/table-4.1/1", "000/figure-4.1/1"]
    assert found.trained_on == "noise/train: 2 songs, 0.1 minutes"
    assert (found.budget or "").startswith("0.02 minutes on ")
    assert "thread" in (found.budget or "")
    assert found.model.training["steps"] > 0
    assert load(desk.result("small-shifts_2")).model.config["shifts"] == 2
    ideal = load(desk.result("ideal"))
    assert (ideal.trained_on, ideal.sources) == (None, ["vocals", "accompaniment"])
    before = {path: path.stat().st_mtime_ns for path in (desk.folder / "results").iterdir()}
    assert main(desk.words("small", "ideal")) == 0
    assert capsys.readouterr().out.count("is done") == 2
    assert before == {path: path.stat().st_mtime_ns for path in (desk.folder / "results").iterdir()}
    page = desk.folder / "results.md"
    assert main(["table", str(desk.folder / "results"), "-o", str(page)]) == 0
    assert f"0.02 minutes on {(found.budget or '').partition(' on ')[2]}, " in page.read_text("utf-8")


def test_a_run_of_another_budget_is_not_overwritten(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(desk.words("000/figure-4.1/1")) == 0
    assert main(desk.words("--list", "000/figure-4.1/1", minutes=0.03)) == 0
    assert "(has 0.02 minutes on" in capsys.readouterr().out
    assert main(desk.words("000/figure-4.1/1", minutes=0.03)) == 1
    assert "small failed: the run in" in capsys.readouterr().out
    desk.result("small").unlink()
    steps = (desk.folder / "runs" / "small" / "progress.safetensors").read_bytes()
    assert main(desk.words("000/figure-4.1/1")) == 0
    assert "going on" not in capsys.readouterr().out
    assert (desk.folder / "runs" / "small" / "progress.safetensors").read_bytes() == steps
    assert desk.result("small").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a single process")
def test_an_interrupted_study_goes_on(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "plugin_bridge.training", *desk.words("small", minutes=0.1)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as going:
        log = desk.folder / "runs" / "small" / "log.csv"
        until = time.monotonic() + 60
        while time.monotonic() < until and not (log.is_file() and len(log.read_text().splitlines()) > 1):
            time.sleep(0.02)
        going.send_signal(signal.SIGINT)
        _, said = going.communicate(timeout=60)
    assert going.returncode == 130, said
    assert said.decode().strip().endswith("interrupted")
    assert not desk.result("small").exists()
    assert main(desk.words("--list", "small", minutes=0.1)) == 0
    assert "interrupted, 0." in capsys.readouterr().out
    assert main(desk.words("small", minutes=0.1)) == 0
    assert "going on from step" in capsys.readouterr().out
    assert load(desk.result("small")).model.training["minutes"] >= 0.1


def test_bad_input_is_refused_in_a_sentence(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    def complaint(*words: str) -> str:
        assert main(["study", *words]) == 1
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return (said.err or said.out).strip()

    assert "got 'songs=there'" in complaint("--data", "songs=there")
    assert "check the path" in complaint("--data", "musdb=nowhere")
    assert "minutes must be above 0" in complaint("--minutes", "0")
    assert "add --data musdb=DIR" in complaint("classic4", "-o", str(desk.folder / "results"))
    assert "train" in complaint("000/table-9")
    (desk.folder / "study.toml").write_text(TRIALS + "\ntypo = 1\n", "utf-8")
    assert "`typo`" in complaint(*desk.words()[1:])
    (desk.folder / "study.toml").write_text(TRIALS.replace("ideal", "small"), "utf-8")
    assert "'small' twice" in complaint(*desk.words()[1:])


def test_a_change_that_does_not_fit_names_the_trial() -> None:
    trial = msgspec.structs.replace(load_study().trials[0], changes={"optimiser": {"speed": 1}})
    with pytest.raises(ModelError, match=r"'unet_se_bisru-paper' must fit its recipe.*speed"):
        recipe_of(trial, 10)
