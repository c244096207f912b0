/** How traces are made and where they go. */
export interface TraceSettings {
  /** Where spans are posted to. */
  readonly url: string;
  /** Headers that go with them; may hold keys. */
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds for one call. */
  readonly timeout: number;
  readonly sampler: { readonly root: 'always_on' | 'always_off' | 'traceidratio'; readonly parentBased: boolean };
  /** Share of traces that are recorded where the sampler goes by it, 0 to 1. */
  readonly ratio: number;
  /** Who we are. */
  readonly resource: Readonly<Record<string, string>>;
  readonly queue: {
    readonly capacity: number;
    readonly batch: number;
    readonly delay: number;
    readonly timeout: number;
  };
}
