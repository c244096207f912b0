/** Where a command writes, line by line. */
export interface CommandIo {
  out(line: string): void;
  err(line: string): void;
}

/** Exit codes of every command. */
export const Exit = { fine: 0, badInput: 1, usage: 2, outside: 3 } as const;

/** A file that the user wrote is at fault; one line a fault. */
export class InputError extends Error {
  override readonly name = 'InputError';
}

/** A command that was called wrongly; its message is for the person who typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
