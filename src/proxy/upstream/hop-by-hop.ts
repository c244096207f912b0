/** Headers that speak of one connection (RFC 9110 §7.6.1) and end there, in lower case; `proxy-*` beside them. */
const names: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Whether a header, named in lower case, must not be passed on. */
export function isHopByHop(name: string): boolean {
  return names.has(name) || name.startsWith('proxy-');
}

/** The headers (name, value, name, value …) without those that Connection names; `options` is its value in lower case. */
export function withoutNamed(headers: string[], options: string): string[] {
  const named = options.split(',').map((option) => option.trim());
  if (named.every((name) => name === '' || name === 'close' || name === 'keep-alive')) return headers;
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (!named.includes(headers[i].toLowerCase())) kept.push(headers[i], headers[i + 1]);
  }
  return kept;
}
