/** One condition of a resource's status, as a decision about it: reason in CamelCase, a sentence that says what to do. */
export interface Condition {
  readonly type: 'Accepted' | 'ResolvedRefs' | 'Programmed' | 'Discovered' | 'Ready' | 'CacheKnown';
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** What compiling made of one resource. */
export interface Verdict {
  readonly kind: 'BackendGroup' | 'RoutingPolicy';
  /** `namespace/name`. */
  readonly key: string;
  readonly conditions: readonly Condition[];
}

export const met = (type: Condition['type'], message: string, reason: string = type): Condition => ({
  type,
  status: 'True',
  reason,
  message,
});

export const unmet = (type: Condition['type'], reason: string, message: string): Condition => ({
  type,
  status: 'False',
  reason,
  message,
});
