"""The method on a toy: two coupled functions of one input, one of them rarely labelled.

The source's first experiment is of this kind, but its functions, networks and settings are not
published. Functions, noise, numbers of labels, network size and steps here are our own
reconstruction. They were written down before anything was trained. Learning rates and weight
decays were chosen afterwards, on seeds that no result uses and from like grids: those of all
students as the ones that serve plain multi-task learning best, those of the multi-modal teachers by
the error of their pseudo-labels.
"""
