"""A class the network knows but does not find: its first strokes are grown, what grew is sifted, later ones are not."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from InteractiveRefineLib.seeds import Seeds  # noqa: E402
from InteractiveRefineLib.tuning.missing_class import without_unrecognized  # noqa: E402
from Testing.tests.cli_examples import LIVER, SPLEEN  # noqa: E402
from Testing.tests.cli_examples import truth as true_labels  # noqa: E402
from Testing.tests.session_examples import (  # noqa: E402
    EMPTY,
    IN_LIVER,
    IN_SPLEEN,
    a_backbone,
    a_session,
    constraints_for,
    hesitant,
)
from Testing.tests.test_seeds import grown_map, seeds_of  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
ALSO_IN_SPLEEN = IN_SPLEEN + [2, 2, 0]


def a_session_without_spleen(**settings):
    """The network's row of the spleen is silent, as if it had never learned that class."""
    network = hesitant()
    with torch.no_grad():
        network.head.weight[SPLEEN.label] = 0
        network.head.bias[SPLEEN.label] = network.head.bias.min() - 3
    session = a_session(backbone=a_backbone(network), threshold=20.0, **settings)
    assert not (session.predict() == SPLEEN.label).any()
    return session


def grown(result, label):
    """Voxels that grew for a class, without its strokes."""
    return (np.asarray(result.grown) == label) & (np.asarray(result.strokes) != label)


def test_the_first_strokes_of_a_missing_class_grow():
    session = a_session_without_spleen()
    result = session.refine(constraints_for(session, (IN_SPLEEN, SPLEEN.label), (EMPTY, 0)))
    more = grown(result, SPLEEN.label)
    assert more.sum() > 5
    assert (true_labels()[more] == SPLEEN.label).all()


def test_strokes_of_a_class_that_the_network_finds_do_not_grow():
    session = a_session_without_spleen()
    result = session.refine(constraints_for(session, (IN_LIVER, LIVER.label), (EMPTY, 0)))
    assert not grown(result, LIVER.label).any()


def test_from_the_second_round_on_they_do_not():
    session = a_session_without_spleen()
    constraints = constraints_for(session, (IN_SPLEEN, SPLEEN.label), (EMPTY, 0))
    session.refine(constraints)
    constraints.next_round()
    constraints.add_stroke_indices(ALSO_IN_SPLEEN, SPLEEN.label)
    assert not grown(session.refine(constraints), SPLEEN.label).any()


def test_nothing_grows_where_the_user_wants_no_growing():
    session = a_session_without_spleen(grow="none")
    result = session.refine(constraints_for(session, (IN_SPLEEN, SPLEEN.label), (EMPTY, 0)))
    assert not grown(result, SPLEEN.label).any()


def test_the_first_strokes_find_more_of_the_class_than_without_growing():
    found = {}
    for grow in ("none", "new"):
        session = a_session_without_spleen(grow=grow)
        result = session.refine(constraints_for(session, (IN_SPLEEN, SPLEEN.label), (EMPTY, 0)))
        assert result.violated_strokes == 0
        found[grow] = np.count_nonzero((result.labels == SPLEEN.label) & (true_labels() == SPLEEN.label))
    assert found["new"] > found["none"]


def test_missing_classes_grow_no_farther_than_they_may_and_others_as_the_user_set_it():
    def farthest(new_label, **more):
        _, seeds = seeds_of((IN_SPLEEN[:1], 2), (IN_LIVER, new_label), missing=[2], missing_distance_mm=3.0, **more)
        where = np.argwhere(grown_map(seeds) == 2)
        return float(np.linalg.norm((where - IN_SPLEEN[0]) * spacing, axis=1).max())

    from Testing.tests.cli_examples import scan

    spacing = scan().geometry.spacing_kji
    assert 0 < farthest(1) <= 3.0 + 1e-6
    assert farthest(3) > 6.0  # a new class grows as well, and with the user's distance
    assert farthest(1, max_distance_mm=1.0) <= 1.0 + 1e-6


class TestSifting:
    def sifted(self, probability):
        session = a_session()
        session.predict()
        state = session._state
        tuned = torch.zeros_like(state.logits)
        tuned[2] = float(np.log(2 * probability / (1 - probability)))  # two others at 0
        strokes = np.array([[8, 12, 24]])
        near, far, other = [8, 12, 25], [8, 6, 24], [8, 2, 3]
        seeds = Seeds(np.array([*strokes, near, far, other]), np.array([2, 2, 2, 1]))
        return without_unrecognized(seeds, 1, [2], tuned, state).voxels.tolist()

    def test_what_the_tuned_network_takes_for_the_class_stays_near_its_strokes(self):
        assert self.sifted(0.5) == [[8, 12, 24], [8, 12, 25], [8, 2, 3]]

    def test_what_it_does_not_take_for_it_goes_and_strokes_and_other_classes_stay(self):
        assert self.sifted(0.05) == [[8, 12, 24], [8, 2, 3]]

    def test_where_it_is_certain_all_stays(self):
        assert len(self.sifted(0.9999)) == 4
