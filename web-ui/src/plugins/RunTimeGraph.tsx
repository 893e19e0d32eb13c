import { milliseconds } from "../format/units";

/** How long runs took in the last minutes, in milliseconds, oldest first. */
export function RunTimeGraph({ history }: { history: readonly number[] }) {
  if (history.length < 2) return null;
  const most = Math.max(...history);
  const least = Math.min(...history);
  return (
    <svg
      class="graph"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`time per run of late: ${milliseconds(least)} to ${milliseconds(most)}`}
    >
      <polyline points={points(history, most)} />
    </svg>
  );
}

/** The line's points, from a floor of zero, the newest at the right edge. */
export function points(history: readonly number[], most: number): string {
  const step = WIDTH / (history.length - 1);
  return history
    .map((value, index) => {
      const height = most > 0 ? (value / most) * (HEIGHT - 2) : 0;
      return `${(index * step).toFixed(1)},${(HEIGHT - 1 - height).toFixed(1)}`;
    })
    .join(" ");
}

const WIDTH = 240;
const HEIGHT = 32;
