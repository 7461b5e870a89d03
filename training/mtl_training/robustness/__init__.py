"""How far a model is to be trusted under other conditions than those it was measured in."""
