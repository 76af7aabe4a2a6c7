"""Segmenting without a network: from the user's strokes and the image alone."""
