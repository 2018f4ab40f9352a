"""Frame specifications: which differences forbid that two videos meet in one model."""

import numpy as np
import pytest
from pydantic import ValidationError

from viper_pipeline.envs.base import FrameSpec, Rect, blacken

BOX = Rect(top=0, left=2, bottom=3, right=5)
CHANGES = {
    "size": 32,
    "camera": 2,
    "action_repeat": 4,
    "shadows": False,
    "antialiasing": False,
    "mask": (BOX,),
    "stride": 2,
}


@pytest.mark.parametrize("field", CHANGES)
def test_what_changes_the_picture_is_a_difference(field):
    plain, changed = FrameSpec(), FrameSpec(**{field: CHANGES[field]})
    (line,) = plain.differences(changed)
    assert line.startswith(f"{field}: ")
    assert plain.warnings(changed) == []
    assert len(changed.differences(plain)) == 1


@pytest.mark.parametrize("field", ["gl_backend", "library"])
def test_who_drew_it_is_only_a_warning(field):
    plain, changed = FrameSpec(), FrameSpec(**{field: "another"})
    assert plain.differences(changed) == []
    assert len(plain.warnings(changed)) == 1


def test_every_field_is_compared_somewhere():
    other = FrameSpec(**CHANGES, gl_backend="a", library="b")
    lines = FrameSpec().differences(other) + FrameSpec().warnings(other)
    assert {line.partition(":")[0] for line in lines} == set(FrameSpec.model_fields)


def test_json_and_back_is_the_same():
    spec = FrameSpec(**CHANGES)
    again = FrameSpec.model_validate_json(spec.model_dump_json())
    assert again == spec and again.differences(spec) == []


def test_unknown_and_impossible_fields_are_refused():
    with pytest.raises(ValidationError):
        FrameSpec(shadow=True)
    with pytest.raises(ValidationError):
        Rect(top=3, left=0, bottom=3, right=1)


def test_blacken_touches_the_rectangle_and_nothing_else():
    frames = np.full((2, 8, 8, 3), 7, np.uint8)
    dark = blacken(frames, [BOX])
    assert dark[:, 0:3, 2:5].sum() == 0
    assert (dark == 0).sum() == 2 * 3 * 3 * 3
    assert (frames == 7).all()
    assert blacken(frames, ()) is frames
