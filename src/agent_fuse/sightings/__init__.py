"""Sightings: what each layer sees of a call, and which of them are one call, settled once."""

from agent_fuse.sightings.joining import Sightings, lone
from agent_fuse.sightings.outcomes import close_alone
from agent_fuse.sightings.values import Book, Call, CallState, Layer, Outcome, Release, Sighting

__all__ = ["Book", "Call", "CallState", "Layer", "Outcome", "Release", "Sighting", "Sightings", "close_alone", "lone"]
