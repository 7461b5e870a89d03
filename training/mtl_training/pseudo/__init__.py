"""Pseudo-labels: made by a teacher, stored, calibrated, judged, and given to a student."""
