#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Walks every #include and fails on one that layers.txt does not allow.

usage: check_layers.py [SOURCE_ROOT [LAYERS_FILE]]

A quoted include is looked up beside the including file, then below the include roots; what is found has to lie in a
layer that the includer's layer may use. An include that is found nowhere is a problem too: an arrow that cannot be
seen cannot be checked. An angle-bracket include has to match a <pattern> of the layer.
"""

import fnmatch
import pathlib
import re
import sys

import sources

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
FREESTANDING = ("stdint.h", "stddef.h", "stdbool.h", "stdarg.h", "limits.h")


class Layers:
    def __init__(self, text):
        self.roots = []
        self.allowed = {}		# layer -> patterns and layers
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            if words[0] == "root" and len(words) == 2:
                self.roots.append(words[1])
            elif len(words) >= 2 and words[1] == "->":
                self.allowed[words[0]] = words[2:]
            else:
                raise ValueError(f"line {number}: neither 'root DIRECTORY' nor 'LAYER -> ALLOWED...'")

    def layer_of(self, path):
        """The longest layer name that is a path prefix; None outside all layers."""
        best = None
        for layer in self.allowed:
            if (path == layer or path.startswith(layer + "/")) and len(layer) > len(best or ""):
                best = layer
        return best

    def may_use(self, layer, path):
        """A path may be used from its own layer, and from where it or a folder above it is named."""
        if self.layer_of(path) == layer:
            return True
        for target in self.allowed[layer]:
            if target.startswith("<"):
                continue
            # A folder stands for itself, not for a layer inside it that has a line of its own.
            if path == target or self.layer_of(path) == target:
                return True
            if path.startswith(target + "/") and self.layer_of(path) == self.layer_of(target):
                return True
        return False

    def may_use_system(self, layer, name):
        for target in self.allowed[layer]:
            if target == "<freestanding>" and name in FREESTANDING:
                return True
            if target.startswith("<") and fnmatch.fnmatch(name, target[1:-1]):
                return True
        return False


def resolve(root, layers, includer, name):
    """Path of a quoted include, relative to the source root; None when it is nowhere."""
    for directory in [includer.parent] + [root / r for r in layers.roots]:
        candidate = (directory / name).resolve()
        if candidate.is_file() and candidate.is_relative_to(root):
            return candidate.relative_to(root).as_posix()
    return None


def check_include(root, layers, path, bracket, name):
    layer = layers.layer_of(path.relative_to(root).as_posix())
    if layer is None:
        return "lies in no layer of layers.txt"
    if bracket == "<":
        return None if layers.may_use_system(layer, name) else f"{layer} may not include <{name}>"
    if name.endswith((".gen.h", ".gen.c", ".gen.inc")):
        return None			# made by the build, beside its includer's own layer
    target = resolve(root, layers, path, name)
    if target is None:
        return f'"{name}" is found nowhere'
    if not layers.may_use(layer, target):
        return f"{layer} may not include {target}"
    return None


def check(root, layers):
    root = root.resolve()
    for path in sources.walk(root, {".c", ".h", ".S"}, sources.ROOMS):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            problem = check_include(root, layers, path, found[1], found[2])
            if problem:
                yield f"{path.relative_to(root)}:{number}: {problem}"


def main(argv):
    root = pathlib.Path(argv[0]) if argv else sources.SOURCE
    rules = pathlib.Path(argv[1]) if len(argv) > 1 else pathlib.Path(__file__).with_name("layers.txt")
    return sources.finish("layers", list(check(root, Layers(rules.read_text()))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
