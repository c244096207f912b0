import type { Fault } from './check.ts';
import type { FaultReason } from './rule.ts';

/** Something true of a configuration that is no fault. */
export interface PickerNote {
  readonly path: string;
  readonly message: string;
  /** What to do, if anything. */
  readonly cure: string;
}

/** What the checks of one document have found so far. */
export class Findings {
  readonly faults: Fault[];
  readonly notes: PickerNote[] = [];

  /** Begins with what is found already. */
  constructor(faults: readonly Fault[]) {
    this.faults = [...faults];
  }

  fault(path: string, message: string, cure: string, reason: FaultReason = 'Invalid'): void {
    this.faults.push({ path, message, cure, reason });
  }

  note(path: string, message: string, cure = 'nothing to do'): void {
    this.notes.push({ path, message, cure });
  }
}
