import { ourFolder, type Package } from './packages.ts';

/** The sources of an SBOM. */
export interface SbomSources {
  packages: readonly Package[];
  /** The packages of package-lock.json, by folder. */
  locked: Readonly<Record<string, { integrity?: string }>>;
  /** Empty if unknown. */
  commit: string;
}

/** A CycloneDX component. */
export interface Component {
  type: 'application' | 'library' | 'platform';
  'bom-ref': string;
  name: string;
  version: string;
  purl?: string;
  cpe?: string;
  licenses?: readonly { expression: string }[];
  hashes?: readonly { alg: string; content: string }[];
  properties?: readonly { name: string; value: string }[];
  components?: readonly Component[];
}

/** A software bill of materials in CycloneDX 1.6. */
export interface Sbom {
  $schema: string;
  bomFormat: 'CycloneDX';
  specVersion: string;
  version: number;
  metadata: { component: Component };
  components: readonly Component[];
  dependencies: readonly { ref: string; dependsOn: readonly string[] }[];
}

/**
 * The SBOM of the bundle: the packages with code in it, and their dependencies. It has no date and no serial number,
 * so that it is reproducible.
 */
export function bundleSbom({ packages, locked, commit }: SbomSources): Sbom {
  const refs = new Map(packages.map((each) => [each.folder, refOf(each)]));
  const components = packages.map((each) => componentOf(each, locked[each.folder]?.integrity));
  const component = components.find((_, index) => packages[index]?.folder === ourFolder);
  if (!component) throw new Error('Cannot list what is in the bundle: it must hold our own files');
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: {
        ...component,
        type: 'application',
        // The project is in no registry, and another package has its name in npm's.
        purl: `pkg:generic/${component['bom-ref']}`,
        ...(commit && { properties: [{ name: 'greeter:commit', value: commit }] }),
      },
    },
    components: components.filter((each) => each !== component),
    dependencies: packages.map((each) => ({
      ref: refOf(each),
      dependsOn: each.imports.flatMap((folder) => refs.get(folder) ?? []),
    })),
  };
}

function refOf({ name, version }: Package): string {
  return `${name}@${version}`;
}

function componentOf(pack: Package, integrity: string | undefined): Component {
  const { name, version, licence } = pack;
  const sha512 = /^sha512-(.*)$/.exec(integrity ?? '')?.[1];
  return {
    type: 'library',
    'bom-ref': refOf(pack),
    name,
    version,
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    licenses: [{ expression: licence.replaceAll(/^\((.*)\)$/g, '$1') }],
    ...(sha512 && {
      hashes: [{ alg: 'SHA-512', content: Buffer.from(sha512, 'base64').toString('hex') }],
    }),
  };
}
