import { nothingForeknown, type Foreknowledge } from '../router/foreknowledge.ts';
import { Prompt } from '../router/prompt.ts';
import type { HeaderLookup, InferenceRequest } from '../router/request.ts';

/** The request as the decision sees it; one object for all, since a decision never awaits. */
export class ScratchRequest implements InferenceRequest {
  model = '';
  user = '';
  headers: HeaderLookup = { get: () => undefined };
  known: Foreknowledge = nothingForeknown;
  requestId = '';
  readonly prompt: Prompt;

  /** `promptSecret`: one for the whole process, since prompts must be found again by whoever reads them. */
  constructor(promptSecret?: number) {
    this.prompt = new Prompt(promptSecret);
  }
}
