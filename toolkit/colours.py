"""Colours that colour-blind readers tell apart."""

from __future__ import annotations

BLUE, ORANGE, GREEN, PURPLE, VERMILION, GREY = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#8c8c8c"
SKY = "#56b4e9"
"""After Okabe and Ito, Color Universal Design (2008)."""

PALETTE = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, GREY)
