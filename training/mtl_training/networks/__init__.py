"""Networks in plain torch; they know channel counts, and nothing of what a task means."""
