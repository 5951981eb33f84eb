"""Frames of the page while it is dragged: `taskset -c 0 python tests/benchmarks/page.py`.

8,000 planted points under 521 proxies in Chromium without a GPU (the extra `browser`); each frame
looks from another place. On one core if the command is given one, as above. Beside the time that
passes, the time that all of the browser's processes compute, which says what a frame takes where
nothing else runs.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "browser"), str(Path(__file__).parents[2])]

from chromium import chromium  # noqa: E402
from pages import planted, write  # noqa: E402

FRAMES = 150
DRAG = """
const done = arguments[1], frames = arguments[0], times = [], draws = [];
const { state, drag, seen, draw } = hier;
const grabbed = [0.3, 0.1];
let last = performance.now(), number = 0;
function frame() {
  const angle = number / 20, q = [0.3 * Math.cos(angle) - 0.5, 0.6 * Math.sin(angle)];
  state.at = drag(grabbed, q);
  const start = performance.now();
  draw();
  draws.push(performance.now() - start);
  requestAnimationFrame(() => {
    times.push(performance.now() - last);
    last = performance.now();
    if (++number < frames) frame(); else done([times, draws]);
  });
}
requestAnimationFrame(frame);
"""


def computed(pid):
    """Seconds computed by a process and all below it."""
    below, seconds = {}, {}
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended
            continue
        below.setdefault(int(words[1]), []).append(int(number))
        seconds[int(number)] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    todo, total = [pid], 0.0
    while todo:
        total += seconds.get(todo[-1], 0.0)
        todo += below.get(todo.pop(), [])
    return total


def middle(values):
    """Median and 95th percentile."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[int(0.95 * len(ordered))]


def measure(address, name):
    """Print the first paint and the frames of each tree."""
    with chromium() as driver:
        driver.set_script_timeout(120)
        start = time.perf_counter()
        driver.get(address)
        loaded = time.perf_counter() - start
        paint = driver.execute_script(
            "return performance.getEntriesByName('first-contentful-paint').map(e => e.startTime)"
        )
        print(f"{name}: loaded {loaded:.2f} s, first paint {paint[0] if paint else 0:.0f} ms")
        for tree in ("lca", "nearest", "linkage"):
            driver.execute_script(f"location.hash = '#tree={tree}'")
            time.sleep(1.5)
            before = computed(driver.service.process.pid)
            times, draws = driver.execute_async_script(DRAG, FRAMES)
            cost = 1000 * (computed(driver.service.process.pid) - before) / FRAMES
            (frame, worst), (draw, _) = middle(times), middle(draws)
            print(
                f"  {tree:8} median frame {frame:.1f} ms, 95 % below {worst:.1f} ms, of it drawing "
                f"{draw:.1f} ms; computed {cost:.1f} ms a frame"
            )


if __name__ == "__main__":
    if sys.argv[1:]:
        measure(Path(sys.argv[1]).resolve().as_uri(), sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            run = planted(branching=(8, 8, 7), per_class=18)
            address = write(Path(folder), run)
            measure(address, f"{len(run.z)} points, {len(run.l)} proxies")
