"""What is behind the loop rule: canonical arguments, signatures, verdicts, bounded tables."""
