"""Trainings and searches in several processes or on several machines; importing it lets start_from name VGG-13."""

import os

import carvana_course.pretrained  # noqa: F401


def in_worker() -> bool:
    """True in a process that torchrun or accelerate launch started."""
    return "WORLD_SIZE" in os.environ
