import type { PairCharges } from './plugin.ts';
import { Reservation } from './reservation.ts';
import type { EndpointStates } from './states.ts';

/** A leader and the pair behind it, by slot. */
export interface PairSlots {
  readonly leader: number;
  readonly prefill: number;
  readonly decode: number;
}

/** What a request takes of a pair. */
export interface PairLoad {
  readonly promptTokens: number;
  /** Those that the prefiller has to compute. */
  readonly uncachedTokens: number;
}

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
  private readonly chargedAt: number[] = [];
  private prefilling = true;
  private decoding = true;

  constructor(states: EndpointStates, slots: PairSlots, load: PairLoad, charges: readonly PairCharges[]) {
    super(states, slots.leader, 0);
    this.prefill = new Reservation(states, slots.prefill, load.uncachedTokens);
    this.decode = new Reservation(states, slots.decode, 0);
    this.promptTokens = load.promptTokens;
    this.charges = charges;
    for (const each of charges) this.chargedAt.push(each.charge(slots.prefill, slots.decode, load.promptTokens));
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
