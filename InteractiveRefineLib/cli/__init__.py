"""The command line `interactive-refine`: one file per command, see `main`."""
