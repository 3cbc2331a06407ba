"""Tools of an agent without a framework: the sixth identical call is stopped, polling with progress is not."""

import itertools

from agent_fuse import SentinelLoopError, check_loop, init, loop_guard

init(budget=1.00, loop_threshold=5)
progress = itertools.count(10, 10)


@loop_guard
def search(query: str) -> list[str]:
    """A tool that finds nothing, each time."""
    print("searching for", query)
    return []


@loop_guard
def job_status(job: str) -> str:
    """A tool whose results go on: asking again is no loop."""
    return f"{job}: {next(progress)} % done"


print([job_status("build") for _ in range(10)][-1])
try:
    while True:
        search("the answer")
except SentinelLoopError as trip:
    print(trip)
    print(f"{trip.kind} of {trip.signature}, asked for {trip.call_count} times")

try:
    for _ in range(10):
        check_loop("send_mail", {"to": "you@example.org"})  # before a tool that is not a function of yours
except SentinelLoopError as trip:
    print(trip)
