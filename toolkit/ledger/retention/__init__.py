"""What is taken out of the record again: by age, or for the sake of a person."""
