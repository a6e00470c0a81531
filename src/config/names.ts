/** The environment variable of a setting: `GREETER_LISTEN` of `listen`. */
export function envName(setting: string): string {
  return `GREETER_${setting.replaceAll('-', '_').toUpperCase()}`;
}

interface Given {
  flags: Readonly<Record<string, string | true | undefined>>;
  env: Readonly<Record<string, string | undefined>>;
}

/** What a setting is called by whoever set it: its variable, where no flag goes before it. */
export function nameAsGiven({ flags, env }: Given): (setting: string) => string {
  return (setting) => {
    const variable = envName(setting);
    return flags[setting] === undefined && env[variable] ? variable : `--${setting}`;
  };
}

/** A problem that names flags, with each called by `nameOf`. What stands in quotes is a value, and stays. */
export function withNames(problem: string, nameOf: (setting: string) => string): string {
  return problem.replace(/"[^"]*"|--(?<setting>[a-z]+(?:-[a-z]+)*)/g, (found, setting?: string) =>
    setting === undefined ? found : nameOf(setting),
  );
}
