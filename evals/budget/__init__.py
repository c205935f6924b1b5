"""Whether budgets hold: processes at one run, faults, and kills, against a server that counts what it charges.

python -m evals.budget [--quick]
"""
