"""How many requests a second the fake server answers on one core.

python -m evals.fake [--quick]
"""
