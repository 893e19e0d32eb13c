import type { Track } from "../server/wire";

/** A place in the frame, in its pixels. */
export type Point = readonly [x: number, y: number];

/** Where tracks stood in the last frames: the middle of each one's lower edge. */
export class Trails {
  private readonly points = new Map<number, Point[]>();

  /** Takes the tracks of one more frame; those that are no more are forgotten. */
  add(tracks: readonly Track[]): void {
    const present = new Set(tracks.map((track) => track.track_id));
    for (const id of this.points.keys()) {
      if (!present.has(id)) this.points.delete(id);
    }
    for (const track of tracks) {
      const trail = this.points.get(track.track_id) ?? [];
      this.points.set(track.track_id, trail);
      trail.push([track.x + track.width / 2, track.y + track.height]);
      if (trail.length > TRAIL_LENGTH) trail.shift();
    }
  }

  /** Oldest first. */
  of(id: number): readonly Point[] {
    return this.points.get(id) ?? [];
  }

  clear(): void {
    this.points.clear();
  }
}

/** In frames. */
export const TRAIL_LENGTH = 60;
