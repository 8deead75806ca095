"""A rig in thirty lines: swells into a style on every stream that runs, and listens until all of it is done.

deepmusic serve                       # in another terminal, with a stream running: see client_examples/python/live.py
python rig.py brass
"""

from __future__ import annotations

import sys
from time import time

from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message_builder import build_msg
from pythonosc.udp_client import SimpleUDPClient

LONGEST_WAIT_S = 5.0


def main(style: str, server: str = "127.0.0.1:9000") -> None:
    """Sends, then prints what comes back."""
    host, _, port = server.rpartition(":")
    with SimpleUDPClient(host, int(port)) as rig:
        rig.send_message("/notify", 1)  # from now on every change is told
        rig.send_message("/deepmusic/strength", 0.0)
        rig.send_message("/deepmusic/style", [style, 100])  # over 100 ms; answered by /done or /fail
        swell = OscBundleBuilder(time() + 0.5)  # half a second from now, on every stream at the same moment
        swell.add_content(build_msg("/deepmusic/strength", [1.0, 2000]))  # over 2 s
        rig.send(swell.build())
        rig.send_message("/sync", 1)
        for message in rig.get_messages(LONGEST_WAIT_S):
            print(message.address, *message.params)
            if message.address == "/synced":
                break


if __name__ == "__main__":
    main(*sys.argv[1:])
