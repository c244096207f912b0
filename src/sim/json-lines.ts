import type { Socket } from 'node:net';

const longestLine = 65_536;

/** Hands each line of a socket, parsed as JSON, to `onMessage`; a peer that sends anything else is cut off. */
export function readJsonLines(socket: Socket, onMessage: (message: unknown) => void): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) deliver(socket, line, onMessage);
    if (rest.length > longestLine) socket.destroy();
  });
}

export function writeJsonLine(socket: Socket, message: object): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

function deliver(socket: Socket, line: string, onMessage: (message: unknown) => void): void {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    // Not one of ours at the other end: there is nothing to tell it.
    socket.destroy();
    return;
  }
  onMessage(message);
}
