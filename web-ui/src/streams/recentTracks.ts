import type { FrameTracks } from "../server/wire";

/**
 * The tracks of a stream's last frames, to be found by the frame's sequence.
 *
 * Pictures and tracks arrive on two connections, in either order: whoever has the one waits here
 * for the other.
 */
export class RecentTracks {
  private readonly frames: FrameTracks[] = [];
  private waiting: { sequence: number; found: (tracks: FrameTracks | null) => void } | null = null;

  add(tracks: FrameTracks): void {
    this.frames.push(tracks);
    if (this.frames.length > LENGTH) this.frames.shift();
    if (this.waiting && tracks.sequence >= this.waiting.sequence) {
      const { sequence, found } = this.waiting;
      this.waiting = null;
      found(this.find(sequence));
    }
  }

  /** Whether tracks come at all: not of a stream whose plugins give none. */
  get come(): boolean {
    return this.frames.length > 0;
  }

  /** The tracks of exactly that frame, or `null` where they don't come within `waitMs`. */
  async of(sequence: number, waitMs: number): Promise<FrameTracks | null> {
    const found = this.find(sequence);
    const newest = this.frames.at(-1);
    if (!newest || found || newest.sequence > sequence) return found;
    this.waiting?.found(null);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.waiting = null;
        resolve(null);
      }, waitMs);
      this.waiting = {
        sequence,
        found: (tracks) => {
          clearTimeout(timer);
          resolve(tracks);
        },
      };
    });
  }

  private find(sequence: number): FrameTracks | null {
    return this.frames.find((tracks) => tracks.sequence === sequence) ?? null;
  }
}

/** In frames: two seconds of a quick camera. */
const LENGTH = 120;
