/** How a try on an endpoint went, as the front door saw it. */
export type Outcome = 'ok' | 'connect_failure' | 'reset' | 'timeout' | 'server_error';

/** Told by the front doors, used by the datalayer for passive health; called for every try, so it must be cheap. */
export interface EndpointFeedback {
  report(slot: number, outcome: Outcome): void;
}
