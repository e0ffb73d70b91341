"""Settings for the whole suite."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline and no complaint about slow examples: on a shared machine one example may wait for a core, and a
# test that fails for the machine's reasons teaches people to run it again.
settings.register_profile(
    "tallynet", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# The same examples in every run, so that a change is judged by what it changed. Developers search new ones.
settings.register_profile("ci", settings.get_profile("tallynet"), derandomize=True, database=None)
os.environ["TALLY_CONTEXT"] = ""  # the defaults of whoever runs the tests are none of theirs
settings.load_profile("ci" if os.environ.get("CI") else "tallynet")
