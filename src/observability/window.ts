const seconds = 60;

/** Sums of the last minute, one row a second, one column a quantity. */
export class Window {
  private readonly columns: number;
  private readonly now: () => number;
  private readonly rows: Float64Array;
  private second: number;

  /** `now` in milliseconds. */
  constructor(columns: number, now: () => number) {
    this.columns = columns;
    this.now = now;
    this.rows = new Float64Array(columns * seconds);
    this.second = Math.floor(now() / 1000);
  }

  add(column: number, value: number): void {
    this.rows[this.row() + column] += value;
  }

  sum(column: number): number {
    this.row();
    let total = 0;
    for (let at = column; at < this.rows.length; at += this.columns) total += this.rows[at];
    return total;
  }

  /** Start of the current second's row; rows of seconds gone by are cleared. */
  private row(): number {
    const second = Math.floor(this.now() / 1000);
    const passed = Math.min(seconds, second - this.second);
    for (let i = 1; i <= passed; i++) {
      const at = ((this.second + i) % seconds) * this.columns;
      this.rows.fill(0, at, at + this.columns);
    }
    this.second = second;
    return (second % seconds) * this.columns;
  }
}
