"""Everything about one image and one network that does not change between rounds."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from .backbone.grid import most_likely
from .backbone.load import Backbone
from .backbone.outputs import ClassLogits
from .backbone.preprocessing import rounded_spacing
from .decoding.blend import Distances, network_labels
from .decoding.edges import EdgeFeatures, FeatureEdges, IntensityWindow
from .decoding.reach import Doubt
from .errors import BackboneError, InputError
from .orientation import AxisOrder, contiguous
from .outlines.follow import Outlines
from .partial.prepare import prepare
from .partial.store import CACHE_BYTES
from .progress import Progress, ShouldCancel, never_cancel, no_progress
from .scratch.propagate import StrokePropagation
from .standardized import StandardizedFeatures
from .volume import Volume

#: torch.quantile takes no more values.
_MOST_FOR_QUANTILES = 2**24


class ImageFrame:
    """The image in the order and direction of the network's tensor axes; all computing happens in this frame.

    That makes results independent of how the user's voxel axes are flipped or permuted.

    Attributes:
        order: from the user's array axes (K, J, I) to the frame.
        image: (C, *shape) intensities, a view.
        geometry: of the frame.
        shape, spacing: of the frame, spacing in mm.

    Raises:
        InputError: the image has NaN or infinite voxels or is constant.
        BackboneError: the number of channels differs.
    """

    def __init__(self, volume: Volume, backbone: Backbone) -> None:
        _check_image(volume, backbone)
        self.order = AxisOrder.toward(volume.geometry, backbone.preprocessing.codes_by_tensor_axis(volume.geometry))
        # Differences of intensities are taken everywhere, which true and false do not have.
        channels = volume.channels.view(np.uint8) if volume.channels.dtype == np.bool_ else volume.channels
        self.image = self.order.apply(channels)
        self.geometry = self.order.apply_geometry(volume.geometry)
        self.shape = self.geometry.shape
        self.spacing = rounded_spacing(self.geometry)

    def voxels(self, flat: np.ndarray, user_shape: tuple[int, int, int]) -> np.ndarray:
        """Frame indices (N, 3) of flat indices into the user's (K, J, I) array."""
        kji = np.unravel_index(flat, user_shape)
        columns = []
        for axis, (old, flip) in enumerate(zip(self.order.permutation, self.order.flipped)):
            columns.append(self.shape[axis] - 1 - kji[old] if flip else kji[old])
        return np.stack(columns, axis=1)

    def user_indices(self, voxels: np.ndarray, user_shape: tuple[int, int, int]) -> np.ndarray:
        """Flat indices (N,) into the user's (K, J, I) array of frame voxels (N, 3)."""
        kji: list[np.ndarray] = [np.empty(0)] * 3
        for axis, (old, flip) in enumerate(zip(self.order.permutation, self.order.flipped)):
            kji[old] = self.shape[axis] - 1 - voxels[:, axis] if flip else voxels[:, axis]
        return np.ravel_multi_index(tuple(kji), user_shape)

    def to_user(self, field: np.ndarray) -> np.ndarray:
        """A field of the frame in the user's axes, contiguous, always a copy: the user may write into it."""
        turned = self.order.undo(field)
        fastest = int(np.argmin(np.abs(turned.strides)))
        if fastest == 2:
            return np.array(turned, order="C")
        # Plane by plane, which the processor's cache holds: in one go it would crawl through memory.
        out, other = np.empty(turned.shape, turned.dtype), 1 - fastest
        for to, plane in zip(np.moveaxis(out, other, 0), np.moveaxis(turned, other, 0)):
            to[...] = plane
        return out


class NetworkState:
    """The network's run on the image, kept for all rounds.

    Args:
        device: where everything of the image is kept and computed.
        run_on: where the network runs, window by window; None: on that device, too.

    Attributes:
        frame: the image.
        to_classes: the network's output channels (..., channels) to class logits (..., classes).
        grid: where the network's grid lies.
        part: the tuned part.
        logits: (classes, *grid shape) initial class logits, background first.
        grid_labels: (*grid shape) initial labels.
        logit_labels: (*image shape) uint16, the likeliest class of the interpolated logits.
        labels: (*image shape) uint16 initial labels: the same array, or what the owner's tool makes of the output.
        doubt: of the untuned network.
        similarity_features: standardized intensities and last features.
        lengths: how far strokes act in this image.
        notes: sentences for the user.
    """

    def __init__(
        self,
        frame: ImageFrame,
        backbone: Backbone,
        layers: int,
        device: torch.device,
        *,
        run_on: torch.device | None = None,
        or_fewer: bool = False,
        cache_bytes: int = CACHE_BYTES,
        progress: Progress = no_progress,
        should_cancel: ShouldCancel = never_cancel,
    ) -> None:
        self.frame, self.device = frame, device
        self.to_classes = ClassLogits(backbone.config)
        with torch.no_grad():
            image, self.grid = backbone.preprocessing(frame.image, frame.geometry, device)
            network = prepare(
                backbone, self.grid, image, layers,
                run_on=run_on, or_fewer=or_fewer, cache_bytes=cache_bytes,
                progress=progress, should_cancel=should_cancel,
            )  # fmt: skip
            self.part, self.notes = network.part, network.notes
            # Classes last in memory: decoding reads all classes of single voxels.
            self.logits = self.to_classes(network.logits.movedim(0, -1).contiguous()).movedim(-1, 0)
            self.grid_labels = most_likely(self.logits).cpu().numpy()
            self.doubt = Doubt(self.logits, self.grid_labels)
            self._to_image = self._nearest_image_voxels()
            intensities = torch.as_tensor(np.stack([c[self._to_image] for c in frame.image]), device=device).float()
            every = max(7, -(-intensities[0].numel() // _MOST_FOR_QUANTILES))
            sample = intensities.flatten(1)[:, ::every]
            limits = torch.quantile(sample, torch.tensor([0.05, 0.99], device=device), dim=1)
            for channel, low, high in zip(intensities, *limits):
                channel.clamp_(low, high)  # in place: air and metal must not decide the scale
            parts = [intensities] + ([network.features] if network.features is not None else [])
            self.similarity_features = StandardizedFeatures(parts)
            self._feature_edges = None
            if network.features is not None:
                self._feature_edges = FeatureEdges(network.features, self.similarity_features.scales[1], self.grid)
        everything = tuple(slice(0, n) for n in frame.shape)
        self.logit_labels = network_labels(self.grid, self.logits, everything, self.grid_labels)
        self.labels = self.logit_labels
        if self.grid.own_channels is not None:
            label_of = np.array([*backbone.config.channel_labels, 0], dtype=np.uint16)  # the last one is that of -1
            self.labels = label_of[self.grid.own_channels(network.logits)]
        self.lengths = Distances.for_image(frame.shape, frame.spacing)
        self._coarse_image: np.ndarray | None = None  # (C, ...) every third voxel, made in the first round

    @cached_property
    def propagation(self) -> StrokePropagation:
        """What follows strokes where no network helps; computed when it is asked for first."""
        return StrokePropagation(self.frame, self.device)

    @cached_property
    def outlines(self) -> Outlines:
        """What lets outlines follow the edges in the image; computed in the first round."""
        return Outlines(self.frame, self.device)

    @property
    def has_features(self) -> bool:
        """Whether the network's last features are known at every voxel of its grid."""
        return self._feature_edges is not None

    def _nearest_image_voxels(self) -> tuple[np.ndarray, ...]:
        index = []
        for axis in range(3):
            crop, center = self.grid.crop[axis], self.grid.image_positions(axis)
            index.append(np.clip(np.round(center).astype(np.int64), crop.start, crop.stop - 1))
        return np.ix_(*index)

    def on_grid(self, field: np.ndarray) -> np.ndarray:
        """A field (*image shape) at the network's grid, by nearest voxel."""
        for axis, index in enumerate(self._to_image):  # whole planes, then rows; one after the other is faster
            field = field.take(index.reshape(-1), axis)
        return field

    def edges(self, labels: np.ndarray, strokes: np.ndarray) -> EdgeFeatures:
        """What cuts the walker's edges, with the intensity window of the strokes and the present structures."""
        image = self.frame.image
        coarse = tuple(slice(None, None, 3 if n >= 48 else 1) for n in self.frame.shape)
        if self._coarse_image is None:
            self._coarse_image = contiguous(image[(slice(None), *coarse)])
        everything, inside = self._coarse_image, labels[coarse] > 0
        of_interest = np.concatenate([everything[:, inside], image[(slice(None), *strokes.T)]], axis=1)
        window = IntensityWindow.around(everything.reshape(image.shape[0], -1), of_interest)
        return EdgeFeatures(image, window, self._feature_edges)


def _check_image(volume: Volume, backbone: Backbone) -> None:
    channels = volume.channels
    expected = len(backbone.config.channels)
    if channels.shape[0] != expected:
        raise BackboneError(
            f"The backbone {backbone.config.name!r} needs {expected} channel(s) "
            f"({', '.join(backbone.config.channels)}), but {volume.name} has {channels.shape[0]}."
        )
    if channels.dtype.kind == "f":
        bad = int(channels.size - np.count_nonzero(np.isfinite(channels)))
        if bad:
            raise InputError(
                f"{volume.name} has {bad} voxels that are NaN or infinite. Replace them (for CT by -1024, for MR by 0) "
                "and try again."
            )
    elif channels.dtype.kind not in "biu":
        raise InputError(f"{volume.name} holds {channels.dtype}, not numbers that could be intensities.")
    if channels.min() == channels.max():
        raise InputError(
            f"{volume.name} has the same intensity ({channels.flat[0]:g}) everywhere: there is nothing to see in it. "
            "Load another image."
        )
