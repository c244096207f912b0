const role = Buffer.from('"delta":{"role":"assistant"');
const silent = [Buffer.from('"content":""'), Buffer.from('"content":null')] as const;
const content = Buffer.from('"content":');
const eventEnd = Buffer.from('\n\n');

/**
 * Length of a chat stream's first event where that says nothing but who speaks; 0 where it says more. vLLM sends it before it
 * looks at whether there is an answer: an error may follow it at once.
 */
export function lengthOfRole(bytes: Buffer): number {
  const end = bytes.indexOf(eventEnd);
  if (end < 0) return 0;
  const event = bytes.subarray(0, end);
  if (!event.includes(role)) return 0;
  const isSilent = silent.some((text) => event.includes(text)) || !event.includes(content);
  return isSilent ? end + eventEnd.length : 0;
}
