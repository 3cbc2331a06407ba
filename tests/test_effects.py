"""What a tool is taken to do, by its name, and by the command where it is a shell."""

import pytest

from agent_fuse.loops.effects import Effect, effect_of, searches

IDLE, READS, ACTS, UNKNOWN = Effect.IDLE, Effect.READS, Effect.ACTS, Effect.UNKNOWN


@pytest.mark.parametrize(
    ("tool", "does"),
    [
        ("read_file", READS),
        ("getWeather", READS),
        ("HTTPGet", READS),
        ("send_email", ACTS),
        ("think", IDLE),
        ("sequentialthinking", IDLE),
        # Its first word decides; where that tells nothing, any later one does, and what changes something comes first.
        ("get_and_delete", READS),
        ("weather_lookup", READS),
        ("file_write_check", ACTS),
        ("deep_thinking", IDLE),
        ("agent_plan_search", READS),
        # What an agent writes down for itself, whatever the verb.
        ("write_todos", IDLE),
        ("update_scratchpad", IDLE),
        # Words that mean nothing to do only where they come first.
        ("note", IDLE),
        ("customer_note", UNKNOWN),
        ("weather", UNKNOWN),
        ("", UNKNOWN),
        ("42", UNKNOWN),
    ],
)
def test_a_tool_is_known_by_its_name(tool, does):
    """Whatever its arguments are."""
    assert effect_of(tool, {"command": "rm x"}) is does


@pytest.mark.parametrize(
    ("given", "does"),
    [
        ("ls -l", READS),
        ("  cd src && git status", READS),
        ("cd src; sudo /usr/bin/cat x", READS),
        ("timeout 5 cat x", READS),
        ("rm -r build", ACTS),
        ("pwd", IDLE),
        ("frobnicate", ACTS),
        ("cat x > y", ACTS),
        ("cat x 2>/dev/null", READS),
        ("cat x 2>&1", READS),
        ("sed -i s/a/b/ x", ACTS),
        ("(", ACTS),
        ({"cmd": "ls"}, READS),
        ({"sql": "SELECT 1", "input": "DELETE"}, READS),
        ({"command": ["ls"]}, UNKNOWN),
        ({"path": "ls"}, UNKNOWN),
        (None, UNKNOWN),
        (7, UNKNOWN),
    ],
)
def test_a_shell_is_known_by_its_command(given, does):
    """Its first word, past what only leads to it; writing to a file acts, and so does what nobody knows."""
    assert effect_of("bash", given) is does
    assert effect_of("shell_tool", given) is does


@pytest.mark.parametrize(
    ("tool", "does"), [("web_search", True), ("queryDatabase", True), ("GREP", True), ("read", False), ("", False)]
)
def test_a_search_is_known_by_its_name(tool, does):
    """By any word of it."""
    assert searches(tool) is does
