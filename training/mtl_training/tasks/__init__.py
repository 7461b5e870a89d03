"""Tasks: each brings its head's width, its loss and the meaning of its raw output."""
