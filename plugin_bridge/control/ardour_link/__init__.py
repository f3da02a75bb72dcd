"""Strips of an Ardour session tied to the stems, both ways, through Ardour's own OSC surface."""

from plugin_bridge.control.ardour_link.link import ArdourLink
from plugin_bridge.control.ardour_link.surface import ArdourRequest

__all__ = ["ArdourLink", "ArdourRequest"]
