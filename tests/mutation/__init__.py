"""Mutation testing: break one thing at a time, and see a test fail. `make mutation`; the scores are in docs/decisions/0010."""
