"""`tally doctor`: what is wrong with a node's files, machine and surroundings, and what to do about it.

config_check   every fault of node.toml, with its line
files          genesis, key, database, mark
machine        clock, disk, limits
network        the own port and the peers, over the wire
report         all of them in order, printed
"""
