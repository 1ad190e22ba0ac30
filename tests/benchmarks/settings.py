"""The option --set of benchmarks: parameters of an estimator from the command line."""

import argparse
import ast
from typing import Any


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", nargs="*", default=[], metavar="PARAMETER=VALUE")


def read(options: argparse.Namespace) -> dict[str, Any]:
    """Parameters by name; values are literals of Python."""
    assignments = (text.split("=", 1) for text in options.set)
    return {name: ast.literal_eval(value) for name, value in assignments}
