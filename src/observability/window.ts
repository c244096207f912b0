const seconds = 60;

/** Sums of the last minute, one row a second, one column a quantity. Times are milliseconds of one clock. */
export class Window {
  private readonly columns: number;
  private readonly rows: Float64Array;
  private second: number;
  /** Start of the current second's row. */
  private row: number;

  constructor(columns: number, now: number) {
    this.columns = columns;
    this.rows = new Float64Array(columns * seconds);
    this.second = Math.floor(now / 1000);
    this.row = (this.second % seconds) * columns;
  }

  /** Moves to the present; rows of seconds gone by are cleared. */
  advance(now: number): void {
    const second = Math.floor(now / 1000);
    const passed = Math.min(seconds, second - this.second);
    for (let i = 1; i <= passed; i++) {
      const at = ((this.second + i) % seconds) * this.columns;
      this.rows.fill(0, at, at + this.columns);
    }
    this.second = second;
    this.row = (second % seconds) * this.columns;
  }

  /** Adds to the second that `advance` was last told. */
  add(column: number, value: number): void {
    this.rows[this.row + column] += value;
  }

  /** Of the minute up to `now`. */
  sum(column: number, now: number): number {
    this.advance(now);
    let total = 0;
    for (let at = column; at < this.rows.length; at += this.columns) total += this.rows[at];
    return total;
  }
}
