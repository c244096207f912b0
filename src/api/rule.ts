/** Why a resource is not accepted: the words are reasons of the Accepted condition. */
export type FaultReason = 'Invalid' | 'InvalidParameters' | 'MixedScorerDirections';

/**
 * A rule that JSON Schema cannot say, told twice side by side: `cel` for the API server, `check` for run time.
 * `check` sees only values that fit their schema, with defaults filled in.
 */
export interface Rule<T = unknown> {
  /** An expression of the Common Expression Language over `self`. */
  readonly cel: string;
  /** What is wrong when the rule is broken. */
  readonly message: string;
  /** What to do about it. */
  readonly cure: string;
  /** The field at fault below the value, if it is one: `service`. */
  readonly field?: string;
  readonly reason?: FaultReason;
  check(value: T): boolean;
}
