/** Who knows more of endpoints that are not ready than their flags say. */
export interface EndpointReadiness {
  /** Why the endpoint at the slot gets no requests, in one word such as `Ejected`; null where it is not known. */
  reasonOf(slot: number): string | null;
}
