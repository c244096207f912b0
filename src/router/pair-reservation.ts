import type { PairCharges } from './plugin.ts';
import { Reservation } from './reservation.ts';
import type { EndpointStates } from './states.ts';

/** A chosen pair, and what a request takes of it. */
export interface PairLoad {
  /** -1 where the decoder computes the prompt itself, and where it is computed already. */
  readonly prefillSlot: number;
  readonly decodeSlot: number;
  readonly promptTokens: number;
  /** Those that are to be computed. */
  readonly uncachedTokens: number;
}

const never: readonly number[] = Object.freeze([]);

/**
 * A request's place in the books of a pair, and of the leader before it where there is one: the prefiller is free once
 * it has answered, or with the first byte of the decoder's answer where only that is seen; decoder and leader are busy
 * to the end. As idempotent as any reservation.
 */
export class PairReservation extends Reservation {
  /** Null where there is nothing for it to do. */
  private readonly prefill: Reservation | null;
  /** Null where the decoder is the request's endpoint itself. */
  private readonly decode: Reservation | null;
  private readonly decodeSlot: number;
  private readonly promptTokens: number;
  private readonly charges: readonly PairCharges[];
  /** When each of the charges was made. */
  private readonly chargedAt: readonly number[];
  private prefilling = true;
  private reading = true;
  private decoding = true;

  /** `slot`: of the request's endpoint, the leader or the decoder itself. */
  constructor(states: EndpointStates, slot: number, load: PairLoad, charges: readonly PairCharges[]) {
    const { prefillSlot, decodeSlot, promptTokens, uncachedTokens } = load;
    super(states, slot, prefillSlot < 0 ? uncachedTokens : 0);
    this.prefill = prefillSlot < 0 ? null : new Reservation(states, prefillSlot, uncachedTokens);
    this.decode = slot === decodeSlot ? null : new Reservation(states, decodeSlot, 0);
    this.decodeSlot = decodeSlot;
    this.promptTokens = promptTokens;
    this.charges = charges;
    this.chargedAt =
      charges.length === 0 ? never : charges.map((each) => each.charge(prefillSlot, decodeSlot, promptTokens));
  }

  override prefilled(): void {
    const { prefill, charges, chargedAt, promptTokens } = this;
    if (!this.prefilling || prefill === null) return;
    this.prefilling = false;
    prefill.release();
    for (let i = 0; i < charges.length; i++) charges[i].prefilled(prefill.slot, promptTokens, chargedAt[i]);
  }

  override firstByte(): void {
    if (!this.reading) return;
    this.reading = false;
    this.prefilled();
    super.firstByte();
    const { prefill, decode, charges, chargedAt, promptTokens } = this;
    decode?.firstByte();
    if (prefill === null) return;
    for (let i = 0; i < charges.length; i++) charges[i].answered?.(prefill.slot, promptTokens, chargedAt[i]);
  }

  override release(): void {
    if (!this.decoding) return;
    this.decoding = false;
    // Says the first byte, too, where there was none.
    super.release();
    const { decode, decodeSlot, charges, chargedAt, promptTokens } = this;
    decode?.release();
    for (let i = 0; i < charges.length; i++) charges[i].ended(decodeSlot, promptTokens, chargedAt[i]);
  }
}
