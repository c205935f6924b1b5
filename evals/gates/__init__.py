"""What gates hold: several processes, one journal, models that have limits or are dead. `python -m evals.gates`."""
