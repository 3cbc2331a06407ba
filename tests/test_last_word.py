"""Warnings on standard error say whose they are, and stay off it where the host has logging of its own."""

import pytest

SAY = """
import logging, sys
SETUP = {{
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {{"f": {{"format": "%(name)s says %(message)s"}}}},
    "handlers": {{"h": {{"class": "logging.StreamHandler", "formatter": "f"}}}},
    "root": {{"handlers": ["h"]}},
}}
{before}
import agent_fuse
{after}
logging.getLogger("agent_fuse.prices").warning("half of the limit is used")
"""
WARNING = "half of the limit is used"
HANDLER = """
class Kept(logging.Handler):
    def emit(self, record):
        print("KEPT", record.getMessage())
"""


def said(run_python, before="", after=""):
    done = run_python(SAY.format(before=before, after=after))
    return done.stdout, [line for line in done.stderr.splitlines() if WARNING in line]


def test_a_warning_says_whose_it_is(run_python):
    """Without any logging set up, the line on a terminal begins with `agent-fuse:`."""
    _, (line,) = said(run_python)
    assert line.startswith(f"agent-fuse: {WARNING}")


@pytest.mark.parametrize(
    "host",
    [
        "logging.basicConfig(format='%(name)s says %(message)s')",
        "import logging.config as c; c.dictConfig(SETUP)",
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_host_s_own_format(run_python, host, when):
    """With logging set up, before or after the import, the line comes once and as the host wants it."""
    _, (line,) = said(run_python, **{when: host})
    assert line == f"agent_fuse.prices says {WARNING}"


@pytest.mark.parametrize(
    "host",
    [
        "logging.getLogger('agent_fuse').addHandler(logging.NullHandler())",
        "logging.getLogger('agent_fuse').setLevel(logging.ERROR)",
        "logging.lastResort = None",
        "logging.disable(logging.WARNING)",
    ],
)
def test_silence(run_python, host):
    """What keeps Python's own last resort quiet keeps ours quiet too."""
    assert said(run_python, after=host)[1] == []


def test_a_handler_of_ours_alone(run_python):
    """A handler on our logger, with propagation off, gets the message, and standard error does not."""
    after = (
        HANDLER
        + "logging.getLogger('agent_fuse').addHandler(Kept()); logging.getLogger('agent_fuse').propagate = False"
    )
    out, lines = said(run_python, after=after)
    assert f"KEPT {WARNING}" in out
    assert lines == []


def test_no_standard_error(run_python):
    """Where there is no standard error, as in a window program, nothing is printed and nothing fails."""
    done = run_python(SAY.format(before="", after="sys.stderr = None"))
    assert done.returncode == 0
