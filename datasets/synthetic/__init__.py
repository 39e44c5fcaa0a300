"""Made-up motion videos in HMDB51's layout: the demo, the tests and ablations need no download.

videos.py   write_videos: a data set, with its splits;  levels.py  LEVELS: easy, standard, hard;  files.py  names, files
moving_objects.py                 easy: one object that moves
scenes.py   standard and hard: a figure that does something;  actions.py, figures.py  what it does, and its limbs
conditions.py                     camera, light, things that pass by
layers.py, shapes.py, surfaces.py textured layers that move rigidly, how they are drawn, and their exact flow
"""

from .files import video_name, write_avi, write_labels
from .layers import ExactFlow
from .levels import LEVELS, SPLITS, Level
from .moving_objects import CLASSES, render
from .videos import write_videos

__all__ = [
    "CLASSES",
    "LEVELS",
    "SPLITS",
    "ExactFlow",
    "Level",
    "render",
    "video_name",
    "write_avi",
    "write_labels",
    "write_videos",
]
