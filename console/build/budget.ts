import { gzipSync } from 'node:zlib';
import type { Plugin, Rollup } from 'vite';

/** Fails the build when the scripts and styles of the first page are larger than this, compressed. */
export function budget({ maxKib }: { maxKib: number }): Plugin {
  return {
    name: 'budget',
    apply: 'build',
    writeBundle(_, bundle) {
      const files = firstPage(bundle);
      const kib = files.reduce((sum, file) => sum + gzipSync(content(file)).length, 0) / 1024;
      const told = `the first page is ${kib.toFixed(0)} KiB of at most ${maxKib} KiB, compressed`;
      if (kib > maxKib) {
        this.error(told);
      }
      this.info(told);
    },
  };
}

/** What the page loads before it shows anything: its entry, what that imports, and their styles. */
function firstPage(bundle: Rollup.OutputBundle): (Rollup.OutputAsset | Rollup.OutputChunk)[] {
  const seen = new Set<string>();
  const visit = (name: string) => {
    const file = bundle[name];
    if (seen.has(name) || file?.type !== 'chunk') {
      return;
    }
    seen.add(name);
    file.imports.forEach(visit);
    file.viteMetadata?.importedCss.forEach((css) => seen.add(css));
  };
  for (const [name, file] of Object.entries(bundle)) {
    if (file.type === 'chunk' && file.isEntry) {
      visit(name);
    }
  }
  return [...seen].flatMap((name) => bundle[name] ?? []);
}

function content(file: Rollup.OutputAsset | Rollup.OutputChunk): string | Uint8Array {
  return file.type === 'chunk' ? file.code : file.source;
}
