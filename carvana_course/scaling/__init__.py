"""Trainings and searches in several processes or on several machines."""

import os


def in_worker() -> bool:
    """True in a process that torchrun or accelerate launch started."""
    return "WORLD_SIZE" in os.environ
