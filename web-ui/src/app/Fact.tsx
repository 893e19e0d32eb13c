import type { ComponentChildren } from "preact";

import type { Mood } from "./mood";

/** A number with its name, within a `dl`. */
export function Fact(props: {
  name: string;
  mood?: Mood | undefined;
  children: ComponentChildren;
}) {
  return (
    <div class={props.mood ? `fact mood-${props.mood}` : "fact"}>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}
