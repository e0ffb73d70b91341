"""Real validators in one process under a seeded, hostile world: `tally simulate`.

Theory of operation. Everything above the sockets and the threads of a validator is `node.machine`, and
that very code runs here, with the real store code on a simulated disk, the real voucher law and real
clients' checks. What a process gets from its surroundings comes from a seed: time (`scheduler`), the
network (`network`), the disk (`disk`), crashes, pauses, partitions and clocks (`faults`), and up to f
validators that lie (`byzantine`). Oracles (`oracles`) watch from outside and share no code with what
they judge. One seed is one run: the same seed gives the same events, byte for byte.
"""
