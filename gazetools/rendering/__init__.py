"""Fixations and images to a cache: match, plan shards, render them, put them together."""

from gazetools.rendering.merging import merge
from gazetools.rendering.spec import RenderSpec, RenderSummary
from gazetools.rendering.steps import render

__all__ = ["RenderSpec", "RenderSummary", "merge", "render"]
