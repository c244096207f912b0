import type { Context, Dealer, Subscriber } from 'zeromq';
import { maxMessageBytes } from './limits.ts';

type ZmqModule = typeof import('zeromq');

/** Makes the sockets of one router's subscriptions. */
export interface Zmq {
  /** Subscribes to `topic` at an address that may come and go. */
  subscriber(address: string, topic: string): Subscriber;
  /** Asks for replays at an address. */
  dealer(address: string): Dealer;
}

/** Messages that wait in a socket; what comes beyond is lost, found as a gap and replayed. */
const waitingMessages = 1_000;
/** A replay comes at once: as much as an engine keeps by default fits in few rounds. */
const waitingReplays = 4_096;
/** The library allows 1,023 sockets by default; a stream takes three. */
const maxSockets = 16_000;

/** Loads the native module, which only those pay for who have KV events; rejects where it is missing. */
export async function loadZmq(): Promise<Zmq> {
  const zmq: ZmqModule = await import('zeromq');
  const context = new zmq.Context({ maxSockets });
  return {
    subscriber: (address, topic) => subscriber(new zmq.Subscriber(options(context, address)), topic),
    dealer: (address) => {
      const socket = new zmq.Dealer({ ...options(context, address), receiveHighWaterMark: waitingReplays });
      socket.connect(address);
      return socket;
    },
  };
}

function subscriber(socket: Subscriber, topic: string): Subscriber {
  socket.receiveHighWaterMark = waitingMessages;
  socket.reconnectInterval = 100;
  socket.reconnectMaxInterval = 5_000;
  // A node that vanishes sends no farewell: only missing answers to pings tell.
  socket.heartbeatInterval = 5_000;
  socket.heartbeatTimeout = 15_000;
  socket.connectTimeout = 5_000;
  socket.subscribe(topic);
  return socket;
}

function options(context: Context, address: string) {
  return { context, linger: 0, maxMessageSize: maxMessageBytes, ipv6: address.includes('[') };
}
