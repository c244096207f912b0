import { describeClient } from './client.suite.ts';
import { SocketClient } from './socket-client.ts';
import { UndiciClient } from './undici-client.ts';

describeClient({ name: 'SocketClient', isUndici: false, make: (clock) => new SocketClient(clock) });
describeClient({ name: 'UndiciClient', isUndici: true, make: (clock) => new UndiciClient(clock) });
