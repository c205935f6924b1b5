"""What a run or a resume would ask, cost and take, before it does."""
