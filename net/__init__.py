"""The validators' network: listeners, mesh, outboxes, limits."""
