"""The figure of cost against tokens, neurons and vocabulary, a panel each, with the fitted slope."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

Points = dict[str, dict[str, list[list[float]]]]


def draw(points: Points, folder: Path) -> Path:
    """Write `benchmarks.svg` into `folder`; the same points, the same file."""
    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "rt", "svg.fonttype": "none", "font.size": 9})
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(points), figsize=(3 * len(points), 2.8), squeeze=False, layout="constrained")
    for panel, (name, series) in zip(panels[0], points.items(), strict=True):
        for pairs in series.values():
            x, y = np.array(pairs, dtype=float).T
            exponent, level = np.polyfit(np.log(x), np.log(y), 1)
            panel.loglog(x, y, "o", color="C0", markersize=4)
            panel.loglog(x, np.exp(level) * x**exponent, "-", color="C0", linewidth=1)
            panel.set_title(f"slope {exponent:.2f}", fontsize=9)
        panel.set_xlabel(name)
    panels[0][0].set_ylabel("processor time of the ablation, s")
    path = folder / "benchmarks.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path
