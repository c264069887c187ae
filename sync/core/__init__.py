"""Pure decisions: data in, decisions out; no I/O, and the clock is an argument."""
