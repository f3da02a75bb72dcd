"""Tell which models there are, and what each is for."""

import argparse

from plugin_bridge.cli.text import on_one_line


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
        kind = "live and render" if card.streaming else "render"
        if name == catalogue.DEFAULT_MODEL:
            kind += ", the default"
        print(f"{name:<{width}}  {', '.join(card.sources)}  ({kind})  {card.summary}")


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
