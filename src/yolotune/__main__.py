"""`python -m yolotune`."""

from yolotune.cli import main

main()
