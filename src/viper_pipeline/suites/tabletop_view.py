"""Drawing what robosuite simulates, from close by, and without harm to the pictures of other simulators."""

from __future__ import annotations

from typing import Any

import numpy as np

from viper_pipeline.errors import BadEnvironment, BadParams
from viper_pipeline.plugs import did_you_mean
from viper_pipeline.suites.frames import FrameSpec
from viper_pipeline.suites.tabletop_scenes import Shot

CLOSE = "close"
"""A camera of ours: robosuite's agentview, moved to where the scene wants it."""
MOVED = "agentview"


class View:
    """Draws a model that another library simulates.

    dm_control does it: freeing one of its drawing contexts leaves those of others alone. `mujoco.Renderer`, and with
    it robosuite's own, frees into whatever context is current; frames of others are noise from then on, and no error.
    """

    def __init__(self, model: Any, spec: FrameSpec, close: Shot) -> None:
        """model: mujoco.MjModel. Raises BadParams for a camera that is not there, BadEnvironment without OpenGL."""
        if spec.gl_backend == "disabled":
            raise BadEnvironment("MUJOCO_GL=disabled: the simulator runs but cannot draw; unset it to get frames")
        from dm_control.mujoco import Physics, wrapper

        self.model, self.size = model, spec.size
        self.camera = camera_id(model, spec.camera, close)
        visual = model.vis
        visual.global_.offwidth = visual.global_.offheight = spec.size
        self.flags: dict[str, bool] = {}
        if not spec.antialiasing:
            visual.quality.offsamples = 0
        if not spec.shadows:
            visual.quality.shadowsize = 0
            self.flags = {"shadow": False, "reflection": False}
        self.physics = Physics.from_model(wrapper.MjModel(model))
        self.options = wrapper.MjvOption()
        self.options.geomgroup[0] = 0  # shapes for collisions
        self.options.sitegroup[:] = 0  # marks for people

    def draw(self, data: Any) -> np.ndarray:
        """The state of `data`, a mujoco.MjData of the model, as uint8 (H, W, 3)."""
        import mujoco

        what = mujoco.mjtState.mjSTATE_PHYSICS
        state = np.empty(mujoco.mj_stateSize(self.model, what))
        mujoco.mj_getState(self.model, data, state, what)
        mujoco.mj_setState(self.model, self.physics.data.ptr, state, what)
        mujoco.mj_kinematics(self.model, self.physics.data.ptr)
        mujoco.mj_comPos(self.model, self.physics.data.ptr)
        mujoco.mj_camlight(self.model, self.physics.data.ptr)
        picture = self.physics.render(
            self.size,
            self.size,
            camera_id=self.camera,
            scene_option=self.options,
            render_flag_overrides=self.flags,
        )
        return np.ascontiguousarray(picture)

    def close(self) -> None:
        """Free the context."""
        self.physics.free()


def camera_id(model: Any, camera: int | str, close: Shot) -> int:
    """The number of a camera of the model; asking for CLOSE moves one to `close`."""
    names = [model.camera(i).name for i in range(model.ncam)]
    if camera == CLOSE:
        number = names.index(MOVED)
        model.cam_pos[number], model.cam_fovy[number] = close.eye, close.angle
        model.cam_quat[number] = looking(np.subtract(close.aim, close.eye))
        return number
    if camera in names:
        return names.index(str(camera))
    if isinstance(camera, int) and 0 <= camera < model.ncam:
        return camera
    raise BadParams(f"frames.camera: there is no camera '{camera}'{did_you_mean(str(camera), [CLOSE, *names])}")


def looking(ahead: np.ndarray) -> np.ndarray:
    """The quaternion (4,) of a camera that looks along `ahead` (3,), upright."""
    import mujoco

    back = -ahead / np.linalg.norm(ahead)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    quaternion = np.empty(4)
    mujoco.mju_mat2Quat(quaternion, np.column_stack([right, np.cross(back, right), back]).ravel())
    return quaternion
