import type { PairCharges } from './plugin.ts';
import { Reservation } from './reservation.ts';
import type { EndpointStates } from './states.ts';

/** A chosen pair, and what a request takes of it. */
export interface PairLoad {
  readonly prefillSlot: number;
  readonly decodeSlot: number;
  readonly promptTokens: number;
  /** Those that the prefiller has to compute. */
  readonly uncachedTokens: number;
}

const never: readonly number[] = Object.freeze([]);

/**
 * A request's place in the books of a leader and of the pair behind it: the prefiller is free with the first byte of
 * the answer, decoder and leader are busy to its end. As idempotent as any reservation.
 */
export class PairReservation extends Reservation {
  private readonly prefill: Reservation;
  private readonly decode: Reservation;
  private readonly promptTokens: number;
  private readonly charges: readonly PairCharges[];
  /** When each of the charges was made. */
  private readonly chargedAt: readonly number[];
  private prefilling = true;
  private decoding = true;

  constructor(states: EndpointStates, leaderSlot: number, load: PairLoad, charges: readonly PairCharges[]) {
    const { prefillSlot, decodeSlot, promptTokens, uncachedTokens } = load;
    super(states, leaderSlot, 0);
    this.prefill = new Reservation(states, prefillSlot, uncachedTokens);
    this.decode = new Reservation(states, decodeSlot, 0);
    this.promptTokens = promptTokens;
    this.charges = charges;
    this.chargedAt =
      charges.length === 0 ? never : charges.map((each) => each.charge(prefillSlot, decodeSlot, promptTokens));
  }

  override firstByte(): void {
    if (!this.prefilling) return;
    this.prefilling = false;
    super.firstByte();
    const { prefill, decode, charges, chargedAt, promptTokens } = this;
    prefill.release();
    decode.firstByte();
    for (let i = 0; i < charges.length; i++) charges[i].prefilled(prefill.slot, promptTokens, chargedAt[i]);
  }

  override release(): void {
    if (!this.decoding) return;
    this.decoding = false;
    // Says the first byte, too, where there was none.
    super.release();
    const { decode, charges, chargedAt, promptTokens } = this;
    decode.release();
    for (let i = 0; i < charges.length; i++) charges[i].ended(decode.slot, promptTokens, chargedAt[i]);
  }
}
