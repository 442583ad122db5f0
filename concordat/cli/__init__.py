"""The command line: one module for each group of commands, loaded only when it is used."""
