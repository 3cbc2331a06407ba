"""What is behind sightings: the values, and how alike two of them are."""
