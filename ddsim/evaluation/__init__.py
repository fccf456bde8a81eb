"""Experiments: configurations measured on labelled queries, and compared with intervals.

Uses every house below to compute vectors and to search, and writes results as JSON, a page and the winner's
configuration; `ddsim evaluate` is its command.
"""

from ddsim.evaluation.bootstrap import Interval
from ddsim.evaluation.evaluating import evaluate
from ddsim.evaluation.experiments import Experiment, read_experiments
from ddsim.evaluation.options import Options, Step
from ddsim.evaluation.page import render
from ddsim.evaluation.results import Evaluation, Row
from ddsim.evaluation.run import evaluate_experiments

__all__ = [
    "Evaluation",
    "Experiment",
    "Interval",
    "Options",
    "Row",
    "Step",
    "evaluate",
    "evaluate_experiments",
    "read_experiments",
    "render",
]
