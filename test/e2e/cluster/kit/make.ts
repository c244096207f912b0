// Makes the programs of the cluster suites before anything runs that a busy machine would disturb.
import { clientBinaries, controlPlaneBinary } from './binaries.ts';

if ((process.env.KUBECONFIG ?? '') === '') await controlPlaneBinary();
await clientBinaries();
