import { useEffect, useRef, useState } from "preact/hooks";

import { useConnection, useServer } from "../server/useServer";
import type { FrameTracks, Size } from "../server/wire";
import { drawTracks, type Shown } from "./drawing";
import { MultipartReader, type Part } from "./multipart";
import { RecentTracks } from "./recentTracks";
import { Trails } from "./trails";

interface Props {
  stream: string;
  shown: Shown;
  /** Told the tracks of each frame that is shown. */
  onTracks: (tracks: FrameTracks) => void;
}

/**
 * A stream's live picture with the tracks of that same frame drawn over it.
 *
 * Where no picture comes any more it shows that instead of the last one.
 */
export function LivePicture({ stream, shown, onTracks }: Props) {
  const server = useServer();
  const connection = useConnection();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [fault, setFault] = useState<string | null>("Waiting for the first picture …");
  const current = useRef({ shown, onTracks });
  current.current = { shown, onTracks };
  // Without events there are no tracks to draw with, and the server draws them.
  const drawsHere = connection.state === "live";

  useEffect(() => {
    const abort = new AbortController();
    const recent = new RecentTracks();
    const trails = new Trails();
    let tracksAt = 0;
    const unlisten = server.onTracks((tracks) => {
      if (tracks.stream === stream) recent.add(tracks);
    });
    const show = async (part: Part) => {
      const picture = await createImageBitmap(new Blob([part.bytes as BlobPart]));
      const sequence = Number(part.headers.get("x-frame-sequence") ?? Number.NaN);
      const tracks = drawsHere ? await recent.of(sequence, TRACKS_WAIT_MS) : null;
      // A picture whose tracks were passed over is passed over too, unless that goes on.
      const late = drawsHere && !tracks && recent.come && Date.now() - tracksAt < BARE_AFTER_MS;
      if (!abort.signal.aborted && canvas.current && !late) {
        if (tracks) {
          trails.add(tracks.tracks);
          tracksAt = Date.now();
        }
        paint(canvas.current, picture, tracks, trails, current.current.shown);
        canvas.current.dataset.sequence = String(sequence);
        canvas.current.dataset.tracks = tracks ? String(tracks.tracks.length) : "unknown";
        if (tracks) current.current.onTracks(tracks);
        setFault(null);
      }
      picture.close();
    };
    void follow(stream, drawsHere, server.request.bind(server), abort.signal, show, setFault);
    return () => {
      abort.abort();
      unlisten();
    };
  }, [server, stream, drawsHere]);

  return (
    <div class="picture">
      <canvas
        ref={canvas}
        hidden={fault !== null}
        role="img"
        aria-label={`live picture of ${stream}`}
      />
      {fault !== null && (
        <p class="no-picture" role="status">
          {fault}
        </p>
      )}
    </div>
  );
}

type Request = (path: string, init?: RequestInit) => Promise<Response>;

/** Shows pictures as they come, and asks again when they end, until it is aborted. */
async function follow(
  stream: string,
  drawsHere: boolean,
  request: Request,
  signal: AbortSignal,
  show: (part: Part) => Promise<void>,
  say: (fault: string) => void,
): Promise<void> {
  const query = drawsHere ? "?overlay=0" : "";
  const path = `/v1/streams/${encodeURIComponent(stream)}/video.mjpeg${query}`;
  while (!signal.aborted) {
    try {
      const answer = await request(path, { signal });
      await showAll(answer, signal, show);
      say("The picture has ended; asking for it again …");
    } catch (failure) {
      if (signal.aborted) return;
      say(`No picture: ${(failure as Error).message}`);
    }
    await pause(AGAIN_MS, signal);
  }
}

async function showAll(
  answer: Response,
  signal: AbortSignal,
  show: (part: Part) => Promise<void>,
): Promise<void> {
  const reader = answer.body?.getReader();
  if (!reader) return;
  const parts = new MultipartReader();
  try {
    while (!signal.aborted) {
      const { done, value } = await within(reader.read(), STALE_MS);
      if (done) return;
      // Whoever can't keep up shows the newest and skips the rest.
      const newest = parts.push(value).at(-1);
      if (newest) await show(newest);
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}

function paint(
  canvas: HTMLCanvasElement,
  picture: ImageBitmap,
  tracks: FrameTracks | null,
  trails: Trails,
  shown: Shown,
): void {
  const pixelRatio = window.devicePixelRatio || 1;
  const size = sizeOnScreen(canvas, picture, pixelRatio);
  if (canvas.width !== size.width || canvas.height !== size.height) {
    canvas.width = size.width;
    canvas.height = size.height;
  }
  const context = canvas.getContext("2d");
  if (!context) return;
  context.drawImage(picture, 0, 0, size.width, size.height);
  if (tracks) {
    drawTracks(context, size, tracks.size, tracks.tracks, trails, shown, pixelRatio);
  }
}

/** As wide as there is room, in the screen's own pixels, so that lines are sharp. */
function sizeOnScreen(canvas: HTMLCanvasElement, picture: Size, pixelRatio: number): Size {
  const room = canvas.parentElement?.clientWidth ?? 0;
  const width = Math.round((room || picture.width) * pixelRatio);
  return { width, height: Math.round((width * picture.height) / picture.width) };
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`none came for ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** How long a picture waits for its tracks. */
const TRACKS_WAIT_MS = 250;
/** After so long without tracks pictures are shown without. */
const BARE_AFTER_MS = 1000;
/** A picture older than this is not shown as a live one; the server's own limit. */
const STALE_MS = 5000;
const AGAIN_MS = 1000;
