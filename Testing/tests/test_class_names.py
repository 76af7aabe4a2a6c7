"""Names that mean the same are found, different structures never: among all classes of TotalSegmentator, and more."""

import itertools

import pytest

from InteractiveRefineLib.class_names import closest, similar

# The classes of TotalSegmentator's task "total", version 2, as listed in its documentation (Wasserthal et al.,
# Radiology: Artificial Intelligence 2023).
TOTAL = (
    "spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right adrenal_gland_left "
    "lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right lung_middle_lobe_right lung_lower_lobe_right "
    "esophagus trachea thyroid_gland small_bowel duodenum colon urinary_bladder prostate kidney_cyst_left "
    "kidney_cyst_right sacrum vertebrae_S1 "
    + " ".join(f"vertebrae_L{n}" for n in range(5, 0, -1))
    + " "
    + " ".join(f"vertebrae_T{n}" for n in range(12, 0, -1))
    + " "
    + " ".join(f"vertebrae_C{n}" for n in range(7, 0, -1))
    + " heart aorta pulmonary_vein brachiocephalic_trunk subclavian_artery_right subclavian_artery_left "
    "common_carotid_artery_right common_carotid_artery_left brachiocephalic_vein_left brachiocephalic_vein_right "
    "atrial_appendage_left superior_vena_cava inferior_vena_cava portal_vein_and_splenic_vein iliac_artery_left "
    "iliac_artery_right iliac_vena_left iliac_vena_right humerus_left humerus_right scapula_left scapula_right "
    "clavicula_left clavicula_right femur_left femur_right hip_left hip_right spinal_cord gluteus_maximus_left "
    "gluteus_maximus_right gluteus_medius_left gluteus_medius_right gluteus_minimus_left gluteus_minimus_right "
    "autochthon_left autochthon_right iliopsoas_left iliopsoas_right brain skull "
    + " ".join(f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13))
    + " sternum costal_cartilages"
).split()


WRITTEN = {
    "as it is": lambda name: name,
    "capitals": str.upper,
    "title": lambda name: name.replace("_", " ").title(),
    "camel case": lambda name: "".join(word[:1].upper() + word[1:] for word in name.split("_")),
    "side first": lambda name: " ".join(sorted(name.split("_"), key=lambda w: w not in ("left", "right"))),
    "side as a letter": lambda name: name.replace("left", "L").replace("right", "R"),
    "side as two letters": lambda name: name.replace("left", "lt.").replace("right", "rt."),
    "made by a program": lambda name: f"{name} (auto)",
    "a copy": lambda name: f"{name}_seg copy",
    "with a file's ending cut off": lambda name: f"  {name}_mask",
}


def test_there_are_117_classes():
    assert len(set(TOTAL)) == len(TOTAL) == 117


@pytest.mark.parametrize("way", WRITTEN)
def test_every_class_is_found_however_it_is_written(way):
    for name in TOTAL:
        assert closest(WRITTEN[way](name), TOTAL) == name


def test_no_class_is_taken_for_another_one():
    """All ordered pairs, in every way of writing: where its own class is absent, a name finds nothing."""
    for name, other in itertools.permutations(TOTAL, 2):
        assert closest(name, [other]) is None
    for write in WRITTEN.values():
        for name in TOTAL:
            assert closest(write(name), [other for other in TOTAL if other != name]) is None


@pytest.mark.parametrize(
    "name, candidate",
    [
        ("Liver_1", "liver"),
        ("liver2", "Liver"),
        ("R kidney", "right kidney"),
        ("KidneyL", "left kidney"),
        ("Kidney, left", "left kidney"),
        ("Gall bladder", "gallbladder"),
        ("Lungs", "lung"),
        ("oesophagus", "Esophagus"),
        ("brain tumour", "Brain Tumor"),
        ("splen", "spleen"),
        ("L1 vertebra", "vertebrae_L1"),
        ("Rib_R_07", "rib_right_7"),
        ("left clavicle", "clavicula_left"),
        ("Niere", "niere"),
        ("Épiploon", "epiploon"),
    ],
)
def test_these_are_the_same(name, candidate):
    assert closest(name, ["something else", candidate]) == candidate
    assert closest(candidate, ["something else", name]) in (name, None)  # a number is only dropped from the name


@pytest.mark.parametrize(
    "name, candidate",
    [
        ("left kidney", "right kidney"),
        ("kidney", "left kidney"),
        ("left kidney", "kidney"),
        ("kidneys", "kidney_left"),
        ("left and right lung", "left lung"),
        ("lung", "lung_upper_lobe_left"),
        ("liver tumor", "liver"),
        ("liver vessels", "liver"),
        ("liver", "liver vessel"),
        ("bladder", "urinary_bladder"),
        ("bladder", "gallbladder"),
        ("ilium", "ileum"),
        ("carpal", "tarsal"),
        ("ureter", "urethra"),
        ("uterus", "ureter"),
        ("thymus", "thalamus"),
        ("humerus_left", "femur_left"),
        ("superior vena cava", "inferior vena cava"),
        ("rib left 13", "rib_left_1"),
        ("rib left", "rib_left_1"),
        ("vertebra T1", "vertebrae_L1"),
        ("L vertebra 1", "vertebrae_L1"),
        ("Segment_1", "liver"),
        ("Segment_1", "segment_2"),
        ("1", "2"),
        ("", ""),
        ("auto", "copy"),
        ("left", "left"),
        ("Leber", "liver"),
        ("not liver", "liver"),
    ],
)
def test_these_are_not(name, candidate):
    assert closest(name, [candidate, "something else"]) is None


def test_where_two_are_as_close_nothing_is_proposed():
    assert closest("Kidney left", ["kidney_left", "left kidney"]) is None
    assert closest("Kidney left", ["kidney_left", "kidney_left"]) == "kidney_left"


def test_a_number_is_dropped_only_where_no_candidate_has_one():
    assert closest("lesion 2", ["lesion"]) == "lesion"
    assert closest("lesion 2", ["lesion", "lesion 1"]) is None
    assert closest("lesion 2", ["lesion", "lesion 2"]) == "lesion 2"


def test_a_hint_may_be_bolder():
    assert similar("Liver_1", ["spleen", "liver"]) == "liver"
    assert similar("lver", ["spleen", "liver"]) == "liver"
    assert similar("kidney", ["Left kidney", "liver"]) == "Left kidney"
    assert similar("aorta", ["Left kidney", "liver"]) is None
    assert similar("anything", []) is None
