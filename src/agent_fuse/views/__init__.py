"""What an operator looks at: standings, pace, FOCUS charges, the check-up."""
