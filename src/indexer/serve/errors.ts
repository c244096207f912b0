/** Why a question about caches gets no answer. */
export type QuestionErrorCode =
  'invalid_json' | 'invalid_value' | 'missing_model' | 'model_not_found' | 'tokenizer_unavailable';

/** A question that cannot be answered; its message says what the client can do, and never quotes a prompt. */
export class QuestionError extends Error {
  override readonly name = 'QuestionError';
  readonly code: QuestionErrorCode;
  /** The field of the body at fault, as OpenAI's error objects name it. */
  readonly param: string | null;

  constructor(code: QuestionErrorCode, message: string, param: string | null = null) {
    super(message);
    this.code = code;
    this.param = param;
  }
}
