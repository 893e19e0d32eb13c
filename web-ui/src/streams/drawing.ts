import type { Size, Track } from "../server/wire";
import { percent } from "../format/units";
import type { Trails } from "./trails";

/** What of the tracks is drawn. */
export interface Shown {
  boxes: boolean;
  ids: boolean;
  classes: boolean;
  trails: boolean;
}

/**
 * Draws the tracks of a frame over its picture.
 *
 * `frame` is the frame's size, `canvas` the picture's on the screen, both in pixels; lines are as
 * wide on every screen. A lost track is not drawn: nothing of it was seen in this frame.
 */
export function drawTracks(
  context: CanvasRenderingContext2D,
  canvas: Size,
  frame: Size,
  tracks: readonly Track[],
  trails: Trails,
  shown: Shown,
  pixelRatio: number,
): void {
  const across = canvas.width / frame.width;
  const down = canvas.height / frame.height;
  context.lineWidth = 2 * pixelRatio;
  context.lineJoin = "round";
  context.font = `600 ${12 * pixelRatio}px system-ui, sans-serif`;
  context.textBaseline = "top";
  for (const track of tracks) {
    if (track.state === "lost") continue;
    context.strokeStyle = colour(track.track_id);
    if (shown.trails) {
      context.globalAlpha = 0.7;
      context.beginPath();
      trails.of(track.track_id).forEach(([x, y]) => context.lineTo(x * across, y * down));
      context.stroke();
      context.globalAlpha = 1;
    }
    if (shown.boxes) {
      // Where it is not seen but guessed, the line is broken.
      context.setLineDash(track.state === "confirmed" ? [] : [6 * pixelRatio, 4 * pixelRatio]);
      context.strokeRect(
        track.x * across,
        track.y * down,
        track.width * across,
        track.height * down,
      );
      context.setLineDash([]);
    }
    const text = label(track, shown);
    if (text) drawLabel(context, text, track.x * across, track.y * down, pixelRatio);
  }
}

/** What is written at a track. */
export function label(track: Track, shown: Shown): string {
  const parts = [
    shown.ids ? `#${track.track_id}` : "",
    shown.classes ? `${track.class} ${percent(track.confidence)}` : "",
  ];
  return parts.filter(Boolean).join(" ");
}

/** The same for a track as long as it lives, and far from its neighbours'. */
export function colour(id: number): string {
  // Steps of the golden angle spread any run of numbers over the circle.
  return `hsl(${((id * 137.508) % 360).toFixed(0)} 90% 60%)`;
}

function drawLabel(
  context: CanvasRenderingContext2D,
  text: string,
  x: number,
  y: number,
  pixelRatio: number,
): void {
  const [width, height] = [context.measureText(text).width + 8 * pixelRatio, 17 * pixelRatio];
  const left = Math.min(Math.max(0, x), Math.max(0, context.canvas.width - width));
  const top = Math.max(0, y - height);
  context.fillStyle = context.strokeStyle;
  context.fillRect(left, top, width, height);
  context.fillStyle = "#000";
  context.fillText(text, left + 4 * pixelRatio, top + 3 * pixelRatio);
}
