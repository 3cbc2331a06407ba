"""The same proxy, started by `agent-fuse run litellm --config …`."""

from . import litellm_proxy

PACKAGES = litellm_proxy.PACKAGES
roads = litellm_proxy.roads


def guarded(url, budget, folder):
    """The proxy under a guard; gives the ledger that it writes."""
    return litellm_proxy.guarded(url, budget, folder, ("agent-fuse", "run"))
