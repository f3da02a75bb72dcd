"""Every address there is, once: OSC, OSCQuery, MIDI targets, layouts and the documentation come from here."""

from plugin_bridge.control.address_space.figures import PROTOCOL, Traffic
from plugin_bridge.control.address_space.leaf import Argument, Arguments, Leaf
from plugin_bridge.control.address_space.space import AddressSpace
from plugin_bridge.control.address_space.table import METERS, STATE, table

__all__ = [
    "METERS",
    "PROTOCOL",
    "STATE",
    "AddressSpace",
    "Argument",
    "Arguments",
    "Leaf",
    "Traffic",
    "table",
]
