import type { BodyBudget } from '../openai/body-budget.ts';
import type { ScratchRequest } from '../openai/scratch-request.ts';
import type { InferenceExtensionMetrics } from '../observability/inference-extension-metrics.ts';
import type { Log } from '../observability/log.ts';
import type { Trails } from '../observability/tracing/trail.ts';
import type { Telemetry } from '../observability/telemetry.ts';
import type { Clock } from '../router/clock.ts';
import type { Deadlines } from '../router/deadlines.ts';
import type { EndpointFeedback } from '../router/feedback.ts';
import type { Router } from '../router/router.ts';
import type { SaturationBounds } from '../router/saturation.ts';
import type { EndpointStates } from '../router/states.ts';
import type { TableStore } from '../router/table.ts';
import type { RequestDecoder } from './wire/decode.ts';

/** What a picker is told to do. */
export interface PickerSettings {
  /** Milliseconds from the start of a call within which it is answered or ended. */
  readonly deadline: number;
  /** Further endpoints that are named after the pick, at most; 0 for gateways that take one address only. */
  readonly fallbacks: number;
  /** Whether clients may have the model changed by a header. */
  readonly trustHeaders: boolean;
  /** Whether the switches of the conformance tests work; never in production. */
  readonly conformance: boolean;
  /** Over which an engine counts as saturated; then requests of negative priority are refused. */
  readonly saturation: SaturationBounds;
  /** Priority of an objective's name; 0 for an unknown one. */
  readonly priorityOf: (objective: string) => number;
}

/** What every call of a picker shares. */
export interface PickerContext {
  readonly settings: PickerSettings;
  readonly store: TableStore;
  readonly router: Router;
  readonly states: EndpointStates;
  readonly feedback: EndpointFeedback;
  readonly telemetry: Telemetry;
  readonly metrics: InferenceExtensionMetrics;
  readonly clock: Clock;
  readonly log: Log;
  readonly deadlines: Deadlines;
  /** Request bodies that are held; one for all pickers of a process. */
  readonly bodies: BodyBudget;
  readonly scratch: ScratchRequest;
  /** One for all calls, since a message is read to its end before the next. */
  readonly decoder: RequestDecoder;
  /** Who follows single requests; nobody where it is left out. */
  readonly trails?: Trails;
  /** A call holds nothing any more. */
  ended(): void;
}
