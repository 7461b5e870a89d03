"""Recordings in and out, offline: no rclpy, no torch."""
