"""Everything that knows Ray: the run of a checked study, its worker processes, the cluster, and the checks before.

`check` makes a `Plan`, `run` carries it out; what happens in between is told to a `Listener`.
"""
