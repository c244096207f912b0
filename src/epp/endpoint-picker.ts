import type { BodyBudget } from '../openai/body-budget.ts';
import { ScratchRequest } from '../openai/scratch-request.ts';
import { Deadlines } from '../router/deadlines.ts';
import type { CallContext, CallHandler, CallStream } from './carrier/carrier.ts';
import type { PickerContext } from './context.ts';
import { Exchange } from './exchange.ts';
import { RequestDecoder } from './wire/decode.ts';

export type { PickerSettings } from './context.ts';

/** What the picker needs from the rest of the house. */
export interface EndpointPickerDependencies extends Pick<
  PickerContext,
  | 'settings'
  | 'store'
  | 'router'
  | 'states'
  | 'feedback'
  | 'telemetry'
  | 'metrics'
  | 'clock'
  | 'log'
  | 'bodies'
  | 'trails'
> {
  /** 32 bits that the keys of prompts depend on; the same for all who read one index. */
  readonly promptSecret: number;
}

/** Takes ext_proc calls and answers each with a decision. */
export class EndpointPicker {
  readonly bodies: BodyBudget;
  private readonly context: PickerContext;
  private readonly deadlines: Deadlines<Exchange>;
  private active = 0;

  constructor(dependencies: EndpointPickerDependencies) {
    const { promptSecret, ...shared } = dependencies;
    this.bodies = shared.bodies;
    this.deadlines = new Deadlines(shared.clock);
    this.context = {
      ...shared,
      deadlines: this.deadlines,
      scratch: new ScratchRequest(promptSecret),
      decoder: new RequestDecoder(),
      ended: () => void (this.active -= 1),
    };
  }

  /** Requests under way: from their call's start to the end of their answer. */
  get inFlight(): number {
    return this.active;
  }

  /** Makes the handler of a new call. */
  readonly accept = (stream: CallStream, call?: CallContext): CallHandler => {
    this.active += 1;
    return new Exchange(this.context, stream, call);
  };

  /** The router stops now: every call under way gets a last word. */
  cutAll(): void {
    for (const exchange of this.deadlines.all()) exchange.cut();
  }
}
