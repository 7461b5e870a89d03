"""`python -m mtl_bags` is `mtl-bags`."""

from mtl_bags.cli import main

raise SystemExit(main())
