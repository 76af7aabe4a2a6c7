"""TIFF pictures of every kind are read rightly or refused: ITK makes a garbled picture of some and says nothing."""

import re
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from InteractiveRefineLib.errors import InputError
from InteractiveRefineLib.image_io import read_volume


def refused(path):
    """The message of the one-line InputError that reading `path` gives; it names the file."""
    with pytest.raises(InputError, match=re.escape(str(path))) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mode", ["LA", "PA"])
@pytest.mark.parametrize("ending", ["tif", "tiff", "TIF"])
def test_a_tiff_of_gray_or_palette_with_alpha_is_refused_as_a_png_is(tmp_path, mode, ending):
    Image.new("RGBA", (4, 3), (7, 7, 7, 200)).convert(mode).save(tmp_path / f"a.{ending}", "TIFF")
    assert "only gray or RGB can be used" in refused(tmp_path / f"a.{ending}")


def test_a_big_tiff_of_gray_with_alpha_is_refused_too(tmp_path):
    Image.new("LA", (4, 3), (7, 200)).save(tmp_path / "a.tif", big_tiff=True)
    assert "only gray or RGB can be used" in refused(tmp_path / "a.tif")


def test_a_tiff_with_a_palette_has_the_colors_of_its_palette(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 1]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.tif")  # a TIFF's palette has sixteen bits
    assert (read_volume(tmp_path / "a.tif").array // 256).tolist() == [
        [[[10, 40, 40]]],
        [[[20, 50, 50]]],
        [[[30, 60, 60]]],
    ]


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "I", "F", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_other_kind_of_tiff_is_read(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "a.tif")
    assert read_volume(tmp_path / "a.tif").array.shape[-3:] == (1, 3, 4)


def test_without_pillow_a_gray_tiff_is_read_all_the_same(tmp_path, monkeypatch):
    sitk.WriteImage(sitk.GetImageFromArray(np.array([[1, 2]], np.uint8)), str(tmp_path / "a.tif"))
    monkeypatch.setitem(sys.modules, "PIL.TiffImagePlugin", None)
    assert read_volume(tmp_path / "a.tif").array.tolist() == [[[1, 2]]]


def test_a_picture_of_another_kind_under_the_name_of_a_tiff_is_what_itk_makes_of_it(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.array([[1, 2]], np.uint8)), str(tmp_path / "a.png"))
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    assert read_volume(tmp_path / "a.tif").array.tolist() == [[[1, 2]]]
