"""Interactive Refine in the MRML scene: volumes, segments, strokes, undo. Needs slicer and vtk, neither qt nor ctk."""
