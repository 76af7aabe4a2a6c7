"""The preview picture: right slices, right side up, right colors, same bytes."""

import itertools

import numpy as np
import pytest
from PIL import Image

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.geometry import Geometry
from InteractiveRefineLib.orientation import AxisOrder
from InteractiveRefineLib.preview import GAP, LINE, PANEL, write_preview
from InteractiveRefineLib.preview_panels import ADDED, RELABELED, REMOVED, display_window, enlarge, lighter
from InteractiveRefineLib.preview_slices import choose_slices
from InteractiveRefineLib.result import ClassChange, RefinementResult
from InteractiveRefineLib.segmentation import Segment
from InteractiveRefineLib.volume import Volume

LIVER, SPLEEN = Segment("liver", 1, (0.8, 0.4, 0.2)), Segment("spleen", 2, (0.2, 0.4, 0.8))
CLASSES = [LIVER, SPLEEN]
SHAPE = (9, 20, 30)  # 2 mm: 40 x 60 mm across, so that one picture shows a whole axial slice at 12 pixels per voxel
LPS = np.diag([-2.0, -2.0, 2.0, 1.0])


def make_result(labels, previous, strokes=None, grown=None, changes=()):
    strokes = np.zeros_like(labels) if strokes is None else strokes
    return RefinementResult(
        labels=labels,
        previous=previous,
        changed_box=None,
        changes=list(changes),
        strokes=strokes,
        grown=strokes if grown is None else grown,
        violated_strokes=0,
    )


@pytest.fixture
def empty():
    return np.zeros(SHAPE, dtype=np.uint16)


@pytest.fixture
def image():
    values = np.zeros(SHAPE, dtype=np.float32)
    values[:, 2:5, 2:5] = 100.0  # a bright spot at the patient's right front
    return Volume(values, LPS, "scan")


@pytest.fixture
def example(empty):
    """One voxel block for every kind of change, strokes of both kinds, all in slice 4."""
    previous, labels, strokes, grown = empty.copy(), empty.copy(), empty.copy(), empty.copy()
    labels[4, 8:12, 4:8] = 1  # added
    previous[4, 8:12, 12:16] = 1  # removed
    previous[4, 8:12, 20:24], labels[4, 8:12, 20:24] = 1, 2  # from liver to spleen
    strokes[4, 10, 5], strokes[4, 10, 13] = 1, 255
    grown[4, 9:12, 4:7] = 1
    return make_result(labels, previous, strokes, np.where(strokes != 0, strokes, grown))


def read_picture(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def panel_pixel(picture, column, j, i):
    """Color in the middle of voxel (j, i) in one panel of a sheet with a single row."""
    left = GAP + column * (PANEL + GAP)
    top = 2 * LINE + GAP + LINE
    return tuple(picture[top + 12 * j + 6, left + 12 * i + 6])


def mix(color, gray, opacity):
    return tuple(round(gray * (1 - opacity) + c * opacity) for c in color)


def test_changes_are_green_where_added_red_where_removed_and_yellow_where_another_structure(tmp_path, image, example):
    write_preview(tmp_path / "p.png", image, example, CLASSES)
    picture = read_picture(tmp_path / "p.png")
    assert panel_pixel(picture, 3, 9, 6) == mix(ADDED, 0, 0.7)
    assert panel_pixel(picture, 3, 9, 14) == mix(REMOVED, 0, 0.7)
    assert panel_pixel(picture, 3, 9, 22) == mix(RELABELED, 0, 0.7)
    assert panel_pixel(picture, 3, 15, 15) == (0, 0, 0)


def test_before_and_after_show_the_structures_in_their_own_colors(tmp_path, image, example):
    write_preview(tmp_path / "p.png", image, example, CLASSES)
    picture = read_picture(tmp_path / "p.png")
    liver, spleen = ([round(255 * c) for c in s.color] for s in CLASSES)
    assert panel_pixel(picture, 0, 9, 22) == mix(liver, 0, 0.3)
    assert panel_pixel(picture, 2, 9, 22) == mix(spleen, 0, 0.3)
    assert panel_pixel(picture, 0, 9, 6) == (0, 0, 0)
    assert panel_pixel(picture, 2, 9, 6) == mix(liver, 0, 0.3)


def test_strokes_are_solid_the_grown_region_lighter_and_background_strokes_white(tmp_path, image, example):
    write_preview(tmp_path / "p.png", image, example, CLASSES)
    picture = read_picture(tmp_path / "p.png")
    liver = tuple(round(255 * c) for c in LIVER.color)
    assert panel_pixel(picture, 1, 10, 5) == liver
    assert panel_pixel(picture, 1, 10, 13) == (255, 255, 255)
    assert panel_pixel(picture, 1, 9, 4) == mix(lighter(liver), 0, 0.55)


def test_patient_right_is_on_the_left_whatever_the_axes_of_the_image(tmp_path, image, example):
    write_preview(tmp_path / "lps.png", image, example, CLASSES)
    expected = read_picture(tmp_path / "lps.png")
    assert panel_pixel(expected, 0, 3, 3)[0] > 200, "the bright spot at the right front is not at the upper left"
    below_caption = slice(2 * LINE + GAP + LINE, None)
    for permutation in itertools.permutations("RAS"):
        for flips in itertools.product((False, True), repeat=3):
            opposite = {"R": "L", "A": "P", "S": "I"}
            codes = "".join(opposite[c] if f else c for c, f in zip(permutation, flips))
            order = AxisOrder.toward(image.geometry, codes)
            turned = Volume(order.apply(image.array), order.apply_geometry(image.geometry).ijk_to_ras, "scan")
            result = make_result(
                *(order.apply(a) for a in (example.labels, example.previous, example.strokes, example.grown))
            )
            write_preview(tmp_path / "turned.png", turned, result, CLASSES)
            picture = read_picture(tmp_path / "turned.png")
            assert np.array_equal(picture[below_caption], expected[below_caption]), codes


def test_pictures_have_the_proportions_of_the_patient(tmp_path):
    shape = (10, 6, 40)  # 40 mm high, 40 mm wide in the coronal view
    geometry = np.diag([-1.0, -1.0, 4.0, 1.0])
    strokes = np.zeros(shape, dtype=np.uint16)
    strokes[2:8, 3, 10:30] = 1  # a coronal stroke
    result = make_result(strokes, np.zeros_like(strokes), strokes)
    write_preview(tmp_path / "p.png", Volume(np.zeros(shape), geometry), result, CLASSES)
    picture = read_picture(tmp_path / "p.png")
    assert picture.shape[1] == 4 * (PANEL + GAP) + GAP
    assert picture.shape[0] >= PANEL + 3 * LINE, "the picture is not as high as wide"
    assert picture.shape[0] < PANEL + 8 * LINE


def test_same_input_gives_the_same_bytes_without_date_or_software(tmp_path, image, example):
    write_preview(tmp_path / "a.png", image, example, CLASSES)
    write_preview(tmp_path / "b.png", image, example, CLASSES)
    data = (tmp_path / "a.png").read_bytes()
    assert data == (tmp_path / "b.png").read_bytes()
    for chunk in (b"tEXt", b"iTXt", b"zTXt", b"tIME", b"eXIf"):
        assert chunk not in data


def test_slices_that_changed_most_are_chosen_and_shown_from_head_to_feet(empty):
    changed = np.zeros((40, 20, 30), dtype=bool)
    for k, n in ((5, 9), (6, 8), (20, 5), (33, 7)):
        changed[k, 0, :n] = True
    sheet = choose_slices(Geometry(changed.shape, LPS), changed, np.zeros_like(changed), changed, 3)
    slicer_numbers = [int(sheet.caption(i).split("slice ")[1].rstrip(")")) for i in sheet.indices]
    assert slicer_numbers == [33, 20, 5], "6 shows the same change as 5"
    assert sheet.caption(sheet.indices[0]).startswith("Axial  S 66.0 mm")


def test_at_least_one_slice_shows_a_stroke():
    changed, strokes = np.zeros((2, 40, 20, 30), dtype=bool)
    changed[[5, 30]] = True
    changed[18, 0, 0] = strokes[18, 0, 0] = True
    sheet = choose_slices(Geometry(changed.shape, LPS), changed, strokes, changed, 2)
    assert [39 - i for i in sheet.indices] == [30, 18]
    changed[29, 0, 0] = strokes[29, 0, 0] = True
    strokes[18] = False
    sheet = choose_slices(Geometry(changed.shape, LPS), changed, strokes, changed, 2)
    assert [39 - i for i in sheet.indices] == [29, 5], "it takes the place of the slice that shows the same change"


@pytest.mark.parametrize(("axis", "name"), [(0, "Axial"), (1, "Coronal"), (2, "Sagittal")])
def test_slices_lie_as_the_strokes_were_drawn(axis, name):
    strokes = np.zeros((20, 20, 20), dtype=np.uint16)
    plane = [slice(5, 15)] * 3
    plane[axis] = 7
    strokes[tuple(plane)] = 1
    sheet = choose_slices(Geometry(strokes.shape, LPS), strokes != 0, strokes, strokes, 3)
    assert sheet.caption(sheet.indices[0]).startswith(name)
    assert len(sheet.indices) == 1


def test_without_changes_the_strokes_are_shown_and_without_those_the_structures(empty):
    geometry, strokes, labels = Geometry(SHAPE, LPS), empty.copy(), empty.copy()
    labels[2] = 1
    nothing = np.zeros(SHAPE, dtype=bool)
    assert choose_slices(geometry, nothing, empty, empty, 3).indices == (4,)
    assert choose_slices(geometry, nothing, empty, labels, 3).indices == (6,)
    strokes[7, 3, 3] = 1
    assert choose_slices(geometry, nothing, strokes, labels, 3).indices == (1,)


def test_a_result_without_any_change_can_be_drawn(tmp_path, image, empty):
    write_preview(tmp_path / "p.png", image, make_result(empty, empty), [])
    assert read_picture(tmp_path / "p.png").shape[0] > 0


def test_rgb_is_shown_in_color_and_other_channels_in_gray(tmp_path, empty):
    flat = empty[:1]
    rgb = np.zeros((3, *flat.shape), dtype=np.uint8)
    rgb[0] = 200
    write_preview(tmp_path / "rgb.png", Volume(rgb, LPS), make_result(flat, flat), [])
    assert panel_pixel(read_picture(tmp_path / "rgb.png"), 0, 10, 15) == (200, 0, 0)
    two = np.stack([np.arange(600).reshape(flat.shape), np.zeros(flat.shape)]).astype(np.float32)
    write_preview(tmp_path / "two.png", Volume(two, LPS), make_result(flat, flat), [])
    red, green, blue = panel_pixel(read_picture(tmp_path / "two.png"), 0, 10, 15)
    assert red == green == blue > 100


def test_nan_infinity_and_constant_images_do_not_stop_the_picture(tmp_path, image, example):
    broken = image.array.copy()
    broken[4, 0, 0], broken[4, 0, 1] = np.nan, np.inf
    write_preview(tmp_path / "a.png", Volume(broken, LPS), example, CLASSES)
    write_preview(tmp_path / "b.png", Volume(np.full(SHAPE, np.nan), LPS), example, CLASSES)
    write_preview(tmp_path / "c.png", Volume(np.full(SHAPE, 7, dtype=np.int16), LPS), example, CLASSES)


def test_a_label_without_a_class_is_gray(tmp_path, image, empty):
    labels = empty.copy()
    labels[4, 8:12, 4:26] = 9
    write_preview(tmp_path / "p.png", image, make_result(labels, empty), CLASSES)
    assert panel_pixel(read_picture(tmp_path / "p.png"), 2, 9, 6) == mix((128, 128, 128), 0, 0.3)


def test_gray_window_follows_the_structures_and_not_air_and_bone():
    ct = np.full((10, 100), -1000.0)
    ct[2:5], ct[5], ct[6] = -100.0, 1500.0, np.linspace(60, 160, 100)
    low, high = display_window(ct, ct > 50)
    liver_only = np.zeros(ct.shape, dtype=bool)
    liver_only[6] = True
    low, high = display_window(ct, liver_only)
    assert -300 < low < -80 and 250 < high < 500


def test_thin_strokes_survive_being_shown_small():
    labels = np.zeros((500, 500), dtype=np.uint16)
    labels[101, 203] = 3
    small = enlarge(labels, (100, 100))
    assert small[20, 40] == 3 and np.count_nonzero(small) == 1


def test_legend_grows_with_the_classes_and_names_only_those_present(tmp_path, image, empty):
    few, many = empty.copy(), empty.copy()
    few[4, 5, :] = 1
    many[4, 5, :] = np.arange(1, 31)
    classes = [Segment(f"a structure with a long name {n}", n) for n in range(1, 31)]
    changes = [ClassChange("x", 1, 1.0, 0.0)]
    write_preview(tmp_path / "few.png", image, make_result(few, empty, changes=changes), classes)
    write_preview(tmp_path / "many.png", image, make_result(many, empty), classes)
    assert read_picture(tmp_path / "many.png").shape[0] > read_picture(tmp_path / "few.png").shape[0] + 3 * LINE


def test_another_grid_and_an_unwritable_place_are_refused(tmp_path, image, example):
    other = Volume(np.zeros((5, 5, 5)), LPS)
    with pytest.raises(InputError, match=r"one grid, not \(5, 5, 5\) and \(9, 20, 30\)"):
        write_preview(tmp_path / "p.png", other, example, CLASSES)
    with pytest.raises(InputError, match="does not exist. Create it"):
        write_preview(tmp_path / "missing" / "p.png", image, example, CLASSES)
    assert list(tmp_path.iterdir()) == []
