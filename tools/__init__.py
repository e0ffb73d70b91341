"""`tally`: command line, local testnet, demo, audit, benchmark."""
