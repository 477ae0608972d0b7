"""`python docs/make_chart.py`: draws docs/performance/requests.svg from the measurements of `benchmarks.service`.

Its colours follow the reader's light or dark scheme.
"""

import json
from pathlib import Path

PERFORMANCE = Path(__file__).parent / "performance"
CONNECTIONS = 64
OURS = "lstm-serve"
# Of each model the file with the most rounds of each server, as docs/performance.md compares them.
PEERS = {
    "plain FastAPI handler, ONNX Runtime": ("onnx_handler", "close/{}service.json"),
    "MLServer, TensorFlow": ("mlserver", "service.json"),
}
FOLDERS = {"sentiment": "", "imdb-500": "imdb-500/"}

_STYLE = """\
  <style>
    .ground { fill: #ffffff; }
    .ours { fill: #2563c9; }
    .theirs { fill: #a3adba; }
    text { fill: #1c2430; }
    .head { font-weight: 600; }
    .note { fill: #505b69; font-size: 12px; }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0f141b; }
      .ours { fill: #6fa5ff; }
      .theirs { fill: #66717f; }
      text { fill: #e8edf4; }
      .note { fill: #b3bdca; }
    }
  </style>
"""
_WIDTH, _LEFT, _BAR, _STEP = 760, 340, 340, 24


def read_ratio(model: str, peer: str, file: str) -> float:
    """Return how many times as many requests the service answered, the median over the rounds."""
    bars = json.loads((PERFORMANCE / file.format(FOLDERS[model])).read_text(encoding="utf-8"))["bars"]
    (ratio,) = (
        bar["ratio"]
        for bar in bars
        if (bar["bundle"], bar["figure"], bar["concurrency"], bar["peer"]) == (model, "requests/s", CONNECTIONS, peer)
    )
    return float(ratio)


def draw() -> str:
    """Return the chart as SVG: for each model a bar of the service, and one of each peer as a share of it."""
    parts: list[str] = []
    y = 52
    for model in FOLDERS:
        parts.append(f'  <text class="head" x="16" y="{y + 13}">{model}</text>')
        shares = {OURS: 1.0} | {label: 1 / read_ratio(model, *peer) for label, peer in PEERS.items()}
        for label, share in shares.items():
            kind = "ours" if label == OURS else "theirs"
            width = round(_BAR * share)
            parts += [
                f'  <text x="{_LEFT - 10}" y="{y + 13}" text-anchor="end">{label}</text>',
                f'  <rect class="{kind}" x="{_LEFT}" y="{y}" width="{width}" height="18" rx="2"/>',
                f'  <text x="{_LEFT + width + 8}" y="{y + 13}">{100 * share:.0f} %</text>',
            ]
            y += _STEP
        y += 14
    height = y + 22
    title = f"Requests answered in a second, {OURS} = 100 %"
    note = f"{CONNECTIONS} clients send real reviews; two processes on two cores; medians over the rounds"
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
            'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="13">',
            f"  <title>{title}</title>",
            f'{_STYLE}  <rect class="ground" width="{_WIDTH}" height="{height}" rx="8"/>',
            f'  <text class="head" x="16" y="28" font-size="15">{title}</text>',
            *parts,
            f'  <text class="note" x="16" y="{height - 14}">{note}</text>',
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    (PERFORMANCE / "requests.svg").write_text(draw(), encoding="utf-8")
