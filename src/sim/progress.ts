/** Shows how far a run is: a bar that is redrawn on a terminal, else a line at each quarter. */
export class Progress {
  private readonly line: (text: string) => void;
  private readonly redraw: ((text: string) => void) | null;
  private shown = -1;

  /** `redraw` writes to a terminal without a line end; null where there is none. */
  constructor(line: (text: string) => void, redraw: ((text: string) => void) | null) {
    this.line = line;
    this.redraw = redraw;
  }

  begin(): void {
    this.shown = -1;
  }

  show(title: string, done: number, total: number): void {
    const steps = this.redraw === null ? 4 : width;
    const step = Math.floor((done / total) * steps);
    if (step === this.shown) return;
    this.shown = step;
    if (this.redraw === null) {
      this.line(`${title}: ${done} of ${total} requests`);
      return;
    }
    const bar = '#'.repeat(step) + '.'.repeat(width - step);
    this.redraw(`\r[${bar}] ${String(done).padStart(4)}/${total} ${title}`);
    if (done === total) this.redraw('\n');
  }
}

const width = 40;
