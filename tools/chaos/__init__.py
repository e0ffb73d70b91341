"""`tally chaos`: real validator processes under load, broken on purpose, and judged afterwards.

Theory of operation. A run makes a network of its own on the loopback address (`network`), starts a
process of clients that log every certified receipt with fsync (`load`, `record`), and plays a script
(`schedules`): processes are killed and stopped (`crashes`), links cut and slowed by a relay in a
process of its own (`links`, `relay`, `cuts`), disks filled, damaged and rolled back (`disks`,
`damage`), clocks set wrong (`clocks`), validators turned Byzantine (`traitor`, `byzantine_node`,
`traitors`). Then everything heals, everything pending must be decided, the nodes stop, and the logs
are compared with every node's chain (`chain`, `checker`, `verdict`).

A seed decides what is drawn; when it happens is up to the machine, so a run is not repeatable to the
letter. What it finds is kept: databases, node logs, acknowledgements, events.
"""
