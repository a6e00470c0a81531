/** The parts of a service definition that make up its paths. */
interface Definition {
  readonly fullName: string;
  readonly methods: object;
}

/** The path of a method: `/package.Service/Method`. */
export function pathOf({ fullName }: Pick<Definition, 'fullName'>, { name }: { name: string }) {
  return `/${fullName}/${name}`;
}

/** The paths of all methods of a service. */
export function pathsOf(definition: Definition): string[] {
  return Object.values<{ name: string }>({ ...definition.methods }).map((method) =>
    pathOf(definition, method),
  );
}
