"""Tallynet: what every party must agree on, and the thin client."""
