import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** What is read here of a CustomResourceDefinition. */
interface Definition {
  spec: {
    group: string;
    names: { kind: string };
    versions: readonly { name: string; schema?: { openAPIV3Schema?: Schema } }[];
  };
}

/** A part of a schema as Kubernetes writes them, and as JSON Schema has them. */
interface Schema {
  type?: string | readonly string[];
  nullable?: boolean;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  $ref?: string;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
}

const objectMeta = '_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';

// crd_schemas.ts FILE FOLDER...: writes the schemas of the kind that a file defines, named as
// kubeconform asks for them, into folders with Kubernetes' own.
const [definition = '', ...folders] = process.argv.slice(2);
for (const folder of folders) writeSchemas(parse(readFileSync(definition, 'utf8')), folder);

function writeSchemas({ spec }: Definition, folder: string): void {
  const [group] = spec.group.split('.');
  for (const { name, schema } of spec.versions) {
    const { properties = {}, ...rest } = schema?.openAPIV3Schema ?? {};
    const whole = strict({ ...rest, properties });
    const metadata = { $ref: objectMeta };
    const content = { ...whole, properties: { ...whole.properties, metadata } };
    const file = `${spec.names.kind}-${group}-${name}.json`.toLowerCase();
    writeFileSync(join(folder, file), JSON.stringify(content));
  }
}

/** What an API server prunes as unknown is an error here; `nullable` is another type. */
function strict(schema: Schema): Schema {
  const { properties, additionalProperties, items, type, nullable } = schema;
  const open = schema['x-kubernetes-preserve-unknown-fields'] ?? false;
  return {
    ...schema,
    ...(nullable && typeof type === 'string' && { type: [type, 'null'] }),
    ...(items && { items: strict(items) }),
    ...(typeof additionalProperties === 'object' && {
      additionalProperties: strict(additionalProperties),
    }),
    ...(properties && {
      properties: mapValues(properties, strict),
      ...(additionalProperties === undefined && !open && { additionalProperties: false }),
    }),
  };
}

function mapValues(values: Record<string, Schema>, map: (value: Schema) => Schema) {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, map(value)]));
}
