"""Training: tasks, and what happens around their steps."""
