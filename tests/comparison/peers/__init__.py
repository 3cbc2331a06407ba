"""One file a peer: how its documentation says that a call is guarded."""
