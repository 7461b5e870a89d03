"""Nav2: costmap parameters from a model's classes, and whether a running node keeps the rules."""
