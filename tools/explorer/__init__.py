"""Small networks of real replicas: every order of messages (explorer), every partition (twins)."""
