"""The dashboard: one live page of what agents spend, and a hand on the switch for whoever may act."""
