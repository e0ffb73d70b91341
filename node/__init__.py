"""The processes: ledger, state, store, execution, serving."""
