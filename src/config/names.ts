/** The environment variable of a setting: `GREETER_LISTEN` for `listen`. */
export function envName(setting: string): string {
  return `GREETER_${setting.replaceAll('-', '_').toUpperCase()}`;
}

interface Given {
  flags: Readonly<Record<string, string | true | undefined>>;
  env: Readonly<Record<string, string | undefined>>;
}

/** The name of a setting as the user set it: its variable if that is set and its flag is not. */
export function nameAsGiven({ flags, env }: Given): (setting: string) => string {
  return (setting) => {
    const variable = envName(setting);
    return flags[setting] === undefined && env[variable] ? variable : `--${setting}`;
  };
}

/** Replaces the flags that a message names by `nameOf`. Text in quotes is a value, and is kept. */
export function withNames(problem: string, nameOf: (setting: string) => string): string {
  return problem.replace(/"[^"]*"|--(?<setting>[a-z]+(?:-[a-z]+)*)/g, (found, setting?: string) =>
    setting === undefined ? found : nameOf(setting),
  );
}
