"""Runs a Slicer scripted module and a Segment Editor effect without the Slicer application, for tests only."""
