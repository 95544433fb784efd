// Gathers the licences of every package that ends up in the build, as their terms ask for.
//
// Vite's own `build.license` sees neither what only a worker bundles (picomatch, …) nor fonts, hence this plugin.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A pair of plugins that share what they saw: `page` writes `fileName` and belongs to the build, `worker` to workers. */
export function licences({ fileName }) {
  const packages = new Map();
  const watch = (bundle) => {
    for (const output of Object.values(bundle)) {
      for (const source of output.moduleIds ?? output.originalFileNames ?? []) add(packages, source);
    }
  };
  return {
    worker: { name: 'licences:worker', generateBundle: (_options, bundle) => watch(bundle) },
    page: {
      name: 'licences:page',
      generateBundle(_options, bundle) {
        watch(bundle);
        this.emitFile({ type: 'asset', fileName, source: write([...packages.values()]) });
      },
    },
  };
}

function add(packages, source) {
  if (source.startsWith('\0') || !source.includes('node_modules/')) return;
  const dir = packageDir(dirname(source));
  if (packages.has(dir)) return;
  const { name, version, license } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
  const texts = readdirSync(dir)
    .filter((file) => /^(licen[cs]e|notice|copying|thirdpartynotices)/i.test(file))
    .sort()
    .map((file) => readFileSync(join(dir, file), 'utf8').replaceAll('\r\n', '\n').trim());
  packages.set(dir, { title: `${name} ${version} (${license})`, texts });
}

/** The nearest folder above that names a package with a version: some packages hold nameless package.json files. */
function packageDir(dir) {
  const manifest = join(dir, 'package.json');
  if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version) return dir;
  return packageDir(dirname(dir));
}

/** Each text once, under all the packages that it covers. */
function write(packages) {
  const titlesByText = new Map();
  for (const { title, texts } of packages.sort((a, b) => (a.title < b.title ? -1 : 1))) {
    const text = texts.join('\n\n') || '(the package contains no licence text)';
    titlesByText.set(text, [...(titlesByText.get(text) ?? []), title]);
  }
  const parts = [...titlesByText].map(([text, titles]) => `${[...new Set(titles)].join('\n')}\n\n${text}\n`);
  return `The freshql console contains the following packages.\n\n${parts.join(`\n${'-'.repeat(80)}\n\n`)}`;
}
