"""The slow ways that came before, and are compared with."""
