"""What orchestration costs: the same 3-call workflow over the same rows, bare, recorded by the toolkit, and in Prefect.

python -m evals.performance [--rows 2000] [--quick]
"""
