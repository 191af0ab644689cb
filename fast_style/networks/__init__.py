"""The networks: what paints, and what judges."""
