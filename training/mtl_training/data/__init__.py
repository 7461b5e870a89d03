"""Data sets, all giving the same `Sample`, and the augmentation that keeps their geometry right."""
