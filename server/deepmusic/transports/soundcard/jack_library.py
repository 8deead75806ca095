"""libjack, as far as it is needed: loaded when it is asked for, by its C interface.

JACK-Client, the binding on PyPI, has no calls for latencies, and a client that delays sound has to tell the others by
how much. So these are the C functions themselves, through cffi.
"""

from __future__ import annotations

import functools
import sys
from ctypes.util import find_library
from typing import Any

from cffi import FFI

from deepmusic.errors import DeviceUnavailable

_DECLARATIONS = """
typedef struct _jack_client jack_client_t;
typedef struct _jack_port jack_port_t;
typedef uint32_t jack_nframes_t;
typedef struct { jack_nframes_t min; jack_nframes_t max; } jack_latency_range_t;
jack_client_t *jack_client_open(const char *name, int options, int *status, ...);
int jack_client_close(jack_client_t *client);
char *jack_get_client_name(jack_client_t *client);
int jack_activate(jack_client_t *client);
jack_nframes_t jack_get_sample_rate(jack_client_t *client);
jack_nframes_t jack_get_buffer_size(jack_client_t *client);
jack_nframes_t jack_last_frame_time(const jack_client_t *client);
jack_port_t *jack_port_register(jack_client_t *client, const char *name, const char *type, unsigned long flags,
                                unsigned long buffer_size);
void *jack_port_get_buffer(jack_port_t *port, jack_nframes_t n);
const char *jack_port_name(const jack_port_t *port);
jack_port_t *jack_port_by_name(jack_client_t *client, const char *name);
const char **jack_get_ports(jack_client_t *client, const char *name_pattern, const char *type_pattern,
                            unsigned long flags);
void jack_free(void *memory);
int jack_connect(jack_client_t *client, const char *source, const char *destination);
void jack_port_get_latency_range(jack_port_t *port, int mode, jack_latency_range_t *range);
void jack_port_set_latency_range(jack_port_t *port, int mode, jack_latency_range_t *range);
int jack_set_process_callback(jack_client_t *client, int (*callback)(jack_nframes_t n, void *arg), void *arg);
int jack_set_buffer_size_callback(jack_client_t *client, int (*callback)(jack_nframes_t n, void *arg), void *arg);
int jack_set_xrun_callback(jack_client_t *client, int (*callback)(void *arg), void *arg);
int jack_set_latency_callback(jack_client_t *client, void (*callback)(int mode, void *arg), void *arg);
void jack_on_shutdown(jack_client_t *client, void (*callback)(void *arg), void *arg);
void jack_set_error_function(void (*callback)(const char *text));
void jack_set_info_function(void (*callback)(const char *text));
"""

AUDIO_TYPE = b"32 bit float mono audio"

NO_START_SERVER = 0x01
"""Option of ``jack_client_open``: a server that does not run is not started."""

IS_INPUT, IS_OUTPUT, IS_PHYSICAL = 0x1, 0x2, 0x4
"""Flags of a port; an input of ours takes from others' outputs."""

CAPTURE, PLAYBACK = 0, 1
"""Modes of a latency: since a sound came in, and until it goes out."""

ffi: Any = FFI()  # what it knows of C it learns from the text above
ffi.cdef(_DECLARATIONS)


@functools.cache
def jack_library() -> Any:
    """The library's functions.

    Raises:
        DeviceUnavailable: It is not installed.
    """
    name = {"win32": "libjack64.dll"}.get(sys.platform) or find_library("jack")
    try:
        library: Any = ffi.dlopen(name) if name else None
    except OSError:
        library = None
    if library is None:
        raise DeviceUnavailable("expected libjack, found none; install JACK (Debian: apt-get install jackd2)")
    # The library talks to stderr by itself unless it is given something else to call.
    library.jack_set_error_function(_silent)
    library.jack_set_info_function(_silent)
    return library


@ffi.callback("void(const char *)")
def _silent(text: object) -> None:
    pass
