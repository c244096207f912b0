import type { RequestOptions } from 'node:https';
import { errorText } from '../../observability/log.ts';
import type { KubeCredentials, KubeIdentity } from './credentials.ts';
import { KubeConfigError } from './section.ts';

/** What of the library's KubeConfig is used. */
interface LibraryConfig {
  applyToHTTPSOptions(options: RequestOptions): Promise<void>;
}

/**
 * Credentials that a program (`exec`) or an `auth-provider` of the kubeconfig makes. The Kubernetes client library
 * knows how, and keeps them until they expire; it is loaded only here because it takes 82 MB, and seconds from a cold disk.
 */
export class PluginCredentials implements KubeCredentials {
  private readonly file: string;
  private readonly kubeconfig: string;
  private loaded: Promise<LibraryConfig> | null = null;

  /** `kubeconfig` is the text of a kubeconfig of one context. */
  constructor(file: string, kubeconfig: string) {
    this.file = file;
    this.kubeconfig = kubeconfig;
  }

  async current(): Promise<KubeIdentity> {
    const options: RequestOptions = {};
    try {
      this.loaded ??= load(this.kubeconfig);
      await (await this.loaded).applyToHTTPSOptions(options);
    } catch (error) {
      this.loaded = null;
      throw new KubeConfigError(this.file, `the credentials' program failed: ${errorText(error)}; try it by hand`);
    }
    return identityOf(options);
  }

  refused(): void {
    // A config loaded anew has no credentials kept back.
    this.loaded = null;
  }
}

async function load(kubeconfig: string): Promise<LibraryConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromString(kubeconfig);
  return config;
}

function identityOf({ headers, cert, key }: RequestOptions): KubeIdentity {
  const authorization: unknown = headers !== undefined && 'Authorization' in headers ? headers.Authorization : null;
  return {
    authorization: typeof authorization === 'string' ? authorization : null,
    ...pem('cert', cert),
    ...pem('key', key),
  };
}

function pem(name: 'cert' | 'key', value: unknown): Partial<KubeIdentity> {
  if (typeof value === 'string') return { [name]: value };
  return Buffer.isBuffer(value) ? { [name]: value.toString('utf8') } : {};
}
