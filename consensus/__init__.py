"""PBFT as a pure state machine: no I/O, no clock, no randomness, no threads."""
