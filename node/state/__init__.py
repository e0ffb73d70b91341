"""Overlays, the committed state and the Merkle tree over it."""
