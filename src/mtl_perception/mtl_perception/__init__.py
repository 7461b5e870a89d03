"""The ROS 2 package: the student node, the bag player, the demo and `mtl-predict`."""
