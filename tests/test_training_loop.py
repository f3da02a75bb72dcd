"""The training loop: resumed runs, budgets, what stops a run, and every shipped recipe's smoke run."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import torch

from plugin_bridge.errors import AudioFileError, ModelError
from plugin_bridge.separation import checkpoint, networks
from plugin_bridge.separation.networks.network import CausalNetwork
from plugin_bridge.training.__main__ import main
from plugin_bridge.training.loop import Run
from plugin_bridge.training.losses import loss_of, spectrum_loss
from plugin_bridge.training.recipe import Budget, Examples, Objective, Optimiser, Recipe, load_recipe
from plugin_bridge.training.songs import batches_of
from tests.interrupted_batches import Interrupting

RECIPES = sorted((Path(__file__).parent.parent / "models").glob("*/recipe.toml"))


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three songs of noise and tones, two seconds each."""
    folder = tmp_path_factory.mktemp("songs")
    for number in range(3):
        generator = np.random.default_rng(number)
        for at, source in enumerate(("vocals", "drums", "bass", "other")):
            place = folder / f"song {number}"
            place.mkdir(exist_ok=True)
            time = np.arange(2 * 22050) / 22050
            tone = np.sin(2 * np.pi * (110 * (at + 1) + number) * time)[:, None]
            noise = generator.standard_normal((2 * 22050, 2))
            soundfile.write(place / f"{source}.wav", 0.1 * tone + 0.02 * noise, 22050)
    return folder


def recipe(**changes) -> Recipe:
    return Recipe(
        architecture=changes.pop("architecture", "unet"),
        config={"preset": "tiny"},
        examples=Examples(seconds=0.5, batch=2, **changes.pop("examples", {})),
        optimiser=Optimiser(learning_rate=1e-3, warm_up_steps=3),
        budget=Budget(steps=changes.pop("steps", 12)),
        **changes,
    )


def run_of(which: Recipe, songs: Path, folder: Path, cache: Path, resume: bool = False) -> Run:
    batches = batches_of(which, [songs], cache)
    return Run(which, batches, folder, device="cpu", resume=resume, note=lambda line: None)


CAUSAL = [
    name
    for name in networks.architectures()
    if isinstance(networks.build(name, {"preset": "tiny"}), CausalNetwork)
]


@pytest.mark.parametrize(("architecture", "consecutive"), [("unet", 1), *((name, 4) for name in CAUSAL)])
def test_interrupted_run_goes_on_as_if_it_had_not_been(songs, tmp_path, architecture, consecutive):
    which = recipe(architecture=architecture, examples={"consecutive": consecutive})
    whole = run_of(which, songs, tmp_path / "whole", tmp_path / "cache")
    assert whole.train().finished
    broken = run_of(which, songs, tmp_path / "broken", tmp_path / "cache")
    broken.batches = Interrupting(broken.batches, 6)
    outcome = broken.train()
    assert 0 < outcome.steps < 12 and not outcome.finished
    resumed = run_of(which, songs, tmp_path / "broken", tmp_path / "cache", resume=True)
    assert resumed.train().steps == 12
    for name in ("weights", "progress"):
        one = checkpoint.read(tmp_path / "whole" / f"{name}.safetensors").tensors
        other = checkpoint.read(tmp_path / "broken" / f"{name}.safetensors").tensors
        assert one.keys() == other.keys()
        for key in one:
            assert one[key].equal(other[key]), key


def test_loss_falls_and_is_logged(songs, tmp_path):
    training = run_of(recipe(steps=60), songs, tmp_path / "run", tmp_path / "cache")
    training.train()
    with (tmp_path / "run" / "log.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0]
    assert list((tmp_path / "run").glob("events.*"))
    network = checkpoint.load(tmp_path / "run" / "weights.safetensors")
    assert network.architecture == "unet"


def test_in_a_run_in_minutes_the_learning_rate_falls_with_time(songs, tmp_path):
    which = msgspec.structs.replace(recipe(), budget=Budget(minutes=0.03))
    training = run_of(which, songs, tmp_path / "run", tmp_path / "cache")
    rates = []
    for seconds in (0.0, 0.9, 1.8, 5.0):
        training._progress.seconds = seconds
        rates.append(training.learning_rate(10))
    low = which.optimiser.final_share
    assert rates == pytest.approx([1e-3, 1e-3 * (1 + low) / 2, 1e-3 * low, 1e-3 * low])
    training._progress.seconds = 0.0
    assert training.train().finished


def test_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(songs, tmp_path):
    training = run_of(recipe(steps=4), songs, tmp_path / "run", tmp_path / "cache")
    training.train()
    kept = (tmp_path / "run" / "weights.safetensors").read_bytes()
    longer = run_of(recipe(steps=20), songs, tmp_path / "run", tmp_path / "cache", resume=True)
    next(iter(longer.network.parameters())).data.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"finite, got nan at step 4.*resume"):
        longer.train()
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == kept


def test_folder_with_a_run_is_not_overwritten(songs, tmp_path):
    run_of(recipe(steps=2), songs, tmp_path / "run", tmp_path / "cache").train()
    with pytest.raises(ModelError, match="--resume"):
        run_of(recipe(steps=2), songs, tmp_path / "run", tmp_path / "cache")


def test_songs_that_lack_stems_are_silent_there(songs, tmp_path):
    singing = tmp_path / "singing"
    (singing / "alone").mkdir(parents=True)
    shutil.copy(songs / "song 0" / "vocals.wav", singing / "alone")
    which = recipe(examples={"remix": 0.0, "silent": 1.0})
    with pytest.raises(AudioFileError, match="must hold the stem 'accompaniment'"):
        batches_of(which, [singing], tmp_path / "cache")
    batches = batches_of(which, [songs], tmp_path / "cache", partial=[singing])
    assert len(batches.songs) == 4
    lone = batches_of(which, [], tmp_path / "cache", partial=[singing]).batch(0)
    assert lone.stems[:, 0].any()
    assert not lone.stems[:, 1:].any()


def test_folders_are_drawn_from_by_their_share(songs, tmp_path):
    singing = tmp_path / "singing"
    (singing / "alone").mkdir(parents=True)
    shutil.copy(songs / "song 0" / "vocals.wav", singing / "alone")
    which, cache = recipe(), tmp_path / "cache"
    batches = batches_of(which, [songs], cache, partial=[f"{singing}@0.25"])
    drawn = [song.frames * weight for song, weight in zip(batches.songs, batches.weights, strict=True)]
    assert drawn[3] / sum(drawn) == pytest.approx(0.25)
    assert drawn[0] == pytest.approx(drawn[2])
    for share, said in (("1.5", "between 0 and 1"), ("0", "between 0 and 1")):
        with pytest.raises(ValueError, match=said):
            batches_of(which, [f"{songs}@{share}"], cache)
    with pytest.raises(ValueError, match="less than 1 together"):
        batches_of(which, [f"{songs}@0.5"], cache)


def test_run_begins_with_the_weights_of_a_file_and_notes_it(songs, tmp_path, capsys):
    first = run_of(recipe(steps=3), songs, tmp_path / "first", tmp_path / "cache")
    first.train()
    weights = tmp_path / "first" / "weights.safetensors"
    batches = batches_of(recipe(), [songs], tmp_path / "cache", note=lambda line: None)
    second = Run(recipe(steps=2), batches, tmp_path / "second", device="cpu", begin=weights)
    for name, value in checkpoint.load(weights).state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name])
    second.train()
    made = tmp_path / "second" / "weights.safetensors"
    notes = checkpoint.training_notes(checkpoint.read(made))
    assert (notes["steps"], notes["before"]["steps"]) == (2, 3)
    other = recipe(architecture="wave_unet", steps=2)
    with pytest.raises(ModelError, match="must have the weights of wave_unet, got those of unet"):
        Run(other, batches_of(other, [songs], tmp_path / "cache"), tmp_path / "third", begin=weights)


def test_run_begins_with_the_weights_of_a_network_that_its_own_extends(songs, tmp_path):
    torch.manual_seed(3)
    causal = networks.build("band_split_rnn", {"preset": "tiny", "magnitudes": True})
    checkpoint.save(causal, tmp_path / "causal.safetensors")
    which = recipe(architecture="band_split_birnn", steps=1)
    batches = batches_of(which, [songs], tmp_path / "cache", note=lambda line: None)
    run = Run(which, batches, tmp_path / "run", device="cpu", begin=tmp_path / "causal.safetensors")
    begun = run.network.state_dict()
    assert all(torch.equal(begun[name], value) for name, value in causal.state_dict().items())
    assert set(begun) > set(causal.state_dict())
    run.train()
    other = networks.build("band_split_rnn", {"preset": "tiny", "magnitudes": True, "layers": 2})
    checkpoint.save(other, tmp_path / "deeper.safetensors")
    with pytest.raises(ModelError, match=r"got unknown ones for 'masker\.layers\.1"):
        Run(which, batches, tmp_path / "other", device="cpu", begin=tmp_path / "deeper.safetensors")
    deeper = msgspec.structs.replace(which, config={"preset": "tiny", "layers": 2})
    with pytest.raises(ModelError, match=r"got none for 'masker\.layers\.1"):
        Run(deeper, batches, tmp_path / "other", device="cpu", begin=tmp_path / "causal.safetensors")


@pytest.mark.slow
def test_two_processes_go_on_as_if_they_had_not_been_interrupted(songs, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(
        """architecture = "band_split_rnn"
        config = {preset = "tiny"}
        examples = {seconds = 0.512, batch = 1, consecutive = 4}
        optimiser = {final_share = 1.0, warm_up_steps = 0}
        """
    )

    def train(folder: str, *options: str) -> None:
        words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        words += ["-m", "plugin_bridge.training", "train", str(path), "--data", str(songs), "--device", "cpu"]
        words += [
            "--cache",
            str(tmp_path / "cache"),
            "-o",
            str(tmp_path / folder),
            "--threads",
            "1",
            *options,
        ]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]

    train("whole", "--steps", "6")
    train("parted", "--steps", "3")  # within a stream, whose state each process must find again
    train("parted", "--steps", "6", "--resume")
    whole, parted = (
        checkpoint.read(tmp_path / name / "progress.safetensors") for name in ("whole", "parted")
    )
    assert any(name.startswith("carried/1:") for name in whole.tensors)
    assert sorted(whole.tensors) == sorted(parted.tensors)
    for name, value in whole.tensors.items():
        assert torch.equal(value, parted.tensors[name]), name


def test_run_of_another_recipe_is_not_gone_on_with(songs, tmp_path):
    run_of(recipe(steps=2), songs, tmp_path / "run", tmp_path / "cache").train()
    with pytest.raises(ModelError, match="this very recipe"):
        run_of(recipe(steps=2, seed=5), songs, tmp_path / "run", tmp_path / "cache", resume=True)
    with pytest.raises(ModelError, match="readable file"):
        run_of(recipe(steps=2), songs, tmp_path / "none", tmp_path / "cache", resume=True)
    (tmp_path / "run" / "progress.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ModelError, match="pickle"):
        run_of(recipe(steps=2), songs, tmp_path / "run", tmp_path / "cache", resume=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("architecture = 'unet'\nseconds = 3", "seconds"),
        ("architecture = 'unet'\n[examples]\nsecond = 3", "second"),
        ("architecture = 'unet'\n[examples]\nseconds = -3", "examples.seconds"),
        ("[examples]", "architecture"),
        ("architecture = ", "TOML"),
    ],
)
def test_recipe_with_a_mistake_is_one_sentence(tmp_path, text, message, capsys):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        load_recipe(path)
    assert main(["train", str(path), "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_folder_without_songs_is_one_sentence(tmp_path, capsys):
    path = tmp_path / "recipe.toml"
    path.write_text("architecture = 'unet'\nconfig = {preset = 'tiny'}")
    assert main(["train", str(path), "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("distance", ["l1", "l2", "smooth_l1"])
def test_losses_are_zero_for_the_stems_themselves_and_finite_for_silence(distance):
    import torch

    objective = Objective(distance=distance, spectrum=1.0, multi_resolution=0.5, spectrum_windows=(512, 2048))
    loss = loss_of(objective)
    stems = torch.randn(2, 4, 2, 9000)
    stems[:, 1] = 0
    assert float(loss(stems, stems)) == pytest.approx(0, abs=1e-6)
    estimates = torch.zeros_like(stems).requires_grad_()
    loss(estimates, stems).backward()
    assert bool(torch.isfinite(estimates.grad).all())


def test_log_l2_is_the_sdr_whatever_the_level_and_ends_at_its_floor():
    draw = torch.Generator().manual_seed(1)
    stems = torch.randn(2, 4, 2, 4000, generator=draw)
    measure = loss_of(Objective(distance="log_l2"))
    far, near = measure(stems + 0.5, stems), measure(stems + 0.25, stems)
    assert float(far - near) == pytest.approx(0.6, abs=0.03)  # 6 dB
    assert float(measure(0.01 * (stems + 0.5), 0.01 * stems) - far) == pytest.approx(-4, abs=1e-3)
    stems[:, 1] = 0
    assert measure(stems, stems).isfinite()
    with pytest.raises(ValueError, match="waveforms alone"):
        loss_of(Objective(distance="log_l2", spectrum=1.0))


def test_one_spectrum_of_the_difference_is_the_distance_of_two(tmp_path):
    draw = torch.Generator().manual_seed(1)
    one, other = torch.randn(2, 1, 2, 3, 2, 5000, generator=draw)
    window = torch.hann_window(512)
    spectra = [
        torch.stft(x.reshape(-1, 5000), 512, 128, window=window, return_complex=True) * (2 / 512)
        for x in (one, other)
    ]
    apart = torch.view_as_real(spectra[0] - spectra[1])
    assert torch.allclose(spectrum_loss("l1", [512])(one, other), apart.abs().mean(), rtol=1e-4)
    assert torch.allclose(spectrum_loss("l2", [512])(one, other), apart.square().mean(), rtol=1e-4)


def test_what_a_network_leaves_to_the_rest_is_learned_from_too(songs, tmp_path):
    import torch

    which = recipe(architecture="band_split_rnn")
    training = run_of(which, songs, tmp_path / "run", tmp_path / "cache")
    network = training.network
    shape = (2, len(network.sources), network.channels, training.batches.sampling.frames)
    stems = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = training._measured(stems, torch.ones(2, dtype=torch.bool))
        estimates = network(stems.sum(1))
    assert estimates.shape[1] == len(network.sources) - 1
    rest = stems.sum(1) - estimates.sum(1)
    errors = torch.cat((estimates - stems[:, :-1], (rest - stems[:, -1])[:, None]), dim=1)
    assert float(loss) == pytest.approx(float(errors.abs().mean()), rel=1e-6)


@pytest.mark.parametrize("architecture", CAUSAL)
def test_parts_of_a_stream_that_end_within_a_step_are_refused_with_a_cure(songs, tmp_path, architecture):
    which = recipe(architecture=architecture, examples={"consecutive": 2})
    which = msgspec.structs.replace(which, examples=msgspec.structs.replace(which.examples, seconds=0.501))
    with pytest.raises(
        ModelError, match=r"whole steps of \d+ frames, got 4008 frames; set seconds = 0\.\d+ "
    ):
        run_of(which, songs, tmp_path / "run", tmp_path / "cache")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.parent.name)
def test_shipped_recipe_trains_in_seconds(path, songs, tmp_path, capsys):
    output = tmp_path / "run"
    words = ["train", str(path), "--data", str(songs), "--smoke", "-o", str(output), "--device", "cpu"]
    assert main([*words, "--cache", str(tmp_path / "cache"), "--threads", "1"]) == 0
    assert "weights:" in capsys.readouterr().out
    assert checkpoint.load(output / "weights.safetensors").architecture == load_recipe(path).architecture


def test_a_run_in_minutes_goes_on(songs: Path, tmp_path: Path) -> None:
    short = msgspec.structs.replace(recipe(), budget=Budget(minutes=0.02))
    batches = Interrupting(batches_of(short, [songs], tmp_path / "cache"), at=2)
    assert not Run(short, batches, tmp_path / "run", device="cpu", note=lambda line: None).train().finished
    outcome = run_of(short, songs, tmp_path / "run", tmp_path / "cache", resume=True).train()
    assert outcome.finished
    assert outcome.steps > 2


def test_a_library_that_is_not_installed_is_named_with_its_remedy(songs, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    path = tmp_path / "recipe.toml"
    path.write_text("architecture = 'unet'\nconfig = {preset = 'tiny'}\nbudget = {steps = 1}")
    words = ["train", str(path), "--data", str(songs), "-o", str(tmp_path / "run"), "--device", "cpu"]
    assert main([*words, "--cache", str(tmp_path / "cache")]) == 1
    assert "torch.utils.tensorboard; install plugin-bridge[train]" in capsys.readouterr().err
