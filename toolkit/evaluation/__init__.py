"""Reading what happened: metrics, intervals, estimators, comparison."""
