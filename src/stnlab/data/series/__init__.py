"""A user's own series: NumPy archives, UCR's .ts, tables in long form."""
