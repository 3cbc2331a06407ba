"""The circuit breaker for AI agents."""
