"""The public names: each is there, and none is loaded before it is asked for."""

import agent_fuse

SOFT = {"SentinelBudgetExceededError": "SentinelBudgetExceeded"}
"""A soft twin goes by the name of the trip that it is."""


def test_every_public_name_is_there():
    """Each name of `__all__` can be had from the package, and the lazy table knows no other."""
    assert sorted(agent_fuse.__all__) == sorted(agent_fuse._HOME) == sorted(set(agent_fuse.__all__))
    for name in agent_fuse.__all__:
        assert getattr(agent_fuse, name).__name__ == SOFT.get(name, name)
        assert name in dir(agent_fuse)


def test_unknown_name_is_an_attribute_error(run_python):
    """A name that is not public is refused as every module does, and a star import brings exactly the public names."""
    script = """
import agent_fuse
try:
    agent_fuse.nothing
except AttributeError as error:
    print(error)
names = {}
exec("from agent_fuse import *", names)
print(sorted(name for name in names if not name.startswith("__")) == sorted(agent_fuse.__all__))
"""
    told, same = run_python(script).stdout.splitlines()
    assert told == "module 'agent_fuse' has no attribute 'nothing'"
    assert same == "True"
