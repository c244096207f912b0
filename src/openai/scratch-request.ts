import { nothingForeknown, type Foreknowledge } from '../router/foreknowledge.ts';
import { Prompt } from '../router/prompt.ts';
import type { HeaderLookup, InferenceRequest } from '../router/request.ts';
import type { Payload } from './payload.ts';
import { writePrompt } from './prompt-text.ts';

/** What a decision must know of a request besides its body. */
type Described = Pick<InferenceRequest, 'model' | 'headers' | 'known'> & { readonly requestId: string };

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
  /** Becomes this request; `payload` is null for one without a body. */
  describe(payload: Payload | null, { model, headers, known, requestId }: Described): void {
    if (payload === null) this.prompt.begin(model);
    else writePrompt(payload, model, this.prompt);
    this.model = model;
    this.headers = headers;
    this.user = payload === null ? '' : payload.user;
    this.known = known;
    this.requestId = requestId;
  }
}
