"""A video model that is told the class of a task and not the arm that does it (paper 4.3, Table 2's 34 classes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viper_pipeline.training.artifacts import Directory


def for_every_task(kind: Any, directory: Directory, classes: Mapping[str, str]) -> Directory:
    """A model trained on classes, as one that answers to tasks: each task has what was learned for its class.

    kind: the model's class; directory: what its `to_directory` made, its tasks being classes; classes: task -> class,
    by task id. Tasks of one class, seen in training or not, get equal scores for equal codes.
    """
    known, tasks = list(directory.config["tasks"]), tuple(classes)
    rows = [known.index(classes[task]) for task in tasks]
    settings = kind.Config.model_validate(directory.config["model"])
    larger = kind(settings, directory.tensors["codebook"], tuple(directory.config["grid"]), tasks).state_dict()
    # what has another shape in a model of more tasks is a table with a row a task
    tensors = {
        name: value if value.shape == larger[name].shape else value[rows] for name, value in directory.tensors.items()
    }
    config = directory.config | {"tasks": list(tasks), "classes": dict(classes)}
    return Directory(config, tensors, directory.files)
