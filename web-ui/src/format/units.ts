// Numbers with their units, short enough for a table.

const NONE = "–";

/** A time that something took, from milliseconds. */
export function milliseconds(value: number | null): string {
  if (value === null) return NONE;
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 100) return `${value.toFixed(0)} ms`;
  if (value >= 1) return `${value.toFixed(1)} ms`;
  return `${(value * 1000).toFixed(0)} µs`;
}

/** A span of time, from seconds, in its two largest units. */
export function span(seconds: number | null): string {
  if (seconds === null) return NONE;
  if (seconds < 10 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`;
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes} min` : `${hours} h`;
  return whole % 60 > 0 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
}

/** An amount of memory or disk, from bytes. */
export function bytes(value: number | null): string {
  if (value === null) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let amount = value;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${unit === 0 || amount >= 100 ? amount.toFixed(0) : amount.toFixed(1)} ${units[unit]}`;
}

/** How many, with its thousands apart. */
export function count(value: number): string {
  return value.toLocaleString("en");
}

/** Frames a second. */
export function rate(value: number | null): string {
  return value === null ? NONE : `${value.toFixed(1)} fps`;
}

/** A share of one. */
export function percent(value: number): string {
  return `${Math.round(value * 100)} %`;
}

/** The time of day, from an ISO 8601 time stamp. */
export function clock(stamp: string): string {
  const time = new Date(stamp);
  return Number.isNaN(time.getTime()) ? stamp : time.toLocaleTimeString([], { hour12: false });
}

/** How long ago a time stamp was, in seconds. */
export function secondsSince(stamp: string, now: Date): number {
  return Math.max(0, (now.getTime() - new Date(stamp).getTime()) / 1000);
}
