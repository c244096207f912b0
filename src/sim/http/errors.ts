/** An answer other than 200, in the shape that vLLM gives it. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly body: string;

  constructor(status: number, message: string, body: object) {
    super(message);
    this.status = status;
    this.body = JSON.stringify(body);
  }
}

/** vLLM's error object; `code` is the status as an integer. */
function errorObject(status: number, type: string, message: string, param: string | null): ApiError {
  return new ApiError(status, message, { error: { message, type, param, code: status } });
}

/** A value that is well-formed but not acceptable. */
export function badValue(param: string, value: number, message: string): ApiError {
  return errorObject(
    400,
    'BadRequestError',
    `${message} (parameter=${param}, value=${pythonNumber(value, param)})`,
    param,
  );
}

/** A body that does not fit the schema. */
export function badBody(message: string, param: string | null): ApiError {
  return errorObject(400, 'Bad Request', message, param);
}

export function emptyPrompt(): ApiError {
  return errorObject(400, 'BadRequestError', 'The decoder prompt cannot be empty', null);
}

export function modelNotFound(model: string, known: readonly string[]): ApiError {
  const message = `The model \`${model}\` does not exist. Valid aliases: ${known.join(', ')}.`;
  return errorObject(404, 'NotFoundError', message, 'model');
}

export function internalError(): ApiError {
  return errorObject(500, 'InternalServerError', 'Internal server error', null);
}

function serviceUnavailable(): ApiError {
  return errorObject(503, 'ServiceUnavailableError', 'The engine is not available', null);
}

/** The error in place of an answer that comes to nothing. */
export function brokenOff(how: 'error' | 'unavailable'): ApiError {
  return how === 'error' ? internalError() : serviceUnavailable();
}

export function bodyTooLarge(): ApiError {
  return errorObject(413, 'Request Entity Too Large', 'The request body is too large', null);
}

export function unauthorized(): ApiError {
  return new ApiError(401, 'Unauthorized', { error: 'Unauthorized' });
}

export function unknownPath(): ApiError {
  return new ApiError(404, 'Not Found', { detail: 'Not Found' });
}

export function wrongMethod(): ApiError {
  return new ApiError(405, 'Method Not Allowed', { detail: 'Method Not Allowed' });
}

/** Temperatures are floats there, so a whole one is written with a point. */
export function pythonNumber(value: number, param: string): string {
  return param === 'temperature' && Number.isInteger(value) ? value.toFixed(1) : String(value);
}
