from setuptools import find_packages, setup

PACKAGE = "mtl_core"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="What a robot runs, with no ROS and no torch: labels, cards, geometry, runtime",
    maintainer="mtl_perception maintainers",
    maintainer_email="maintainers@example.org",
    license="Apache-2.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["label_maps/*.yaml", "py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    python_requires=">=3.10",
    # Not here: OpenCV and onnxruntime or onnxruntime-gpu; `make setup` takes the right ones.
    install_requires=["numpy", "pyyaml"],
    extras_require={"test": ["pytest"]},
    zip_safe=False,
)
