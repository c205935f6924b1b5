"""From the journal to the history: staged, moved with the watermark, set aside while nobody may write."""
