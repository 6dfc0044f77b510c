"""What a study is told: settings, and the layers of preset, study file and flags that make them.

Settings are plain data, checked value by value. The search space, initial points and Ultralytics' arguments are here.
"""

from yolotune.config.layers import load_settings, make_settings
from yolotune.config.settings import Settings

__all__ = ["Settings", "load_settings", "make_settings"]
