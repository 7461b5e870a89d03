"""Labelling recordings with a teacher, resumably."""
