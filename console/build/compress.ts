import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

/** Text files; the page itself stays as it is, since the manager writes into it. */
const TEXT = /\.(js|css|svg|json)$/;

/** Leaves text files only compressed, as the manager keeps and sends them. */
export function compress(): Plugin {
  return {
    name: 'compress',
    apply: 'build',
    enforce: 'post',
    async writeBundle({ dir }, bundle) {
      const names = Object.keys(bundle).filter((name) => TEXT.test(name));
      await Promise.all(names.map((name) => replace(join(dir ?? '.', name))));
    },
  };
}

async function replace(path: string): Promise<void> {
  const plain = await readFile(path);
  await writeFile(`${path}.gz`, gzipSync(plain, { level: constants.Z_BEST_COMPRESSION }));
  await rm(path);
}
