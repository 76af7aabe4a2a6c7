"""What moves with the mouse in a slice view: the outline of the brush, and the trail of the drag until it is finished.

Both are drawn in pixels of the view from positions in mm, so that they have the true size at every zoom.
"""

import numpy as np
import vtk

from .views import planeOf, xyOf

#: Corners of the polygon that stands for a round brush.
_CORNERS = 48
_OUTLINE_WIDTH = 2.0
_TRAIL_OPACITY = 0.45


class ViewOverlay:
    """The two actors of one slice view.

    Args:
        scriptedEffect: adds and removes actors.
        viewWidget: a `qMRMLSliceWidget`.
    """

    def __init__(self, scriptedEffect, viewWidget):
        self._effect = scriptedEffect
        self._viewWidget = viewWidget
        self.outline = _Drawing(lineWidth=_OUTLINE_WIDTH)
        self.trail = _Drawing(lineWidth=_OUTLINE_WIDTH, opacity=_TRAIL_OPACITY)
        for drawing in (self.trail, self.outline):
            scriptedEffect.addActor2D(viewWidget, drawing.actor)

    @property
    def sliceNode(self):
        """The `vtkMRMLSliceNode` of the view."""
        return self._viewWidget.sliceLogic().GetSliceNode()

    def showOutline(self, ras, radiusMm, color, crossed):
        """Show the brush around a RAS position (3,) in mm; `crossed` strikes it through: "not this"."""
        plane = planeOf(self.sliceNode)
        self.outline.clear()
        self.outline.addLine(self._pixels(circle(ras, plane, radiusMm)))
        if crossed:
            arm = radiusMm * np.sqrt(0.5) * (plane.x + plane.y)
            self.outline.addLine(self._pixels([ras - arm, ras + arm]))
        self.outline.show(color)
        self._render()

    def hideOutline(self):
        """No brush in this view."""
        self.outline.hide()
        self._render()

    def showBrushTrail(self, start, end, plane, radiusMm, color):
        """Add to the trail what the brush passed over from one RAS position (3,) in mm to another; a dab when equal."""
        if np.array_equal(start, end):
            self.trail.addArea(self._pixels(circle(start, plane, radiusMm)[:-1]))
        else:
            rear, front = (self._pixels(arc) for arc in sweep(start, end, plane, radiusMm))
            for n in range(len(rear) - 1):
                self.trail.addArea(np.array([rear[n], front[n], front[n + 1], rear[n + 1]]))
        self.trail.show(color)
        self._render()

    def showRectangle(self, corners, color):
        """Show a closed line through RAS positions (3,) in mm instead of the trail."""
        self.trail.clear()
        self.trail.addLine(self._pixels(corners))
        self.trail.show(color)
        self._render()

    def clearTrail(self):
        """Forget the trail."""
        self.trail.clear()
        self.trail.hide()
        self._render()

    def remove(self):
        """Take both actors out of the view."""
        for drawing in (self.outline, self.trail):
            self._effect.removeActor2D(self._viewWidget, drawing.actor)

    def _pixels(self, ras):
        return xyOf(self.sliceNode, np.asarray(ras))

    def _render(self):
        self._effect.scheduleRender(self._viewWidget)


class _Drawing:
    """Lines and filled areas in one color, in pixels of a view."""

    def __init__(self, lineWidth=1.0, opacity=1.0):
        self._polyData = vtk.vtkPolyData()
        self.clear()
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(self._polyData)
        self.actor = vtk.vtkActor2D()
        self.actor.SetMapper(mapper)
        self.actor.GetProperty().SetLineWidth(lineWidth)
        self.actor.GetProperty().SetOpacity(opacity)
        self.hide()

    def clear(self):
        self._polyData.SetPoints(vtk.vtkPoints())
        self._polyData.SetLines(vtk.vtkCellArray())
        self._polyData.SetPolys(vtk.vtkCellArray())
        self._polyData.Modified()

    def addLine(self, xy):
        self._add(xy, self._polyData.GetLines())

    def addArea(self, xy):
        self._add(xy, self._polyData.GetPolys())

    def show(self, color):
        self.actor.GetProperty().SetColor(*color)
        self.actor.SetVisibility(True)

    def hide(self):
        self.actor.SetVisibility(False)

    def _add(self, xy, cells):
        points = self._polyData.GetPoints()
        cells.InsertNextCell(len(xy))
        for x, y in xy.tolist():
            cells.InsertCellPoint(points.InsertNextPoint(x, y, 0.0))
        points.Modified()
        self._polyData.Modified()


def circle(center, plane, radiusMm):
    """(M, 3) RAS positions in mm of a closed line around a brush with its center at a RAS position (3,)."""
    return center + _directions(plane, np.linspace(0.0, 2 * np.pi, _CORNERS + 1)) * radiusMm


def sweep(start, end, plane, radiusMm):
    """The front half of a brush's edge at the start and at the end of a straight way: two (M, 3) RAS positions in mm.

    Between them lies what the brush newly covers; areas that overlap would look darker.
    """
    along = end - start
    heading = np.arctan2(along @ plane.y, along @ plane.x)
    edge = _directions(plane, heading + np.linspace(-np.pi / 2, np.pi / 2, _CORNERS // 2 + 1)) * radiusMm
    return start + edge, end + edge


def _directions(plane, angles):
    return np.cos(angles)[:, None] * plane.x + np.sin(angles)[:, None] * plane.y
