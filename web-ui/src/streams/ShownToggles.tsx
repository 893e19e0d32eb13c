import type { Shown } from "./drawing";

/** Chooses what of the tracks is drawn. */
export function ShownToggles(props: { shown: Shown; onChange: (shown: Shown) => void }) {
  return (
    <fieldset class="toggles">
      <legend class="aside">Draw</legend>
      {(Object.keys(NAMES) as (keyof Shown)[]).map((part) => (
        <label key={part}>
          <input
            type="checkbox"
            checked={props.shown[part]}
            onChange={(event) =>
              props.onChange({ ...props.shown, [part]: event.currentTarget.checked })
            }
          />
          {NAMES[part]}
        </label>
      ))}
    </fieldset>
  );
}

const NAMES: Record<keyof Shown, string> = {
  boxes: "Boxes",
  ids: "Numbers",
  classes: "Classes",
  trails: "Trails",
};
