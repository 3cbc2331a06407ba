"""Asks one peer one question in this process: `python -m comparison.ask PEER KIND QUESTION` prints the answer as JSON."""

import importlib
import json
import os
import socket
import sys
from importlib.metadata import version

from comparison.questions import PARTS, QUESTIONS


def stay_here():
    """Nothing leaves this machine: who calls home is told that there is no network."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo
    here = ("127.0.0.1", "::1", "localhost", None, "")

    def connect_here(one, address):
        if one.family != socket.AF_UNIX and address[0] not in here:
            raise OSError(f"{address[0]} is not on this machine")
        connect(one, address)

    def look_up_here(host, *rest, **named):
        if host not in here:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is not on this machine")
        return look_up(host, *rest, **named)

    socket.socket.connect, socket.getaddrinfo = connect_here, look_up_here


def main(peer, kind, question, folder=""):
    stay_here()
    asked = importlib.import_module(f"comparison.peers.{peer}")

    def open_guard(where, calls):
        return asked.open_guard(kind, where, calls)

    if question in PARTS:
        PARTS[question](open_guard, folder)
        return
    answer = QUESTIONS[question](open_guard)
    print("\nANSWER" + json.dumps([answer, version(asked.PACKAGE) if asked.PACKAGE else ""]), flush=True)
    os._exit(0)  # what a peer still does in the background is nobody's business


if __name__ == "__main__":
    main(*sys.argv[1:])
