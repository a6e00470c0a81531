import type { Component, Sbom } from './sbom.ts';

/** The SBOM of an executable: that of the bundle, with Node and its components. */
export function executableSbom(sbom: Sbom, versions: Readonly<NodeJS.ProcessVersions>): Sbom {
  const { node, ...parts } = versions;
  const ref = `node@${node}`;
  const platform: Component = {
    type: 'platform',
    'bom-ref': ref,
    name: 'node',
    version: node,
    purl: `pkg:generic/node@${node}`,
    cpe: `cpe:2.3:a:nodejs:node.js:${node}:*:*:*:*:*:*:*`,
    licenses: [{ expression: 'MIT' }],
    components: Object.entries(parts).flatMap(([name, version]) =>
      version === undefined || version === ''
        ? []
        : [{ type: 'library', 'bom-ref': `${ref}/${name}`, name, version }],
    ),
  };
  const root = sbom.metadata.component['bom-ref'];
  return {
    ...sbom,
    components: [...sbom.components, platform],
    dependencies: [
      ...sbom.dependencies.map(({ ref: from, dependsOn }) =>
        from === root ? { ref: from, dependsOn: [...dependsOn, ref] } : { ref: from, dependsOn },
      ),
      { ref, dependsOn: [] },
    ],
  };
}
