"""What a robot runs, with no ROS and no torch: labels, cards, geometry, metrics, runtime."""

__version__ = "0.1.0"
