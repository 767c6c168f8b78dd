"""The datasets: what they are (``spec``), where they come from, how their batches are made."""
