"""The same SDKs at the oldest releases that can be installed beside AgentFuse's own requirements, or that have the call."""

from . import sdks

PACKAGES = sdks.PACKAGES
roads = sdks.roads
