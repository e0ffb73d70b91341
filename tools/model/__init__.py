"""The view change as a Promela model, checked by spin: `tally model`."""
