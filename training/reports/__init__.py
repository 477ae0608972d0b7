"""What is written for people: model cards, the recorded runs, and the report of them all."""
