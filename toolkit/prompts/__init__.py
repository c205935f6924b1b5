"""Requests in the making: prompts, typed outputs, tools, tokens."""
