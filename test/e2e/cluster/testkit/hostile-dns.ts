import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';

/**
 * Imported into a router before it starts: every name leads to loopback, as one would that a tenant has pointed there by
 * an ExternalName Service. There is no cluster DNS beside the test's API server.
 */
const loopback = { address: '127.0.0.1', family: 4 };

type Done = (error: null, address: unknown, family?: number) => void;

Reflect.set(dns, 'lookup', (_host: string, options: { readonly all?: boolean }, done: Done) => {
  if (options.all === true) done(null, [loopback]);
  else done(null, loopback.address, loopback.family);
});
syncBuiltinESMExports();
