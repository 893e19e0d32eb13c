/** How much something needs a person's eye. */
export type Mood = "bad" | "wary" | "good" | "idle";
