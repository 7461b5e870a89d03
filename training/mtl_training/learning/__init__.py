"""How a network is trained: losses, the loop, checkpoints."""
