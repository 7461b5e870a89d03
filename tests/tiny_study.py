"""What the studies in the tests share: two tasks at 64x96, on the made NYUv2 folder."""

SHARED = """[tasks]
names = ["segmentation", "depth"]
label_map = "nyu13"
canonical_fx = 77.8
min_depth_m = 0.3
max_depth_m = 12.0

[network]
height = 64
width = 96

[data]
train = {source = "nyuv2", split = "fit"}
test = {source = "nyuv2", split = "fit"}
"""
"""Tables of an experiment's or an affinity's TOML."""
