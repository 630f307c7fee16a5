// Removes `dist`: the output of a source file that was deleted must not be published.
import { rmSync } from 'node:fs';

rmSync(new URL('../dist', import.meta.url), { recursive: true, force: true });
