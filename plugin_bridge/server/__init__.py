"""What puts the live engine, the control rooms and the renderer together for `serve`."""

from plugin_bridge.server.server import Server, ServerRequest

__all__ = ["Server", "ServerRequest"]
