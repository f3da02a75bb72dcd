"""`python -m plugin_bridge` is `plugin-bridge`."""

from plugin_bridge.cli.main import main

if __name__ == "__main__":  # spawned workers import this module too
    raise SystemExit(main())
