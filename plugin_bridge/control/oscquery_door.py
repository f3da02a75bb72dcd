"""Who may come in over HTTP: known senders, and no web page from elsewhere.

A browser lets any page open a WebSocket to any machine, and says in `Origin` whose page it is; and a page
whose name is made to lead to us (DNS rebinding) shows that name in `Host`.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import time
from collections.abc import Mapping, Sequence


def refusal(headers: Mapping[str, str]) -> str:
    """Why a request is refused, in one sentence; empty where it is not."""
    host = host_name(headers.get("Host", ""))
    if host and not _is_ours(host):
        return f"Host must be an address or name of this machine, got {host[:80]!a}"
    origin = headers.get("Origin")
    if origin is None:
        return ""
    page = host_name(origin.partition("://")[2])
    if page and (page == host or is_loopback(page)):
        return ""
    return f"Origin must be none, this host or loopback, got {origin[:80]!a}"


def host_name(authority: str) -> str:
    """The host in `host:port`, in small letters, an IPv6 address without its brackets.

    >>> host_name("Studio.local:9300"), host_name("[::1]:9300"), host_name("127.0.0.1")
    ('studio.local', '::1', '127.0.0.1')
    """
    authority = authority.partition("/")[0].strip().lower()
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by every resolver's rules.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("localhost.example.com")
    (True, True, False)
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_ours(host: str) -> bool:
    """Whether a name is one that no stranger can make lead here: an address, or a local name."""
    if is_loopback(host) or host.endswith((".local", ".lan", ".home.arpa")):
        return True
    own = socket.gethostname().lower()
    if host in (own, own.partition(".")[0]):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_let_in(host: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    """Whether a sender is this machine, or lies in one of the networks.

    >>> is_let_in("10.0.0.7", [ipaddress.ip_network("10.0.0.0/24")]), is_let_in("10.0.1.7", [])
    (True, False)
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or any(address in network for network in networks)


class _Seldom(logging.Filter):
    """Lets a line through once a minute, without a traceback: strangers can make the library write any."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + 60.0
        if record.exc_info:
            said = f"{record.getMessage()}: {record.exc_info[1]!r:.200}"
            record.msg, record.args = " ".join(said.split()), None
            record.exc_info = None
        return True


def quiet_logger() -> logging.Logger:
    """Where the HTTP library writes about requests that are none."""
    logger = logging.getLogger("plugin_bridge.control.oscquery")
    if not any(isinstance(each, _Seldom) for each in logger.filters):
        logger.addFilter(_Seldom())
    return logger
