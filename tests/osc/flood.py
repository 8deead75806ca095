"""Sends datagrams as fast as it is told, until its standard input ends: run by a test as a program of its own.

Usage: flood.py HOST:PORT DATAGRAMS_A_SECOND; prints how many it sent
"""

from __future__ import annotations

import select
import socket
import sys
import time

PAUSE_S = 0.001
MOST_AT_ONCE = 1000
FADER = b"/deepmusic/session/nobody/mix\0\0\0,f\0\0\x3f\x00\x00\x00"
"""For a stream that is not there: what a flood moves on a stream that is, it may move."""


def main(address: str, rate: float) -> None:
    host, _, port = address.rpartition(":")
    n_sent, start_s = 0, time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.connect((host, int(port)))
        print("flooding", flush=True)
        while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
            n_due = round((time.monotonic() - start_s) * rate) - n_sent
            for _ in range(min(n_due, MOST_AT_ONCE)):
                sending.send(FADER)
                n_sent += 1
    print(n_sent, round(n_sent / (time.monotonic() - start_s)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
