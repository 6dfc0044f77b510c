"""The guide's script: `python tune_yolo11_seg.py --data data.yaml --project my_project --concurrent 2`."""

import sys

from yolotune.cli import main

if __name__ == "__main__":
    if sys.argv[1:] != ["--version"]:
        sys.argv.insert(1, "run")
    main()
