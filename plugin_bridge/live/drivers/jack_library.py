"""JACK's libraries, loaded when a server is wanted and not before: not every machine has them."""

import functools
from typing import Any

from plugin_bridge.errors import DeviceError

_CDEF = """
typedef struct { uint32_t min; uint32_t max; } latency_range;
typedef void (*latency_callback)(int mode, void *argument);
int jack_set_latency_callback(void *client, latency_callback callback, void *argument);
void jack_port_get_latency_range(void *port, int mode, latency_range *range);
void jack_port_set_latency_range(void *port, int mode, latency_range *range);
int jack_recompute_total_latencies(void *client);
"""


@functools.cache
def jack_library() -> Any:
    """The module of JACK-Client. Raises `DeviceError` where it or the JACK library is missing."""
    try:
        import jack
    except ImportError as error:
        raise DeviceError(
            f"JACK must have its Python library, got: {error}; run pip install 'plugin-bridge[live]'"
        ) from error
    except OSError as error:
        raise DeviceError(
            "the JACK library must be installed, got none; install it (on Debian and Ubuntu: apt install "
            "libjack-jackd2-0), or use --audio portaudio"
        ) from error
    # Its own messages go to stderr, where each attempt to find a server again would leave several.
    jack.set_error_function(lambda message: None)
    jack.set_info_function(lambda message: None)
    return jack


@functools.cache
def latency_library() -> tuple[Any, Any]:
    """JACK's latency calls, which JACK-Client leaves out: cffi's view of the library, and the library."""
    import cffi

    view = cffi.FFI()
    view.cdef(_CDEF)
    return view, view.dlopen(jack_library()._libname)
