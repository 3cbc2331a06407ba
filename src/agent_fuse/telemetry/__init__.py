"""What is behind the metrics: the table of instruments, exact totals, watched limits."""
