import { describeClient, type Implementation } from './client.suite.ts';
import { SocketClient } from './socket-client.ts';
import { describeTls } from './tls.suite.ts';
import { UndiciClient } from './undici-client.ts';

const implementations: readonly Implementation[] = [
  { name: 'SocketClient', isUndici: false, make: (clock) => new SocketClient(clock) },
  { name: 'UndiciClient', isUndici: true, make: (clock) => new UndiciClient(clock) },
];

for (const implementation of implementations) {
  describeClient(implementation);
  describeTls(implementation);
}
