"""The state as Prometheus reads it: few series, however many sessions there are."""

from collections.abc import Iterator, Mapping

from agent_fuse.views.as_json import Json

_Labels = Mapping[str, str]
_Sample = tuple[_Labels, object]


def exposition(state: Json | None) -> str:
    """The text, of `state` as it is; None says that the ledger cannot be read."""
    lines: list[str] = []
    for name, kind, told, samples in _families(state):
        lines += [f"# HELP agent_fuse_ledger_{name} {told}", f"# TYPE agent_fuse_ledger_{name} {kind}"]
        lines += [f"agent_fuse_ledger_{name}{_labelled(labels)} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _families(state: Json | None) -> Iterator[tuple[str, str, str, list[_Sample]]]:
    yield "up", "gauge", "Whether the ledger can be read.", [({}, int(state is not None))]
    if state is None:
        return
    total = state["total"]
    yield "spent_usd_total", "counter", "US dollars booked, in all.", [({}, total["usd"])]
    yield "calls_total", "counter", "Model calls booked.", [({}, total["calls"])]
    yield "tool_calls_total", "counter", "Tool actions booked.", [({}, total["tool_calls"])]
    yield "tokens_total", "counter", "Tokens booked.", [({}, total["tokens"])]
    yield "refused_total", "counter", "Calls and actions refused.", [({}, total["refused"])]
    if state["today_usd"] is not None:
        yield "spent_today_usd", "gauge", "US dollars booked today (UTC).", [({}, state["today_usd"])]
    yield "usd_per_hour", "gauge", "US dollars an hour, over the last minutes.", [({}, state["usd_per_hour"])]
    yield "open_calls", "gauge", "Calls under way.", [({}, state["open"]["calls"])]
    yield "held_usd", "gauge", "US dollars held by calls under way.", [({}, state["open"]["held_usd"])]
    yield "paused_calls", "gauge", "Calls that wait for a person's answer.", [({}, len(state["paused"]))]
    yield "loops_near", "gauge", "Tools that repeat with nothing new.", [({}, len(state["loops"]))]
    yield "blind_spots", "gauge", "What the page says needs a look, loops apart.", [({}, len(state["blind"]))]
    yield "stopped", "gauge", "Accounts that are stopped.", [({}, sum(one["stopped"] for one in state["in_force"]))]
    tightest: dict[tuple[str, str, str], float] = {}
    for one in state["limits"]:
        key = one["per"], one["meter"], one["window"]
        tightest[key] = max(one["used"], tightest.get(key, 0.0))
    yield (
        "limit_utilization",
        "gauge",
        "Share of a limit that is spent or held, on its fullest account.",
        [({"per": per, "meter": meter, "window": window}, used) for (per, meter, window), used in tightest.items()],
    )


def _labelled(labels: _Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
