import type { ComponentChildren } from "preact";

import type { Mood } from "./mood";

/** A sentence where there is nothing else to show. */
export function Notice(props: { mood?: Mood; children: ComponentChildren }) {
  return (
    <p class={`notice mood-${props.mood ?? "idle"}`} role="status">
      {props.children}
    </p>
  );
}
