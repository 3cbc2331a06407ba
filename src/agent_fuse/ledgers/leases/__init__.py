"""Leases: slices of limits that a worker takes from a ledger far away, and spends by itself."""
