"""What a recording of golden spans must be before it is believed: whole, served, and free of our own mistakes."""

from collections import Counter
from typing import Any

MISTAKES = frozenset(
    {
        "AssertionError",
        "AttributeError",
        "ImportError",
        "IndexError",
        "KeyError",
        "ModuleNotFoundError",
        "NameError",
        "NotImplementedError",
        "RecursionError",
        "RuntimeError",
        "SyntaxError",
        "TypeError",
        "UnboundLocalError",
    }
)
"""What a wrong recipe raises, and no model call does."""


def problems(recording: dict[str, Any]) -> list[str]:
    """What is wrong with a recording, in words; empty when it can be believed."""
    cases = recording.get("cases") or []
    found = [] if recording.get("recorded") else ["it does not say which packages were recorded"]
    found += [
        f"{name} is there {times} times" for name, times in Counter(one["name"] for one in cases).items() if times > 1
    ]
    if not any(one["served"] for one in cases):
        found.append("nothing was served in any case")
    for one in cases:
        found += [f"{one['name']}: {words}" for words in (*_of_outcome(one), *_of_steps(one["steps"]))]
    return found


def _of_outcome(case: dict[str, Any]) -> list[str]:
    found = []
    asked = sum(1 for step in case["steps"] if step[0] == "request")
    if case.get("raised") in MISTAKES:
        found.append(f"{case['raised']} is a mistake of the recipe")
    if not case["steps"]:
        found.append("it shows nothing: no span, no request")
    if len(case["served"]) > asked:
        found.append(f"{len(case['served'])} calls served of {asked} requests")
    unpriced = [one for one in case["served"] if not one.get("model") or not one.get("input_tokens")]
    return found + [f"served {one}, which no price can be found for" for one in unpriced]


def _of_steps(steps: list[list[Any]]) -> list[str]:
    found: list[str] = []
    started: set[int] = set()
    ended: set[int] = set()
    for step in steps:
        if step[0] == "request":
            continue
        word, number, facts = step
        if word == "start":
            if number in started:
                found.append(f"span {number} starts twice")
            if "parent" in facts and facts["parent"] not in started:
                found.append(f"span {number} lies in span {facts['parent']}, which has not started")
            if not facts.get("scope") or not isinstance(facts.get("attributes"), dict):
                found.append(f"span {number} has no scope, or no attributes")
            started.add(number)
        elif number not in started:
            found.append(f"{word} of span {number}, which has not started")
        elif word == "end":
            if number in ended:
                found.append(f"span {number} ends twice")
            ended.add(number)
        elif word not in ("set", "name"):
            found.append(f"{word!r} is no step")
    return found
