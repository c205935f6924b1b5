"""Who answers tomorrow: the inbox, labels, and conversations that last."""
