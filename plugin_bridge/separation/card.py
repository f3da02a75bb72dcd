"""What a model folder says about itself, in its `card.toml`."""

from typing import Any, Literal

import msgspec


class EngineCard(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a card says of a network's graph for ONNX Runtime: the file beside the card, its sha256."""

    graph: str
    sha256: str
    precision: Literal["float32", "int8"] = "float32"


class Card(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a model folder says about itself; `latency`, `hop` in frames at `sample_rate` Hz.

    `licence` begins with its short name, before a comma. `real_time_factor` is processor time over audio
    time, on one thread. Of `scores`, `mean` is the mean SDR in dB, as `protocol` says.

    A mono model may say in its `config` that it takes stereo, `stereo` being `left_right` or `mid_side`;
    `channels` is 2 then. The card of a network names the file of its `weights`, beside the card, and its
    `sha256`; that of a causal one may have an `engine`, which runs it on processors in place of PyTorch.
    """

    architecture: str
    summary: str
    sources: list[str]
    sample_rate: int
    channels: int
    streaming: bool
    licence: str
    source: str
    strengths: str
    limits: str
    latency: int | None = None
    hop: int | None = None
    window_seconds: float | None = None
    real_time_factor: float | None = None
    weights: str | None = None
    sha256: str | None = None
    engine: EngineCard | None = None
    scores: dict[str, str | int | float] = msgspec.field(default_factory=dict)
    config: dict[str, Any] = msgspec.field(default_factory=dict)
