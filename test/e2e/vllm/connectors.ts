import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quietPort } from '../testkit/ports.ts';

/** How an engine hands the KV blocks of a prompt over to another: what vLLM is told of its KV connector. */
export interface Connector {
  readonly config: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * NIXL, over shared memory: a decoder reads the blocks out of the prefiller's memory. Blocks that nobody reads stay
 * reserved for `lease` seconds.
 */
export async function nixl(role: 'kv_producer' | 'kv_consumer', lease = 30): Promise<Connector> {
  return {
    config: {
      kv_connector: 'NixlConnector',
      kv_role: role,
      kv_buffer_device: 'cpu',
      kv_connector_extra_config: { kv_lease_duration: lease },
    },
    env: {
      VLLM_NIXL_SIDE_CHANNEL_HOST: '127.0.0.1',
      VLLM_NIXL_SIDE_CHANNEL_PORT: String(await quietPort()),
      UCX_TLS: 'cma,posix,sysv,tcp,self',
    },
  };
}

/** A folder that engines share: the prefiller writes blocks there, and what it answers names none (null). */
export class SharedStorage {
  readonly folder = mkdtempSync(join(tmpdir(), 'hermes-kv-'));

  connector(): Connector {
    const extra = { shared_storage_path: this.folder };
    return {
      config: { kv_connector: 'ExampleConnector', kv_role: 'kv_both', kv_connector_extra_config: extra },
      env: {},
    };
  }

  /** Forgets all blocks. */
  clear(): void {
    for (const name of readdirSync(this.folder)) rmSync(join(this.folder, name), { recursive: true });
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true });
  }
}
