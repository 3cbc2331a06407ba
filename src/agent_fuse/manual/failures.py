"""Whether an error that a call by hand ended with means that nothing can have been charged."""

from agent_fuse.charged import FailureCost, of_error


def is_free(error: BaseException) -> bool:
    """Whether the request was refused, answered with an error status, or never sent."""
    return of_error(error) is FailureCost.NOTHING
