"""Do the intervals of counterfactual estimates hold? Simulated worlds whose truth is known."""
