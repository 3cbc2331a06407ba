"""The roads of frameworks to providers that have no gate of their own in their SDK: what the wire gate does on each."""
