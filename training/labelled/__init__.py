"""Training on the user's own labelled texts: their coding, the network to start from, the baseline, and the loop."""
