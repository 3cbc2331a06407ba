"""The enforcement matrix: the real instrumentations, many releases of them, against a loopback model provider."""
