"""A page to play with trained networks: turn a digit, and see what the transformer makes of it."""
