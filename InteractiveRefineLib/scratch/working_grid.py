"""The grid on which strokes are propagated without a network: as fine as a bounded number of nodes allows."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..backbone.grid import NetworkGrid

#: Nodes at most: a round stays within seconds, and an organ has tens of nodes along each side.
MOST_NODES = 700_000


def working_grid(shape: tuple[int, int, int], spacing: tuple[float, ...], most: int = MOST_NODES) -> NetworkGrid:
    """A grid over the whole image, of the image's voxels where they are few enough, else nearly isotropic and coarser.

    Args:
        shape: of the image.
        spacing: in mm along its axes.
        most: nodes at most.
    """

    def nodes(side: float) -> tuple[int, ...]:
        return tuple(max(1, round(n * s / max(s, side))) for n, s in zip(shape, spacing))

    low, high = min(spacing), max(n * s for n, s in zip(shape, spacing))
    if np.prod(nodes(low)) > most:
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if np.prod(nodes(middle)) > most else (low, middle)
        low = high
    return NetworkGrid(tuple(shape), tuple(slice(0, n) for n in shape), nodes(low))


def node_spacing(grid: NetworkGrid, spacing: tuple[float, ...]) -> tuple[float, float, float]:
    """Distance in mm between neighboring nodes along the three axes."""
    return tuple(s * n / m for s, n, m in zip(spacing, grid.image_shape, grid.shape))


def nodes_of(grid: NetworkGrid, voxels: np.ndarray) -> np.ndarray:
    """(N, 3) int64, the node in whose cell each image voxel (N, 3) lies."""
    return np.stack([nodes_along(grid, axis, voxels[:, axis]) for axis in range(3)], axis=1)


def nodes_along(grid: NetworkGrid, axis: int, index: np.ndarray) -> np.ndarray:
    """The nodes' index along one axis in whose cells voxels of the image with these indices along it lie."""
    n, m = grid.image_shape[axis], grid.shape[axis]
    return np.minimum((2 * index + 1) * m // (2 * n), m - 1)


def averaged(image: np.ndarray, grid: NetworkGrid, device: torch.device) -> torch.Tensor:
    """Every node's mean over the voxels of its cell: (C, *grid shape) float32 of an image (C, *image shape).

    Plane by plane of the first axis, so that no second copy of a large scan is made.
    """
    n, m = grid.image_shape[0], grid.shape[0]
    planes = []
    for node in range(m):
        cell = np.array(
            image[:, node * n // m : -(-(node + 1) * n // m)], order="C"
        )  # a flipped view has negative strides
        planes.append(F.adaptive_avg_pool2d(torch.as_tensor(cell, device=device).float().mean(dim=1), grid.shape[1:]))
    return torch.stack(planes, dim=1)


def at_nodes(field: np.ndarray, grid: NetworkGrid) -> np.ndarray:
    """A field (*image shape) at the voxel in the middle of every node's cell, (*grid shape)."""
    index = [(2 * np.arange(m) + 1) * n // (2 * m) for n, m in zip(grid.image_shape, grid.shape)]
    return field[np.ix_(*index)]


def marked_nodes(
    grid: NetworkGrid, voxels: np.ndarray, classes: np.ndarray, n_classes: int, fresh: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Flat nodes (M,) that hold strokes, ascending, and the class of most of their voxels.

    Args:
        voxels: (S, 3) image voxels with a stroke.
        classes: (S,) 0 to n_classes - 1.
        fresh: (S,) bool, those that count more than all others of their node.
    """
    nodes = np.ravel_multi_index(tuple(nodes_of(grid, voxels).T), grid.shape)
    unique, place = np.unique(nodes, return_inverse=True)
    votes = np.zeros((len(unique), n_classes))
    np.add.at(votes, (place, classes), 1.0 if fresh is None else np.where(fresh, 1e6, 1.0))
    return unique, votes.argmax(axis=1)
