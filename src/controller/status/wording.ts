const ellipsis = '…';

/** At most `max` characters; what does not fit is replaced by `…`. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = max - ellipsis.length;
  // Half of a surrogate pair is no character.
  const splitsPair = /[\uD800-\uDBFF]/.test(text.charAt(end - 1));
  return text.slice(0, splitsPair ? end - 1 : end) + ellipsis;
}

/** As many of the words as fit, then how many were left out: `a, b +3`. */
export function listed(words: readonly string[], max: number): string {
  let text = '';
  for (let i = 0; i < words.length; i++) {
    const longer = text === '' ? words[i] : `${text}, ${words[i]}`;
    const rest = words.length - i - 1;
    const room = max - (rest === 0 ? 0 : ` +${rest}`.length);
    if (longer.length > room) return text === '' ? cut(words[i], max) : `${text} +${words.length - i}`;
    text = longer;
  }
  return text;
}

/** RFC 3339 in whole seconds, as the API server writes times. `time` in milliseconds since 1970. */
export function timeText(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}

const decimals = 4;
/** Above, digits no longer fit the 18 places that a decimal string of a status has. */
const largest = 1e15;

/** A number as a decimal string of at most four places: `0.25`, `-3`. */
export function decimalText(value: number): string {
  const bounded = Math.max(-largest, Math.min(largest, value));
  const text = bounded.toFixed(decimals).replace(/\.?0+$/, '');
  return text === '-0' ? '0' : text;
}

const int32 = 2147483647;

/** A count as the int32 of a status. */
export function wholeNumber(value: number): number {
  return Math.max(0, Math.min(int32, Math.round(value)));
}

/** A percentage as an integer, 0..100. */
export function wholePercent(value: number): number {
  return Math.max(0, Math.min(100, Math.round(value)));
}

/** `0`, `0.05`, `12.5`, `340`: requests a second from requests a minute. */
export function perSecondText(perMinute: number): string {
  const rate = perMinute / 60;
  if (rate >= 100) return String(Math.round(rate));
  const places = rate >= 1 ? 1 : 2;
  return rate.toFixed(places).replace(/\.?0+$/, '');
}

/** `210ms`, `12.3s`. */
export function durationText(milliseconds: number): string {
  if (milliseconds < 10_000) return `${Math.round(milliseconds)}ms`;
  return `${(milliseconds / 1000).toFixed(1)}s`;
}
