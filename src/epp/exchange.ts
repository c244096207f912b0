import type { Trail } from '../observability/tracing/trail.ts';
import { BodyBuffer } from '../openai/body-budget.ts';
import { errorText } from '../observability/log.ts';
import type { Timed } from '../router/deadlines.ts';
import { RoutingError, type RoutingErrorCode } from '../router/errors.ts';
import { statusOf } from '../openai/answers.ts';
import type { Foreknowledge } from '../router/foreknowledge.ts';
import { GrpcStatus, type CallContext, type CallHandler, type CallStream } from './carrier/carrier.ts';
import type { PickerContext } from './context.ts';
import { immediateError, immediateJson } from './immediate.ts';
import { admit, bodyFor, intake, knownOf, wayOf, type Heard, type Intake } from './intake.ts';
import { ModelRestorer } from './model-restorer.ts';
import { OutgoingBody } from './outgoing-body.ts';
import { Placement } from './placement.ts';
import { requestChange } from './request-change.ts';
import { RequestHead } from './request-head.ts';
import { openTrail } from './request-trail.ts';
import { answerOf, responseChange } from './response-head.ts';
import { Body, sendBody } from './wire/body.ts';
import {
  encodeImmediate,
  encodeRequestHeaders,
  encodeResponseHeaders,
  responseHeadersUnchanged,
  responseTrailersUnchanged,
} from './wire/encode.ts';
import { Phase, type ProcessingRequest } from './wire/request.ts';
import type { Immediate } from './wire/response.ts';
import { WireError } from './wire/wire-error.ts';

/** How far the request has come; `moot` once somebody has answered it before its end. */
const Stage = { headers: 0, body: 1, deciding: 2, answered: 3, moot: 4 } as const;
type Stage = (typeof Stage)[keyof typeof Stage];
/** How far the answer has come. */
const Reply = { none: 0, body: 1, ended: 2 } as const;
type Reply = (typeof Reply)[keyof typeof Reply];

const empty = Buffer.alloc(0);
const noContext: CallContext = Object.freeze({ traceparent: '', tracestate: '' });

/** A message that cannot come where it came. */
class OutOfOrder extends Error {
  override readonly name = 'OutOfOrder';
}

/**
 * One call: holds the request until it is whole, answers it with a decision, and lets the answer through while it
 * reads what the answer tells. However the call ends, what it holds is given back.
 */
export class Exchange implements CallHandler, Timed {
  deadline: number;
  place = -1;
  private readonly context: PickerContext;
  private readonly stream: CallStream;
  private readonly startedAt: number;
  private stage: Stage = Stage.headers;
  private reply: Reply = Reply.none;
  private heard: Heard | null = null;
  private body: BodyBuffer | null = null;
  private placement: Placement | null = null;
  /** Of the call itself: its caller's span. */
  readonly traceparent: string;
  readonly tracestate: string;
  /** Null where nobody follows single requests. */
  private trail: Trail | null = null;
  /** Why the request was refused, and what it was answered, where nobody has placed it. */
  private code: RoutingErrorCode | null = null;
  private status = 0;
  /** The body while it is on its way to the engine. */
  private outgoing: OutgoingBody | null = null;
  private hasTrailers = false;
  /** Puts the model's name back into the answer where the request's was changed. */
  private restorer: ModelRestorer | null = null;
  private paused = false;
  private halfClosed = false;
  /** Nothing more is said. */
  private over = false;
  /** Nothing more is held. */
  private settled = false;

  constructor(context: PickerContext, stream: CallStream, call: CallContext = noContext) {
    this.context = context;
    this.traceparent = call.traceparent;
    this.tracestate = call.tracestate;
    this.stream = stream;
    this.startedAt = context.clock.now();
    this.deadline = this.startedAt + context.settings.deadline;
    context.deadlines.add(this);
  }

  onMessage(message: Buffer): void {
    if (this.over) return;
    try {
      this.take(this.context.decoder.decode(message));
    } catch (fault) {
      this.fail(fault);
    }
  }

  onHalfClose(): void {
    this.halfClosed = true;
    this.endIfIdle();
  }

  onDrain(): void {
    if (this.over) return;
    this.pump();
    if (!this.paused || this.outgoing !== null) return;
    this.paused = false;
    this.stream.resume();
  }

  onClose(): void {
    this.over = true;
    this.settle(499, true);
    this.context.deadlines.delete(this);
  }

  timeOut(): void {
    if (this.reply === Reply.ended) {
      this.end(GrpcStatus.ok);
      return;
    }
    const message = 'the request was not answered within the deadline';
    this.context.log.warn('a request failed', { requestId: this.heard?.head.requestId, error: message });
    this.end(GrpcStatus.deadlineExceeded, message, 504);
  }

  /** The picker stops now: an unanswered request gets a last word, an answer under way breaks off. */
  cut(): void {
    if (this.over) return;
    const message = 'the router is stopping; send the request again';
    if (this.reply === Reply.ended) this.end(GrpcStatus.ok);
    else if (this.stage === Stage.answered || this.stage === Stage.moot) this.end(GrpcStatus.unavailable, message, 503);
    else this.refuse(new RoutingError('overloaded', message, { source: 'router', retryable: true }));
  }

  private take(request: ProcessingRequest): void {
    switch (request.phase) {
      case Phase.requestHeaders:
        this.onRequestHeaders(request);
        break;
      case Phase.requestBody:
        this.onRequestBody(request);
        break;
      case Phase.requestTrailers:
        this.onRequestTrailers();
        break;
      case Phase.responseHeaders:
        this.onResponseHeaders(request);
        break;
      case Phase.responseBody:
        this.onResponseBody(request);
        break;
      case Phase.responseTrailers:
        this.onResponseTrailers();
        break;
      default:
        throw new OutOfOrder('a message without headers, body or trailers');
    }
  }

  private onRequestHeaders(request: ProcessingRequest): void {
    if (this.stage !== Stage.headers) throw new OutOfOrder('request headers come first, and once');
    const { context, startedAt } = this;
    const head = new RequestHead(request.headers);
    this.heard = { head, path: head.path, hint: null, startedAt };
    this.trail = openTrail(context, head, startedAt, this);
    const way = wayOf(head, context.store.current, context.settings);
    this.trail?.route('answer' in way ? '/v1/models' : way.path);
    if ('answer' in way) {
      this.answerWith(immediateJson(way.answer, head.requestId), 200);
      return;
    }
    const tooLarge = context.bodies.refusalOf(head.contentLength);
    if (tooLarge !== null) throw tooLarge;
    this.heard = { head, path: way.path, hint: request.subset, startedAt };
    this.stage = Stage.body;
    if (request.endOfStream) this.complete();
    else this.body = new BodyBuffer(context.bodies, head.contentLength);
  }

  private onRequestBody(request: ProcessingRequest): void {
    if (this.stage === Stage.moot) return;
    const { body } = this;
    if (this.stage !== Stage.body || body === null) throw new OutOfOrder('a request body before or after its place');
    const { length } = request.body;
    const refused = length === 0 ? null : body.push(request.body, 0, length);
    if (refused !== null) throw refused;
    if (request.endOfStream) this.complete();
  }

  private onRequestTrailers(): void {
    if (this.stage === Stage.moot) return;
    if (this.stage !== Stage.body) throw new OutOfOrder('request trailers before or after their place');
    this.hasTrailers = true;
    this.complete();
  }

  /** The request is whole: finds who takes it, asks what must be known, and decides. */
  private complete(): void {
    const { context, heard, body } = this;
    if (heard === null) return;
    this.stage = Stage.deciding;
    const read = intake(context, heard, body === null ? empty : body.whole());
    const { trail } = this;
    this.placement = new Placement(context, read.taken, { trail, stream: read.payload?.stream === true });
    admit(context, read.taken);
    const known = knownOf(read);
    if (!(known instanceof Promise)) {
      this.decide(read, this.placement, known);
      return;
    }
    const { placement } = this;
    const waiting = trail?.step('look-up');
    known.then(
      (found) => {
        waiting?.end(context.clock.now());
        this.resumeWith(read, placement, found);
      },
      // A look-up does not reject; should one do so, it costs one request and not the process.
      (fault: unknown) => {
        waiting?.end(context.clock.now(), 'internal_error');
        if (this.stage === Stage.deciding) this.fail(fault);
      },
    );
  }

  /** What had to be asked for is there; somebody else may have ended the request meanwhile. */
  private resumeWith(read: Intake, placement: Placement, known: Foreknowledge): void {
    if (this.over || this.stage !== Stage.deciding) return;
    try {
      this.decide(read, placement, known);
    } catch (fault) {
      this.fail(fault);
    }
    this.endIfIdle();
  }

  private decide(read: Intake, placement: Placement, known: Foreknowledge): void {
    const { taken, payload } = read;
    const decision = placement.decide(payload, known);
    if (decision === null) {
      const message = 'no engine is ready for this model; try again soon';
      throw new RoutingError('no_ready_endpoint', message, { source: 'backend', retryable: true });
    }
    const rewrite = decision.backend.rewriteModel ?? read.rewrite;
    const bytes = payload === null ? empty : bodyFor(payload.bytes, rewrite);
    if (rewrite !== null && payload !== null) this.restorer = new ModelRestorer(rewrite, taken.asked);
    const { policy, head, path } = taken;
    const { destination } = placement;
    const bodyBytes = this.body === null ? -1 : bytes.length;
    const change = requestChange(head, { policy, decision, destination, path, bodyBytes });
    this.stage = Stage.answered;
    this.deadline = Infinity;
    this.stream.send(encodeRequestHeaders(change));
    if (this.body === null) return;
    this.outgoing = new OutgoingBody(this.stream, bytes, this.hasTrailers);
    this.pump();
  }

  /** Sends of the request's body what the gateway takes; what is gone is held no more. */
  private pump(): void {
    if (this.outgoing?.pump() !== true) return;
    this.outgoing = null;
    this.body?.drop();
    this.endIfIdle();
  }

  private onResponseHeaders(request: ProcessingRequest): void {
    if (this.reply !== Reply.none) throw new OutOfOrder('response headers come once');
    if (this.stage !== Stage.answered) this.becomeMoot();
    this.reply = Reply.body;
    const answered = answerOf(request, this.stage === Stage.moot);
    this.placement?.onAnswer(answered);
    this.status = answered.status;
    if (this.placement === null) this.context.telemetry.refused(answered.status);
    this.stream.send(this.responseHeaders(request.served));
    if (request.endOfStream) this.endReply();
  }

  private responseHeaders(served: string): Uint8Array {
    const { heard, placement, context } = this;
    // Nothing is known of a request whose headers have not come.
    if (heard === null) return responseHeadersUnchanged;
    const told = {
      requestId: heard.head.requestId,
      served: context.settings.conformance ? served : '',
      isRenamed: this.restorer !== null,
    };
    return encodeResponseHeaders(responseChange(placement, told));
  }

  /** The gateway has answered by itself, before the request was whole or decided. */
  private becomeMoot(): void {
    this.stage = Stage.moot;
    this.deadline = Infinity;
    this.body?.drop();
  }

  private onResponseBody(request: ProcessingRequest): void {
    if (this.reply !== Reply.body) throw new OutOfOrder('a response body before or after its place');
    const { body, endOfStream } = request;
    this.placement?.onPiece(body);
    const { restorer } = this;
    this.passOn(restorer === null ? body : restorer.push(body, endOfStream), endOfStream);
    if (endOfStream) this.endReply();
  }

  private passOn(bytes: Buffer, endOfStream: boolean): void {
    if (bytes.length === 0 && !endOfStream) return;
    const flowing = sendBody(this.stream, Body.response, bytes, endOfStream);
    if (flowing || endOfStream || this.paused) return;
    this.paused = true;
    this.stream.pause();
  }

  private onResponseTrailers(): void {
    if (this.reply !== Reply.body) throw new OutOfOrder('response trailers before or after their place');
    if (this.restorer !== null) this.passOn(this.restorer.push(empty, true), false);
    this.stream.send(responseTrailersUnchanged);
    this.endReply();
  }

  /** The answer is whole; the gateway ends the call, or we do once it has had its time. */
  private endReply(): void {
    this.reply = Reply.ended;
    this.deadline = this.context.clock.now() + this.context.settings.deadline;
    this.placement?.complete();
    this.settle(0, false);
    this.endIfIdle();
  }

  private fail(fault: unknown): void {
    if (this.over) return;
    if (fault instanceof OutOfOrder || fault instanceof WireError) {
      this.end(GrpcStatus.invalidArgument, fault.message, 400);
      return;
    }
    if (fault instanceof RoutingError) {
      this.refuse(fault);
      return;
    }
    const requestId = this.heard?.head.requestId;
    this.context.log.error('a call failed inside the picker', { requestId, error: errorText(fault) });
    const message = 'the router has failed on this request';
    this.refuse(new RoutingError('internal_error', message, { source: 'router', cause: fault }));
  }

  /** Answers with an error; once a decision has been sent, all that is left is to end the call. */
  private refuse(error: RoutingError): void {
    const status = statusOf(error.code);
    this.code = error.code;
    if (this.placement !== null) this.placement.code = error.code;
    if (this.stage === Stage.answered || this.stage === Stage.moot) {
      this.end(GrpcStatus.internal, error.message, status);
      return;
    }
    if (this.placement === null) this.context.telemetry.refused(status);
    this.answerWith(immediateError(error, this.heard?.head.requestId ?? ''), status);
  }

  /** Envoy asks no more once it has an answer of ours. */
  private answerWith(immediate: Immediate, status: number): void {
    this.stream.send(encodeImmediate(immediate));
    this.end(GrpcStatus.ok, undefined, status);
  }

  /** The peer has said all (Envoy, too, when its client leaves): the call ends as soon as nothing is owed to it. */
  private endIfIdle(): void {
    if (!this.halfClosed || this.over) return;
    if (this.stage === Stage.deciding || this.outgoing !== null) return;
    if (this.stage === Stage.body) this.end(GrpcStatus.invalidArgument, 'the request has no end');
    else this.end(GrpcStatus.ok);
  }

  /** `httpStatus`: what the client gets where its answer is not whole. */
  private end(status: number, message?: string, httpStatus = 499): void {
    if (this.over) return;
    this.over = true;
    this.deadline = Infinity;
    this.settle(httpStatus, true);
    this.stream.end(status, message);
  }

  /** Gives back what is held; counts once. */
  private settle(status: number, broken: boolean): void {
    if (this.settled) return;
    this.settled = true;
    this.outgoing = null;
    this.body?.drop();
    if (this.placement === null) this.trail?.endEarly(status === 0 ? this.status : status, this.code);
    else this.placement.finish(status, broken);
    this.context.ended();
  }
}
