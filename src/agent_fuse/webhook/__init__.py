"""The webhook: trips, warnings and pauses as JSON, posted to one address by a thread of its own."""
