"""Partial evaluation: run a network once on this image, then only what the tuned layers change."""
