"""Results of a walk as objects; ``summary.json`` is their dump."""

from flow.walks.summaries.base import Level, Part, Progress, WalkSummary
from flow.walks.summaries.bits import BitsPoint, BitsSite, BitsWalkSummary, FewestBits
from flow.walks.summaries.hardware import HardwareSite, HardwareWalkSummary
from flow.walks.summaries.software import SoftwareKind, SoftwareSite, SoftwareWalkSummary

__all__ = [
    "BitsPoint",
    "BitsSite",
    "BitsWalkSummary",
    "FewestBits",
    "HardwareSite",
    "HardwareWalkSummary",
    "Level",
    "Part",
    "Progress",
    "SoftwareKind",
    "SoftwareSite",
    "SoftwareWalkSummary",
    "WalkSummary",
]
