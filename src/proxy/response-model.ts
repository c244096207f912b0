/** The name that an engine puts into its answers and the one that the client asked for. */
export interface ModelNames {
  readonly engine: string;
  readonly asked: string;
}

/**
 * Puts the asked model name back wherever the answer has a member `"model"` with the engine's. Quotes inside JSON
 * strings are escaped, so generated text cannot be mistaken for the member.
 */
export function replaceModel(bytes: Buffer, names: ModelNames): Buffer {
  if (!bytes.includes('"model"')) return bytes;
  const engine = JSON.stringify(names.engine);
  const asked = JSON.stringify(names.asked);
  const text = bytes.toString('utf8');
  const replaced = text.replaceAll(
    /"model"(\s*):(\s*)("(?:[^"\\]|\\.)*")/g,
    (whole, before: string, after: string, value: string) =>
      value === engine ? `"model"${before}:${after}${asked}` : whole,
  );
  return Buffer.from(replaced);
}
