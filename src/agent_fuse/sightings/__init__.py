"""Sightings: what each layer sees of a call, and which of them are one call, settled once."""

from agent_fuse.sightings.joining import Sightings, lone
from agent_fuse.sightings.outcomes import close_alone
from agent_fuse.sightings.values import Book, Call, Layer, Outcome, Release, Sighting, State

__all__ = ["Book", "Call", "Layer", "Outcome", "Release", "Sighting", "Sightings", "State", "close_alone", "lone"]
