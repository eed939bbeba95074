"""The command lines: a thin skin of options over the library. Nothing imports this."""
