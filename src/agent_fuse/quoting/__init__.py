"""What is behind prices, tokens and quotes: rates, names, vocabularies, what was learned."""
