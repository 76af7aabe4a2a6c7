"""Outlines that follow the edges seen in the image, as far as the structure stands out from what is around it."""
