"""What is behind "did it cost?": the rows of its table, by library, and what an error says in words."""
