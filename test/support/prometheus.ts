import assert from 'node:assert/strict';

/** A sample of a metric, with its labels as text. */
export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const labelled = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"/;
const sample = new RegExp(
  `^([a-zA-Z_:][\\w:]*)(?:\\{(${labelled.source}(?:,${labelled.source})*)\\})? (\\S+)$`,
);

/**
 * Parses Prometheus' text format. Throws an AssertionError for an invalid line, a metric without a type or with two,
 * a repeated series, and inconsistent histogram buckets.
 */
export function parsePrometheus(text: string): Sample[] {
  assert.ok(text.endsWith('\n'));
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  const seen = new Set<string>();
  for (const line of text.split('\n')) {
    const [, name, type] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? [];
    if (name !== undefined && type !== undefined) {
      assert.ok(!types.has(name), `"${name}" has two types`);
      types.set(name, type);
    } else if (line !== '' && !line.startsWith('# HELP ')) {
      const found = readSample(line);
      const metric = types.has(found.name) ? found.name : found.name.replace(/_[a-z]+$/, '');
      assert.ok(types.has(metric), `"${line}" has no type`);
      assert.ok(!seen.has(line.replace(/ \S+$/, '')), `"${line}" is there twice`);
      seen.add(line.replace(/ \S+$/, ''));
      samples.push(found);
    }
  }
  checkBuckets(samples);
  return samples;
}

function readSample(line: string): Sample {
  const [, name, labels = ''] = sample.exec(line) ?? [];
  assert.ok(name !== undefined, `"${line}" is no sample`);
  const pairs = labels.matchAll(new RegExp(labelled, 'g'));
  const value = Number(line.slice(line.lastIndexOf(' ') + 1));
  assert.ok(!Number.isNaN(value), `"${line}" has no value`);
  return {
    name,
    value,
    labels: Object.fromEntries(pairs.map(([, key = '', text = '']) => [key, text])),
  };
}

/** Buckets are cumulative, and the last one equals the count. */
function checkBuckets(samples: readonly Sample[]): void {
  let before = { bound: Number.POSITIVE_INFINITY, value: 0 };
  for (const { name, labels, value } of samples) {
    if (name.endsWith('_bucket')) {
      const bound = labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels['le']);
      if (bound > before.bound) assert.ok(value >= before.value, `${name} falls at ${bound}`);
      before = { bound, value };
    } else if (name.endsWith('_count')) {
      assert.equal(before.bound, Number.POSITIVE_INFINITY);
      assert.equal(value, before.value);
    }
  }
}
