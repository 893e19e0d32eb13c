import type { ComponentChildren } from "preact";

import type { Mood } from "./mood";

/** A state in a word; its colour never says more than the word does. */
export function Badge(props: { mood: Mood; title?: string; children: ComponentChildren }) {
  return (
    <span class={`badge mood-${props.mood}`} title={props.title}>
      {props.children}
    </span>
  );
}
