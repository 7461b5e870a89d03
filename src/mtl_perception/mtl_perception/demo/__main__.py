"""`python -m mtl_perception.demo`."""

from __future__ import annotations

import sys

from mtl_perception.demo.cli import main

sys.exit(main())
