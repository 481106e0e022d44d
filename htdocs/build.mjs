// Writes the served tree of the UI: node build.mjs OUT
//
// No bundling: every module stays a file of its own. Bare imports become absolute addresses, because the strict
// content-security policy leaves no room for an import map. Everything lies below one folder named after a hash of
// all content, so that browsers may keep it for ever, and the start page names every module of the first load, so
// that they arrive in parallel. Ends with an error when the first load is over its budget.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const SRC = path.join(HERE, 'src');
const MODULES = path.join(HERE, 'node_modules');
const OUT = path.resolve(process.argv[2] || 'build/htdocs');
const BUDGET = 100 * 1024;
const ENTRY = 'main.js';
const VERSION_MARK = '@VERSION@';

/** Bare module name -> file in node_modules. */
const VENDOR = {
  preact: 'preact/dist/preact.mjs',
  'preact/hooks': 'preact/hooks/dist/hooks.mjs',
  '@preact/signals-core': '@preact/signals-core/dist/signals-core.mjs',
  '@preact/signals': '@preact/signals/dist/signals.mjs',
  htm: 'htm/dist/htm.mjs',
  'socket.io-client': 'socket.io-client/dist/socket.io.esm.min.js',
  uqr: 'uqr/dist/index.mjs',
  photoswipe: 'photoswipe/dist/photoswipe.esm.min.js',
};
const STYLES = ['tokens', 'base', 'controls', 'shell', 'create', 'gallery', 'pages', 'lightbox'];
const IMPORT = /(\bfrom\s*|\bimport\s*\(?\s*)(["'])([^"'\n]+)\2/g;

const vendorFile = (name) => `vendor/${name.replace(/[@/]+/g, '-').replace(/^-/, '')}.js`;

function rewrite(code, file) {
  return code.replace(IMPORT, (whole, head, quote, name) => {
    if (name.startsWith('.') || name.startsWith('/')) {
      return whole;
    }
    if (!VENDOR[name]) {
      throw new Error(`${file} imports "${name}", which is not in the vendor table`);
    }
    return `${head}${quote}/assets/${VERSION_MARK}/${vendorFile(name)}${quote}`;
  });
}

/** Takes out whole-line comments and indentation; our modules keep both meaningless. */
function squeeze(code) {
  return code
    .replace(/^[ \t]*\/\*\*?[\s\S]*?\*\/[ \t]*\n/gm, '')
    .replace(/^[ \t]*\/\/.*\n/gm, '')
    .replace(/^[ \t]+/gm, '')
    .replace(/\n{2,}/g, '\n');
}

function walk(dir) {
  return fs.readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(dir, entry.name);
    return entry.isDirectory() ? walk(full) : [full];
  });
}

function collect() {
  const files = new Map();
  for (const full of walk(SRC)) {
    const name = path.relative(SRC, full);
    if (name.endsWith('.js')) {
      files.set(name, squeeze(rewrite(fs.readFileSync(full, 'utf8'), name)));
    } else if (!name.startsWith('css/') && name !== 'index.html') {
      files.set(name, fs.readFileSync(full));
    }
  }
  for (const [name, file] of Object.entries(VENDOR)) {
    const code = fs.readFileSync(path.join(MODULES, file), 'utf8').replace(/\n?\/\/# sourceMappingURL=.*/g, '');
    files.set(vendorFile(name), rewrite(code, name));
  }
  const css = STYLES.map((name) => fs.readFileSync(path.join(SRC, 'css', `${name}.css`), 'utf8')).join('');
  files.set('app.css', squeeze(css.replace(/\/\*[\s\S]*?\*\//g, '')));
  files.set('photoswipe.css', fs.readFileSync(path.join(MODULES, 'photoswipe/dist/photoswipe.css'), 'utf8'));
  return files;
}

/** Modules that `entry` needs before it can run, in the order of discovery. */
function firstLoad(files, entry) {
  const seen = [entry];
  for (const name of seen) {
    for (const [, head, , target] of files.get(name).matchAll(IMPORT)) {
      if (head.includes('(')) {
        continue;
      }
      const file = target.startsWith('.')
        ? path.posix.normalize(path.posix.join(path.posix.dirname(name), target))
        : target.replace(`/assets/${VERSION_MARK}/`, '');
      if (!files.has(file)) {
        throw new Error(`${name} imports ${target}, which does not exist`);
      }
      if (!seen.includes(file)) {
        seen.push(file);
      }
    }
  }
  return seen;
}

/** Writes a file, and compressed forms of it beside it where they are smaller. */
function write(target, body) {
  const whole = Buffer.from(body);
  const forms = { '.br': brotliCompressSync(whole), '.gz': gzipSync(whole, { level: 9 }) };
  for (const [ending, small] of Object.entries(forms)) {
    if (small.length < whole.length) {
      fs.writeFileSync(target + ending, small);
    }
  }
  fs.writeFileSync(target, whole);
}

function main() {
  const files = collect();
  const needed = firstLoad(files, ENTRY);
  const links = needed.map((name) => `<link rel="modulepreload" href="/assets/${VERSION_MARK}/${name}">`).join('\n');
  const page = fs.readFileSync(path.join(SRC, 'index.html'), 'utf8').replace('<!-- modules -->', links);
  const hash = createHash('sha256').update(page);
  [...files.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).forEach(([name, body]) => hash.update(name).update(body));
  const version = hash.digest('hex').slice(0, 12);
  const stamp = (body) => (typeof body === 'string' ? body.replaceAll(VERSION_MARK, version) : body);

  fs.rmSync(OUT, { recursive: true, force: true });
  for (const [name, body] of files) {
    const target = path.join(OUT, 'assets', version, name);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    write(target, stamp(body));
  }
  const index = stamp(page);
  const sizes = [index, ...[...needed, 'app.css', 'theme.js'].map((name) => stamp(files.get(name)))];
  const total = sizes.reduce((sum, body) => sum + gzipSync(body, { level: 6 }).length, 0);
  if (total > BUDGET) {
    throw new Error(`the first load is ${total} bytes compressed, more than the ${BUDGET} it may be`);
  }
  // Last, because make takes this file for the whole tree.
  write(path.join(OUT, 'index.html'), index);
  console.log(`htdocs: first load ${(total / 1024).toFixed(1)} KB compressed in ${sizes.length} files`);
}

main();
