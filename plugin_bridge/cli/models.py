"""Tell which models there are, and what each is for."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from plugin_bridge.cli.text import on_one_line

if TYPE_CHECKING:
    from plugin_bridge.separation.card import Card


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `models list` and `models show`."""
    actions = parser.add_subparsers(dest="action", metavar="list|show", required=True)
    actions.add_parser("list", help="one line for each model", allow_abbrev=False)
    show = actions.add_parser("show", help="everything about one model", allow_abbrev=False)
    show.add_argument("name", metavar="NAME")


def run(arguments: argparse.Namespace) -> int:
    """Print the list or the card."""
    if arguments.action == "list":
        _list()
    else:
        _show(arguments.name)
    return 0


def _list() -> None:
    from plugin_bridge.errors import ModelError
    from plugin_bridge.separation import catalogue

    names = catalogue.names()
    width = max((len(name) for name in names), default=0)
    for name in names:
        try:
            card = catalogue.card(name)
        except ModelError as error:
            print(f"{name:<{width}}  {on_one_line(f'broken: {error}')}")
            continue
        facts = "; ".join(_facts(name, card))
        print(f"{name:<{width}}  {', '.join(card.sources)}  ({facts})  {card.summary}")


def _facts(name: str, card: "Card") -> "Iterator[str]":
    """What one chooses a model by, as far as its card and folder tell."""
    from plugin_bridge.separation import catalogue

    kind = "live and render" if card.streaming else "render"
    yield f"{kind}, the default" if name == catalogue.DEFAULT_MODEL else kind
    if card.streaming and card.latency is not None and card.hop is not None:
        yield f"{1000 * (card.latency + card.hop) / card.sample_rate:.0f} ms"
    if isinstance(mean := card.scores.get("mean"), int | float):
        yield f"SDR {mean:.2f} dB"
    if card.real_time_factor is not None:
        yield f"{card.real_time_factor:g} of real time"
    files = [card.weights, card.engine and card.engine.graph]
    paths = [catalogue.model_folder(name) / file for file in files if file]
    if size := sum(path.stat().st_size for path in paths if path.is_file()):
        yield f"{size / 1e6:.1f} MB"
    yield card.licence.partition(",")[0]


def _show(name: str) -> None:
    import msgspec

    from plugin_bridge.separation import catalogue

    card = catalogue.card(name)
    for field in msgspec.structs.fields(card):
        value = msgspec.to_builtins(getattr(card, field.name))
        if value not in (None, {}, []):
            print(f"{field.name}: {_readable(value)}")
    print(f"model hash: {catalogue.model_hash(name)}")
    print(f"folder: {catalogue.model_folder(name)}")


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} = {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)
