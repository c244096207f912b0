/** Clients that ask again and again until they are told to stop, and what went wrong for them. */
export class Load {
  done = 0;
  readonly failures: string[] = [];
  private readonly clients: Promise<void>[];
  private stopped = false;

  /** `ask` returns what was wrong with an answer, or null; it is called with a number that is never the same. */
  constructor(clients: number, ask: (turn: number) => Promise<string | null>) {
    this.clients = Array.from({ length: clients }, (_, i) => this.run(ask, i * 1_000_000));
  }

  /** Waits for the answers under way. */
  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.clients);
  }

  private async run(ask: (turn: number) => Promise<string | null>, first: number): Promise<void> {
    for (let turn = first; !this.stopped; turn++) {
      const fault = await ask(turn).catch((error: unknown) => `no answer: ${String(error)}`);
      if (fault !== null) this.failures.push(fault);
      this.done += 1;
    }
  }
}
