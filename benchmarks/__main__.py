"""`python -m benchmarks [NAME...]`: measure, print, and write the tables."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import benchmarks
from benchmarks.tables import publish

ROOT = Path(__file__).resolve().parent.parent


def discovered() -> dict[str, ModuleType]:
    """Every benchmark module of this folder, by its name."""
    names = [found.name for found in pkgutil.iter_modules(benchmarks.__path__) if found.name[0] != "_"]
    modules = [importlib.import_module(f"benchmarks.{name}") for name in names if name != "tables"]
    return {module.name: module for module in modules}


def main() -> None:
    found = discovered()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(found)} (default: all)")
    # A table about songs that only some people have is not remade in passing.
    names = parser.parse_args().names or [name for name in found if not hasattr(found[name], "NEEDS_SONGS")]
    if unknown := sorted(set(names) - set(found)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(found)}")
    for name in names:
        table = found[name].run()
        publish(name, table, ROOT)
        print(table.markdown(), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
