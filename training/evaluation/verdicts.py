"""Which is better, a network or its baseline; without Keras, so that a command can say it."""


def compare(accuracy: float, baseline: float) -> str:
    """Return a sentence that names the better one by accuracy, with the difference in points."""
    points = 100 * (accuracy - baseline)
    if points < 0:
        better = f"The baseline is {-points:.1f} points better."
        return f"{better} It is smaller and faster too: use it, or train on more texts."
    if points == 0:
        return "The network and the baseline are equally good. The baseline is smaller and faster."
    return f"The network is {points:.1f} points better than the baseline."
