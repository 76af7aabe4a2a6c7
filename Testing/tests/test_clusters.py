"""Clusters of stroke voxels never separate what lies closer together than the gap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

pytest.importorskip("torch")

from InteractiveRefineLib.decoding.clusters import clusters_of  # noqa: E402


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 60),
    gap=st.sampled_from([0.5, 4.0, 10.0, 25.0]),
    spacing=st.sampled_from([(1.0, 1.0, 1.0), (5.0, 0.7, 0.7), (2.0, 3.0, 0.5)]),
)
def test_every_voxel_is_in_one_cluster_and_clusters_are_the_gap_apart(seed, n, gap, spacing):
    voxels = np.random.default_rng(seed).integers(0, (30, 60, 60), (n, 3))
    clusters = clusters_of(voxels, spacing, gap)
    assert sorted(np.concatenate(clusters).tolist()) == list(range(n))
    places = [voxels[rows] * spacing for rows in clusters]
    for i, a in enumerate(places):
        for b in places[i + 1 :]:
            assert cdist(a, b).min() >= gap - 1e-9


def test_what_is_more_than_twice_the_gap_apart_is_decoded_apart():
    voxels = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 100], [0, 0, 101], [0, 90, 50]])
    clusters = {tuple(rows.tolist()) for rows in clusters_of(voxels, (1.0, 1.0, 1.0), 20.0)}
    assert clusters == {(0, 1), (2, 3), (4,)}


def test_a_long_stroke_stays_whole():
    voxels = np.stack([np.zeros(200, int), np.zeros(200, int), np.arange(200)], axis=1)
    assert len(clusters_of(voxels, (1.0, 1.0, 1.0), 3.0)) == 1


def test_one_voxel_is_one_cluster():
    assert [rows.tolist() for rows in clusters_of(np.array([[7, 8, 9]]), (1.0, 2.0, 3.0), 5.0)] == [[0]]
