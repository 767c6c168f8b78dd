"""Many runs: what is to be done, what is done already, and who does it."""
