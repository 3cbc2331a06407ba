"""`python -m agent_fuse.testing`: the loopback provider in the foreground, one line for each request."""

import argparse
import signal
import sys
import threading
import time

from agent_fuse.calls import Usage
from agent_fuse.testing.exchange import Request
from agent_fuse.testing.provider import LoopbackProvider


def main() -> None:
    """Serve until interrupted or terminated."""
    parser = argparse.ArgumentParser(prog="python -m agent_fuse.testing", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--usage", type=_usage, metavar="IN,OUT", help="tokens billed for each call, e.g. 1000,500")
    parser.add_argument("--quiet", action="store_true", help="print no requests")
    options = parser.parse_args()
    provider = LoopbackProvider(
        usage=options.usage, record=False, port=options.port, watch=None if options.quiet else _show
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with provider:
        _say(f"{provider.url} OPENAI_BASE_URL={provider.openai_base_url} ANTHROPIC_BASE_URL={provider.url}")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            billed = provider.billed
            _say(f"{provider.count} model requests, {billed.input_tokens} + {billed.output_tokens} tokens")


def _show(request: Request, status: int) -> None:
    at = time.strftime("%H:%M:%S", time.localtime(request.received_at))
    _say(f"{at} {request.method} {request.path} {request.model or '-'} {status}")


def _usage(text: str) -> Usage:
    taken, given = text.split(",")
    return Usage(input_tokens=int(taken), output_tokens=int(given))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
